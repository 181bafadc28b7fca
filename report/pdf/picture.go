package pdf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/png"

	gofpdf "codeberg.org/go-pdf/fpdf"
)

// An album holds the pictures of a document, deflated as they are written.
// The library would hold each of them twice, and the whole document once
// more while its buffer grows; a page of 100,000 pixels took 500 MB. It is
// given stand-ins instead, and splice puts the pictures in their places.
type album struct {
	packed [][]byte
	widths map[int]bool // of the pictures, in pixels
	room   image.RGBA   // for the part being encoded, used again
	png    bytes.Buffer // its encoding, used again
	enc    png.EncoderBuffer
}

// Get and Put let the encoder use its buffers again.
func (a *album) Get() *png.EncoderBuffer { return &a.enc }
func (a *album) Put(*png.EncoderBuffer)  {}

// Picture prints the part of img within r, w by h millimetres large. The
// part is encoded anew over a white ground; it is a picture for reading, the
// evidence is the original file.
func (d *Doc) Picture(img image.Image, r image.Rectangle, x, y, w, h float64) {
	a := &d.album
	cols := a.ownWidth(r.Dx())
	part := a.blank(cols, r.Dy())
	draw.Draw(part, image.Rect(0, 0, r.Dx(), r.Dy()), img, r.Min, draw.Over)
	a.png.Reset()
	enc := png.Encoder{CompressionLevel: png.BestSpeed, BufferPool: a}
	if err := enc.Encode(&a.png, part); err != nil {
		d.keep(fmt.Errorf("encoding picture part: %w", err))
		return
	}
	data, err := deflated(a.png.Bytes())
	if err != nil {
		d.keep(fmt.Errorf("encoding picture part: %w", err))
		return
	}
	stand := standIn(len(a.packed))
	a.packed = append(a.packed, data)
	opt := gofpdf.ImageOptions{ImageType: "PNG"}
	info := d.f.RegisterImageOptionsReader(stand, opt, bytes.NewReader(standInPNG(cols, r.Dy(), stand)))
	if err := shrink(info); err != nil {
		d.keep(fmt.Errorf("registering picture: %w", err))
		return
	}
	d.f.ClipRect(x, y, w, h, false)
	d.f.ImageOptions(stand, x, y, w*float64(cols)/float64(r.Dx()), h, false, opt, 0, "")
	d.f.ClipEnd()
}

// blank is a white picture.
func (a *album) blank(w, h int) *image.RGBA {
	n := 4 * w * h
	if cap(a.room.Pix) < n {
		a.room.Pix = make([]byte, n+n/8) // the next one is a column wider
	}
	a.room = image.RGBA{Pix: a.room.Pix[:n], Stride: 4 * w, Rect: image.Rect(0, 0, w, h)}
	draw.Draw(&a.room, a.room.Rect, image.NewUniform(color.White), image.Point{}, draw.Src)
	return &a.room
}

// ownWidth returns the smallest width of at least n pixels that no picture
// has yet. The library writes pictures in the order of their widths and those
// of one width at random, which would make the same input give different
// bytes; so every picture gets a width of its own, and the white columns
// added are clipped away.
func (a *album) ownWidth(n int) int {
	for a.widths[n] {
		n++
	}
	a.widths[n] = true
	return n
}

// deflated takes the pixels out of a PNG as they stand in a PDF: what its
// IDAT chunks hold (PDF 32000-1 section 7.4.4.4, predictor 15).
func deflated(b []byte) ([]byte, error) {
	const signature, frame = 8, 12 // bytes; a chunk has length, type and CRC
	var parts [][]byte
	for b = b[signature:]; len(b) >= frame; {
		n := int(binary.BigEndian.Uint32(b))
		if n > len(b)-frame {
			break
		}
		if string(b[4:8]) == "IDAT" {
			parts = append(parts, b[8:8+n])
		}
		b = b[frame+n:]
	}
	if len(b) != 0 || len(parts) == 0 {
		return nil, errors.New("chunks do not end with the file")
	}
	return bytes.Join(parts, nil), nil
}

// standIn is what the library writes instead of the pixels of picture n.
func standIn(n int) string { return fmt.Sprintf("picture-%06d", n) }

// standInPNG is a PNG that says its size and has a text for pixels. The
// library copies the pixels of an opaque picture without looking at them.
func standInPNG(w, h int, text string) []byte {
	head := binary.BigEndian.AppendUint32(nil, uint32(w))
	head = binary.BigEndian.AppendUint32(head, uint32(h))
	head = append(head, 8, 2, 0, 0, 0) // 8 bits, RGB
	b := []byte("\x89PNG\r\n\x1a\n")
	for _, c := range []struct{ kind, body string }{{"IHDR", string(head)}, {"IDAT", text}, {"IEND", ""}} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(c.body)))
		b = append(b, c.kind+c.body...)
		b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE([]byte(c.kind+c.body)))
	}
	return b
}

// shrink gives back the memory that the library set aside for the pixels, an
// eighth of a byte for each.
func shrink(info *gofpdf.ImageInfoType) error {
	if info == nil {
		return nil // the library keeps its error itself
	}
	b, err := info.GobEncode()
	if err != nil {
		return err
	}
	var small gofpdf.ImageInfoType
	if err := small.GobDecode(b); err != nil {
		return err
	}
	*info = small
	return nil
}
