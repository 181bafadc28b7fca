package raster

import "encoding/binary"

// Filter types (PNG section 9.2).
const (
	filterNone = iota
	filterSub
	filterUp
	filterAverage
	filterPaeth
)

// unfilter restores a row in place from its filtered bytes and the restored
// row above, which is zero above the first. It reports whether the filter is
// known.
func unfilter(filter byte, row, above []byte, channels int) bool {
	switch filter {
	case filterNone:
	case filterSub:
		unfilterSub(row, channels)
	case filterUp:
		addRows(row, above)
	case filterAverage:
		unfilterAverage(row, above, channels)
	case filterPaeth:
		unfilterPaeth(row, above, channels)
	default:
		return false
	}
	return true
}

// Masks to add bytes that lie side by side in a word without carrying from
// one into the next: the low seven bits are added, the top bits put in by
// exclusive or.
const (
	low8, top8 = 0x7f7f7f7f7f7f7f7f, 0x8080808080808080
	low4, top4 = 0x7f7f7f7f, 0x80808080
)

// unfilterSub is apart for four channels because Chrome filters so when it
// is told to be quick.
func unfilterSub(row []byte, channels int) {
	if channels == 4 {
		var a uint32
		for ; len(row) >= 4; row = row[4:] {
			x := binary.LittleEndian.Uint32(row)
			a = (x&low4 + a&low4) ^ (x^a)&top4
			binary.LittleEndian.PutUint32(row, a)
		}
		return
	}
	var r, g, b byte
	for ; len(row) >= 3; row = row[3:] {
		r, g, b = r+row[0], g+row[1], b+row[2]
		row[0], row[1], row[2] = r, g, b
	}
}

// addRows adds b to a, byte by byte.
func addRows(a, b []byte) {
	for ; len(a) >= 8 && len(b) >= 8; a, b = a[8:], b[8:] {
		x, y := binary.LittleEndian.Uint64(a), binary.LittleEndian.Uint64(b)
		binary.LittleEndian.PutUint64(a, (x&low8+y&low8)^(x^y)&top8)
	}
	for i := range min(len(a), len(b)) {
		a[i] += b[i]
	}
}

// subRows writes a - b into out, byte by byte.
func subRows(out, a, b []byte) {
	for ; len(a) >= 8 && len(b) >= 8 && len(out) >= 8; out, a, b = out[8:], a[8:], b[8:] {
		x, y := binary.LittleEndian.Uint64(a), binary.LittleEndian.Uint64(b)
		binary.LittleEndian.PutUint64(out, ((x|top8)-y&low8)^(x^^y)&top8)
	}
	for i := range min(len(a), len(b), len(out)) {
		out[i] = a[i] - b[i]
	}
}

func unfilterAverage(row, above []byte, channels int) {
	for c := range channels {
		var a int
		for i := c; i < len(row) && i < len(above); i += channels {
			a = int(row[i]+byte((a+int(above[i]))/2)) & 0xff
			row[i] = byte(a)
		}
	}
}

func unfilterPaeth(row, above []byte, channels int) {
	for ch := range channels {
		var a, c int
		for i := ch; i < len(row) && i < len(above); i += channels {
			b := int(above[i])
			a = int(row[i]+byte(paeth(a, b, c))) & 0xff
			row[i] = byte(a)
			c = b
		}
	}
}

// paeth picks the neighbour nearest to a + b - c (PNG section 9.4).
func paeth(a, b, c int) int {
	pa, pb := b-c, a-c
	pc := pa + pb
	pa, pb, pc = max(pa, -pa), max(pb, -pb), max(pc, -pc)
	switch {
	case pa <= pb && pa <= pc:
		return a
	case pb <= pc:
		return b
	}
	return c
}
