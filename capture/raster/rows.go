package raster

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Limits of a picture, in pixels. They are far above what a browser can
// paint and bound what a broken or hostile file can ask for: a row takes at
// most 256 KiB.
const (
	MaxWidth  = 65_535
	MaxHeight = 1_000_000
)

// A Header is the size of a picture in pixels and the number of bytes, one
// for each channel, that a pixel has: 3 for red, green and blue, 4 with
// alpha, which is not premultiplied (PNG sections 11.2.1 and 13.12).
type Header struct {
	Width, Height, Channels int
}

// A Source gives the rows of a picture from top to bottom, one at a time.
// Next returns the pixels of the next row, Width times Channels bytes, which
// stay valid until the next call; after the last row it returns io.EOF.
type Source interface {
	Header() Header
	Next() ([]byte, error)
}

// Rows reads a PNG with 8 bits per channel, colour type 2 (RGB) or 6 (RGBA),
// not interlaced: what Chrome writes. It holds two rows.
type Rows struct {
	head      Header
	chunks    *chunks
	packed    *bufio.Reader // the data of the IDAT chunks
	pixels    *inflater     // the same, inflated
	cur, last []byte        // a filter byte and a row each
	raw       bool          // the row in cur was not restored
	read      int
	err       error // of all further calls
}

// NewRows reads the file's header and what stands before the pixels.
func NewRows(r io.Reader) (*Rows, error) {
	head, c, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	if err := c.skip(); err != nil {
		return nil, err
	}
	if c.kind != typeData {
		return nil, fmt.Errorf("reading PNG: chunk %s before the pixels", c.kind)
	}
	n := 1 + head.Width*head.Channels
	rows := &Rows{head: head, chunks: c, cur: make([]byte, n), last: make([]byte, n)}
	rows.packed = bufio.NewReaderSize(data{c}, 32<<10)
	if rows.pixels, err = newInflater(rows.packed); err != nil {
		return nil, fmt.Errorf("inflating PNG: %w", err)
	}
	return rows, nil
}

// ReadHeader reads only the size of a picture.
func ReadHeader(r io.Reader) (Header, error) {
	h, _, err := readHeader(r)
	return h, err
}

// readHeader reads signature and IHDR (PNG section 11.2.1).
func readHeader(r io.Reader) (Header, *chunks, error) {
	c, err := newChunks(r)
	if err != nil {
		return Header{}, nil, err
	}
	if err := c.next(); err != nil {
		return Header{}, nil, err
	}
	if c.kind != typeHeader || c.left != 13 {
		return Header{}, nil, fmt.Errorf("reading PNG: begins with chunk %s of %d bytes", c.kind, c.left)
	}
	var b [13]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return Header{}, nil, fmt.Errorf("reading PNG header: %w", err)
	}
	if err := c.close(); err != nil {
		return Header{}, nil, err
	}
	h, err := parseHeader(b)
	if err != nil {
		return Header{}, nil, fmt.Errorf("reading PNG header: %w", err)
	}
	return h, c, nil
}

func parseHeader(b [13]byte) (Header, error) {
	width, height := binary.BigEndian.Uint32(b[:]), binary.BigEndian.Uint32(b[4:])
	depth, colour, method, filter, interlace := b[8], b[9], b[10], b[11], b[12]
	switch {
	case width == 0 || height == 0 || width > MaxWidth || height > MaxHeight:
		return Header{}, fmt.Errorf("%d×%d pixels; from 1×1 to %d×%d are taken", width, height, MaxWidth, MaxHeight)
	case colour == 3:
		return Header{}, errors.New("pictures with a palette are not taken")
	case depth != 8:
		return Header{}, fmt.Errorf("%d bits per channel; 8 are taken", depth)
	case colour != 2 && colour != 6:
		return Header{}, fmt.Errorf("colour type %d; 2 (RGB) and 6 (RGBA) are taken", colour)
	case interlace != 0:
		return Header{}, errors.New("interlaced pictures are not taken")
	case method != 0 || filter != 0:
		return Header{}, fmt.Errorf("compression method %d, filter method %d; PNG knows 0 only", method, filter)
	}
	h := Header{Width: int(width), Height: int(height), Channels: 3}
	if colour == 6 {
		h.Channels = 4
	}
	return h, nil
}

// Header returns the size of the picture.
func (r *Rows) Header() Header { return r.head }

// Next returns the next row, which the caller MUST NOT change: the row below
// may be written as its difference to it. It returns io.EOF after the last
// row and only when everything behind the pixels is in order too.
func (r *Rows) Next() ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	if r.read == r.head.Height {
		if r.err = r.finish(); r.err == nil {
			r.err = io.EOF
		}
		return nil, r.err
	}
	if r.err = r.row(false); r.err != nil {
		return nil, r.err
	}
	return r.cur[1:], nil
}

// skip goes over n rows, which must be there. A row is restored only when the
// one below is told by it, and the sum of all pixels is not checked any more.
func (r *Rows) skip(n int) error {
	r.pixels.sum = nil
	for range n {
		if r.err == nil {
			r.err = r.row(true)
		}
	}
	return r.err
}

// row reads a row, and restores it unless it may be left and tells itself.
func (r *Rows) row(leave bool) error {
	r.cur, r.last = r.last, r.cur
	if _, err := io.ReadFull(r.pixels, r.cur); err != nil {
		return fmt.Errorf("reading row %d: %w", r.read, whole(err))
	}
	filter, channels := r.cur[0], r.head.Channels
	alone := filter == filterNone || filter == filterSub
	if r.raw && !alone {
		unfilter(r.last[0], r.last[1:], nil, channels)
	}
	r.raw = leave && alone
	if !r.raw && !unfilter(filter, r.cur[1:], r.last[1:], channels) {
		return fmt.Errorf("reading row %d: filter %d is not known", r.read, filter)
	}
	r.read++
	return nil
}

// finish checks that the file ends where it should.
func (r *Rows) finish() error {
	var b [1]byte
	if n, err := io.ReadFull(r.pixels, b[:]); n != 0 {
		return errors.New("reading PNG: more pixels than its size")
	} else if err != io.EOF {
		return fmt.Errorf("inflating PNG: %w", err)
	}
	if _, err := r.packed.ReadByte(); err == nil {
		return errors.New("reading PNG: data behind the pixels")
	} else if err != io.EOF {
		return err
	}
	for r.chunks.kind != typeEnd {
		if err := r.chunks.describes(); err != nil {
			return err
		}
		if err := r.chunks.close(); err != nil {
			return err
		}
		if err := r.chunks.skip(); err != nil {
			return err
		}
	}
	if r.chunks.left != 0 {
		return errors.New("reading PNG: its end is not empty")
	}
	if err := r.chunks.close(); err != nil {
		return err
	}
	// Reading to the end lets a reader below that keeps a digest check it.
	if _, err := r.chunks.r.ReadByte(); err == nil {
		return errors.New("reading PNG: data behind its end")
	} else if err != io.EOF {
		return fmt.Errorf("reading PNG: %w", err)
	}
	return nil
}

// Plain reports whether all pixels of a row are the same.
func Plain(row []byte, channels int) bool {
	return len(row) <= channels || string(row[channels:]) == string(row[:len(row)-channels])
}
