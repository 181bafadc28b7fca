package ordeal

import (
	"encoding/binary"
	"slices"
)

// A font is made here rather than kept as a file: ten digits of seven bars,
// each drawn where another is written. The text of a page says 123 and the
// eye reads 456. The tables are those of the OpenType specification 1.9.

// swap is where the drawing of each digit is taken from.
const swap = "3456789012"

// bars of the digits: a top, b upper right, c lower right, d bottom, e lower
// left, f upper left, g middle.
const bars = "abcdef bc abged abgcd fgbc afgcd afgedc abc abcdefg abcfgd"

const (
	em      = 1000
	advance = 600
)

// swappedFont returns a TrueType font with ten digits, the first of which is
// written with the character first.
func swappedFont(first rune) []byte {
	glyphs, loca := glyphTable()
	tables := map[string][]byte{
		"cmap": charMap(first), "glyf": glyphs, "head": headTable(), "hhea": hheaTable(), "hmtx": metrics(),
		"loca": loca, "maxp": maxpTable(), "name": nameTable(), "OS/2": os2Table(first), "post": postTable(),
	}
	var tags []string
	for tag := range tables {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	out := u16(nil, 1, 0, len(tags), 128, 3, len(tags)*16-128)
	offset := 12 + 16*len(tags)
	var body []byte
	for _, tag := range tags {
		t := tables[tag]
		padded := append(slices.Clone(t), make([]byte, -len(t)&3)...)
		out = append(out, tag...)
		out = u32(out, sum32(padded), uint32(offset), uint32(len(t)))
		body = append(body, padded...)
		offset += len(padded)
	}
	return append(out, body...)
}

func u16(b []byte, values ...int) []byte {
	for _, v := range values {
		b = binary.BigEndian.AppendUint16(b, uint16(v))
	}
	return b
}

func u32(b []byte, values ...uint32) []byte {
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

// sum32 is the checksum of a table whose length is a multiple of four.
func sum32(b []byte) uint32 {
	var sum uint32
	for ; len(b) >= 4; b = b[4:] {
		sum += binary.BigEndian.Uint32(b)
	}
	return sum
}

// box is a bar as left, bottom, right, top.
func box(bar byte) (l, b, r, t int) {
	switch bar {
	case 'a':
		return 80, 640, 520, 720
	case 'b':
		return 440, 360, 520, 720
	case 'c':
		return 440, 0, 520, 360
	case 'd':
		return 80, 0, 520, 80
	case 'e':
		return 80, 0, 160, 360
	case 'f':
		return 80, 360, 160, 720
	}
	return 80, 320, 520, 400
}

// glyphTable draws glyph 0, which is empty, and the ten digits.
func glyphTable() (glyf, loca []byte) {
	digits := splitBars()
	loca = u16(nil, 0, 0)
	for i := range digits {
		glyf = append(glyf, glyph(digits[swap[i]-'0'])...)
		glyf = append(glyf, make([]byte, -len(glyf)&3)...)
		loca = u16(loca, len(glyf)/2)
	}
	return glyf, loca
}

func splitBars() []string {
	out := []string{""}
	for _, c := range bars {
		if c == ' ' {
			out = append(out, "")
			continue
		}
		out[len(out)-1] += string(c)
	}
	return out
}

// glyph draws each bar as a contour of four points.
func glyph(bars string) []byte {
	b := u16(nil, len(bars), 80, 0, 520, 720)
	for i := range bars {
		b = u16(b, 4*i+3)
	}
	b = u16(b, 0)
	var xs, ys []int
	for i := range bars {
		l, bottom, r, t := box(bars[i])
		xs, ys = append(xs, l, l, r, r), append(ys, bottom, t, t, bottom)
		b = append(b, 1, 1, 1, 1) // on the curve, coordinates of two bytes
	}
	for _, list := range [][]int{xs, ys} {
		last := 0
		for _, v := range list {
			b = u16(b, v-last)
			last = v
		}
	}
	return b
}

// charMap maps ten characters to the glyphs 1 to 10 (format 4).
func charMap(first rune) []byte {
	from := int(first)
	b := u16(nil, 0, 1, 3, 1, 0, 12)
	return u16(b, 4, 32, 0, 4, 4, 1, 0, from+9, 0xFFFF, 0, from, 0xFFFF, 1-from, 1, 0, 0)
}

func headTable() []byte {
	b := u32(nil, 0x10000, 0x10000, 0, 0x5F0F3CF5)
	b = u16(b, 3, em)
	b = u32(b, 0, 0, 0, 0) // made and changed at no time
	return u16(b, 0, 0, advance, 720, 0, 8, 2, 0, 0)
}

func hheaTable() []byte {
	b := u32(nil, 0x10000)
	return u16(b, 800, -200, 0, advance, 80, 80, 520, 1, 0, 0, 0, 0, 0, 0, 0, 11)
}

func metrics() []byte {
	b := u16(nil, advance, 0)
	for range 10 {
		b = u16(b, advance, 80)
	}
	return b
}

func maxpTable() []byte {
	b := u32(nil, 0x10000)
	return u16(b, 11, 28, 7, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0)
}

func nameTable() []byte {
	names := []string{"Ordeal", "Regular", "Ordeal swapped", "Ordeal"}
	var records, text []byte
	for i, n := range names {
		records = u16(records, 3, 1, 0x409, []int{1, 2, 4, 6}[i], 2*len(n), len(text))
		for _, c := range n {
			text = u16(text, int(c))
		}
	}
	b := u16(nil, 0, len(names), 6+12*len(names))
	return append(append(b, records...), text...)
}

func os2Table(first rune) []byte {
	b := u16(nil, 4, advance, 400, 5, 0, 300, 300, 0, 0, 300, 300, 0, 300, 50, 300, 0)
	b = append(b, make([]byte, 10)...) // PANOSE: any
	b = u32(b, 0, 0, 0, 0)
	b = append(b, "NONE"...)
	b = u16(b, 0x40, int(first), int(first)+9, 800, -200, 0, 800, 200)
	b = u32(b, 1, 0)
	return u16(b, 400, 720, 0, int(first), 1)
}

func postTable() []byte {
	return u32(nil, 0x30000, 0, 0xFFCE0032, 0, 0, 0, 0, 0)
}
