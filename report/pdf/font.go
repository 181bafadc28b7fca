package pdf

import (
	"embed"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// ErrFonts says that the binary was built without the fonts.
var ErrFonts = errors.New("fonts missing: run make assets")

// Names in the folder begin with a capital letter where they are meant for
// the binary: README.md, which always exists, the two fonts and OFL.txt.
//
//go:embed fonts/[A-Z]*
var fonts embed.FS

// FontLicence returns the licence text of the embedded fonts.
func FontLicence() (string, error) {
	b, err := fonts.ReadFile("fonts/OFL.txt")
	if err != nil {
		return "", ErrFonts
	}
	return string(b), nil
}

// A face is one weight of the font: its bytes for the PDF library, its
// tables for widths and outlines.
type face struct {
	bytes  []byte
	font   *sfnt.Font
	buf    sfnt.Buffer
	units  fixed.Int26_6 // units per em, as the size at which one unit is one pixel
	widths map[rune]float64
}

func loadFace(name string) (*face, error) {
	b, err := fonts.ReadFile("fonts/" + name)
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", ErrFonts, name)
	}
	f, err := sfnt.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("reading font %s: %w", name, err)
	}
	return &face{bytes: b, font: f, units: fixed.I(int(f.UnitsPerEm())), widths: map[rune]float64{}}, nil
}

// width returns the advance of r in ems, or -1 when the font has no glyph.
func (f *face) width(r rune) float64 {
	if w, ok := f.widths[r]; ok {
		return w
	}
	w := -1.0
	if g, err := f.font.GlyphIndex(&f.buf, r); err == nil && g != 0 {
		if adv, err := f.font.GlyphAdvance(&f.buf, g, f.units, font.HintingNone); err == nil {
			w = float64(adv) / float64(f.units)
		}
	}
	f.widths[r] = w
	return w
}

// outline returns the glyph's segments in font units, y downwards.
func (f *face) outline(r rune) (sfnt.Segments, error) {
	g, err := f.font.GlyphIndex(&f.buf, r)
	if err != nil {
		return nil, fmt.Errorf("looking up U+%04X: %w", r, err)
	}
	s, err := f.font.LoadGlyph(&f.buf, g, f.units, nil)
	if err != nil {
		return nil, fmt.Errorf("loading outline of U+%04X: %w", r, err)
	}
	return s, nil
}

// A Style is how a text is set. The zero value is black, regular, 10.5 pt.
type Style struct {
	Size float64 // points
	Bold bool
	Gray uint8 // 0 is black
}

func (s Style) points() float64 {
	if s.Size == 0 {
		return 10.5
	}
	return s.Size
}

// Leading is the usual distance of base lines in millimetres.
func (s Style) Leading() float64 { return s.points() * 1.55 * mmPerPoint }

func (d *Doc) face(s Style) *face {
	if s.Bold {
		return d.bold
	}
	return d.regular
}

// Clean returns s as it can be printed: tabs become spaces; control, format
// (zero-width, bidirectional), variation-selector and private-use characters
// and those without a glyph become visible as [U+XXXX], bytes that are not
// UTF-8 as [0xXX]. Every text passes Clean before it is measured or drawn.
func (d *Doc) Clean(st Style, s string) string {
	f := d.face(st)
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			fmt.Fprintf(&b, "[0x%02X]", s[i])
			n = 1
		case r == '\t':
			b.WriteString("    ")
		case hidden(r) || f.width(r) < 0:
			fmt.Fprintf(&b, "[U+%04X]", r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// hidden reports whether a reader could not see r, or r could change how
// others are read.
func hidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp, unicode.Variation_Selector)
}

// Width returns the width of s in millimetres, as Text would draw it.
func (d *Doc) Width(st Style, s string) float64 {
	return d.cleanWidth(st, d.Clean(st, s))
}

func (d *Doc) cleanWidth(st Style, s string) float64 {
	f, sum := d.face(st), 0.0
	for _, r := range s {
		sum += f.width(r)
	}
	return sum * st.points() * mmPerPoint
}
