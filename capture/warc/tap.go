package warc

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
)

// A digester hashes and counts what is read through it.
type digester struct {
	r io.Reader
	h hash.Hash
	n int64
}

// from starts again with another reader.
func (d *digester) from(r io.Reader) {
	d.r, d.n = r, 0
	d.h.Reset()
}

func (d *digester) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	d.h.Write(p[:n])
	d.n += int64(n)
	return n, err
}

func (d *digester) digest() string { return "sha256:" + hex.EncodeToString(d.h.Sum(nil)) }

// A tap counts and hashes the compressed bytes that the decompressor takes
// out of buf. That is a bufio.Reader, for which the decompressor has a fast
// way and of which it takes no byte too many; but it says only afterwards how
// much was taken. So the last piece that it was filled with is held until
// then. It is never filled before everything in it was taken, since nobody
// peeks for more than one byte.
type tap struct {
	buf    *bufio.Reader
	src    io.Reader
	h      hash.Hash
	n      int64  // bytes that src gave
	last   []byte // what it gave last
	hashed int    // how much of last is in h or before its start
	err    error
}

func newTap(src io.Reader) *tap {
	t := &tap{src: src, h: sha256.New()}
	t.buf = bufio.NewReaderSize(t, 1<<16)
	return t
}

// Read fills buf.
func (t *tap) Read(p []byte) (int, error) {
	t.h.Write(t.last[t.hashed:])
	n, err := t.src.Read(p)
	t.last, t.hashed = append(t.last[:0], p[:n]...), 0
	t.n += int64(n)
	if err != nil && err != io.EOF {
		t.err = err
	}
	return n, err
}

// taken is how many bytes were taken out of buf so far.
func (t *tap) taken() int64 { return t.n - int64(t.buf.Buffered()) }

// sum is the SHA-256 value over what was taken since the last call.
func (t *tap) sum() []byte {
	end := len(t.last) - t.buf.Buffered()
	t.h.Write(t.last[t.hashed:end])
	t.hashed = end
	out := t.h.Sum(nil)
	t.h.Reset()
	return out
}
