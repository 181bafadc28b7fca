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

func newDigester(r io.Reader) *digester { return &digester{r: r, h: sha256.New()} }

func (d *digester) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	d.h.Write(p[:n])
	d.n += int64(n)
	return n, err
}

func (d *digester) digest() string { return "sha256:" + hex.EncodeToString(d.h.Sum(nil)) }

// A tap counts and hashes the compressed bytes that are taken from src. It
// is an io.ByteReader so that the decompressor takes none too many.
type tap struct {
	src  *bufio.Reader
	h    hash.Hash
	n    int64
	pend []byte
	err  error
}

func (t *tap) Read(p []byte) (int, error) {
	t.flush()
	n, err := t.src.Read(p)
	t.h.Write(p[:n])
	t.n += int64(n)
	t.keep(err)
	return n, err
}

// ReadByte gathers bytes, since hashing them one by one is slow.
func (t *tap) ReadByte() (byte, error) {
	c, err := t.src.ReadByte()
	if err != nil {
		t.keep(err)
		return 0, err
	}
	t.n++
	if t.pend = append(t.pend, c); len(t.pend) >= 4096 {
		t.flush()
	}
	return c, nil
}

func (t *tap) keep(err error) {
	if err != nil && err != io.EOF {
		t.err = err
	}
}

func (t *tap) flush() {
	t.h.Write(t.pend)
	t.pend = t.pend[:0]
}

func (t *tap) reset() {
	t.pend = t.pend[:0]
	t.h.Reset()
}

func (t *tap) sum() []byte {
	t.flush()
	return t.h.Sum(nil)
}
