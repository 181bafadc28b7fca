package raster

import (
	"bytes"
	"errors"
	"image"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	base, err := drain(newPage(Header{60, 50, 4}, 0))
	if err != nil {
		t.Fatal(err)
	}
	changed := image.NewNRGBA(base.Rect)
	copy(changed.Pix, base.Pix)
	for _, p := range []image.Point{{9, 4}, {30, 4}, {12, 40}, {59, 49}} {
		changed.Pix[changed.PixOffset(p.X, p.Y)+2] ^= 0x80
	}
	narrow := random(rand.New(rand.NewPCG(1, 1)), 20, 70, true)
	for y := range 50 {
		copy(narrow.Pix[y*narrow.Stride:][:narrow.Stride], base.Pix[y*base.Stride:])
	}
	for name, c := range map[string]struct {
		a, b []byte
		want Difference
		same bool
	}{
		"the same":       {sub(t, base, 0, 50, 4), sub(t, base, 0, 50, 4), Difference{A: Header{60, 50, 4}, B: Header{60, 50, 4}}, true},
		"without alpha":  {sub(t, base, 0, 50, 3), sub(t, base, 0, 50, 4), Difference{A: Header{60, 50, 3}, B: Header{60, 50, 4}}, true},
		"four pixels":    {sub(t, base, 0, 50, 3), sub(t, changed, 0, 50, 3), Difference{A: Header{60, 50, 3}, B: Header{60, 50, 3}, Rows: 3, Pixels: 4, Bounds: image.Rect(9, 4, 60, 50)}, false},
		"part of it":     {sub(t, base, 0, 50, 3), sub(t, changed, 0, 41, 4), Difference{A: Header{60, 50, 3}, B: Header{60, 41, 4}, Rows: 2, Pixels: 3, Bounds: image.Rect(9, 4, 31, 41)}, false},
		"another size":   {sub(t, narrow, 0, 70, 4), sub(t, base, 0, 50, 3), Difference{A: Header{20, 70, 4}, B: Header{60, 50, 3}}, false},
		"size the other": {sub(t, base, 0, 50, 3), sub(t, narrow, 0, 70, 4), Difference{A: Header{60, 50, 3}, B: Header{20, 70, 4}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Diff(bytes.NewReader(c.a), bytes.NewReader(c.b))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if got.Same() != c.same {
				t.Errorf("same: %v", got.Same())
			}
		})
	}
}

// TestDiffReadsToTheEnd breaks a file behind the part that both have.
func TestDiffReadsToTheEnd(t *testing.T) {
	short, long := encode(t, newPage(Header{30, 20, 3}, 0)), encode(t, newPage(Header{30, 90, 3}, 0))
	long[len(long)-1] ^= 1
	if _, err := Diff(bytes.NewReader(short), bytes.NewReader(long)); err == nil {
		t.Error("a broken second picture is taken")
	}
	if _, err := Diff(bytes.NewReader(long), bytes.NewReader(short)); err == nil {
		t.Error("a broken first picture is taken")
	}
}

func TestOneColour(t *testing.T) {
	white := encodePlain(t, 30, 20)
	img := image.NewNRGBA(image.Rect(0, 0, 30, 20))
	one := func(x, y, at int) []byte {
		clear(img.Pix)
		img.Pix[img.PixOffset(x, y)+at] = 1
		return sub(t, img, 0, 20, 4)
	}
	stripes := image.NewNRGBA(image.Rect(0, 0, 30, 2))
	for i := range 120 {
		stripes.Pix[i] = 9
	}
	for name, c := range map[string]struct {
		b    []byte
		want bool
	}{
		"white": {white, true}, "last pixel": {one(29, 19, 0), false}, "first pixel": {one(0, 0, 1), false},
		"alpha": {one(14, 11, 3), false}, "stripes": {sub(t, stripes, 0, 2, 4), false},
		"single pixel": {encodePlain(t, 1, 1), true},
	} {
		if got, err := OneColour(bytes.NewReader(c.b)); got != c.want || err != nil {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
	}
	white[len(white)-1] ^= 1
	if _, err := OneColour(bytes.NewReader(white)); err == nil {
		t.Error("a broken picture of one colour is taken")
	}
}

// TestOneColourStops wants nothing read of a picture behind the buffers once
// it is known not to be of one colour.
func TestOneColourStops(t *testing.T) {
	img := random(rand.New(rand.NewPCG(2, 2)), 400, 400, true)
	b := sub(t, img, 0, 400, 4)
	if len(b) < 200<<10 {
		t.Fatalf("only %d bytes", len(b))
	}
	broken := io.MultiReader(bytes.NewReader(b[:128<<10]), iotest.ErrReader(errors.New("read too far")))
	if got, err := OneColour(broken); got || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}
