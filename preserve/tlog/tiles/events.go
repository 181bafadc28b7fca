package tiles

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"golang.org/x/mod/sumdb/tlog"
)

// Event returns one event, checked against the tree.
func (t *Tree) Event(index int64) ([]byte, error) {
	for _, b := range t.Events(context.Background(), index, index+1) {
		if b.Err != nil {
			return nil, b.Err
		}
		return b.Leaf, nil
	}
	return nil, fmt.Errorf("reading event %d of log %s: it has %d", index, t.dir, t.cp.Size)
}

// An Event is one of the log's, or the reason why it could not be read.
type Event struct {
	Leaf []byte
	Err  error
}

// Events yields the events from index from up to but without index to, each
// bundle of 256 checked against the tree before any of it is yielded. An
// error ends it.
func (t *Tree) Events(ctx context.Context, from, to int64) iter.Seq2[int64, Event] {
	to = min(to, t.cp.Size)
	return func(yield func(int64, Event) bool) {
		for i := max(from, 0); i < to; {
			leaves, err := t.bundle(ctx, i/width)
			if err != nil {
				yield(i, Event{Err: err})
				return
			}
			for ; i < to && i%width < int64(len(leaves)); i++ {
				if !yield(i, Event{Leaf: leaves[i%width]}) {
					return
				}
				if i%width == width-1 {
					i++
					break
				}
			}
		}
	}
}

// bundle reads the n-th bundle and checks each of its events.
func (t *Tree) bundle(ctx context.Context, n int64) ([][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := min(width, t.cp.Size-n*width)
	leaves, err := t.rawBundle(n, w)
	if err != nil {
		return nil, err
	}
	at := make([]int64, len(leaves))
	for i := range at {
		at[i] = tlog.StoredHashIndex(0, n*width+int64(i))
	}
	want, err := t.hashes.ReadHashes(at)
	if err != nil {
		return nil, fmt.Errorf("reading events from %d of log %s: %w", n*width, t.dir, err)
	}
	for i, leaf := range leaves {
		if tlog.RecordHash(leaf) != want[i] {
			return nil, fmt.Errorf("event %d of log %s is not the one in the tree", n*width+int64(i), t.dir)
		}
	}
	return leaves, nil
}

// rawBundle reads the first w events of a bundle (C2SP tlog-tiles): each is
// its length in two bytes, big-endian, and its bytes.
func (t *Tree) rawBundle(n, w int64) ([][]byte, error) {
	b, err := files(t.dir).read(tilePath(-1, n), w)
	if err != nil {
		return nil, fmt.Errorf("reading events from %d of log %s: %w", n*width, t.dir, err)
	}
	leaves, err := parseBundle(b)
	if err == nil && int64(len(leaves)) < w {
		err = fmt.Errorf("bundle has %d of %d", len(leaves), w)
	}
	if err != nil {
		return nil, fmt.Errorf("reading events from %d of log %s: %w", n*width, t.dir, err)
	}
	return leaves[:w], nil
}

func parseBundle(b []byte) ([][]byte, error) {
	var out [][]byte
	for len(b) > 0 {
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
			return nil, errors.New("bundle ends within an event")
		}
		end := 2 + int(binary.BigEndian.Uint16(b))
		out = append(out, b[2:end:end])
		b = b[end:]
	}
	if len(out) > width {
		return nil, fmt.Errorf("bundle of %d events", len(out))
	}
	return out, nil
}
