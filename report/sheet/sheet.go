package sheet

import (
	"fmt"
	"io"
	"time"

	"guzheng/report"
	"guzheng/report/pdf"
	"guzheng/report/words"
)

// The frame leaves 28 mm for binding on the left (GB/T 9704-2012) and room
// for a header and the signature lines on every page.
var frame = pdf.Frame{Left: 28, Top: 28, Right: 190, Bottom: 262}

// Styles of the sheet.
var (
	titleStyle = pdf.Style{Size: 22, Bold: true}
	headStyle  = pdf.Style{Size: 12, Bold: true}
	bodyStyle  = pdf.Style{Size: 10.5}
	noteStyle  = pdf.Style{Size: 9, Bold: true}
	cellStyle  = pdf.Style{Size: 8.5}
	cellBold   = pdf.Style{Size: 8.5, Bold: true}
	tinyStyle  = pdf.Style{Size: 7.2}
	quietStyle = pdf.Style{Size: 8, Gray: 70}
)

// A sheet is one document being set.
type sheet struct {
	v    report.View
	w    *words.Catalogue
	doc  *pdf.Doc
	flow *pdf.Flow
	part int // number of the last part's heading
}

// Write prints v as a PDF document on A4 paper. The same view and catalogue
// give the same bytes; the document's own dates are those of the take. It
// returns an error that wraps pdf.ErrFonts when the binary has no fonts.
// Pictures that cannot be read are named in the document and do not prevent
// it.
func Write(w io.Writer, v report.View, c *words.Catalogue) error {
	doc, err := pdf.New(pdf.Info{
		Title:   c.T("sheet.title") + " " + v.Order.ID,
		Subject: v.Facts.Title,
		Lang:    c.Lang(),
		Created: dated(v),
	})
	if err != nil {
		return fmt.Errorf("printing sheet of %s: %w", v.Order.ID, err)
	}
	s := &sheet{v: v, w: c, doc: doc, flow: pdf.NewFlow(doc, frame)}
	for _, part := range []func(){
		s.opening, s.basics, s.source, s.method, s.process, s.notes, s.checks,
		s.list, s.pictures, s.stamps, s.confirmations,
	} {
		part()
	}
	doc.Each(s.margins)
	if err := doc.Output(w); err != nil {
		return fmt.Errorf("printing sheet of %s: %w", v.Order.ID, err)
	}
	return nil
}

// dated is the date of the document: when the evidence was kept, or else
// when the take ended.
func dated(v report.View) time.Time {
	for _, t := range []time.Time{v.Entry.Kept, v.Object.Stored, v.Take.Finished, v.Order.Created} {
		if !t.IsZero() {
			return t
		}
	}
	return time.Unix(0, 0)
}

// code is what the QR codes say.
func (s *sheet) code() string {
	return "guzheng:" + s.v.Order.ID + " sha256:" + s.v.Package.SHA256
}

// opening sets the bureau's blank, the title and the number.
func (s *sheet) opening() {
	f := s.flow
	f.Y += 6
	s.doc.Line(64, f.Y, 154, f.Y, 0.2)
	f.Y += 4
	style := titleStyle
	for s.doc.Width(style, s.w.T("sheet.title")) > frame.Width() && style.Size > 12 {
		style.Size--
	}
	f.Para(pdf.Para{Style: style, Align: pdf.Center, After: 2}, s.w.T("sheet.title"))
	f.Para(pdf.Para{Style: bodyStyle, Align: pdf.Right, After: 2}, s.w.T("sheet.number", data{"id": s.v.Order.ID}))
}

// heading begins a part.
func (s *sheet) heading(title string) {
	s.part++
	s.flow.Space(3)
	s.flow.Need(24)
	s.flow.Para(pdf.Para{Style: headStyle, After: 1}, s.w.T("sheet.part", data{"n": s.numeral(s.part), "title": title}))
}

// numeral is the number of a part in the catalogue's own numerals.
func (s *sheet) numeral(n int) string { return s.w.T("numeral." + fmt.Sprint(n)) }

// annexTitle begins an annex on a new page with a large title.
func (s *sheet) annexTitle(title string) {
	if s.flow.Y > frame.Top {
		s.flow.Break()
	}
	s.flow.Y += 2
	s.flow.Para(pdf.Para{Style: pdf.Style{Size: 16, Bold: true}, Align: pdf.Center, After: 3}, title)
}

// note prints a warning where it matters.
func (s *sheet) note(key string, d ...data) {
	s.flow.Para(pdf.Para{Style: noteStyle, Hang: 2, After: 0.8}, s.w.T("sheet.note", data{"text": s.w.T(key, d...)}))
}

// text prints a body paragraph.
func (s *sheet) text(t string) {
	s.flow.Para(pdf.Para{Style: bodyStyle, Indent: s.indent(), After: 0.8}, t)
}

// indent is the first-line indent of the language's paragraphs.
func (s *sheet) indent() float64 {
	if s.w.Lang() == "zh-CN" {
		return 2 * 10.5 * 25.4 / 72
	}
	return 0
}
