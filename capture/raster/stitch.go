package raster

import (
	"bytes"
	"errors"
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

// A Report says what Stitch put together.
type Report struct {
	Header        // of the picture that was written
	Tiles  int    // how many there were
	Seams  []Seam // from top to bottom, one less than there are tiles
}

// A Seam is where two tiles meet: the rows that both show.
type Seam struct {
	Row    int   // the first of them in the picture that was written, from 0
	Rows   int   // how many there are
	Differ int   // in how many of them the tiles differ
	Pixels int64 // how many pixels of them differ
}

// Sound reports whether the tiles agreed wherever two show the same rows.
func (r Report) Sound() bool {
	for _, s := range r.Seams {
		if s.Pixels != 0 {
			return false
		}
	}
	return true
}

// Stitch writes one PNG put together from tiles, which are given from top to
// bottom. They have the same width; each but the first begins overlap rows
// above the end of the one before it. Rows that two tiles show are taken
// from the upper one and compared; that they differ is told in the Report
// and is no error. When a tile has alpha, the picture has.
//
// Memory does not grow with the tiles: a row of each neighbour is held. On
// an error what was written is not a picture and the Report is empty.
func Stitch(w io.Writer, tiles []Tile, overlap int) (Report, error) {
	heads, err := headers(tiles, overlap)
	if err != nil {
		return Report{}, fmt.Errorf("stitching: %w", err)
	}
	s := stitcher{tiles: tiles, heads: heads, overlap: overlap}
	defer s.close()
	s.report = Report{Header: heads[0], Tiles: len(tiles)}
	s.report.Height = 0
	for i, h := range heads {
		s.report.Height += h.Height
		if i > 0 {
			s.report.Height -= overlap
		}
		s.report.Channels = max(s.report.Channels, h.Channels)
	}
	if s.report.Height > MaxHeight {
		return Report{}, fmt.Errorf("stitching: %d rows together, more than %d", s.report.Height, MaxHeight)
	}
	if s.out, err = newWriter(w, s.report.Header); err != nil {
		return Report{}, fmt.Errorf("stitching: %w", err)
	}
	for i := range tiles {
		if err := s.tile(i); err != nil {
			return Report{}, fmt.Errorf("stitching tile %d, %s: %w", i+1, s.tiles[i].Name, err)
		}
	}
	if err := s.out.close(); err != nil {
		return Report{}, fmt.Errorf("stitching: %w", err)
	}
	return s.report, nil
}

// headers reads the sizes of all tiles and checks that they fit.
func headers(tiles []Tile, overlap int) ([]Header, error) {
	if len(tiles) == 0 || overlap < 0 {
		return nil, fmt.Errorf("%d tiles with %d rows of overlap", len(tiles), overlap)
	}
	var out []Header
	for i, t := range tiles {
		h, err := t.header()
		if err != nil {
			return nil, fmt.Errorf("tile %d, %s: %w", i+1, t.Name, err)
		}
		shared := 2 * overlap
		if i == 0 || i == len(tiles)-1 {
			shared = overlap
		}
		switch {
		case len(tiles) > 1 && h.Height <= shared:
			return nil, fmt.Errorf("tile %d, %s: %d rows are no more than it shares with others", i+1, t.Name, h.Height)
		case i > 0 && h.Width != out[0].Width:
			return nil, fmt.Errorf("tile %d, %s: %d pixels wide, the first is %d", i+1, t.Name, h.Width, out[0].Width)
		}
		out = append(out, h)
	}
	return out, nil
}

func (t Tile) header() (Header, error) {
	r, err := t.Open()
	if err != nil {
		return Header{}, err
	}
	defer r.Close()
	return ReadHeader(r)
}

// A stitcher is a stitching under way. Two tiles are open while their common
// rows are read side by side.
type stitcher struct {
	tiles      []Tile
	heads      []Header
	overlap    int
	out        *writer
	report     Report
	here, next *openTile
	wide, also []byte // rows with the alpha that their tile has not
}

// An openTile is a tile being read.
type openTile struct {
	*Rows
	file io.Closer
}

// tile writes the rows of one tile that the one above has not shown.
func (s *stitcher) tile(i int) error {
	first, last := 0, s.heads[i].Height
	if i == 0 {
		if err := s.open(0, &s.here); err != nil {
			return err
		}
	} else {
		s.here, s.next = s.next, nil
		first = s.overlap
	}
	if i < len(s.tiles)-1 {
		last -= s.overlap
	}
	for range last - first {
		row, err := s.row(s.here, &s.wide)
		if err != nil {
			return err
		}
		if err := s.out.row(row); err != nil {
			return err
		}
	}
	if i < len(s.tiles)-1 {
		if err := s.seam(i); err != nil {
			return err
		}
	}
	if _, err := s.here.Next(); err != io.EOF {
		return err
	}
	file := s.here.file
	s.here = nil
	return file.Close()
}

// seam writes the last rows of tile i and compares them with the first of
// the tile below it.
func (s *stitcher) seam(i int) error {
	if err := s.open(i+1, &s.next); err != nil {
		return fmt.Errorf("next tile, %s: %w", s.tiles[i+1].Name, err)
	}
	seam := Seam{Row: s.out.written, Rows: s.overlap}
	for range s.overlap {
		row, err := s.row(s.here, &s.wide)
		if err != nil {
			return err
		}
		below, err := s.row(s.next, &s.also)
		if err != nil {
			return fmt.Errorf("next tile, %s: %w", s.tiles[i+1].Name, err)
		}
		if n, _, _ := differing(row, below, s.report.Channels); n > 0 {
			seam.Differ++
			seam.Pixels += int64(n)
		}
		if err := s.out.row(row); err != nil {
			return err
		}
	}
	s.report.Seams = append(s.report.Seams, seam)
	return nil
}

func (s *stitcher) open(i int, into **openTile) error {
	file, err := s.tiles[i].Open()
	if err != nil {
		return err
	}
	*into = &openTile{file: file}
	if (*into).Rows, err = NewRows(file); err != nil {
		return err
	}
	if (*into).Header() != s.heads[i] {
		return errors.New("its size has changed since it was opened first")
	}
	return nil
}

// row reads a row with the channels of the picture.
func (s *stitcher) row(t *openTile, room *[]byte) ([]byte, error) {
	row, err := t.Next()
	if err != nil {
		return nil, whole(err)
	}
	return widen(row, t.head.Channels, s.report.Channels, room), nil
}

// close closes what an error left open.
func (s *stitcher) close() {
	for _, t := range []*openTile{s.here, s.next} {
		if t != nil {
			_ = t.file.Close() // the error that left it open is reported
		}
	}
}

// widen adds opaque alpha to a row without, using room, when it is to have
// alpha.
func widen(row []byte, from, to int, room *[]byte) []byte {
	if from == to {
		return row
	}
	out := (*room)[:0]
	for ; len(row) >= 3; row = row[3:] {
		out = append(out, row[0], row[1], row[2], 0xff)
	}
	*room = out
	return out
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
