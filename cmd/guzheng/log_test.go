package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"guzheng/preserve/tlog"
	"guzheng/preserve/tlog/ledger"
)

// A logHome is a GUZHENG_HOME with a log in it, and the program run on it in
// this process.
type logHome struct {
	dir string
	cps []string // newest checkpoint after each batch
}

func newLogHome(t *testing.T, batches ...int) *logHome {
	t.Helper()
	h := &logHome{dir: t.TempDir()}
	t.Setenv("GUZHENG_HOME", h.dir)
	t.Setenv("GUZHENG_LANG", "en")
	for _, n := range batches {
		h.append(t, n)
	}
	return h
}

func (h *logHome) append(t *testing.T, n int) {
	t.Helper()
	keys := filepath.Join(h.dir, "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), filepath.Join(h.dir, "log"), keys)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		leaf := fmt.Appendf(nil, `{"event":"kept","time":"2026-11-24T00:00:00Z","package":{"bytes":1,"sha256":"%064x","sm3":"%064x"},"key":"k"}`, len(h.cps)*1000+i, i)
		if _, err := l.Append(t.Context(), leaf, 0); err != nil {
			t.Fatal(err)
		}
	}
	cp, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.cps = append(h.cps, cp)
	if err := l.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func (h *logHome) run(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, streams{in: strings.NewReader(""), out: &o, err: &e})
	return code, o.String(), e.String()
}

