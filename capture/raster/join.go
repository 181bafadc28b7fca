package raster

import (
	"errors"
	"fmt"
	"io"
)

// A TileError says which tile could not be read. Its place is counted from 0.
type TileError struct {
	Tile int
	Name string
	Err  error
}

func (e *TileError) Error() string { return fmt.Sprintf("tile %d, %s: %v", e.Tile+1, e.Name, e.Err) }
func (e *TileError) Unwrap() error { return e.Err }

// Joined gives the rows of several tiles as one picture. Rows that two tiles
// show are those of the upper one, and the lower one is compared with them.
// It holds two rows of each of at most two tiles.
type Joined struct {
	tiles      []Tile
	heads      []Header
	overlap    int
	report     Report
	at         int       // the tile whose rows are given
	left       int       // rows that it still gives
	here, next *openTile // next is open while the rows that both show are read
	row        int       // of the picture
	wide, also []byte    // rows with the alpha that their tile has not
	err        error     // of all further calls
}

// An openTile is a tile being read.
type openTile struct {
	*Rows
	file io.Closer
}

// Join begins at the first row of tiles, which are given from top to bottom.
// They have the same width; each but the first begins overlap rows above the
// end of the one before it. When a tile has alpha, the picture has. All tiles
// are opened for their sizes, and again when they are read; Close closes what
// is open then.
func Join(tiles []Tile, overlap int) (*Joined, error) {
	heads, err := headers(tiles, overlap)
	if err != nil {
		return nil, fmt.Errorf("joining: %w", err)
	}
	j := &Joined{tiles: tiles, heads: heads, overlap: overlap, at: -1}
	j.report = Report{Header: heads[0], Tiles: len(tiles)}
	j.report.Height = overlap
	for _, h := range heads {
		j.report.Height += h.Height - overlap
		j.report.Channels = max(j.report.Channels, h.Channels)
	}
	if j.report.Height > MaxHeight {
		return nil, fmt.Errorf("joining: %d rows together, more than %d", j.report.Height, MaxHeight)
	}
	return j, nil
}

// headers reads the sizes of all tiles and checks that they fit.
func headers(tiles []Tile, overlap int) ([]Header, error) {
	if len(tiles) == 0 || overlap < 0 {
		return nil, fmt.Errorf("%d tiles with %d rows of overlap", len(tiles), overlap)
	}
	var out []Header
	for i, t := range tiles {
		h, err := t.header()
		shared := 2 * overlap
		if i == 0 || i == len(tiles)-1 {
			shared = overlap
		}
		switch {
		case err != nil:
		case len(tiles) > 1 && h.Height <= shared:
			err = fmt.Errorf("%d rows are no more than it shares with others", h.Height)
		case i > 0 && h.Width != out[0].Width:
			err = fmt.Errorf("%d pixels wide, the first is %d", h.Width, out[0].Width)
		}
		if err != nil {
			return nil, &TileError{i, t.Name, err}
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

// Header returns the size of the whole picture.
func (j *Joined) Header() Header { return j.report.Header }

// Sizes returns the sizes of the tiles, from top to bottom.
func (j *Joined) Sizes() []Header { return j.heads }

// Report says what was joined. It has the seams that were read so far: all
// of them when Next has returned io.EOF.
func (j *Joined) Report() Report { return j.report }

// Close closes the tiles that are open.
func (j *Joined) Close() error {
	var errs []error
	for _, t := range []*openTile{j.here, j.next} {
		if t != nil {
			errs = append(errs, t.file.Close())
		}
	}
	j.here, j.next = nil, nil
	if j.err == nil {
		j.err = errors.New("joining: it was closed")
	}
	return errors.Join(errs...)
}

// Next returns the next row, as a Source does. It goes on to another tile
// only when everything behind the pixels of the one before is in order, and
// returns io.EOF when that is so of the last.
func (j *Joined) Next() ([]byte, error) {
	if j.err == nil {
		j.err = j.reach()
	}
	if j.err != nil {
		return nil, j.err
	}
	row, err := j.read()
	if err != nil {
		j.err = err
	}
	return row, err
}

// reach makes sure that the next row can be read.
func (j *Joined) reach() error {
	for {
		last := j.at == len(j.tiles)-1
		if j.here != nil && !last && j.next == nil && j.left == j.overlap {
			if err := j.open(j.at+1, &j.next); err != nil {
				return err
			}
			j.report.Seams = append(j.report.Seams, Seam{Row: j.row, Rows: j.overlap})
		}
		if j.here != nil && j.left > 0 {
			return nil
		}
		if j.here != nil {
			if err := j.leave(); err != nil {
				return err
			}
			if last {
				return io.EOF
			}
		}
		if err := j.enter(); err != nil {
			return err
		}
	}
}

// enter goes on to the tile below.
func (j *Joined) enter() error {
	j.at++
	j.left = j.heads[j.at].Height
	if j.at == 0 {
		return j.open(0, &j.here)
	}
	j.left -= j.overlap
	j.here, j.next = j.next, nil
	return nil
}

// leave checks that the tile ends where it should.
func (j *Joined) leave() error {
	if _, err := j.here.Next(); err != io.EOF {
		return j.blame(j.at, err)
	}
	file := j.here.file
	j.here = nil
	if err := file.Close(); err != nil {
		return j.blame(j.at, err)
	}
	return nil
}

// read reads a row, and compares it with that of the tile below if that has
// it too.
func (j *Joined) read() ([]byte, error) {
	row, err := j.here.Next()
	if err != nil {
		return nil, j.blame(j.at, whole(err))
	}
	row = widen(row, j.here.head.Channels, j.report.Channels, &j.wide)
	j.left--
	j.row++
	if j.next == nil {
		return row, nil
	}
	below, err := j.next.Next()
	if err != nil {
		return nil, j.blame(j.at+1, whole(err))
	}
	below = widen(below, j.next.head.Channels, j.report.Channels, &j.also)
	if n, _, _ := differing(row, below, j.report.Channels); n > 0 {
		seam := &j.report.Seams[len(j.report.Seams)-1]
		seam.Differ++
		seam.Pixels += int64(n)
	}
	return row, nil
}

// pass goes over rows of the tile that is read, which are not given.
func (j *Joined) pass(n int) error {
	if err := j.here.skip(n); err != nil {
		return j.blame(j.at, whole(err))
	}
	j.left -= n
	j.row += n
	return nil
}

func (j *Joined) open(i int, into **openTile) error {
	file, err := j.tiles[i].Open()
	if err != nil {
		return j.blame(i, err)
	}
	rows, err := NewRows(file)
	if err == nil && rows.head != j.heads[i] {
		err = errors.New("its size has changed since it was opened first")
	}
	if err != nil {
		_ = file.Close() // the error before it is reported
		return j.blame(i, err)
	}
	*into = &openTile{rows, file}
	return nil
}

func (j *Joined) blame(i int, err error) error {
	return fmt.Errorf("joining: %w", &TileError{i, j.tiles[i].Name, err})
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
