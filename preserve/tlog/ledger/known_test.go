package ledger

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/transparency-dev/tessera/api"

	"guzheng/preserve/tlog/tiles"
)

// logged appends n numbered events and returns the last checkpoint.
func logged(t *testing.T, log, keys, by string, n int, checkpoints ...string) string {
	t.Helper()
	l, err := Open(t.Context(), log, keys, checkpoints...)
	if err != nil {
		t.Fatal(err)
	}
	defer closeLog(t, l)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if _, err := l.Append(t.Context(), event(by, i), 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	cp, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return cp
}

func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// digest lists the names and contents below a directory.
func digest(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		b.WriteString(name + "\n" + string(text) + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRefusesAnotherHistory(t *testing.T) {
	t.Parallel()
	_, log, keys := home(t)
	logged(t, log, keys, "old", 5)
	old := copyDir(t, log)
	newest := logged(t, log, keys, "new", 6)
	if known, err := Known(keys); err != nil || known != newest {
		t.Errorf("known is %q, newest %q, %v", known, newest, err)
	}
	// Another log under the same key: longer than what is known, and as long.
	other, otherKeys := filepath.Join(t.TempDir(), "log"), t.TempDir()
	for _, name := range []string{keyFile} {
		b, err := os.ReadFile(filepath.Join(keys, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(otherKeys, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	marker, err := os.ReadFile(filepath.Join(log, markerFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(other, 0o755), os.WriteFile(filepath.Join(other, markerFile), marker, 0o644)); err != nil {
		t.Fatal(err)
	}
	logged(t, other, otherKeys, "other", 11)
	same := copyDir(t, other)
	logged(t, other, otherKeys, "more", 9)
	begun, err := os.ReadFile(filepath.Join(log, stateFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir   string
		spoil func(dir string) error
		want  error
	}{
		"the log itself":    {log, nil, nil},
		"an old copy":       {old, nil, ErrShrank},
		"as long":           {same, nil, ErrForked},
		"longer":            {other, nil, ErrForked},
		"a state that lies": {old, func(dir string) error { return os.WriteFile(filepath.Join(dir, stateFile), begun, 0o644) }, ErrForked},
		"no state":          {log, func(dir string) error { return os.WriteFile(filepath.Join(dir, stateFile), []byte("{}"), 0o644) }, ErrForked},
	} {
		dir := copyDir(t, c.dir)
		if c.spoil != nil {
			if err := c.spoil(dir); err != nil {
				t.Fatal(err)
			}
		}
		before := digest(t, dir) + digest(t, keys)
		l, err := Open(t.Context(), dir, keys)
		if c.want == nil {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else {
				closeLog(t, l)
			}
			continue
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if digest(t, dir)+digest(t, keys) != before {
			t.Errorf("%s: something was written", name)
		}
	}
	// Without the copy beside the keys, one from elsewhere tells.
	if err := os.Remove(filepath.Join(keys, KnownFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), old, keys, newest); !errors.Is(err, ErrShrank) {
		t.Errorf("with a copy from elsewhere: %v", err)
	}
	if _, err := Open(t.Context(), old, keys, strings.Replace(newest, "\n11\n", "\n12\n", 1)); !errors.Is(err, ErrForked) {
		t.Errorf("with a copy that nobody signed: %v", err)
	}
}

// TestSwappedWhileOpen puts another log in the place of an open one.
func TestSwappedWhileOpen(t *testing.T) {
	t.Parallel()
	_, log, keys := home(t)
	newest := logged(t, log, keys, "a", 3)
	k := known{dir: log, keys: keys, verifier: verifierIn(t, keys)}
	if err := k.raise(newest); err != nil {
		t.Fatal(err)
	}
	again := known{dir: log, keys: keys, verifier: k.verifier}
	grown := logged(t, log, keys, "b", 3)
	// What is known is of another tree of the same key.
	secret, err := readOptional(filepath.Join(keys, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(newest, "\n")
	lines[2] = strings.Repeat("A", 43) + "="
	forged, err := note.Sign(&note.Note{Text: strings.Join(lines[:3], "\n") + "\n"}, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(keys, KnownFile), forged, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := again.raise(grown); !errors.Is(err, ErrForked) {
		t.Errorf("trusted a checkpoint beside one that it contradicts: %v", err)
	}
}

func verifierIn(t *testing.T, keys string) string {
	t.Helper()
	v, err := Verifier(keys)
	if err != nil || v == "" {
		t.Fatalf("verifier %q, %v", v, err)
	}
	return v
}

// TestSecondOpinion has Tessera's own fsck, which the product does not use,
// judge what Tessera wrote and what we exported of it, and ours judge the
// former.
func TestSecondOpinion(t *testing.T) {
	t.Parallel()
	_, log, keys := home(t)
	logged(t, log, keys, "a", 300)
	key := verifierIn(t, keys)
	tree, err := tiles.Open(log, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Check(t.Context(), nil); err != nil {
		t.Error(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if err := tree.Export(t.Context(), out, key); err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		t.Fatal(err)
	}
	// Each worker ends at its first mismatch, and when all have ended Check
	// waits for ever: there have to be more of them than mismatches.
	judge := func(dir string) error {
		return fsck.New(v.Name(), v, client.FileFetcher{Root: dir}, leafHashes, fsck.Opts{N: 16}).Check(t.Context())
	}
	for _, dir := range []string{log, out} {
		if err := judge(dir); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
	bad := filepath.Join(out, layout.EntriesPath(0, 0))
	b, err := os.ReadFile(bad)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bad, bytes.Replace(b, []byte("kept"), []byte("lost"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	if judge(out) == nil {
		t.Error("the second opinion notices nothing")
	}
	if tree, err = tiles.Open(out, key); err != nil {
		t.Fatal(err)
	}
	if err := tree.Check(t.Context(), nil); !errors.Is(err, tiles.ErrAltered) {
		t.Errorf("ours: %v", err)
	}
}

func leafHashes(bundle []byte) ([][]byte, error) {
	var b api.EntryBundle
	if err := b.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	var out [][]byte
	for _, e := range b.Entries {
		h := tlog.RecordHash(e)
		out = append(out, h[:])
	}
	return out, nil
}
