package tiles

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	ours "guzheng/preserve/tlog"
)

func leaf(i int) []byte { return fmt.Appendf(nil, `{"event":"kept","n":%d}`, i) }

// build writes the tiles of a log of n events with package tlog of x/mod,
// which knows nothing of ours, and returns its verifier key and the roots
// of all sizes that are asked for.
func build(t testing.TB, dir string, n int, sizes ...int) (verifier string, roots map[int][32]byte) {
	t.Helper()
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(ix []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(ix))
		for i, x := range ix {
			out[i] = stored[x]
		}
		return out, nil
	})
	var bundle []byte
	for i := range n {
		h, err := tlog.StoredHashes(int64(i), leaf(i), read)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, h...)
		bundle = append(binary.BigEndian.AppendUint16(bundle, uint16(len(leaf(i)))), leaf(i)...)
		if w := i%width + 1; w == width || i == n-1 {
			name := tilePath(-1, int64(i/width))
			if w < width {
				name += partial(int64(w))
			}
			place(t, dir, name, bundle)
			bundle = nil
		}
	}
	for _, tile := range tlog.NewTiles(height, 0, int64(n)) {
		b, err := tlog.ReadTileData(tile, read)
		if err != nil {
			t.Fatal(err)
		}
		place(t, dir, strings.TrimPrefix(strings.Replace(tile.Path(), "tile/8/", "tile/", 1), "/"), b)
	}
	roots = map[int][32]byte{}
	for _, s := range append(sizes, n) {
		root, err := tlog.TreeHash(int64(s), read)
		if err != nil {
			t.Fatal(err)
		}
		roots[s] = root
	}
	skey, verifier, err := note.GenerateKey(nil, "a.log")
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSuffix(ours.FormatCheckpoint(ours.Checkpoint{Origin: "a.log", Size: int64(n), Root: roots[n]}), "\n")
	signed, err := note.Sign(&note.Note{Text: text}, s)
	if err != nil {
		t.Fatal(err)
	}
	place(t, dir, checkpointFile, signed)
	return verifier, roots
}

func place(t testing.TB, dir, name string, b []byte) {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTree(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 255, 256, 257, 700, 65_536 + 300} {
		dir := t.TempDir()
		var sizes []int
		for _, s := range []int{1, 2, 3, 100, 255, 256, 257, 512, 600, 65_536, 65_700} {
			if s <= n {
				sizes = append(sizes, s)
			}
		}
		key, roots := build(t, dir, n, sizes...)
		tree, err := Open(dir, key)
		if err != nil {
			t.Fatal(err)
		}
		var hashed int64
		if err := tree.Check(t.Context(), func(n int64) { hashed = n }); err != nil || hashed != int64(n) {
			t.Errorf("%d events: %v, hashed %d", n, err, hashed)
		}
		for _, s := range sizes {
			if root, err := tree.Root(int64(s)); err != nil || root != roots[s] {
				t.Errorf("root of %d of %d: %x, %v", s, n, root, err)
			}
			proof, err := tree.Consistency(int64(s), int64(n))
			if err != nil {
				t.Fatal(err)
			}
			if err := (ours.Consistency{Old: int64(s), Proof: proof, Checkpoint: tree.Note()}).Check(roots[s]); err != nil {
				t.Errorf("%d of %d: %v", s, n, err)
			}
			e, err := tree.Prove(int64(s-1), int64(n))
			if err != nil {
				t.Fatal(err)
			}
			e.Checkpoint, e.Verifier = tree.Note(), key
			if r := ours.Check(e, []string{key}); r.State() != ours.Passed || string(e.Leaf) != string(leaf(s-1)) {
				t.Errorf("event %d of %d: %+v", s-1, n, r)
			}
		}
		next := 0
		for i, e := range tree.Events(t.Context(), 0, 1<<40) {
			if e.Err != nil || int(i) != next || string(e.Leaf) != string(leaf(next)) {
				t.Fatalf("event %d of %d: %d %s %v", next, n, i, e.Leaf, e.Err)
			}
			next++
		}
		if next != n {
			t.Errorf("%d events of %d", next, n)
		}
	}
}

