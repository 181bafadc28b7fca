package corpus

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
)

// A picture is one to be drawn: its address is its seed, so that it is the
// same in every run and no two are alike.
type picture struct {
	width, height int
	kind          string // image/jpeg, image/png or image/svg+xml
}

func (p picture) draw(seed string) ([]byte, error) {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(seed))
	rng := rand.New(rand.NewPCG(sum.Sum64(), 1))
	var buf bytes.Buffer
	var err error
	switch p.kind {
	case "image/jpeg":
		err = jpeg.Encode(&buf, p.photo(rng), &jpeg.Options{Quality: 85})
	case "image/png":
		err = png.Encode(&buf, p.chart(rng))
	default:
		p.vector(&buf, rng)
	}
	if err != nil {
		return nil, fmt.Errorf("drawing %s: %w", seed, err)
	}
	return buf.Bytes(), nil
}

// photo is a picture as of goods before a backdrop: large soft shapes and the
// grain of a sensor, so that it takes the bytes and the time of a photograph.
func (p picture) photo(rng *rand.Rand) image.Image {
	m := image.NewYCbCr(image.Rect(0, 0, p.width, p.height), image.YCbCrSubsampleRatio420)
	type spot struct{ x, y, size, light int }
	spots := make([]spot, 5)
	for i := range spots {
		spots[i] = spot{rng.IntN(p.width), rng.IntN(p.height), 20 + rng.IntN(1+p.width/3), 20 + rng.IntN(90)}
	}
	base, slope := 90+rng.IntN(60), 1+rng.IntN(60)
	for y := range p.height {
		row := m.Y[y*m.YStride : y*m.YStride+p.width]
		var grain uint64
		light := 0
		for x := range row {
			if x%4 == 0 { // the shapes are soft: every fourth column is enough
				grain = rng.Uint64()
				light = base + slope*y/p.height
				for _, s := range spots {
					if dx, dy := x-s.x, y-s.y; dx*dx+dy*dy < s.size*s.size {
						light += s.light - s.light*(dx*dx+dy*dy)/(s.size*s.size)
					}
				}
			}
			row[x] = uint8(min(max(light+int(grain&15)-8, 0), 255))
			grain >>= 8
		}
	}
	cb, cr := 96+rng.IntN(64), 96+rng.IntN(64)
	for i := range m.Cb {
		m.Cb[i] = uint8(cb + i%m.CStride*16/m.CStride)
		m.Cr[i] = uint8(cr + i/m.CStride%16)
	}
	return m
}

// chart is a picture with flat areas and some texture, as badges and
// backgrounds are.
func (p picture) chart(rng *rand.Rand) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, p.width, p.height))
	bars := make([]color.NRGBA, 6)
	for i := range bars {
		bars[i] = color.NRGBA{uint8(rng.IntN(256)), uint8(rng.IntN(256)), uint8(rng.IntN(256)), 255}
	}
	for y := range p.height {
		for x := range p.width {
			c := bars[(x*len(bars)/p.width+y*len(bars)/p.height)%len(bars)]
			if (x+y)%3 == 0 {
				c.G ^= uint8(rng.IntN(16))
			}
			m.SetNRGBA(x, y, c)
		}
	}
	return m
}

// vector is an icon.
func (p picture) vector(buf *bytes.Buffer, rng *rand.Rand) {
	fmt.Fprintf(buf, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d">`, p.width, p.height, p.width, p.height)
	for range 12 {
		fmt.Fprintf(buf, `<path d="M%d %dQ%d %d %d %dT%d %d" fill="none" stroke="hsl(%d,70%%,45%%)" stroke-width="%d"/>`,
			rng.IntN(p.width), rng.IntN(p.height), rng.IntN(p.width), rng.IntN(p.height), rng.IntN(p.width), rng.IntN(p.height),
			rng.IntN(p.width), rng.IntN(p.height), rng.IntN(360), 1+rng.IntN(4))
	}
	fmt.Fprintf(buf, `<circle cx="%d" cy="%d" r="%d" fill="hsl(%d,60%%,55%%)"/></svg>`, p.width/2, p.height/2, p.width/5, rng.IntN(360))
}
