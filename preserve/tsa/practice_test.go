package tsa

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// run executes openssl, the independent judge, and returns its output.
func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func refused(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput(); err == nil {
		t.Errorf("openssl %s accepted:\n%s", strings.Join(args, " "), out)
	}
}

func write(t *testing.T, dir, name string, b []byte) string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.WriteFile(p, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func practice(t *testing.T) (*Practice, string) {
	t.Helper()
	dir := t.TempDir()
	p, err := OpenPractice(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return p, dir
}

// state returns the state and code of one layer.
func state(r Report, layer string) string {
	for _, f := range r.Findings {
		if f.Layer == layer {
			return strings.TrimSpace(string(f.State) + " " + f.Code)
		}
	}
	return "absent"
}

func summary(r Report) string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, f.Layer+": "+strings.TrimSpace(string(f.State)+" "+f.Code))
	}
	return strings.Join(out, "\n")
}

func TestPracticeWithOpenSSL(t *testing.T) {
	p, keys := practice(t)
	data := []byte("a package\n")
	sum := sha256.Sum256(data)
	s := p.Stamp(t.Context(), sum)
	if s.Pending() {
		t.Fatal(s.Error)
	}
	dir := t.TempDir()
	q, r := write(t, dir, "q.tsq", s.Request), write(t, dir, "r.tsr", s.Response)
	file, other := write(t, dir, "data", data), write(t, dir, "other", []byte("b"))
	ca := filepath.Join(keys, practiceRootFile)
	run(t, "ts", "-verify", "-queryfile", q, "-in", r, "-CAfile", ca)
	run(t, "ts", "-verify", "-data", file, "-in", r, "-CAfile", ca)
	run(t, "ts", "-verify", "-digest", fmt.Sprintf("%x", sum), "-in", r, "-CAfile", ca)
	refused(t, "ts", "-verify", "-data", other, "-in", r, "-CAfile", ca)
	text := run(t, "ts", "-reply", "-in", r, "-text")
	for _, want := range []string{"Status: Granted", "Policy OID: " + PracticePolicy, "PRACTICE"} {
		if !strings.Contains(text, want) {
			t.Errorf("openssl does not show %q in\n%s", want, text)
		}
	}
	if st, err := os.Stat(filepath.Join(keys, practiceFile)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v %v", st.Mode(), err)
	}
}

func TestPracticeIsNeverPassed(t *testing.T) {
	p, _ := practice(t)
	sum := sha256.Sum256([]byte("x"))
	s := p.Stamp(t.Context(), sum)
	for name, trust := range map[string]Trust{"nobody trusted": {}, "its root trusted": {Roots: []*x509.Certificate{p.Root()}}} {
		want := "imprint: passed\nnonce: passed\npolicy: passed\nsignature: passed\nchain: cannot tell chain.practice\nidentity: cannot tell identity.not_pinned"
		r := Check(s, sum, trust)
		if got := summary(r); got != want {
			t.Errorf("%s:\n%s", name, got)
		}
		if !r.Practice || r.Policy != PracticePolicy || r.Time.IsZero() || r.Serial == "" || len(r.Certificates) != 2 {
			t.Errorf("%s: report %+v", name, r)
		}
	}
	// The record's own word does not make it anything else.
	s.TSA = "https://tsa.example"
	if r := Check(s, sum, Trust{Roots: []*x509.Certificate{p.Root()}}); !r.Practice || state(r, LayerChain) != "cannot tell chain.practice" {
		t.Errorf("renamed practice stamp: %s", summary(r))
	}
}

func TestOpenPracticeRace(t *testing.T) {
	dir := t.TempDir()
	roots := make([]string, 8)
	var wg sync.WaitGroup
	for i := range roots {
		wg.Go(func() {
			p, err := OpenPractice(dir, time.Now)
			if err != nil {
				t.Error(err)
				return
			}
			roots[i] = string(p.leaf.Raw)
		})
	}
	wg.Wait()
	for _, r := range roots {
		if r != roots[0] {
			t.Fatal("different keys were made")
		}
	}
	if err := os.Remove(filepath.Join(dir, practiceFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenPractice(dir, time.Now); !errors.Is(err, ErrLost) {
		t.Errorf("a lost key was replaced: %v", err)
	}
}
