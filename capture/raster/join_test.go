package raster

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// cutUp makes tiles of a picture, with every filter and with alpha here and
// there, and changes pixels that only a lower tile shows so.
func cutUp(rng *rand.Rand, img *image.NRGBA, overlap int) []Tile {
	var out []Tile
	for top := 0; ; {
		bottom := min(top+2*overlap+1+rng.IntN(50), img.Rect.Dy())
		if img.Rect.Dy()-bottom <= overlap {
			bottom = img.Rect.Dy()
		}
		part := image.NewNRGBA(image.Rect(0, 0, img.Rect.Dx(), bottom-top))
		draw.Draw(part, part.Rect, img, image.Pt(0, top), draw.Src)
		if top > 0 && overlap > 0 && rng.IntN(2) == 0 {
			for range 1 + rng.IntN(3) {
				part.Pix[4*rng.IntN(overlap*part.Rect.Dx())] ^= 0x40
			}
		}
		out = append(out, tile(fmt.Sprint(len(out)), refilter(rng, part, 3+rng.IntN(2))))
		if bottom == img.Rect.Dy() {
			return out
		}
		top = bottom - overlap
	}
}

// TestSeamsAgree wants of the comparison alone what the stitching tells, and
// of the joined tiles the picture.
func TestSeamsAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 11))
	differ := 0
	for range 150 {
		overlap := rng.IntN(12)
		img := random(rng, 1+rng.IntN(30), 40+rng.IntN(200), false)
		tiles := cutUp(rng, img, overlap)
		want, err := Stitch(io.Discard, tiles, overlap)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Seams(tiles, overlap)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("report (-stitched +compared):\n%s", d)
		}
		differ += got.Differing()
		j, err := Join(tiles, overlap)
		if err != nil {
			t.Fatal(err)
		}
		joined, err := drain(j)
		if err != nil {
			t.Fatal(err)
		}
		same(t, joined, img)
		if d := cmp.Diff(want, j.Report()); d != "" {
			t.Fatalf("report (-stitched +joined):\n%s", d)
		}
		if _, err := j.Next(); err != io.EOF {
			t.Fatalf("after the end: %v", err)
		}
	}
	if differ < 50 {
		t.Errorf("only %d seams differed", differ)
	}
}

// TestJoinedThroughTheRest wants what reads a picture of one piece to read
// joined tiles alike.
func TestJoinedThroughTheRest(t *testing.T) {
	const width, height, overlap = 60, 300, 20
	whole := encode(t, newPage(Header{width, height, 3}, 0))
	tiles := []Tile{tile("a", encode(t, newPage(Header{width, 160, 3}, 0))), tile("b", encode(t, newPage(Header{width, 160, 3}, 140)))}
	read := func(of func() Source) (bands [][]byte) {
		t.Helper()
		for _, src := range []Source{of(), NewScaled(of(), 41)} {
			b := NewBands(src)
			for from := 0; from < src.Header().Height; from += 70 {
				img, err := b.Band(from, min(from+90, src.Header().Height))
				if err != nil {
					t.Fatal(err)
				}
				bands = append(bands, bytes.Clone(img.(*image.RGBA).Pix))
			}
		}
		return bands
	}
	want := read(func() Source {
		rows, err := NewRows(bytes.NewReader(whole))
		if err != nil {
			t.Fatal(err)
		}
		return rows
	})
	got := read(func() Source {
		j, err := Join(tiles, overlap)
		if err != nil {
			t.Fatal(err)
		}
		return j
	})
	if d := cmp.Diff(want, got); d != "" {
		t.Error("bands of the joined tiles are not those of the whole picture")
	}
}

// TestJoinedBlames wants the tile named that cannot be read, what is open
// closed once, and every further call refused.
func TestJoinedBlames(t *testing.T) {
	good := encode(t, newPage(Header{5, 40, 3}, 0))
	open := 0
	counted := func(name string, b []byte) Tile {
		return Tile{name, func() (io.ReadCloser, error) {
			open++
			return closing{io.NopCloser(bytes.NewReader(b)), &open}, nil
		}}
	}
	tiles := []Tile{counted("a", good), counted("b", good[:len(good)-20]), counted("c", good)}
	j, err := Join(tiles, 10)
	if err != nil {
		t.Fatal(err)
	}
	_, err = drain(j)
	var blamed *TileError
	if !errors.As(err, &blamed) || blamed.Tile != 1 || blamed.Name != "b" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v blames %+v", err, blamed)
	}
	if _, again := j.Next(); again != err {
		t.Errorf("then %v, want %v", again, err)
	}
	if err := j.Close(); err != nil || open != 0 {
		t.Errorf("%d are open: %v", open, err)
	}
	if _, err := Seams(tiles, 10); !errors.As(err, &blamed) || blamed.Tile != 1 || open != 0 {
		t.Errorf("seams: %v, %d are open", err, open)
	}
	// The comparison leaves out the sum of the pixels, and no CRC.
	summed := bytes.Clone(good)
	summed[len(summed)-12-4-1] ^= 1 // the last byte of the last IDAT
	tiles[1] = counted("b", repair(summed))
	if _, err := Stitch(io.Discard, tiles, 10); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("stitching with a wrong sum: %v", err)
	}
	if _, err := Seams(tiles, 10); err != nil {
		t.Errorf("comparing with a wrong sum: %v", err)
	}
	tiles[1] = counted("b", summed)
	if _, err := Seams(tiles, 10); err == nil || !strings.Contains(err.Error(), "CRC") || open != 0 {
		t.Errorf("comparing with a wrong CRC: %v, %d are open", err, open)
	}
	if j, err = Join(tiles[:1], 10); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := j.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(j.Close(), j.Close()); err != nil || open != 0 {
		t.Errorf("%d are open: %v", open, err)
	}
	if _, err := j.Next(); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("a row after closing: %v", err)
	}
}

// FuzzSeams wants the comparison to tell what the stitching tells wherever
// that reads the tiles to their end.
func FuzzSeams(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, overlap := range []uint8{0, 1, 5} {
		img := random(rng, 7, 40, false)
		f.Add(refilter(rng, img, 3), refilter(rng, img, 4), overlap)
	}
	f.Fuzz(func(t *testing.T, a, b []byte, overlap uint8) {
		tiles := []Tile{tile("a", repair(a)), tile("b", repair(b))}
		for _, x := range tiles {
			if h, err := x.header(); err == nil && h.Width*h.Height > 1<<20 {
				return // no more than takes a moment
			}
		}
		want, err := Stitch(io.Discard, tiles, int(overlap))
		got, also := Seams(tiles, int(overlap))
		if err == nil && (also != nil || cmp.Diff(want, got) != "") {
			t.Errorf("stitching: %+v; comparing: %+v, %v", want, got, also)
		}
	})
}
