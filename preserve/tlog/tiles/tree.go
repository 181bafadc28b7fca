package tiles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	ours "guzheng/preserve/tlog"
)

// The form of C2SP tlog-tiles.
const (
	height         = 8           // levels of the tree in a tile
	width          = 1 << height // hashes in a tile, events in a bundle
	checkpointFile = "checkpoint"
)

// A Tree is the log in a directory as one checkpoint covers it. What is
// appended later does not change it. Its methods may be called from several
// goroutines.
type Tree struct {
	dir    string
	cp     ours.Checkpoint
	note   string
	hashes tlog.HashReader
}

// Open reads the newest checkpoint in dir, which the key MUST have signed.
func Open(dir, verifier string) (*Tree, error) {
	b, err := os.ReadFile(filepath.Join(dir, checkpointFile))
	if err != nil {
		return nil, fmt.Errorf("reading log: %w", err)
	}
	t, err := OpenAt(dir, verifier, string(b))
	if err != nil {
		return nil, fmt.Errorf("reading log %s: %w", dir, err)
	}
	return t, nil
}

// OpenAt reads the log as the given checkpoint covers it, which the key MUST
// have signed.
func OpenAt(dir, verifier, checkpoint string) (*Tree, error) {
	cp, err := ours.VerifyCheckpoint(checkpoint, verifier)
	if err != nil {
		return nil, err
	}
	t := Assume(dir, cp)
	t.note = checkpoint
	return t, nil
}

// Assume reads the log as a tree that nobody signed.
func Assume(dir string, cp ours.Checkpoint) *Tree {
	return &Tree{dir: dir, cp: cp, note: ours.FormatCheckpoint(cp),
		hashes: tlog.TileHashReader(tlog.Tree{N: cp.Size, Hash: cp.Root}, files(dir))}
}

// Checkpoint returns what the checkpoint says.
func (t *Tree) Checkpoint() ours.Checkpoint { return t.cp }

// Note returns the signed checkpoint.
func (t *Tree) Note() string { return t.note }

// Root returns the root of the tree's first n events.
func (t *Tree) Root(n int64) ([32]byte, error) {
	if err := t.within(n); err != nil {
		return [32]byte{}, err
	}
	if n == 0 {
		return ours.Root(nil), nil
	}
	root, err := tlog.TreeHash(n, t.hashes)
	if err != nil {
		return [32]byte{}, fmt.Errorf("computing the root of %d events of log %s: %w", n, t.dir, err)
	}
	return root, nil
}

// Prove returns the entry of an event with its proof in the tree of the first
// n events. Checkpoint and Verifier are the caller's to set.
func (t *Tree) Prove(index, n int64) (ours.Entry, error) {
	if err := t.within(n); err != nil {
		return ours.Entry{}, err
	}
	if index < 0 || index >= n {
		return ours.Entry{}, fmt.Errorf("proving event %d of log %s: it has %d", index, t.dir, n)
	}
	leaf, err := t.Event(index)
	if err != nil {
		return ours.Entry{}, err
	}
	proof, err := tlog.ProveRecord(n, index, t.hashes)
	if err != nil {
		return ours.Entry{}, fmt.Errorf("proving event %d of log %s: %w", index, t.dir, err)
	}
	e := ours.Entry{Origin: t.cp.Origin, Index: index, Leaf: leaf}
	for _, h := range proof {
		e.Proof = append(e.Proof, h[:])
	}
	return e, nil
}

// Consistency returns the hashes that show that the tree's first older events
// are the beginning of its first newer ones.
func (t *Tree) Consistency(older, newer int64) ([][]byte, error) {
	if err := t.within(newer); err != nil {
		return nil, err
	}
	if older < 0 || older > newer {
		return nil, fmt.Errorf("comparing %d with %d events of log %s: the second is smaller", older, newer, t.dir)
	}
	if older == 0 {
		return nil, nil
	}
	proof, err := tlog.ProveTree(newer, older, t.hashes)
	if err != nil {
		return nil, fmt.Errorf("comparing %d with %d events of log %s: %w", older, newer, t.dir, err)
	}
	out := make([][]byte, len(proof))
	for i, h := range proof {
		out[i] = h[:]
	}
	return out, nil
}

func (t *Tree) within(n int64) error {
	if n < 0 || n > t.cp.Size {
		return fmt.Errorf("log %s has %d events, not %d", t.dir, t.cp.Size, n)
	}
	return nil
}

// files reads tiles for package tlog, which checks them against the root.
type files string

// Height implements tlog.TileReader.
func (files) Height() int { return height }

// SaveTiles implements tlog.TileReader.
func (files) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles implements tlog.TileReader.
func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(tiles))
	for i, t := range tiles {
		b, err := f.read(tilePath(t.L, t.N), int64(t.W))
		if err != nil {
			return nil, err
		}
		if len(b) < t.W*tlog.HashSize {
			return nil, fmt.Errorf("tile %s has %d bytes", tilePath(t.L, t.N), len(b))
		}
		out[i] = b[:t.W*tlog.HashSize]
	}
	return out, nil
}

// read returns a file of w elements, or the full one that has replaced it:
// partial files may be removed when there is a full one.
func (f files) read(path string, w int64) ([]byte, error) {
	name := filepath.Join(string(f), filepath.FromSlash(path))
	if w < width {
		b, err := os.ReadFile(name + partial(w))
		if !errors.Is(err, fs.ErrNotExist) {
			return b, err
		}
	}
	return os.ReadFile(name)
}

func partial(w int64) string { return filepath.FromSlash(fmt.Sprintf(".p/%d", w)) }

// tilePath is C2SP tlog-tiles' path of a full tile; level -1 are bundles.
func tilePath(level int, n int64) string {
	p := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		p = fmt.Sprintf("x%03d/%s", n%1000, p)
	}
	if level < 0 {
		return "tile/entries/" + p
	}
	return fmt.Sprintf("tile/%d/%s", level, p)
}
