package report

import (
	"errors"
	"fmt"
	"io"

	"guzheng/capture"
	"guzheng/capture/raster"
)

// ErrScattered means that the package does not tell, or not without
// contradiction, where the tiles of its page lie.
var ErrScattered = errors.New("where the tiles lie is not told")

// A Tile is a part of the picture of the whole page: a file of the package,
// and where it lies in the whole.
type Tile struct {
	Member
	Place capture.Tile
}

// Tiles are the parts of the picture of a whole page, from top to bottom.
type Tiles struct {
	List    []Tile
	Overlap int // rows that neighbours share, shown as the upper one has them
	open    func(path string) (io.ReadCloser, error)
}

// Tiles returns the tiles of the page, none when it has none, and ErrScattered
// when they cannot be put together. Where they lie is told by the facts; of a
// capture that was interrupted before it wrote them, by the journal.
func (v View) Tiles() (Tiles, error) {
	places := v.Facts.Tiles
	if len(places) == 0 {
		places = placesOf(v.Journal)
	}
	out := Tiles{open: v.Open}
	bottom := 0
	for i, p := range places {
		want := 0
		if i > 0 {
			out.Overlap = places[1].Overlap
			want = out.Overlap
		}
		if p.Overlap != want || p.Overlap < 0 || p.Y != bottom-p.Overlap {
			return Tiles{}, fmt.Errorf("tile %s at row %d with %d rows of overlap: %w", p.Path, p.Y, p.Overlap, ErrScattered)
		}
		bottom = p.Y + p.Height
		out.List = append(out.List, Tile{Member{Path: p.Path, Kind: capture.FileTile}, p})
	}
	return out, out.fill(v.Members)
}

// fill finds the files of the tiles. A tile without a file is left as it is:
// opening it tells. A file that is no tile would be left out of the whole.
func (t Tiles) fill(members []Member) error {
	at := map[string]int{}
	for i, one := range t.List {
		if _, twice := at[one.Path]; twice {
			return fmt.Errorf("tile %s, twice: %w", one.Path, ErrScattered)
		}
		at[one.Path] = i
	}
	for _, m := range members {
		if m.Kind != capture.FileTile {
			continue
		}
		i, ok := at[m.Path]
		if !ok {
			return fmt.Errorf("tile %s: %w", m.Path, ErrScattered)
		}
		t.List[i].Member = m
	}
	return nil
}

// placesOf reads from the journal where tiles lie, from the first down to one
// that was not written any more. It tells of each when it was written, in any
// order; how far down one lies follows from those above.
func placesOf(journal []capture.Entry) []capture.Tile {
	told := map[string]capture.Tile{}
	for _, e := range journal {
		path, _ := e.Data["path"].(string)
		overlap, ok := e.Data["overlap"].(float64)
		if e.Code != "picture.tile" || !ok {
			continue
		}
		width, _ := e.Data["width"].(float64)
		height, _ := e.Data["height"].(float64)
		told[path] = capture.Tile{Path: path, Width: int(width), Height: int(height), Overlap: int(overlap)}
	}
	var out []capture.Tile
	for bottom := 0; ; {
		p, ok := told[fmt.Sprintf("evidence/full-%03d.png", len(out)+1)]
		if !ok {
			return out
		}
		p.Y = bottom - p.Overlap
		bottom = p.Y + p.Height
		out = append(out, p)
	}
}

// Parts are the tiles for reading.
func (t Tiles) Parts() []raster.Tile {
	var out []raster.Tile
	for _, one := range t.List {
		out = append(out, raster.Tile{Name: one.Path, Open: func() (io.ReadCloser, error) {
			if t.open == nil {
				return nil, errNotOpen
			}
			return t.open(one.Path)
		}})
	}
	return out
}

// Size is that of the whole picture as the package tells it.
func (t Tiles) Size() (width, height int) {
	if len(t.List) == 0 {
		return 0, 0
	}
	last := t.List[len(t.List)-1].Place
	return last.Width, last.Y + last.Height
}

// Scale is device pixels per CSS pixel of the pictures.
func (v View) Scale() float64 {
	for _, n := range []float64{v.Facts.Viewport.Scale, v.Order.Viewport.Scale} {
		if n > 0 {
			return n
		}
	}
	return 1
}

// Wanted is how many rows the picture of the whole page was to have: as many
// as the page, within the limit of the order.
func (v View) Wanted() int {
	height := v.Facts.Page.Height
	if most := int(v.Order.Limits.PageHeight); most > 0 {
		height = min(height, most)
	}
	return int(float64(height) * v.Scale())
}

// A Piece is the rows that a tile gives to a part of the whole picture: From
// up to but not including To, counted within the tile.
type Piece struct {
	Tile
	From, To int
}

// Pieces says in which tiles the rows from up to but not including to lie.
func (t Tiles) Pieces(from, to int) []Piece {
	var out []Piece
	for _, one := range t.List {
		p := one.Place
		// Its first rows are those of the tile above.
		first, last := max(from, p.Y+p.Overlap), min(to, p.Y+p.Height)
		if first < last {
			out = append(out, Piece{one, first - p.Y, last - p.Y})
		}
	}
	return out
}

// Joined opens the tiles as one picture, as Picture opens one of the files.
// The error about a tile is a raster.TileError.
func (t Tiles) Joined(width, height int) (*Picture, error) {
	j, err := raster.Join(t.Parts(), t.Overlap)
	if err != nil {
		return nil, fmt.Errorf("reading tiles: %w", err)
	}
	for i, h := range j.Sizes() {
		if p := t.List[i].Place; h.Width != p.Width || h.Height != p.Height {
			_ = j.Close() // nothing is open yet
			err := fmt.Errorf("%d×%d pixels, where %d×%d are told", h.Width, h.Height, p.Width, p.Height)
			return nil, fmt.Errorf("reading tiles: %w", &raster.TileError{Tile: i, Name: p.Path, Err: err})
		}
	}
	return shown(j, j, width, height), nil
}
