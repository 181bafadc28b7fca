package raster

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zlib"
)

// writer writes a PNG row by row. Its size stands first in the file and must
// be known.
type writer struct {
	head     Header
	w        io.Writer
	packed   *bufio.Writer // what it flushes becomes an IDAT chunk
	z        *zlib.Writer
	last     []byte
	filtered []byte
	written  int
}

// newWriter writes the header.
func newWriter(w io.Writer, head Header) (*writer, error) {
	p := &writer{head: head, w: w}
	colour := byte(2)
	if head.Channels == 4 {
		colour = 6
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(head.Width))
	b = binary.BigEndian.AppendUint32(b, uint32(head.Height))
	b = append(b, 8, colour, 0, 0, 0)
	if _, err := io.WriteString(w, signature); err != nil {
		return nil, fmt.Errorf("writing PNG: %w", err)
	}
	if err := writeChunk(w, typeHeader, b); err != nil {
		return nil, err
	}
	p.packed = bufio.NewWriterSize(dataWriter{w}, 64<<10)
	var err error
	if p.z, err = zlib.NewWriterLevel(p.packed, zlib.BestSpeed); err != nil {
		return nil, fmt.Errorf("writing PNG: %w", err)
	}
	n := head.Width * head.Channels
	p.last, p.filtered = make([]byte, n), make([]byte, 1+n)
	return p, nil
}

// row writes a row. All but the first are written as their difference to the
// row above: it costs next to nothing, and pages are mostly areas of one
// colour.
func (p *writer) row(row []byte) error {
	if p.written == p.head.Height || len(row) != len(p.last) {
		return fmt.Errorf("writing PNG: row %d of %d, %d bytes wide", p.written, p.head.Height, len(row))
	}
	p.filtered[0] = filterUp
	subRows(p.filtered[1:], row, p.last)
	copy(p.last, row)
	p.written++
	if _, err := p.z.Write(p.filtered); err != nil {
		return fmt.Errorf("writing PNG: %w", err)
	}
	return nil
}

// close ends the file.
func (p *writer) close() error {
	if p.written != p.head.Height {
		return fmt.Errorf("writing PNG: ends at row %d of %d", p.written, p.head.Height)
	}
	if err := p.z.Close(); err != nil {
		return fmt.Errorf("writing PNG: %w", err)
	}
	if err := p.packed.Flush(); err != nil {
		return fmt.Errorf("writing PNG: %w", err)
	}
	return writeChunk(p.w, typeEnd, nil)
}

// dataWriter writes every piece it gets as an IDAT chunk.
type dataWriter struct{ w io.Writer }

func (d dataWriter) Write(b []byte) (int, error) {
	if err := writeChunk(d.w, typeData, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

func writeChunk(w io.Writer, kind string, body []byte) error {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	head = append(head, kind...)
	sum := crc32.Update(crc32.ChecksumIEEE(head[4:]), crc32.IEEETable, body)
	for _, part := range [][]byte{head, body, binary.BigEndian.AppendUint32(nil, sum)} {
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("writing PNG chunk %s: %w", kind, err)
		}
	}
	return nil
}
