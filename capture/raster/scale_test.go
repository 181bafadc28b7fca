package raster

import (
	"bytes"
	"image"
	"image/png"
	"math"
	"math/rand/v2"
	"testing"
)

// mean is the mean of a channel over an area, over white, by numbers with
// fractions.
func mean(img *image.NRGBA, x0, y0, x1, y1 float64, c int) float64 {
	sum, area := 0.0, 0.0
	for y := int(y0); y < img.Rect.Dy() && float64(y) < y1; y++ {
		for x := int(x0); x < img.Rect.Dx() && float64(x) < x1; x++ {
			part := (min(x1, float64(x+1)) - max(x0, float64(x))) * (min(y1, float64(y+1)) - max(y0, float64(y)))
			p := img.Pix[img.PixOffset(x, y):]
			a := float64(p[3]) / 255
			sum += part * (float64(p[c])*a + 255*(1-a))
			area += part
		}
	}
	return sum / area
}

func TestScaledIsTheMean(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for n := range 200 {
		img := random(rng, 1+rng.IntN(40), 1+rng.IntN(60), n%2 == 0)
		w, h := img.Rect.Dx(), img.Rect.Dy()
		width := 1 + rng.IntN(w)
		s := NewScaled(&imageRows{img: img, head: Header{w, h, 4}}, width)
		step := float64(w) / float64(width)
		if want := (Header{width, int(math.Ceil(float64(h)/step - 1e-9)), 3}); s.Header() != want {
			t.Fatalf("%d×%d to width %d: %v, want %v", w, h, width, s.Header(), want)
		}
		got, err := drain(s)
		if err != nil {
			t.Fatal(err)
		}
		if got.Rect.Dy() != s.Header().Height {
			t.Fatalf("%d rows, want %d", got.Rect.Dy(), s.Header().Height)
		}
		for y := range got.Rect.Dy() {
			for x := range width {
				for c := range 3 {
					want := mean(img, float64(x)*step, float64(y)*step, float64(x+1)*step, float64(y+1)*step, c)
					if v := float64(got.Pix[got.PixOffset(x, y)+c]); math.Abs(v-want) > 1.01 {
						t.Fatalf("%d×%d to width %d: pixel %d, %d channel %d is %v, want %v", w, h, width, x, y, c, v, want)
					}
				}
			}
		}
	}
}

func TestThumbnail(t *testing.T) {
	for _, c := range []struct {
		head              Header
		width, maxHeight  int
		wantW, wantH, top int
	}{
		{Header{1280, 6000, 3}, 320, 400, 320, 400, 1600},
		{Header{1280, 800, 4}, 320, 400, 320, 200, 800},
		{Header{100, 50, 3}, 320, 400, 100, 50, 50},
		{Header{1, 3000, 4}, 320, 400, 1, 400, 400},
	} {
		var out bytes.Buffer
		if err := Thumbnail(&out, bytes.NewReader(encode(t, newPage(c.head, 0))), c.width, c.maxHeight); err != nil {
			t.Fatal(err)
		}
		if out.Len() > 200<<10 {
			t.Errorf("%v: %d bytes", c.head, out.Len())
		}
		got, err := png.Decode(&out)
		if err != nil {
			t.Fatal(err)
		}
		if got.Bounds() != image.Rect(0, 0, c.wantW, c.wantH) {
			t.Errorf("%v: %v, want %d×%d", c.head, got.Bounds(), c.wantW, c.wantH)
		}
		want, err := drain(NewScaled(newPage(Header{c.head.Width, c.top, c.head.Channels}, 0), c.wantW))
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, want)
	}
	pic := encode(t, newPage(Header{100, 50, 3}, 0))
	for _, side := range [][2]int{{0, 10}, {10, 0}, {maxThumbnail + 1, 10}, {10, maxThumbnail + 1}} {
		if err := Thumbnail(&bytes.Buffer{}, bytes.NewReader(pic), side[0], side[1]); err == nil {
			t.Errorf("a thumbnail of %d×%d pixels was made", side[0], side[1])
		}
	}
}

func TestBands(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	for n := range 100 {
		channels := 3 + n%2
		img := random(rng, 1+rng.IntN(20), 30+rng.IntN(100), channels == 4)
		h := img.Rect.Dy()
		b := NewBands(&imageRows{img: img, head: Header{img.Rect.Dx(), h, channels}})
		for from := rng.IntN(20); from < h; from += rng.IntN(15) {
			to := min(h, from+1+rng.IntN(25))
			got, err := b.Band(from, to)
			if err != nil {
				t.Fatal(err)
			}
			rect := image.Rect(0, from, img.Rect.Dx(), to)
			if got.Bounds() != rect {
				t.Fatalf("%v, want %v", got.Bounds(), rect)
			}
			same(t, got, img.SubImage(rect).(*image.NRGBA))
		}
	}
}

func TestBandsRefuse(t *testing.T) {
	b := NewBands(newPage(Header{10, 50, 3}, 0))
	if _, err := b.Band(20, 30); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]int{{19, 30}, {25, 25}, {40, 51}, {-1, 5}} {
		if _, err := b.Band(c[0], c[1]); err == nil {
			t.Errorf("rows %d to %d were cut", c[0], c[1])
		}
	}
	if _, err := b.Band(20, 50); err != nil {
		t.Errorf("after refusals: %v", err)
	}
	short := encode(t, newPage(Header{10, 50, 3}, 0))
	rows, err := NewRows(bytes.NewReader(short[:len(short)-40]))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewBands(rows).Band(0, 50); err == nil {
		t.Error("a band of a file cut off was handed out")
	}
}

func TestPlain(t *testing.T) {
	for _, c := range []struct {
		row      []byte
		channels int
		want     bool
	}{
		{[]byte{1, 2, 3}, 3, true}, {[]byte{1, 2, 3, 1, 2, 3}, 3, true}, {[]byte{1, 2, 3, 1, 2, 4}, 3, false},
		{[]byte{1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 5}, 4, false}, {[]byte{7, 7, 7, 7, 7, 7, 7, 7}, 4, true},
	} {
		if got := Plain(c.row, c.channels); got != c.want {
			t.Errorf("%v: %v", c.row, got)
		}
	}
}
