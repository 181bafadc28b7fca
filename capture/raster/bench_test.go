package raster

import (
	"bytes"
	"fmt"
	"image/png"
	"io"
	"testing"
)

// benchTiles cuts a page of 1280 by height pixels as a capture does.
func benchTiles(b *testing.B, height, overlap int) []Tile {
	b.Helper()
	const step = 8000
	var out []Tile
	for top := 0; top < height; top += step {
		h := Header{Width: 1280, Height: min(step+overlap, height-top), Channels: 4}
		out = append(out, tile(fmt.Sprintf("tile-%d", len(out)+1), encode(b, newPage(h, top))))
		if top+h.Height == height {
			break
		}
	}
	return out
}

// BenchmarkRows reads a picture row by row; MB/s are of its pixels.
func BenchmarkRows(b *testing.B) {
	pic := encode(b, newPage(Header{1280, 8000, 4}, 0))
	b.SetBytes(1280 * 8000 * 4)
	b.ReportAllocs()
	for b.Loop() {
		rows, err := NewRows(bytes.NewReader(pic))
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = rows.Next()
		}
		if err != io.EOF {
			b.Fatal(err)
		}
	}
}

// BenchmarkImagePNG decodes the same picture whole, for comparison.
func BenchmarkImagePNG(b *testing.B) {
	pic := encode(b, newPage(Header{1280, 8000, 4}, 0))
	b.SetBytes(1280 * 8000 * 4)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := png.Decode(bytes.NewReader(pic)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStitch puts a page of 1280 by 40,000 pixels together.
func BenchmarkStitch(b *testing.B) {
	tiles := benchTiles(b, 40_000, 64)
	b.SetBytes(1280 * 40_000 * 4)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Stitch(io.Discard, tiles, 64); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkThumbnail(b *testing.B) {
	pic := encode(b, newPage(Header{1280, 8000, 4}, 0))
	b.ReportAllocs()
	for b.Loop() {
		if err := Thumbnail(io.Discard, bytes.NewReader(pic), 320, 400); err != nil {
			b.Fatal(err)
		}
	}
}
