package pdf

import (
	"fmt"
	"strings"
	"unicode/utf16"

	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"rsc.io/qr"
)

// Text draws s on one line, with its left end at x and its base line at y,
// millimetres from the top left corner of the page. It returns the width.
func (d *Doc) Text(x, y float64, st Style, s string) float64 {
	s = d.Clean(st, s)
	style := ""
	if st.Bold {
		style = "B"
	}
	d.f.SetFont(family, style, st.points())
	g := int(st.Gray)
	d.f.SetTextColor(g, g, g)
	start := x
	for s != "" {
		n := strings.IndexFunc(s, func(r rune) bool { return r > 0xFFFF })
		if n != 0 {
			run := s
			if n > 0 {
				run = s[:n]
			}
			d.f.Text(x, y, run)
			x += d.cleanWidth(st, run)
			s = s[len(run):]
			continue
		}
		r := []rune(s)[0]
		d.glyph(x, y, st, r)
		x += d.cleanWidth(st, string(r))
		s = s[len(string(r)):]
	}
	return x - start
}

// placeholder stands invisibly where an outline is drawn, to carry its
// ActualText.
const placeholder = '\u25a1'

// glyph draws a character beyond U+FFFF as a filled outline. A marked-content
// span with /ActualText (PDF 32000-1 section 14.9.4) around an invisible
// glyph gives the character to copying and searching.
func (d *Doc) glyph(x, y float64, st Style, r rune) {
	segments, err := d.face(st).outline(r)
	if err != nil {
		d.keep(err)
		return
	}
	hi, lo := utf16.EncodeRune(r)
	d.f.RawWriteStr(fmt.Sprintf("/Span <</ActualText <FEFF%04X%04X>>> BDC", hi, lo))
	d.f.SetTextRenderingMode(3)
	d.f.Text(x, y, string(placeholder))
	d.f.SetTextRenderingMode(0)
	scale := st.points() / float64(d.face(st).units)
	d.f.RawWriteStr(outlinePath(segments, x/mmPerPoint, (PageHeight-y)/mmPerPoint, scale, st.Gray))
	d.f.RawWriteStr("EMC")
}

// outlinePath returns the drawing operators of a glyph at (ox, oy) points
// from the lower left corner. PDF has no quadratic curves; they are raised to
// cubic ones.
func outlinePath(segments sfnt.Segments, ox, oy, scale float64, gray uint8) string {
	var b strings.Builder
	fmt.Fprintf(&b, "q %.3f g\n", float64(gray)/255)
	at := func(p fixed.Point26_6) (float64, float64) {
		return ox + float64(p.X)*scale, oy - float64(p.Y)*scale
	}
	var cx, cy float64
	for i, s := range segments {
		x, y := at(s.Args[0])
		switch s.Op {
		case sfnt.SegmentOpMoveTo:
			if i > 0 {
				b.WriteString("h\n")
			}
			fmt.Fprintf(&b, "%.3f %.3f m\n", x, y)
		case sfnt.SegmentOpLineTo:
			fmt.Fprintf(&b, "%.3f %.3f l\n", x, y)
		case sfnt.SegmentOpQuadTo:
			ex, ey := at(s.Args[1])
			fmt.Fprintf(&b, "%.3f %.3f %.3f %.3f %.3f %.3f c\n",
				cx+(x-cx)*2/3, cy+(y-cy)*2/3, ex+(x-ex)*2/3, ey+(y-ey)*2/3, ex, ey)
			x, y = ex, ey
		case sfnt.SegmentOpCubeTo:
			mx, my := at(s.Args[1])
			ex, ey := at(s.Args[2])
			fmt.Fprintf(&b, "%.3f %.3f %.3f %.3f %.3f %.3f c\n", x, y, mx, my, ex, ey)
			x, y = ex, ey
		}
		cx, cy = x, y
	}
	b.WriteString("h f Q")
	return b.String()
}

// Line draws a black line of the given width.
func (d *Doc) Line(x1, y1, x2, y2, width float64) {
	d.f.SetDrawColor(0, 0, 0)
	d.f.SetLineWidth(width)
	d.f.Line(x1, y1, x2, y2)
}

// Box draws the outline of a rectangle.
func (d *Doc) Box(x, y, w, h, width float64) {
	d.f.SetDrawColor(0, 0, 0)
	d.f.SetLineWidth(width)
	d.f.Rect(x, y, w, h, "D")
}

// Fill fills a rectangle with a gray; 255 is white.
func (d *Doc) Fill(x, y, w, h float64, gray uint8) {
	g := int(gray)
	d.f.SetFillColor(g, g, g)
	d.f.Rect(x, y, w, h, "F")
	d.f.SetFillColor(0, 0, 0)
}

// QR draws text as a QR code (ISO/IEC 18004, level M) of the given side, with
// the quiet zone inside it, as filled rectangles.
func (d *Doc) QR(x, y, side float64, text string) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		d.keep(fmt.Errorf("encoding QR code: %w", err))
		return
	}
	const quiet = 4
	m := side / float64(code.Size+2*quiet)
	d.f.SetFillColor(0, 0, 0)
	for row := range code.Size {
		for col := 0; col < code.Size; col++ {
			n := 0
			for col+n < code.Size && code.Black(col+n, row) {
				n++
			}
			if n > 0 {
				d.f.Rect(x+float64(quiet+col)*m, y+float64(quiet+row)*m, float64(n)*m, m, "F")
				col += n
			}
		}
	}
}
