package sheet

import (
	"io"
	"math"

	"guzheng/capture"
	"guzheng/capture/raster"
)

// A slice is a part of the full-page picture for one printed page: pixel
// rows from Top up to but not including Bottom. Overlap is the number of its
// first rows that the slice before it shows as well.
type slice struct {
	Top, Bottom, Overlap int
}

// A cutter divides a picture between lines of text. A row boundary is free
// when no box lies across it. Boxes higher than half a printed page are not
// lines of text and are ignored.
type cutter struct {
	height int                // of the picture, rows
	most   int                // rows that a printed page holds
	boxes  []span             // of the text lines, in picture rows
	plain  func(row int) bool // whether the row has a single colour
	taken  []int32            // difference array, then count of boxes across the boundary above a row
	blind  int                // overlap where nothing is known of the text
	broad  int                // rows of a band that separates paragraphs
}

type span struct{ top, bottom int }

// newCutter converts the boxes, in CSS pixels, with the picture's scale.
func newCutter(lines []capture.Line, scale float64, height, most int) *cutter {
	c := &cutter{height: height, most: max(most, 2), taken: make([]int32, height+2)}
	for _, l := range lines {
		s := span{int(math.Floor(l.Y * scale)), int(math.Ceil((l.Y + l.H) * scale))}
		s.top, s.bottom = max(s.top, 0), min(s.bottom, height)
		if l.Text == "" && l.W == 0 || s.bottom-s.top < 2 || s.bottom-s.top > c.most/2 {
			continue
		}
		c.boxes = append(c.boxes, s)
		c.taken[s.top+1]++
		c.taken[s.bottom]--
	}
	for i := 1; i < len(c.taken); i++ {
		c.taken[i] += c.taken[i-1]
	}
	return c
}

// cut returns the slices from top to bottom. Every row is in one of them,
// and every box is whole in one of them.
func (c *cutter) cut() []slice {
	var out []slice
	top, overlap := 0, 0
	for {
		limit := top + c.most
		if limit >= c.height {
			return append(out, slice{top, c.height, overlap})
		}
		at, ok := c.best(top+overlap, limit)
		out = append(out, slice{top, at, overlap})
		next := at
		if !ok {
			next = c.before(at)
		}
		top, overlap = next, at-next
	}
}

// best returns the boundary to cut at, at most at limit. It looks in the
// last quarter of the page, then in its last half, for a band of free
// boundaries between plain rows, and cuts in the middle of the lowest broad
// one or else of the broadest; without a band it takes the lowest free
// boundary of the last half, without that it returns limit and false. It
// never returns a boundary above floor, so that a slice shows more than the
// overlap.
func (c *cutter) best(floor, limit int) (int, bool) {
	for _, part := range []int{4, 2} {
		if y, ok := c.band(max(limit-c.most/part, floor+1), limit); ok {
			return y, true
		}
	}
	for y := limit; y > max(limit-c.most/2, floor) && len(c.boxes) > 0; y-- {
		if c.free(y) {
			return y, true
		}
	}
	return limit, false
}

// band returns the middle of the lowest band between from and to that is
// broad, or else of the broadest.
func (c *cutter) band(from, to int) (int, bool) {
	at, wide := 0, 0
	for y := to; y >= from; y-- {
		n := 0
		for y-n >= from && c.free(y-n) && c.even(y-n-1) && c.even(y-n) {
			n++
		}
		if n > wide {
			at, wide = y-n/2, n
		}
		if n >= c.broad && n > 0 {
			break
		}
		y -= n
	}
	return at, wide > 0
}

func (c *cutter) free(y int) bool { return c.taken[y] == 0 }

func (c *cutter) even(row int) bool { return c.plain == nil || c.plain(row) }

// before returns where the next page begins after a cut at a boundary that
// is not free: above every box across it.
func (c *cutter) before(at int) int {
	if c.free(at) {
		return at - min(c.blind, c.most/4)
	}
	next := at
	for _, b := range c.boxes {
		if b.top < at && b.bottom > at {
			next = min(next, b.top)
		}
	}
	return next
}

// plainRows says of every row of a picture whether all its pixels have the
// same colour.
type plainRows []bool

// readPlain reads a picture to its end.
func readPlain(src raster.Source) (plainRows, error) {
	head := src.Header()
	out := make(plainRows, 0, head.Height)
	for {
		row, err := src.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, raster.Plain(row, head.Channels))
	}
}

// is reports whether a row is plain; what is beside the picture is.
func (p plainRows) is(row int) bool { return row < 0 || row >= len(p) || p[row] }
