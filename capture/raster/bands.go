package raster

import (
	"fmt"
	"image"
	"slices"
)

// Bands hands out parts of a picture, whole rows, from top to bottom in one
// pass. It holds the rows of one part.
type Bands struct {
	src  Source
	head Header
	pix  []byte // rows from top up to but not including read, four channels
	top  int
	read int
}

// NewBands begins at the first row of src.
func NewBands(src Source) *Bands { return &Bands{src: src, head: src.Header()} }

// Band returns the rows from up to but not including to, as a picture whose
// bounds are those rows. It stays valid until the next call. A band must not
// begin above the one before; they may overlap.
func (b *Bands) Band(from, to int) (image.Image, error) {
	if from < b.top || to <= from || to > b.head.Height {
		return nil, fmt.Errorf("cutting rows %d to %d of %d after row %d", from, to, b.head.Height, b.top)
	}
	stride := 4 * b.head.Width
	kept := stride * max(0, b.read-from)
	b.pix = slices.Grow(append(b.pix[:0], b.pix[len(b.pix)-kept:]...), max(0, (to-from)*stride-kept))
	b.top = from
	for b.read < to {
		row, err := b.src.Next()
		if err != nil {
			return nil, fmt.Errorf("cutting row %d: %w", b.read, whole(err))
		}
		if b.read++; b.read > from {
			b.keep(row)
		}
	}
	rect := image.Rect(0, from, b.head.Width, to)
	pix := b.pix[:(to-from)*stride]
	if b.head.Channels == 4 {
		return &image.NRGBA{Pix: pix, Stride: stride, Rect: rect}, nil
	}
	return &image.RGBA{Pix: pix, Stride: stride, Rect: rect}, nil
}

// keep adds a row with four channels.
func (b *Bands) keep(row []byte) {
	if b.head.Channels == 4 {
		b.pix = append(b.pix, row...)
		return
	}
	n, stride := len(b.pix), 4*b.head.Width
	b.pix = slices.Grow(b.pix, stride)[:n+stride]
	opaque(b.pix[n:], row)
}
