package raster

import (
	"bytes"
	"fmt"
	"image/png"
	"io"
	"testing"
	"time"
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

// BenchmarkSeams compares the seams of a page of 1280 by 20,000 pixels, in
// tiles as Chrome makes them when it is told to be quick (RGB, every row as its
// difference to the one above), with putting it together, which compares them
// too; times-less is the ratio.
func BenchmarkSeams(b *testing.B) {
	const height, most, overlap = 20_000, 8_000, 16
	var tiles []Tile
	for top := 0; top+overlap < height; top += most - overlap {
		h := Header{Width: 1280, Height: min(most, height-top), Channels: 3}
		tiles = append(tiles, tile(fmt.Sprintf("tile-%d", len(tiles)+1), encode(b, newPage(h, top))))
	}
	var each [2]time.Duration
	b.Run("stitch", func(b *testing.B) {
		for b.Loop() {
			if _, err := Stitch(io.Discard, tiles, overlap); err != nil {
				b.Fatal(err)
			}
		}
		each[0] = b.Elapsed() / time.Duration(b.N)
	})
	b.Run("compare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if r, err := Seams(tiles, overlap); err != nil || r.Height != height || r.Differing() != 0 {
				b.Fatal(r, err)
			}
		}
		each[1] = b.Elapsed() / time.Duration(b.N)
		b.ReportMetric(float64(each[0])/float64(each[1]), "times-less")
	})
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
