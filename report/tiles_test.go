package report_test

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"guzheng/capture"
	"guzheng/capture/raster"
	"guzheng/report"
)

// places are of a page of 250 rows in three tiles that share 10.
func places() []capture.Tile {
	return []capture.Tile{
		{Path: "evidence/full-001.png", Width: 5, Height: 100},
		{Path: "evidence/full-002.png", Y: 90, Width: 5, Height: 100, Overlap: 10},
		{Path: "evidence/full-003.png", Y: 180, Width: 5, Height: 70, Overlap: 10},
	}
}

// tiled is a view of that page. The red of a pixel is the number of its row.
func tiled(t *testing.T) report.View {
	t.Helper()
	v := report.View{Facts: capture.Facts{Tiles: places(), Page: capture.Size{Width: 5, Height: 250}}}
	files := map[string][]byte{}
	for _, p := range places() {
		img := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
		for y := range p.Height {
			for x := range p.Width {
				img.Set(x, y, color.RGBA{byte(p.Y + y), 0, 0, 255})
			}
		}
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		files[p.Path] = b.Bytes()
		v.Members = append(v.Members, report.Member{Path: p.Path, Kind: capture.FileTile, Digest: capture.Digest{SHA256: "of " + p.Path}})
	}
	v.Open = func(path string) (io.ReadCloser, error) {
		b, ok := files[path]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return io.NopCloser(bytes.NewReader(b)), nil
	}
	return v
}

func TestTilesJoined(t *testing.T) {
	tiles, err := tiled(t).Tiles()
	if err != nil || tiles.Overlap != 10 || len(tiles.List) != 3 || tiles.List[1].SHA256 != "of evidence/full-002.png" {
		t.Fatalf("%+v, %v", tiles, err)
	}
	p, err := tiles.Joined(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if w, h := tiles.Size(); p.Original != (raster.Header{Width: w, Height: h, Channels: 3}) || h != 250 {
		t.Errorf("%+v, told %d×%d", p.Original, w, h)
	}
	for y := range 250 {
		row, err := p.Next()
		if err != nil || int(row[0]) != y {
			t.Fatalf("row %d is %v, %v", y, row, err)
		}
	}
	if _, err := p.Next(); err != io.EOF {
		t.Errorf("after the last row: %v", err)
	}
	if p, err = tiles.Joined(0, 125); err != nil || p.Header().Width != 2 || p.Original.Width != 5 {
		t.Errorf("made smaller: %+v, %v", p, err)
	}
}

// TestPieces wants the rows that two tiles have from the upper one.
func TestPieces(t *testing.T) {
	tiles, err := tiled(t).Tiles()
	if err != nil {
		t.Fatal(err)
	}
	type piece struct{ tile, from, to int }
	for _, c := range []struct {
		from, to int
		want     []piece
	}{
		{0, 100, []piece{{1, 0, 100}}},
		{99, 101, []piece{{1, 99, 100}, {2, 10, 11}}},
		{95, 99, []piece{{1, 95, 99}}},
		{100, 190, []piece{{2, 10, 100}}},
		{0, 250, []piece{{1, 0, 100}, {2, 10, 100}, {3, 10, 70}}},
		{249, 999, []piece{{3, 69, 70}}},
		{250, 260, nil},
	} {
		var got []piece
		for _, p := range tiles.Pieces(c.from, c.to) {
			got = append(got, piece{int(p.Path[len("evidence/full-00")] - '0'), p.From, p.To})
		}
		if d := cmp.Diff(c.want, got, cmp.AllowUnexported(piece{})); d != "" {
			t.Errorf("rows %d to %d (-want +got):\n%s", c.from, c.to, d)
		}
	}
}

// TestTilesByJournal wants the tiles of an interrupted capture, which has no
// facts: as many as are told of without a gap, in any order.
func TestTilesByJournal(t *testing.T) {
	v := tiled(t)
	v.Facts = capture.Facts{}
	for _, i := range []int{1, 2, 0} {
		p := places()[i]
		v.Journal = append(v.Journal, capture.Entry{Code: "picture.tile", Data: map[string]any{
			"path": p.Path, "y": 1.0, "width": float64(p.Width), "height": float64(p.Height), "overlap": float64(p.Overlap)}})
	}
	tiles, err := v.Tiles()
	if err != nil || len(tiles.List) != 3 || tiles.Overlap != 10 || tiles.List[2].Place != places()[2] {
		t.Errorf("%+v, %v", tiles, err)
	}
	v.Journal, v.Members = v.Journal[1:], v.Members[:1] // the second was not written
	if tiles, err = v.Tiles(); err != nil || len(tiles.List) != 1 {
		t.Errorf("%+v, %v", tiles, err)
	}
	v.Members = tiled(t).Members
	if _, err = v.Tiles(); !errors.Is(err, report.ErrScattered) {
		t.Errorf("tiles below a gap: %v", err)
	}
}

func TestTilesRefused(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(v *report.View)
		want string // of opening them; empty when they do not come so far
	}{
		"no facts":      {func(v *report.View) { v.Facts.Tiles = nil }, ""},
		"one untold":    {func(v *report.View) { v.Facts.Tiles = v.Facts.Tiles[:2] }, ""},
		"gap":           {func(v *report.View) { v.Facts.Tiles[1].Y = 101 }, ""},
		"first overlap": {func(v *report.View) { v.Facts.Tiles[0].Overlap = 10 }, ""},
		"two overlaps":  {func(v *report.View) { v.Facts.Tiles[2].Overlap, v.Facts.Tiles[2].Y = 9, 181 }, ""},
		"negative":      {func(v *report.View) { v.Facts.Tiles[1].Overlap, v.Facts.Tiles[1].Y = -1, 101 }, ""},
		"twice":         {func(v *report.View) { v.Facts.Tiles[1].Path = v.Facts.Tiles[0].Path }, ""},
		"missing":       {func(v *report.View) { v.Facts.Tiles[2].Path, v.Members = "evidence/gone.png", v.Members[:2] }, "tile 3, evidence/gone.png: file does not exist"},
		"another size":  {func(v *report.View) { v.Facts.Tiles[2].Height++ }, "tile 3, evidence/full-003.png: 5×70 pixels, where 5×71 are told"},
		"not open":      {func(v *report.View) { v.Open = nil }, "tile 1, evidence/full-001.png: the package is not open"},
	} {
		t.Run(name, func(t *testing.T) {
			v := tiled(t)
			c.harm(&v)
			tiles, err := v.Tiles()
			if c.want == "" {
				if !errors.Is(err, report.ErrScattered) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			_, err = tiles.Joined(0, 0)
			var blamed *raster.TileError
			if !errors.As(err, &blamed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want it to say %q", err, c.want)
			}
		})
	}
	if tiles, err := (report.View{}).Tiles(); err != nil || len(tiles.List) != 0 {
		t.Errorf("no tiles: %+v, %v", tiles, err)
	}
}

func TestWanted(t *testing.T) {
	v := report.View{Facts: capture.Facts{Page: capture.Size{Height: 1001}}}
	if n := v.Wanted(); n != 1001 {
		t.Error(n)
	}
	v.Facts.Viewport.Scale, v.Order.Limits.PageHeight = 1.5, 900
	if n := v.Wanted(); n != 1350 {
		t.Error(n)
	}
}
