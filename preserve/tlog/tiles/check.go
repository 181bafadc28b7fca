package tiles

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrAltered says that a file of the log is not what the events and the
// checkpoint make it.
var ErrAltered = errors.New("log does not agree with itself")

// Check recomputes every hash: each event's, each tile's of every level, and
// the root, which MUST be the checkpoint's. Progress, when not nil, is told
// how many events were hashed. Unlike the other methods it does not stop at
// what a proof needs.
func (t *Tree) Check(ctx context.Context, progress func(events int64)) error {
	if t.cp.Size == 0 {
		if root, err := t.Root(0); err != nil || root != t.cp.Root {
			return fmt.Errorf("checking log %s: root of no events: %w", t.dir, ErrAltered)
		}
		return nil
	}
	below := func(n, w int64) ([]tlog.Hash, error) {
		leaves, err := t.rawBundle(n, w)
		if err != nil {
			return nil, err
		}
		out := make([]tlog.Hash, len(leaves))
		for i, leaf := range leaves {
			out[i] = tlog.RecordHash(leaf)
		}
		if progress != nil {
			progress(n*width + w)
		}
		return out, nil
	}
	for level, count := 0, t.cp.Size; count > 0; level, count = level+1, count/width {
		if err := t.checkLevel(ctx, level, count, below); err != nil {
			return fmt.Errorf("checking log %s: %w", t.dir, err)
		}
		below = t.above(level)
	}
	root, err := tlog.TreeHash(t.cp.Size, plain{t})
	if err != nil {
		return fmt.Errorf("checking log %s: %w", t.dir, err)
	}
	if root != t.cp.Root {
		return fmt.Errorf("checking log %s: root %x, checkpoint has %x: %w", t.dir, root, t.cp.Root, ErrAltered)
	}
	return nil
}

// checkLevel compares the tiles of a level, of count hashes in all, with the
// hashes of what lies below.
func (t *Tree) checkLevel(ctx context.Context, level int, count int64, below func(n, w int64) ([]tlog.Hash, error)) error {
	for n := range (count + width - 1) / width {
		if err := ctx.Err(); err != nil {
			return err
		}
		w := min(width, count-n*width)
		have, err := t.tile(level, n, w)
		if err != nil {
			return err
		}
		want, err := below(n, w)
		if err != nil {
			return err
		}
		for i := range want {
			if !bytes.Equal(want[i][:], have[i*tlog.HashSize:][:tlog.HashSize]) {
				return fmt.Errorf("hash %d of level %d: %w", n*width+int64(i), level*height, ErrAltered)
			}
		}
	}
	return nil
}

// above returns the hashes that a tile of the next level has: the roots of w
// full tiles of this one.
func (t *Tree) above(level int) func(n, w int64) ([]tlog.Hash, error) {
	return func(n, w int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, w)
		for i := range out {
			b, err := t.tile(level, n*width+int64(i), width)
			if err != nil {
				return nil, err
			}
			out[i] = fold(b)
		}
		return out, nil
	}
}

// fold returns the root over the hashes of a full tile.
func fold(b []byte) tlog.Hash {
	level := make([]tlog.Hash, len(b)/tlog.HashSize)
	for i := range level {
		level[i] = tlog.Hash(b[i*tlog.HashSize:][:tlog.HashSize])
	}
	for len(level) > 1 {
		for i := range len(level) / 2 {
			level[i] = tlog.NodeHash(level[2*i], level[2*i+1])
		}
		level = level[:len(level)/2]
	}
	return level[0]
}

// tile reads the first w hashes of a tile, unchecked.
func (t *Tree) tile(level int, n, w int64) ([]byte, error) {
	b, err := files(t.dir).ReadTiles([]tlog.Tile{{H: height, L: level, N: n, W: int(w)}})
	if err != nil {
		return nil, fmt.Errorf("reading tile %s: %w", tilePath(level, n), err)
	}
	return b[0], nil
}

// plain reads hashes out of tiles without leading them to the root, for the
// one who computes it.
type plain struct{ t *Tree }

// ReadHashes implements tlog.HashReader.
func (p plain) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		where := tlog.TileForIndex(height, index)
		b, err := p.t.tile(where.L, where.N, int64(p.width(where)))
		if err != nil {
			return nil, err
		}
		where.W = len(b) / tlog.HashSize
		if out[i], err = tlog.HashFromTile(where, b, index); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// width is how many hashes the tile has in this tree.
func (p plain) width(where tlog.Tile) int64 {
	return min(width, p.t.cp.Size>>(height*where.L)-where.N*width)
}
