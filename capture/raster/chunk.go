package raster

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
)

// signature begins every PNG file (PNG section 5.2).
const signature = "\x89PNG\r\n\x1a\n"

// Types of the chunks that are needed (PNG section 11.2).
const (
	typeHeader = "IHDR"
	typeData   = "IDAT"
	typeEnd    = "IEND"
)

// chunks reads the chunks of a PNG (PNG section 5.3) and checks their CRCs.
// Between calls of next the body of one chunk is open.
type chunks struct {
	r    *bufio.Reader
	kind string // of the open chunk
	left uint32 // bytes of its body that were not read
	crc  hash.Hash32
}

// newChunks reads the signature.
func newChunks(r io.Reader) (*chunks, error) {
	c := &chunks{r: bufio.NewReaderSize(r, 64<<10), crc: crc32.NewIEEE()}
	var b [len(signature)]byte
	if _, err := io.ReadFull(c.r, b[:]); err != nil {
		return nil, fmt.Errorf("reading PNG signature: %w", whole(err))
	}
	if string(b[:]) != signature {
		return nil, errors.New("reading PNG signature: not a PNG")
	}
	return c, nil
}

// next opens a chunk. The one before must have been closed.
func (c *chunks) next() error {
	var b [8]byte
	if _, err := io.ReadFull(c.r, b[:]); err != nil {
		return fmt.Errorf("reading PNG chunk: %w", whole(err))
	}
	c.left, c.kind = binary.BigEndian.Uint32(b[:4]), string(b[4:])
	for _, l := range b[4:] {
		if l|0x20 < 'a' || l|0x20 > 'z' {
			return fmt.Errorf("reading PNG chunk: type %q is not four letters", c.kind)
		}
	}
	if c.left > 1<<31-1 {
		return fmt.Errorf("reading PNG chunk %s: length %d is more than PNG allows", c.kind, c.left)
	}
	c.crc.Reset()
	c.crc.Write(b[4:])
	return nil
}

// Read reads from the open chunk; io.EOF is its end.
func (c *chunks) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n, err := c.r.Read(p[:min(len(p), int(c.left))])
	c.left -= uint32(n)
	c.crc.Write(p[:n])
	return n, whole(err)
}

// close skips what is left of the open chunk and checks its CRC.
func (c *chunks) close() error {
	if _, err := io.Copy(io.Discard, onlyReader{c}); err != nil {
		return fmt.Errorf("reading PNG chunk %s: %w", c.kind, err)
	}
	var b [4]byte
	if _, err := io.ReadFull(c.r, b[:]); err != nil {
		return fmt.Errorf("reading PNG chunk %s: %w", c.kind, whole(err))
	}
	if binary.BigEndian.Uint32(b[:]) != c.crc.Sum32() {
		return fmt.Errorf("reading PNG chunk %s: CRC does not match", c.kind)
	}
	return nil
}

// skip goes on to the next chunk that is needed, over those that only
// describe the picture.
func (c *chunks) skip() error {
	for {
		if err := c.next(); err != nil {
			return err
		}
		if c.kind == typeData || c.kind == typeEnd {
			return nil
		}
		if err := c.describes(); err != nil {
			return err
		}
		if err := c.close(); err != nil {
			return err
		}
	}
}

// describes returns an error unless the open chunk is one that a reader may
// leave out without seeing another picture (PNG section 5.4).
func (c *chunks) describes() error {
	switch {
	case c.kind == "PLTE" || c.kind == "tRNS":
		return fmt.Errorf("reading PNG: chunk %s: pictures with a palette or a transparent colour are not taken", c.kind)
	case c.kind[0]&0x20 == 0:
		return fmt.Errorf("reading PNG: chunk %s is out of place or not known", c.kind)
	}
	return nil
}

// data reads the bodies of consecutive IDAT chunks as one stream; io.EOF
// comes with another chunk, which is then open.
type data struct{ c *chunks }

func (d data) Read(p []byte) (int, error) {
	for d.c.left == 0 && d.c.kind == typeData {
		if err := d.c.close(); err != nil {
			return 0, err
		}
		if err := d.c.next(); err != nil {
			return 0, err
		}
	}
	if d.c.kind != typeData {
		return 0, io.EOF
	}
	return d.c.Read(p)
}

// onlyReader hides every method but Read, so that io.Copy keeps to it.
type onlyReader struct{ io.Reader }

// whole names an end of the file where none belongs.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
