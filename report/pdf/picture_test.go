package pdf

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPicturesAreInTheirPlaces reads the pictures out of a document with
// another program and wants every pixel where it was put.
func TestPicturesAreInTheirPlaces(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	d := newDoc(t)
	var put []*image.RGBA
	for i := range 12 {
		img := image.NewRGBA(image.Rect(0, 100, 20+i%3*7, 140+i))
		for p := range img.Pix {
			img.Pix[p] = byte(rng.Uint32()) | byte(p%4/3*255)
		}
		d.AddPage()
		d.Picture(img, img.Rect, 20, 20, 50, 50)
		put = append(put, img)
	}
	name := save(t, output(t, d))
	run(t, "qpdf", "--check", name)
	base := filepath.Join(t.TempDir(), "p")
	run(t, "pdfimages", "-png", name, base)
	for i, want := range put {
		f, err := os.Open(fmt.Sprintf("%s-%03d.png", base, i))
		if err != nil {
			t.Fatal(err)
		}
		got, err := png.Decode(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if got.Bounds().Dy() != want.Rect.Dy() || got.Bounds().Dx() < want.Rect.Dx() {
			t.Fatalf("picture %d is %v, want %v", i, got.Bounds(), want.Rect)
		}
		for y := range got.Bounds().Dy() {
			for x := range got.Bounds().Dx() {
				c := color.RGBA{255, 255, 255, 255}
				if x < want.Rect.Dx() {
					c = want.RGBAAt(x, 100+y)
				}
				if g := color.RGBAModel.Convert(got.At(x, y)); g != c {
					t.Fatalf("picture %d, pixel %d, %d is %v, want %v", i, x, y, g, c)
				}
			}
		}
	}
}

func TestSpliceRefuses(t *testing.T) {
	d := newDoc(t)
	d.AddPage()
	d.Picture(image.NewRGBA(image.Rect(0, 0, 4, 4)), image.Rect(0, 0, 4, 4), 20, 20, 50, 50)
	var b bytes.Buffer
	if err := d.f.Output(&b); err != nil {
		t.Fatal(err)
	}
	sound, one := b.String(), [][]byte{{1, 2, 3}}
	if err := splice(io.Discard, b.Bytes(), one); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		doc      string
		pictures [][]byte
		want     string
	}{
		"a picture too many":   {sound, append(one, one...), "placing picture 2 of 2"},
		"a stand-in twice":     {sound + "/Length 14>>\nstream\npicture-000000\nendstream", one, "placing picture 1 of 1"},
		"no table":             {strings.ReplaceAll(sound, "startxref", "startxyz"), one, "cross-reference"},
		"table elsewhere":      {strings.Replace(sound, "\nxref\n", "\nxyzf\n", 1), one, "cross-reference"},
		"table beyond the end": {sound[:strings.LastIndex(sound, "startxref")] + "startxref\n99999999\n%%EOF\n", one, "cross-reference"},
	} {
		if err := splice(io.Discard, []byte(c.doc), c.pictures); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want it to say %q", name, err, c.want)
		}
	}
}
