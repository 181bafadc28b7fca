package sheet

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math/rand/v2"
	"testing"

	"guzheng/capture"
	"guzheng/capture/raster"
)

// checkSlices fails unless the slices cover every row in order, fit a page,
// advance, and hold every line of text whole.
func checkSlices(t *testing.T, c *cutter, slices []slice) {
	t.Helper()
	end := 0
	for i, s := range slices {
		if s.Top > end || s.Top+s.Overlap != end || s.Bottom <= end && c.height > 0 {
			t.Fatalf("slice %d %+v does not continue at row %d", i, s, end)
		}
		if s.Bottom-s.Top > c.most {
			t.Fatalf("slice %d %+v is higher than %d rows", i, s, c.most)
		}
		end = s.Bottom
	}
	if end != c.height {
		t.Fatalf("slices end at %d, picture at %d", end, c.height)
	}
	for _, b := range c.boxes {
		whole := false
		for _, s := range slices {
			whole = whole || s.Top <= b.top && b.bottom <= s.Bottom
		}
		if !whole {
			t.Fatalf("line %+v is whole in no slice of %+v", b, slices)
		}
	}
}

func TestCutKeepsLinesWhole(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		height, most := 200+rng.IntN(8000), 100+rng.IntN(1500)
		var lines []capture.Line
		for range rng.IntN(300) {
			lines = append(lines, capture.Line{Text: "x", W: 10,
				Y: rng.Float64()*float64(height) - 5, H: rng.Float64() * float64(most) * 0.6})
		}
		c := newCutter(lines, 1+rng.Float64(), height, most)
		odd := rng.IntN(5) + 1
		c.plain = func(row int) bool { return row%odd == 0 }
		c.blind, c.broad = rng.IntN(100), rng.IntN(30)
		checkSlices(t, c, c.cut())
	}
}

func TestCutOverlapsWhereNothingIsFree(t *testing.T) {
	// Two columns whose lines are offset by half: no row boundary is free.
	var lines []capture.Line
	for y := 0.0; y < 4000; y += 20 {
		lines = append(lines, capture.Line{Text: "a", Y: y, H: 20, W: 1}, capture.Line{Text: "b", Y: y + 10, H: 20, W: 1})
	}
	c := newCutter(lines, 1, 4000, 1000)
	slices := c.cut()
	checkSlices(t, c, slices)
	for i, s := range slices[1:] {
		if s.Overlap == 0 {
			t.Errorf("slice %d does not overlap", i+2)
		}
	}
}

func TestCutPrefersBroadBands(t *testing.T) {
	lines := []capture.Line{{Text: "a", Y: 700, H: 100, W: 1}, {Text: "b", Y: 860, H: 60, W: 1}, {Text: "c", Y: 930, H: 300, W: 1}}
	c := newCutter(lines, 1, 2000, 1000)
	c.broad = 20
	if got := c.cut()[0].Bottom; got <= 800 || got >= 860 {
		t.Errorf("cut at %d, want it in the band between 800 and 860", got)
	}
}

func TestCutWithoutText(t *testing.T) {
	c := newCutter(nil, 1, 5000, 1000)
	c.plain = func(int) bool { return false }
	c.blind = 60
	slices := c.cut()
	checkSlices(t, c, slices)
	if slices[1].Overlap != 60 {
		t.Errorf("overlap %d, want 60", slices[1].Overlap)
	}
}

func TestPlainRows(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 5, 3))
	draw.Draw(img, img.Rect, image.White, image.Point{}, draw.Src)
	img.Set(4, 1, color.Black)
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	rows, err := raster.NewRows(&b)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := readPlain(rows)
	if err != nil || len(plain) != 3 {
		t.Fatal(plain, err)
	}
	for row, want := range map[int]bool{-1: true, 0: true, 1: false, 2: true, 3: true} {
		if got := plain.is(row); got != want {
			t.Errorf("row %d: %v, want %v", row, got, want)
		}
	}
}
