package main

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"guzheng/capture/practice"
)

// TestMain lets the test binary be the program: scripts and tests that need
// a process of its own start it under the name guzheng.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"guzheng": main, partName: benchPart})
}

// TestScripts runs the verbs and exit codes. Scripts with "browser" in their
// name need Chromium and are left out with -short.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if testing.Short() {
		t.Log("short: scripts named browser-* are left out")
		var quick []string
		for _, f := range files {
			if !strings.HasPrefix(filepath.Base(f), "browser-") {
				quick = append(quick, f)
			}
		}
		files = quick
	}
	verifier := buildVerifier(t)
	samples, err := filepath.Abs("../../preserve/testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Files: files,
		Setup: func(e *testscript.Env) error {
			e.Setenv("GUZHENG_HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("GUZHENG_LANG", "en")
			e.Setenv("VECTORS", filepath.Join(samples, "vectors"))
			e.Setenv("FOREIGN", filepath.Join(samples, "foreign"))
			e.Setenv("PATH", filepath.Dir(verifier)+string(os.PathListSeparator)+e.Getenv("PATH"))
			// No clock server is asked in scripts: what they would answer is
			// not for a test to depend on.
			if err := os.MkdirAll(filepath.Join(e.WorkDir, "home"), 0o700); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(e.WorkDir, "home", "config.yaml"), []byte("clock:\n  ntp: []\nlimits:\n  navigate_seconds: 6\n  page_height: 6000\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "shop": startShop, "field": field, "flip": flip, "tsa": startTSA, "address": freeAddress,
			"backoffice": startBackOffice, "witness": startWitness, "disposed": disposeLater, "unheld": finishUnheld,
		},
	})
}

func buildVerifier(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "guzheng-verify")
	if b, err := exec.Command("go", "build", "-o", out, "guzheng/cmd/guzheng-verify").CombinedOutput(); err != nil {
		t.Fatalf("building guzheng-verify: %v\n%s", err, b)
	}
	return out
}

// exits runs a program and wants its exit code: exits 4 guzheng verify ...
func exits(ts *testscript.TestScript, neg bool, a []string) {
	if neg || len(a) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(a[0])
	ts.Check(err)
	err = ts.Exec(a[1], a[2:]...)
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// startShop serves the practice shop for the script: shop NAME sets $NAME to
// its address without a slash at the end.
func startShop(ts *testscript.TestScript, _ bool, a []string) {
	srv := httptest.NewServer(practice.New())
	ts.Defer(srv.Close)
	ts.Setenv(a[0], srv.URL)
}

// field takes a member of the last JSON object in a file: field NAME FILE
// KEY sets $NAME.
func field(ts *testscript.TestScript, _ bool, a []string) {
	value, err := lastField(ts.ReadFile(a[1]), a[2])
	ts.Check(err)
	ts.Setenv(a[0], value)
}

// flip changes one bit in the middle of a read-only file.
func flip(ts *testscript.TestScript, _ bool, a []string) {
	ts.Check(flipFile(ts.MkAbs(a[0]), 0.5))
}

func flipFile(name string, at float64) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if len(b) == 0 {
		return fmt.Errorf("%s is empty", name)
	}
	b[int(float64(len(b)-1)*at)] ^= 1
	if err := os.Chmod(name, 0o600); err != nil {
		return err
	}
	return os.WriteFile(name, b, 0o600)
}
