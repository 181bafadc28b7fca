package tiles

import (
	"context"
	_ "embed" // check.py goes with every copy
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"guzheng/capture"
)

//go:embed check.py
var checkPy []byte

// CheckFile is the name under which Export writes a program that checks the
// copy with nothing of ours.
const CheckFile = "check.py"

// KeyFile is the name under which Export writes the verifier key.
const KeyFile = "log.pub"

// Export writes the log, as the tree has it, into dir, which MUST be empty or
// absent: checkpoint, bundles, tiles, CheckFile and, in KeyFile, the verifier key. The
// checkpoint comes last, so that a copy that was cut off is not taken for one.
// Every byte has been checked against the checkpoint before Export returns.
func (t *Tree) Export(ctx context.Context, dir, verifier string) error {
	if have, err := os.ReadDir(dir); err == nil && len(have) > 0 {
		return fmt.Errorf("exporting log to %s: directory is not empty", dir)
	}
	for level, count := -1, t.cp.Size; count > 0; level++ {
		for n := range (count + width - 1) / width {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := t.copyTile(dir, level, n, min(width, count-n*width)); err != nil {
				return fmt.Errorf("exporting log to %s: %w", dir, err)
			}
		}
		if level >= 0 {
			count /= width
		}
	}
	for name, b := range map[string][]byte{KeyFile: []byte(verifier + "\n"), CheckFile: checkPy} {
		if err := write(dir, name, b); err != nil {
			return fmt.Errorf("exporting log to %s: %w", dir, err)
		}
	}
	copied := Assume(dir, t.cp)
	if err := copied.Check(ctx, nil); err != nil {
		return err
	}
	if err := write(dir, checkpointFile, []byte(t.note)); err != nil {
		return fmt.Errorf("exporting log to %s: %w", dir, err)
	}
	return nil
}

// copyTile copies the first w elements of a tile or, at level -1, of a
// bundle, to where a tree of this size has them.
func (t *Tree) copyTile(dir string, level int, n, w int64) error {
	b, err := files(t.dir).read(tilePath(level, n), w)
	if err != nil {
		return err
	}
	if level < 0 {
		leaves, err := parseBundle(b)
		if err != nil || int64(len(leaves)) < w {
			return fmt.Errorf("bundle %d has %d of %d events: %w", n, len(leaves), w, ErrAltered)
		}
		size := 0
		for _, leaf := range leaves[:w] {
			size += 2 + len(leaf)
		}
		b = b[:size]
	} else {
		if int64(len(b)) < w*tlog.HashSize {
			return fmt.Errorf("tile %s has %d bytes: %w", tilePath(level, n), len(b), ErrAltered)
		}
		b = b[:w*tlog.HashSize]
	}
	name := tilePath(level, n)
	if w < width {
		name += partial(w)
	}
	return write(dir, name, b)
}

func write(dir, name string, b []byte) error {
	name = filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return capture.WriteFile(name, b)
}