func (h *logHome) want(t *testing.T, code int, args ...string) (out, errs string) {
	t.Helper()
	got, out, errs := h.run(t, args...)
	if got != code {
		t.Fatalf("guzheng %s: exit %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, errs)
	}
	return out, errs
}

func (h *logHome) file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "checkpoint")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestLogVerbs(t *testing.T) {
	h := newLogHome(t)
	h.want(t, exitFailure, "log", "show")
	h.append(t, 3)
	h.append(t, 4)
	key, err := ledger.Verifier(filepath.Join(h.dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	out, _ := h.want(t, exitOK, "log", "show", "--last", "2")
	if !strings.Contains(out, "events  7") || !strings.Contains(out, key) || strings.Count(out, "kept") != 2 || !strings.Contains(out, "\n6  2026-11-24 08:00:00  kept") {
		t.Errorf("show:\n%s", out)
	}
	if out, _ = h.want(t, exitOK, "log", "show", "--kind", "other", "--json"); strings.Count(out, "\n") != 1 {
		t.Errorf("show --kind other:\n%s", out)
	}
	old := h.file(t, h.cps[0])
	for _, c := range []struct {
		args []string
		size int64
	}{{[]string{"5"}, 7}, {[]string{"1"}, 7}, {[]string{"1", "--checkpoint", old}, 3}} {
		out, _ := h.want(t, exitOK, append([]string{"log", "prove"}, c.args...)...)
		e, err := tlog.ParseProof(out)
		if err != nil {
			t.Fatal(err)
		}
		e.Verifier = key
		if r := tlog.Check(e, []string{key}); r.State() != tlog.Passed || r.Size != c.size || fmt.Sprint(e.Index) != c.args[0] {
			t.Errorf("prove %v: %+v", c.args, r)
		}
	}
	h.want(t, exitFailure, "log", "prove", "5", "--checkpoint", old)
	h.want(t, exitUsage, "log", "prove", "x")
	h.want(t, exitFailure, "log", "prove", "7")
	before, err := tlog.ParseCheckpoint(h.cps[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{old, h.file(t, h.cps[1])}, {"3", "7"}, {old, "5"}} {
		out, _ := h.want(t, exitOK, "log", "consistency", args[0], args[1])
		c, err := tlog.ParseConsistency(out)
		if err != nil || c.Old != 3 || c.Check(before.Root) != nil {
			t.Errorf("consistency %v: %v\n%s", args, err, out)
		}
	}
	h.want(t, exitUsage, "log", "consistency", "7", "3")
	h.want(t, exitUsage, "log", "consistency", "3", "8")
	h.want(t, exitAltered, "log", "consistency", h.file(t, strings.Replace(h.cps[0], "\n3\n", "\n2\n", 1)), "7")
	h.want(t, exitUsage, "log", "export")
	copied := filepath.Join(t.TempDir(), "copy")
	h.want(t, exitOK, "log", "export", "--to", copied)
	h.want(t, exitOK, "log", "check", "--dir", copied, "--key", key)
	h.want(t, exitUsage, "log", "check", "--dir", copied)
	h.want(t, exitOK, "log", "check")
	for _, dir := range []string{copied, filepath.Join(h.dir, "log")} {
		if err := flipFile(filepath.Join(dir, "tile/entries/000.p/7"), 0.3); err != nil {
			t.Fatal(err)
		}
	}
	h.want(t, exitAltered, "log", "check", "--dir", copied, "--key", key)
	h.want(t, exitAltered, "log", "check")
}

// TestTwoHistories holds the log against a checkpoint over another history
// that its own key signed.
func TestTwoHistories(t *testing.T) {
	h := newLogHome(t, 3)
	secret, err := os.ReadFile(filepath.Join(h.dir, "keys", "log.key"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(strings.TrimSpace(string(secret)))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(h.cps[0], "\n")
	other, err := note.Sign(&note.Note{Text: lines[0] + "\n2\n" + lines[2] + "\n"}, s)
	if err != nil {
		t.Fatal(err)
	}
	_, errs := h.want(t, exitLog, "log", "consistency", h.file(t, string(other)), "3")
	if !strings.Contains(errs, "two histories") {
		t.Error(errs)
	}
}

// TestLogStamp stamps the log's checkpoint and puts all of the home but the
// store back to a day before.
func TestLogStamp(t *testing.T) {
	h := newLogHome(t)
	h.want(t, exitFailure, "log", "stamp")
	h.append(t, 3)
	before := filepath.Join(t.TempDir(), "before")
	copyTree(t, h.dir, before)
	h.append(t, 4)
	silent := h.file(t, "tsa:\n  - url: http://127.0.0.1:9/\n")
	if _, errs := h.want(t, exitPartial, "log", "stamp", "--config", silent); !strings.Contains(errs, "not stamped by http://127.0.0.1:9/") {
		t.Error(errs)
	}
	out, _ := h.want(t, exitOK, "log", "stamp")
	if !strings.Contains(out, "7  v1/log/") {
		t.Error(out)
	}
	out, _ = h.want(t, exitOK, "log", "check")
	if !strings.Contains(out, "passed  7  ") || !strings.Contains(out, "cannot tell  7  practice  ") {
		t.Error(out)
	}
	for _, name := range []string{"log", "keys", "checkpoints"} {
		if err := os.RemoveAll(filepath.Join(h.dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(before, name)); err == nil {
			copyTree(t, filepath.Join(before, name), filepath.Join(h.dir, name))
		}
	}
	// Neither the copy beside the keys nor the milestones know better.
	for _, args := range [][]string{{"capture", "http://1.1.1.1/"}, {"log", "stamp"}, {"log", "show"}} {
		if _, errs := h.want(t, exitLog, args...); !strings.Contains(errs, "it had 7") {
			t.Errorf("%v: %s", args, errs)
		}
	}
}

// copyTree keeps the modes: a key that others may read is refused.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if b, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
}

// TestLogRestored puts an old copy of the log in its place.
func TestLogRestored(t *testing.T) {
	h := newLogHome(t, 3)
	log, old := filepath.Join(h.dir, "log"), filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(old, os.DirFS(log)); err != nil {
		t.Fatal(err)
	}
	h.append(t, 4)
	newest := filepath.Join(t.TempDir(), "newest")
	if err := errors.Join(os.Rename(log, newest), os.Rename(old, log)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"capture", "http://1.1.1.1/"}, {"seal", "--pending"}, {"trust"}, {"log", "show"}, {"log", "check"}, {"log", "prove", "1"}} {
		_, errs := h.want(t, exitLog, args...)
		if !strings.Contains(errs, "it had 7") || !strings.Contains(errs, "aside") {
			t.Errorf("%v: %s", args, errs)
		}
	}
	if kept, err := os.ReadDir(filepath.Join(h.dir, "spool")); err != nil || len(kept) > 0 {
		t.Errorf("the page was visited: %v, %v", kept, err)
	}
	// As the hint says: put the newest copy back.
	if err := errors.Join(os.Rename(log, old), os.Rename(newest, log)); err != nil {
		t.Fatal(err)
	}
	h.want(t, exitOK, "log", "check")
	// Or, when there is none: move all of it aside together.
	aside := t.TempDir()
	if err := os.Rename(log, filepath.Join(aside, "log")); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(h.dir, "keys", "log.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.Rename(name, filepath.Join(aside, filepath.Base(name))); err != nil {
			t.Fatal(err)
		}
	}
	h.want(t, exitOK, "trust")
	h.want(t, exitOK, "log", "check")
}
