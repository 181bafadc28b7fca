package raster

import (
	"fmt"
	"image"
	"io"
)

// A Difference is what distinguishes two pictures of the same page. Rows,
// Pixels and Bounds are about the part that both have: what lies from the
// top left corner to the smaller width and the smaller height.
type Difference struct {
	A, B   Header
	Rows   int             // that differ
	Pixels int64           // that differ in at least one channel
	Bounds image.Rectangle // around the pixels that differ; empty when none does
}

// Same reports whether the pictures have the same size and the same pixels.
func (d Difference) Same() bool {
	return d.A.Width == d.B.Width && d.A.Height == d.B.Height && d.Pixels == 0
}

// Diff compares two pictures pixel by pixel, both read to their end. Pixels
// without alpha equal opaque ones.
func Diff(a, b io.Reader) (Difference, error) {
	ra, err := NewRows(a)
	if err != nil {
		return Difference{}, fmt.Errorf("comparing, first picture: %w", err)
	}
	rb, err := NewRows(b)
	if err != nil {
		return Difference{}, fmt.Errorf("comparing, second picture: %w", err)
	}
	d := Difference{A: ra.head, B: rb.head}
	var roomA, roomB []byte
	channels, width := max(ra.head.Channels, rb.head.Channels), min(ra.head.Width, rb.head.Width)
	for y := range max(ra.head.Height, rb.head.Height) {
		rowA, err := upTo(ra, y)
		if err != nil {
			return Difference{}, fmt.Errorf("comparing, first picture: %w", err)
		}
		rowB, err := upTo(rb, y)
		if err != nil {
			return Difference{}, fmt.Errorf("comparing, second picture: %w", err)
		}
		if rowA == nil || rowB == nil {
			continue
		}
		rowA = widen(rowA, ra.head.Channels, channels, &roomA)[:width*channels]
		rowB = widen(rowB, rb.head.Channels, channels, &roomB)[:width*channels]
		if n, from, to := differing(rowA, rowB, channels); n > 0 {
			d.Rows++
			d.Pixels += int64(n)
			d.Bounds = d.Bounds.Union(image.Rect(from, y, to, y+1))
		}
	}
	if err := end(ra); err != nil {
		return Difference{}, fmt.Errorf("comparing, first picture: %w", err)
	}
	if err := end(rb); err != nil {
		return Difference{}, fmt.Errorf("comparing, second picture: %w", err)
	}
	return d, nil
}

// upTo reads row y, or nothing when the picture has none.
func upTo(r *Rows, y int) ([]byte, error) {
	if y >= r.head.Height {
		return nil, nil
	}
	return r.Next()
}

// end reads what comes after the last row.
func end(r *Rows) error {
	if _, err := r.Next(); err != io.EOF {
		return err
	}
	return nil
}

// OneColour reports whether all pixels of a picture are the same. It stops
// reading at the first that is not; a picture of one colour is read and
// checked to its end.
func OneColour(r io.Reader) (bool, error) {
	rows, err := NewRows(r)
	if err != nil {
		return false, err
	}
	var first []byte
	for {
		row, err := rows.Next()
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if first == nil {
			first = append(first, row[:rows.head.Channels]...)
		}
		if !Plain(row, rows.head.Channels) || string(row[:len(first)]) != string(first) {
			return false, nil
		}
	}
}
