package raster

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image/png"
	"io"
	"testing"
	"time"

	"github.com/klauspost/compress/zlib"
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

// encodeSub writes a picture as Chrome does when it is told to be quick: every
// row as its difference to itself, one pixel to the left.
func encodeSub(b *testing.B, src Source) []byte {
	b.Helper()
	h := src.Header()
	var data bytes.Buffer
	z, err := zlib.NewWriterLevel(&data, zlib.BestSpeed)
	if err != nil {
		b.Fatal(err)
	}
	out := make([]byte, 1+h.Width*h.Channels)
	out[0] = filterSub
	for range h.Height {
		row, err := src.Next()
		if err != nil {
			b.Fatal(err)
		}
		copy(out[1:], row)
		subRows(out[1+h.Channels:], row[h.Channels:], row)
		if _, err := z.Write(out); err != nil {
			b.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		b.Fatal(err)
	}
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(h.Width)), uint32(h.Height))
	return file(part{typeHeader, append(head, 8, 6, 0, 0, 0)}, part{typeData, data.Bytes()}, part{typeEnd, nil})
}

// BenchmarkSeams compares the seams of a page of 1280 by 20,000 pixels, in
// tiles as Chrome makes them, with putting it together, which compares them
// too; times-less is the ratio.
func BenchmarkSeams(b *testing.B) {
	const height, most, overlap = 20_000, 8_000, 16
	var tiles []Tile
	for top := 0; top+overlap < height; top += most - overlap {
		h := Header{Width: 1280, Height: min(most, height-top), Channels: 4}
		tiles = append(tiles, tile(fmt.Sprintf("tile-%d", len(tiles)+1), encodeSub(b, newPage(h, top))))
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
