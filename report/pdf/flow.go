package pdf

import (
	"strings"
	"unicode"
)

// A Frame is the part of every page that a Flow fills.
type Frame struct {
	Left, Top, Right, Bottom float64 // millimetres from the top left corner
}

// Width of the frame.
func (f Frame) Width() float64 { return f.Right - f.Left }

// A Flow sets text from top to bottom and begins a new page when the frame
// is full.
type Flow struct {
	Doc   *Doc
	Frame Frame
	Y     float64 // top of what comes next
}

// NewFlow begins the first page.
func NewFlow(d *Doc, frame Frame) *Flow {
	f := &Flow{Doc: d, Frame: frame}
	f.Break()
	return f
}

// Break begins a new page.
func (f *Flow) Break() {
	f.Doc.AddPage()
	f.Y = f.Frame.Top
}

// Room is what is left of the page, in millimetres.
func (f *Flow) Room() float64 { return f.Frame.Bottom - f.Y }

// Need begins a new page unless h millimetres are left.
func (f *Flow) Need(h float64) {
	if f.Room() < h && f.Y > f.Frame.Top {
		f.Break()
	}
}

// Space leaves h millimetres free, except at the top of a page.
func (f *Flow) Space(h float64) {
	if f.Y > f.Frame.Top {
		f.Y += h
	}
}

// Align says where a line stands in its column.
type Align int

// The three alignments.
const (
	Left Align = iota
	Center
	Right
)

// A Para is how a paragraph is set.
type Para struct {
	Style  Style
	Align  Align
	Indent float64 // first line, millimetres; negative moves it to the left
	Hang   float64 // every line, millimetres
	After  float64 // space after it
}

// Para sets text. A paragraph of two or three lines is not split over pages,
// a longer one leaves at least two lines on either page.
func (f *Flow) Para(p Para, text string) {
	lead := p.Style.Leading()
	lines := f.indented(p, text)
	for i, line := range lines {
		left := len(lines) - i
		if i == 0 && left <= 3 {
			f.Need(lead * float64(left))
		} else if i == 0 || left == 2 {
			f.Need(lead * 2)
		}
		f.Need(lead)
		x := f.Frame.Left + p.Hang
		if i == 0 {
			x += p.Indent
		}
		f.Doc.aligned(x, f.Frame.Right, f.Y+baseline(p.Style, lead), p.Align, p.Style, line)
		f.Y += lead
	}
	f.Space(p.After)
}

// indented wraps text with a shorter first line.
func (f *Flow) indented(p Para, text string) []string {
	width := f.Frame.Width() - p.Hang
	if p.Indent == 0 {
		return f.Doc.Wrap(p.Style, text, width)
	}
	first := f.Doc.Wrap(p.Style, text, width-p.Indent)
	if len(first) == 1 {
		return first
	}
	return append(first[:1:1], f.Doc.Wrap(p.Style, strings.Join(first[1:], ""), width)...)
}

// aligned draws one line between the edges x1 and x2.
func (d *Doc) aligned(x1, x2, y float64, a Align, st Style, line string) {
	line = strings.TrimRightFunc(line, unicode.IsSpace)
	switch a {
	case Center:
		x1 += (x2 - x1 - d.Width(st, line)) / 2
	case Right:
		x1 = x2 - d.Width(st, line)
	case Left:
	}
	d.Text(x1, y, st, line)
}

// Aligned draws one line between the edges x1 and x2 with its base line at y.
func (d *Doc) Aligned(x1, x2, y float64, a Align, st Style, line string) {
	d.aligned(x1, x2, y, a, st, d.Clean(st, line))
}

// baseline is how far below the top of a line of the given height its base
// line runs, so that the ink of Chinese text stands in the middle.
func baseline(st Style, lead float64) float64 {
	return lead/2 + st.points()*mmPerPoint*0.36
}
