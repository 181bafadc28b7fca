package raster

import (
	"bytes"
	"fmt"
	"io"
)

// A Tile is a part of a tall picture, in a PNG of its own. Open is called
// twice, first to learn the size; both times it must give the same bytes
// from their beginning.
type Tile struct {
	Name string // for messages
	Open func() (io.ReadCloser, error)
}

// A Report says what the tiles are together.
type Report struct {
	Header        // of the whole picture
	Tiles  int    // how many there are
	Seams  []Seam // from top to bottom, one less than there are tiles
}

// A Seam is where two tiles meet: the rows that both show.
type Seam struct {
	Row    int   // the first of them in the whole picture, from 0
	Rows   int   // how many there are
	Differ int   // in how many of them the tiles differ
	Pixels int64 // how many pixels of them differ
}

// Differing counts the seams whose tiles do not show the same.
func (r Report) Differing() int {
	n := 0
	for _, s := range r.Seams {
		if s.Pixels != 0 {
			n++
		}
	}
	return n
}

// Stitch writes one PNG put together from tiles, as Join gives them; that
// tiles differ where they overlap is told in the Report and is no error. On
// an error what was written is not a picture and the Report is empty.
func Stitch(w io.Writer, tiles []Tile, overlap int) (Report, error) {
	j, err := Join(tiles, overlap)
	if err != nil {
		return Report{}, fmt.Errorf("stitching: %w", err)
	}
	defer func() { _ = j.Close() }() // what an error left open; it is reported
	out, err := newWriter(w, j.Header())
	if err != nil {
		return Report{}, fmt.Errorf("stitching: %w", err)
	}
	for {
		row, err := j.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = out.row(row)
		}
		if err != nil {
			return Report{}, fmt.Errorf("stitching: %w", err)
		}
	}
	if err := out.close(); err != nil {
		return Report{}, fmt.Errorf("stitching: %w", err)
	}
	return j.Report(), nil
}

// Seams compares the rows that neighbouring tiles share and tells what Stitch
// would. It inflates every tile but the last to its end and checks the CRCs,
// not the sum of the pixels; of the last it reads no more than the rows it
// shares. What lies between is not restored where no row below is told by it,
// and nothing is written.
func Seams(tiles []Tile, overlap int) (Report, error) {
	j, err := Join(tiles, overlap)
	if err != nil {
		return Report{}, fmt.Errorf("comparing seams: %w", err)
	}
	defer func() { _ = j.Close() }() // only read
	for range len(tiles) - 1 {
		if err := j.seam(); err != nil {
			return Report{}, fmt.Errorf("comparing seams: %w", err)
		}
	}
	return j.Report(), nil
}

// seam goes over what is left of a tile, and on to the one below.
func (j *Joined) seam() error {
	if j.here == nil {
		if err := j.enter(); err != nil {
			return err
		}
	}
	if err := j.pass(j.left - j.overlap); err != nil {
		return err
	}
	for range j.overlap {
		if _, err := j.Next(); err != nil {
			return err
		}
	}
	return j.reach()
}

// differing counts the pixels in which two rows of the same length differ,
// and returns the first of them and the one after the last.
func differing(a, b []byte, channels int) (n, from, to int) {
	if bytes.Equal(a, b) {
		return 0, 0, 0
	}
	for x := range min(len(a), len(b)) / channels {
		at := x * channels
		if string(a[at:at+channels]) == string(b[at:at+channels]) {
			continue
		}
		if n == 0 {
			from = x
		}
		n, to = n+1, x+1
	}
	return n, from, to
}
