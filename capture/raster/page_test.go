package raster

import (
	"bytes"
	"image"
	"io"
	"math/rand/v2"
	"testing"
)

// A page makes the rows of a picture as pages have them: lines of dark text
// on white, photographs with noise, bars of one colour. It gives the same
// rows every time.
type page struct {
	head  Header
	first int // row of the whole page that Next begins with
	y     int
	row   []byte
}

func newPage(head Header, first int) *page {
	return &page{head: head, first: first, row: make([]byte, head.Width*head.Channels)}
}

func (p *page) Header() Header { return p.head }

func (p *page) Next() ([]byte, error) {
	if p.y == p.head.Height {
		return nil, io.EOF
	}
	paint(p.row, p.head.Channels, p.first+p.y)
	p.y++
	return p.row, nil
}

func paint(row []byte, channels, y int) {
	rng := rand.New(rand.NewPCG(uint64(y), 7))
	glyphs := rand.New(rand.NewPCG(uint64(y/26), uint64(y%26))) // lines of text
	for x := 0; x*channels < len(row); x++ {
		px := row[x*channels : x*channels+channels]
		r, g, b := byte(255), byte(255), byte(255)
		switch part := y % 600; {
		case part < 40:
			r, g, b = 0xb5, 0x2b, 0x27
		case part < 250 && x%320 > 20 && x%320 < 300:
			n := byte(rng.IntN(6))
			r, g, b = byte(x/5+y/7)+n, byte(x/9+part)+n, byte(200-part/3)+n
		case part > 270 && part%26 < 15 && x%320 > 20 && x%320 < 280:
			if glyphs.IntN(3) == 0 {
				r, g, b = 0x33, 0x33, 0x33
			}
		}
		px[0], px[1], px[2] = r, g, b
		if channels == 4 {
			px[3] = 255
		}
	}
}

// encode writes all rows of a source.
func encode(t testing.TB, src Source) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := newWriter(&b, src.Header())
	if err != nil {
		t.Fatal(err)
	}
	for {
		row, err := src.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := w.row(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// random makes a picture whose neighbouring pixels are alike now and then,
// so that encoders use every filter; opaque ones become colour type 2.
func random(rng *rand.Rand, width, height int, alpha bool) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	kind := rng.IntN(3)
	for i := range img.Pix {
		switch {
		case !alpha && i%4 == 3:
			img.Pix[i] = 255
		case kind == 0 || i < 4:
			img.Pix[i] = byte(rng.Uint32())
		case kind == 1:
			img.Pix[i] = img.Pix[i-4] + byte(rng.IntN(3))
		default:
			img.Pix[i] = byte(i/4%width*3 + i/(4*width)*5 + rng.IntN(2))
		}
	}
	return img
}

// tile is a picture in memory.
func tile(name string, b []byte) Tile {
	return Tile{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}
