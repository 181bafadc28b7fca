package raster

import (
	"fmt"
	"image"
	"image/png"
	"io"
)

// A Scaled makes a picture smaller while it is read: a pixel is the mean of
// the area that it covers, over a white ground, without alpha. It holds two
// rows.
type Scaled struct {
	src   Source
	from  Header // of src
	head  Header
	sums  []uint64 // of the row being made, weighted by area
	parts []uint32 // of one row of src, weighted by width
	out   []byte
	made  int // rows
	read  int // rows of src
	err   error
}

// NewScaled makes src width pixels wide and as high as its proportions want,
// at least one pixel. A picture is never made larger: a width beyond that of
// src is taken for that of src.
func NewScaled(src Source, width int) *Scaled {
	from := src.Header()
	to := Header{Width: max(1, min(width, from.Width)), Channels: 3}
	to.Height = (from.Height*to.Width + from.Width - 1) / from.Width
	n := 3 * to.Width
	return &Scaled{src: src, from: from, head: to, sums: make([]uint64, n), parts: make([]uint32, n), out: make([]byte, n)}
}

// Header returns the size of the smaller picture.
func (s *Scaled) Header() Header { return s.head }

// Next returns the next row. The last one may lie only partly in the
// picture; it is the mean of what does.
func (s *Scaled) Next() ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	if s.made == s.head.Height {
		_, s.err = s.src.Next()
		if s.err == nil {
			s.err = fmt.Errorf("scaling: more than %d rows", s.from.Height)
		}
		return nil, s.err
	}
	if err := s.row(); err != nil {
		s.err = fmt.Errorf("scaling row %d: %w", s.made, whole(err))
		return nil, s.err
	}
	s.made++
	return s.out, nil
}

// row measures in units that make both grids whole numbers: a pixel of the
// source is as wide and high as the smaller picture has columns, a pixel of
// the smaller picture as the source has columns.
func (s *Scaled) row() error {
	unit := s.head.Width
	top := s.made * s.from.Width
	bottom := min(top+s.from.Width, s.from.Height*unit)
	clear(s.sums)
	// The row of the source that was read last may reach into this row.
	if s.read*unit > top {
		s.add(min(s.read*unit, bottom) - top)
	}
	for s.read*unit < bottom {
		row, err := s.src.Next()
		if err != nil {
			return err
		}
		s.across(row)
		s.add(min((s.read+1)*unit, bottom) - s.read*unit)
		s.read++
	}
	area := uint64(s.from.Width) * uint64(bottom-top)
	for i, v := range s.sums {
		s.out[i] = byte((v + area/2) / area)
	}
	return nil
}

// add adds the row of the source that was read last.
func (s *Scaled) add(height int) {
	for i, v := range s.parts {
		s.sums[i] += uint64(v) * uint64(height)
	}
}

// across adds up the pixels of a row of the source within each column.
func (s *Scaled) across(row []byte) {
	clear(s.parts)
	unit, step := uint32(s.head.Width), uint32(s.from.Width)
	at, left := 0, step // column of the smaller picture, and what it still takes
	for ; len(row) >= s.from.Channels; row = row[s.from.Channels:] {
		r, g, b := uint32(row[0]), uint32(row[1]), uint32(row[2])
		if s.from.Channels == 4 && row[3] != 0xff {
			r, g, b = overWhite(r, row[3]), overWhite(g, row[3]), overWhite(b, row[3])
		}
		part := min(unit, left)
		p := s.parts[at : at+3]
		p[0], p[1], p[2] = p[0]+r*part, p[1]+g*part, p[2]+b*part
		if left -= part; left > 0 {
			continue
		}
		at, left = at+3, step
		if rest := unit - part; rest > 0 {
			p = s.parts[at : at+3]
			p[0], p[1], p[2] = r*rest, g*rest, b*rest
			left -= rest
		}
	}
}

// overWhite mixes a channel with white by alpha.
func overWhite(v uint32, alpha byte) uint32 {
	a := uint32(alpha)
	return (v*a + 255*(255-a) + 127) / 255
}

// maxThumbnail bounds the sides of a thumbnail, which is held in memory.
const maxThumbnail = 4096

// Thumbnail writes a small PNG of the top of a picture: at most width pixels
// wide, and cut off at maxHeight. Only the rows that it shows are read, so
// it does not tell whether the file is whole.
func Thumbnail(w io.Writer, r io.Reader, width, maxHeight int) error {
	if width < 1 || maxHeight < 1 || width > maxThumbnail || maxHeight > maxThumbnail {
		return fmt.Errorf("making thumbnail: %d×%d pixels", width, maxHeight)
	}
	rows, err := NewRows(r)
	if err != nil {
		return fmt.Errorf("making thumbnail: %w", err)
	}
	s := NewScaled(rows, width)
	img := image.NewRGBA(image.Rect(0, 0, s.head.Width, min(s.head.Height, maxHeight)))
	for y := range img.Rect.Dy() {
		row, err := s.Next()
		if err != nil {
			return fmt.Errorf("making thumbnail: %w", err)
		}
		opaque(img.Pix[y*img.Stride:], row)
	}
	fast := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := fast.Encode(w, img); err != nil {
		return fmt.Errorf("writing thumbnail: %w", err)
	}
	return nil
}

// opaque writes a row without alpha into one with.
func opaque(out, row []byte) {
	for ; len(row) >= 3 && len(out) >= 4; out, row = out[4:], row[3:] {
		out[0], out[1], out[2], out[3] = row[0], row[1], row[2], 0xff
	}
}
