package raster

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sub is a part of a picture as a tile.
func sub(t testing.TB, img *image.NRGBA, top, bottom int, channels int) []byte {
	t.Helper()
	rows := &imageRows{img: img, y: top, head: Header{img.Rect.Dx(), bottom - top, channels}}
	return encode(t, rows)
}

// imageRows gives the rows of a picture in memory.
type imageRows struct {
	img  *image.NRGBA
	y, n int
	head Header
}

func (r *imageRows) Header() Header { return r.head }

func (r *imageRows) Next() ([]byte, error) {
	if r.n == r.head.Height {
		return nil, io.EOF
	}
	row := r.img.Pix[(r.y+r.n)*r.img.Stride:][:r.img.Stride]
	r.n++
	if r.head.Channels == 4 {
		return row, nil
	}
	var out []byte
	for ; len(row) > 0; row = row[4:] {
		out = append(out, row[:3]...)
	}
	return out, nil
}

func TestStitchGivesThePictureBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 9))
	for range 150 {
		overlap := rng.IntN(12)
		img := random(rng, 1+rng.IntN(30), 40+rng.IntN(200), false)
		height := img.Rect.Dy()
		var tiles []Tile
		var seams []Seam
		channels := 3
		for top := 0; ; {
			bottom := min(top+2*overlap+1+rng.IntN(50), height)
			if height-bottom <= overlap {
				bottom = height
			}
			c := 3 + rng.IntN(2)
			channels = max(channels, c)
			tiles = append(tiles, tile(fmt.Sprint(len(tiles)), sub(t, img, top, bottom, c)))
			if bottom == height {
				break
			}
			top = bottom - overlap
			seams = append(seams, Seam{Row: top, Rows: overlap})
		}
		var out bytes.Buffer
		got, err := Stitch(&out, tiles, overlap)
		if err != nil {
			t.Fatal(err)
		}
		want := Report{Header: Header{img.Rect.Dx(), height, channels}, Tiles: len(tiles), Seams: seams}
		if d := cmp.Diff(want, got); d != "" || got.Differing() != 0 {
			t.Fatalf("report (-want +got):\n%s", d)
		}
		judged, err := png.Decode(bytes.NewReader(out.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		same(t, judged, img)
		if _, err := all(&out); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStitchTellsSeams changes pixels of the lower tile that the upper shows
// too.
func TestStitchTellsSeams(t *testing.T) {
	img, err := drain(newPage(Header{50, 100, 4}, 0))
	if err != nil {
		t.Fatal(err)
	}
	upper, middle := sub(t, img, 0, 40, 3), sub(t, img, 30, 80, 3)
	changed := image.NewNRGBA(img.Rect)
	copy(changed.Pix, img.Pix)
	for _, p := range []image.Point{{0, 70}, {7, 70}, {49, 79}, {3, 85}} {
		changed.Pix[changed.PixOffset(p.X, p.Y)] ^= 1
	}
	lower := sub(t, changed, 70, 100, 3)
	var out bytes.Buffer
	got, err := Stitch(&out, []Tile{tile("a", upper), tile("b", middle), tile("c", lower)}, 10)
	if err != nil {
		t.Fatal(err)
	}
	want := []Seam{{Row: 30, Rows: 10}, {Row: 70, Rows: 10, Differ: 2, Pixels: 3}}
	if d := cmp.Diff(want, got.Seams); d != "" || got.Differing() != 1 {
		t.Errorf("seams (-want +got):\n%s", d)
	}
	copy(changed.Pix[:80*changed.Stride], img.Pix) // rows that both show are the upper tile's
	judged, err := all(&out)
	if err != nil {
		t.Fatal(err)
	}
	same(t, judged, changed)
}

func TestStitchRefuses(t *testing.T) {
	of := func(w, h int) Tile { return tile(fmt.Sprintf("%d×%d", w, h), encode(t, newPage(Header{w, h, 3}, 0))) }
	cut := encode(t, newPage(Header{5, 40, 3}, 0))
	gone := Tile{Name: "gone", Open: func() (io.ReadCloser, error) { return nil, errors.New("not there") }}
	n := 0
	moody := Tile{Name: "moody", Open: func() (io.ReadCloser, error) { n++; return of(5, 40+n).Open() }}
	for name, c := range map[string]struct {
		tiles   []Tile
		overlap int
		want    string
	}{
		"nothing":          {nil, 0, "0 tiles"},
		"negative":         {[]Tile{of(5, 40)}, -1, "-1 rows"},
		"width":            {[]Tile{of(5, 40), of(6, 40)}, 10, "stitching: joining: tile 2, 6×40: 6 pixels wide"},
		"first too small":  {[]Tile{of(5, 10), of(5, 40)}, 10, "tile 1"},
		"middle too small": {[]Tile{of(5, 40), of(5, 20), of(5, 40)}, 10, "tile 2"},
		"last too small":   {[]Tile{of(5, 40), of(5, 10)}, 10, "tile 2"},
		"gone":             {[]Tile{of(5, 40), gone}, 10, "not there"},
		"cut off":          {[]Tile{tile("cut", cut[:len(cut)-30]), of(5, 40)}, 10, "stitching: joining: tile 1, cut: reading"},
		"next cut off":     {[]Tile{of(5, 40), tile("cut", cut[:44])}, 10, "stitching: joining: tile 2, cut: reading"},
		"changing":         {[]Tile{moody}, 0, "size has changed"},
		"too high":         {tooHigh(t), 0, "rows together"},
	} {
		t.Run(name, func(t *testing.T) {
			open := 0
			for i, one := range c.tiles {
				c.tiles[i].Open = func() (io.ReadCloser, error) {
					r, err := one.Open()
					if err != nil {
						return nil, err
					}
					open++
					return closing{r, &open}, nil
				}
			}
			got, err := Stitch(io.Discard, c.tiles, c.overlap)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want it to say %q", err, c.want)
			}
			if d := cmp.Diff(Report{}, got); d != "" {
				t.Errorf("report with an error: %s", d)
			}
			if open != 0 {
				t.Errorf("%d tiles are still open", open)
			}
		})
	}
}

// closing counts what is open.
type closing struct {
	io.ReadCloser
	open *int
}

func (c closing) Close() error {
	*c.open--
	return c.ReadCloser.Close()
}

// tooHigh are tiles of which only the headers are there.
func tooHigh(t *testing.T) []Tile {
	t.Helper()
	b := file(ihdr(1, MaxHeight/2+1, 8, 2, 0))
	return []Tile{tile("a", b), tile("b", b)}
}

// TestStitchClosesOnce wants all tiles closed after a stitching without an
// error, each as often as it was opened.
func TestStitchClosesOnce(t *testing.T) {
	b := encode(t, newPage(Header{5, 40, 3}, 0))
	open, closed := 0, 0
	var tiles []Tile
	for range 3 {
		tiles = append(tiles, Tile{Open: func() (io.ReadCloser, error) {
			open++
			return counting{bytes.NewReader(b), &closed}, nil
		}})
	}
	if _, err := Stitch(io.Discard, tiles, 10); err != nil {
		t.Fatal(err)
	}
	if open != 6 || closed != open {
		t.Errorf("opened %d times, closed %d times", open, closed)
	}
}

type counting struct {
	io.Reader
	closed *int
}

func (c counting) Close() error { *c.closed++; return nil }

// TestMemoryDoesNotGrow adds up everything that is allocated on the way, so
// that no more can have been in use at any time.
func TestMemoryDoesNotGrow(t *testing.T) {
	const width, height, overlap, most = 1280, 4000, 64, 8 << 20 // the pixels are 15 MB and 28 MB
	part := encode(t, newPage(Header{width, height, 3}, 0))
	also := encode(t, newPage(Header{width, height, 3}, height-overlap))
	for name, do := range map[string]func() error{
		"rows": func() error { _, err := OneColour(bytes.NewReader(encodePlain(t, width, height))); return err },
		"stitch": func() error {
			_, err := Stitch(io.Discard, []Tile{tile("1", part), tile("2", also)}, overlap)
			return err
		},
		"seams": func() error {
			_, err := Seams([]Tile{tile("1", part), tile("2", also)}, overlap)
			return err
		},
		"diff": func() error { _, err := Diff(bytes.NewReader(part), bytes.NewReader(part)); return err },
		"bands": func() error {
			rows, err := NewRows(bytes.NewReader(part))
			if err != nil {
				return err
			}
			for b, y := NewBands(NewScaled(rows, width-1)), 0; y < 3900; y += 100 {
				if _, err := b.Band(y, y+120); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if err := do(); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > most {
				t.Errorf("%d bytes were allocated, more than %d", n, most)
			}
		})
	}
}

// encodePlain makes a white picture.
func encodePlain(t testing.TB, width, height int) []byte {
	t.Helper()
	return encode(t, &plainRows{head: Header{width, height, 3}, row: bytes.Repeat([]byte{255}, 3*width)})
}

type plainRows struct {
	head Header
	row  []byte
	n    int
}

func (p *plainRows) Header() Header { return p.head }

func (p *plainRows) Next() ([]byte, error) {
	if p.n == p.head.Height {
		return nil, io.EOF
	}
	p.n++
	return p.row, nil
}