func TestOutside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, _ := build(t, dir, 10)
	tree, err := Open(dir, key)
	if err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"root":     func() error { _, err := tree.Root(11); return err },
		"negative": func() error { _, err := tree.Root(-1); return err },
		"event":    func() error { _, err := tree.Event(10); return err },
		"proof":    func() error { _, err := tree.Prove(5, 5); return err },
		"backward": func() error { _, err := tree.Consistency(6, 5); return err },
		"beyond":   func() error { _, err := tree.Consistency(6, 11); return err },
		"key":      func() error { _, err := Open(dir, strings.Replace(key, "a.log", "b.log", 1)); return err },
		"absent":   func() error { _, err := Open(filepath.Join(dir, "x"), key); return err },
	} {
		if do() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	empty := Assume(t.TempDir(), ours.Checkpoint{Root: ours.Root(nil)})
	if err := empty.Check(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// TestCheckNotices flips one bit of every file in turn.
func TestCheckNotices(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, _ := build(t, dir, 700)
	n := 0
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, at := range []int{0, len(b) / 2, len(b) - 2} {
			bad := []byte(string(b))
			bad[at] ^= 2
			if err := os.WriteFile(name, bad, 0o644); err != nil {
				return err
			}
			tree, err := Open(dir, key)
			if err == nil {
				err = tree.Check(t.Context(), nil)
			}
			if err == nil {
				t.Errorf("%s: byte %d of %d changed unnoticed", name, at, len(b))
			}
			n++
		}
		return os.WriteFile(name, b, 0o644)
	})
	if err != nil || n < 15 {
		t.Errorf("%d changes, %v", n, err)
	}
	tree, err := Open(dir, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Check(t.Context(), nil); err != nil {
		t.Error(err)
	}
	// Events and tiles agree, and the checkpoint is of another tree.
	cp := tree.Checkpoint()
	cp.Root[0] ^= 1
	if err := Assume(dir, cp).Check(t.Context(), nil); !errors.Is(err, ErrAltered) {
		t.Errorf("another root: %v", err)
	}
	// A proof over a changed tile is an error, never a wrong proof.
	place(t, dir, "tile/0/001", make([]byte, width*tlog.HashSize))
	if e, err := tree.Prove(300, 700); err == nil {
		t.Errorf("proved %+v", e)
	}
	if tree, err = Open(dir, key); err != nil {
		t.Fatal(err)
	}
	if err := tree.Check(t.Context(), nil); !errors.Is(err, ErrAltered) {
		t.Errorf("a tile of zeroes: %v", err)
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	key, roots := build(t, dir, 700, 300)
	tree, err := Open(dir, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Export(t.Context(), out, key); err != nil {
		t.Fatal(err)
	}
	if err := tree.Export(t.Context(), out, key); err == nil {
		t.Error("exported over a copy")
	}
	copied, err := Open(out, key)
	if err != nil {
		t.Fatal(err)
	}
	if root, err := copied.Root(300); err != nil || root != roots[300] {
		t.Errorf("root %x, %v", root, err)
	}
	if b, err := os.ReadFile(filepath.Join(out, KeyFile)); err != nil || string(b) != key+"\n" {
		t.Errorf("key %q, %v", b, err)
	}
	if b, err := exec.Command("python3", filepath.Join(out, CheckFile)).CombinedOutput(); err != nil || !strings.Contains(string(b), "700 events") {
		t.Errorf("check.py: %v\n%s", err, b)
	}
	place(t, out, "tile/entries/001", []byte("x"))
	if b, err := exec.Command("python3", filepath.Join(out, CheckFile)).CombinedOutput(); err == nil {
		t.Errorf("check.py did not notice:\n%s", b)
	}
}

func TestTilePath(t *testing.T) {
	for n, want := range map[int64]string{0: "tile/3/000", 999: "tile/3/999", 1000: "tile/3/x001/000", 1234067: "tile/3/x001/x234/067"} {
		if got := tilePath(3, n); got != want {
			t.Errorf("tile %d: %s, want %s", n, got, want)
		}
	}
}

func FuzzParseBundle(f *testing.F) {
	f.Add([]byte("\x00\x02{}\x00\x00"))
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		leaves, err := parseBundle(b)
		if err != nil {
			return
		}
		var again []byte
		for _, l := range leaves {
			again = append(binary.BigEndian.AppendUint16(again, uint16(len(l))), l...)
		}
		if string(again) != string(b) {
			t.Errorf("%q reads as %q", b, leaves)
		}
	})
}
