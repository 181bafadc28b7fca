package renew

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"guzheng/preserve/tsa"
)

var errCrash = errors.New("crash")

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if home := os.Getenv("RENEW_TEST_HOME"); home != "" {
		if err := child(home, os.Getenv("RENEW_TEST_POINT")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child renews everything and kills itself at the point.
func child(home, point string) error {
	h, err := openHouse(home, time.Now)
	if err != nil {
		return err
	}
	n := 0
	h.at = func(p string) error {
		if n++; fmt.Sprint(n) != point {
			return nil
		}
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Kill()
		}
		if err != nil {
			return err
		}
		select {}
	}
	h.Authorities = append(h.Authorities, twin{h.Authorities[0]})
	_, err = h.Run(context.Background(), Request{Packages: h.packages(), All: true})
	return err
}

// twin is a second authority for packages to have two records each.
type twin struct{ tsa.Imprinter }

func (twin) Name() string { return "twin" }

// built makes one home with two packages, and copies of it.
func built(t *testing.T) (copied func(*testing.T) string) {
	t.Helper()
	home := t.TempDir()
	t.Run("build", func(t *testing.T) {
		h := newHouse(t, home)
		h.fill(t, 2, h.Authorities[0])
		// As it is before the log is closed and its directory cleared.
		if out, err := exec.CommandContext(t.Context(), "cp", "-a", home, home+"-copy").CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
	})
	t.Cleanup(func() { os.RemoveAll(home + "-copy") })
	return func(t *testing.T) string {
		t.Helper()
		to := filepath.Join(t.TempDir(), "home")
		if out, err := exec.CommandContext(t.Context(), "cp", "-a", home+"-copy", to).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		return to
	}
}

// points runs once and lists where it can be ended.
func points(t *testing.T, home string) []string {
	t.Helper()
	h := newHouse(t, home)
	h.Authorities = append(h.Authorities, twin{h.Authorities[0]})
	var out []string
	h.at = func(p string) error { out = append(out, p); return nil }
	h.run(t, Request{All: true})
	if len(out) != 22 {
		t.Errorf("%d points: %v", len(out), out)
	}
	return out
}

// goOn runs again without wishes: what had begun is finished, once.
func goOn(t *testing.T, h *house, point string) {
	t.Helper()
	h.at = nil
	if len(h.Authorities) == 1 {
		h.Authorities = append(h.Authorities, twin{h.Authorities[0]})
	}
	before, err := h.log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.Run(t.Context(), Request{Packages: h.packages()})
	if err != nil {
		t.Fatalf("going on: %v", err)
	}
	begun := len(got) == 2
	if !begun && strings.Contains(point, "plan") || point == "before token-0-sha256.json" {
		// Nothing had been had: forgotten, and nothing left behind.
		if h.evidence(t) != 0 {
			t.Errorf("%d records", h.evidence(t))
		}
	} else {
		if n := h.evidence(t); n != 4 {
			t.Errorf("%d records", n)
		}
		if n, err := h.log.Size(t.Context()); err != nil || n != 3 { // two packages, one batch
			t.Errorf("%d events in the log, %d before, %v", n, before, err)
		}
		for _, k := range h.keys {
			for n := 1; n <= 2; n++ {
				h.record(t, k, n, tsa.Trust{}, tsa.Unknown)
			}
		}
	}
	entries, err := os.ReadDir(h.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.IsDir() || strings.HasPrefix(e.Name(), ".tmp") }) {
		t.Errorf("left behind: %v", entries)
	}
	again, err := h.Run(t.Context(), Request{Packages: h.packages()})
	if err != nil || len(again) != 1 || again[0].ID != "" {
		t.Errorf("did something again: %+v, %v", again, err)
	}
}

// TestCrash ends Run before and after each of its writes and goes on.
func TestCrash(t *testing.T) {
	t.Parallel()
	copied := built(t)
	for i, point := range points(t, copied(t)) {
		if testing.Short() && i%4 != 2 {
			continue
		}
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, copied(t))
			h.Authorities = append(h.Authorities, twin{h.Authorities[0]})
			n := 0
			h.at = func(string) error {
				if n++; n == i+1 {
					return errCrash
				}
				return nil
			}
			if _, err := h.Run(t.Context(), Request{Packages: h.packages(), All: true}); !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			goOn(t, h, point)
		})
	}
}

// TestKill is the same with kill -9, at every third point.
func TestKill(t *testing.T) {
	t.Parallel()
	copied := built(t)
	for i, point := range points(t, copied(t)) {
		if i%3 != 0 || testing.Short() && i%9 != 6 {
			continue
		}
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			home := copied(t)
			h := newHouse(t, home)
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), "RENEW_TEST_HOME="+home, fmt.Sprint("RENEW_TEST_POINT=", i+1))
			out, err := cmd.CombinedOutput()
			if err == nil || cmd.ProcessState.Exited() {
				t.Fatalf("was not killed: %v\n%s", err, out)
			}
			goOn(t, h, point)
		})
	}
}

// TestHeld renews in two processes at once.
func TestHeld(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.fill(t, 1, h.Authorities[0])
	if err := os.MkdirAll(h.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	unlock, err := lock(h.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Run(t.Context(), Request{Packages: h.packages(), All: true}); !errors.Is(err, ErrHeld) {
		t.Errorf("%v", err)
	}
	unlock()
	h.run(t, Request{All: true})
	if _, err := os.Stat(filepath.Join(h.Dir, "lock")); err != nil {
		t.Error(err)
	}
}
