package sheet

import (
	"math"

	"guzheng/report/pdf"
)

// A field is a label and a value on an underline. An empty value leaves the
// underline blank, to be filled in by hand.
type field struct {
	label string
	value string
	share float64 // of the line's width, 0 means an equal share
}

// fields of one line stand beside each other.
const (
	fieldHigh = 7.2 // one line, high enough for handwriting
	fieldGap  = 3.0
)

// fields sets one line of fields; keys are the label keys.
func (s *sheet) fields(row ...field) {
	sum := 0.0
	for i := range row {
		if row[i].share == 0 {
			row[i].share = 1
		}
		sum += row[i].share
	}
	type set struct {
		field
		x, from, to float64
		lines       []string
	}
	x, most := s.flow.Frame.Left, 1
	all := make([]set, len(row))
	usable := s.flow.Frame.Width() - fieldGap*float64(len(row)-1)
	for i, f := range row {
		w := usable * f.share / sum
		label := s.w.T("sheet.label", data{"label": f.label})
		c := set{field: f, x: x, from: x + s.doc.Width(bodyStyle, label) + 0.5, to: x + w}
		c.label = label
		c.lines = s.doc.Wrap(bodyStyle, s.value(f.value), c.to-c.from-1.5)
		most = max(most, len(c.lines))
		all[i] = c
		x += w + fieldGap
	}
	if most <= 4 {
		s.flow.Need(fieldHigh * float64(most))
	}
	for n := range most {
		s.flow.Need(fieldHigh)
		base := s.flow.Y + fieldHigh - 2
		for _, c := range all {
			if n == 0 {
				s.doc.Text(c.x, base, bodyStyle, c.label)
			}
			if n < len(c.lines) {
				s.doc.Aligned(c.from+1, c.to, base, pdf.Left, bodyStyle, c.lines[n])
				s.doc.Line(c.from, base+1.2, c.to, base+1.2, 0.15)
			}
		}
		s.flow.Y += fieldHigh
	}
}

// ruled leaves n empty lines for handwriting.
func (s *sheet) ruled(n int) {
	for range n {
		s.flow.Need(fieldHigh)
		s.flow.Y += fieldHigh
		s.doc.Line(s.flow.Frame.Left, s.flow.Y-0.8, s.flow.Frame.Right, s.flow.Y-0.8, 0.15)
	}
}

// facts sets a two-column table of labels and values.
func (s *sheet) facts(rows [][2]string) {
	groups := make([]pdf.Group, 0, len(rows))
	label := 32.0
	for _, r := range rows {
		label = math.Max(label, math.Min(48, s.doc.Width(cellStyle, r[0])+4))
	}
	for _, r := range rows {
		groups = append(groups, pdf.Group{{
			{Text: r[0], Style: cellStyle},
			{Text: s.or(r[1]), Style: cellStyle},
		}})
	}
	s.flow.Table(pdf.Table{Columns: []float64{label, frame.Width() - label}, Groups: groups})
	s.flow.Space(2)
}

// blanks draws label, underline and date for every signature, side by side
// in columns of the same width between two edges, with the base line at y.
func (s *sheet) blanks(from, to, y float64, st pdf.Style, labels ...string) {
	const gap = 5.0
	date := s.w.T("sheet.date")
	if len(labels) > 1 {
		date = s.w.T("sheet.date.short")
	}
	w := (to - from - gap*float64(len(labels)-1)) / float64(len(labels))
	for i, l := range labels {
		x := from + float64(i)*(w+gap)
		end := x + w - s.doc.Width(st, date)
		x += s.doc.Text(x, y, st, l)
		s.doc.Line(x, y+1, end-1, y+1, 0.15)
		s.doc.Text(end, y, st, date)
	}
}

// margins draws the header and the footer of one page.
func (s *sheet) margins(page, total int) {
	d, small := s.doc, pdf.Style{Size: 8}
	d.QR(174.5, 6.5, 17, s.code())
	d.Text(frame.Left, 12, small, s.w.T("sheet.title"))
	d.Text(frame.Left, 16.5, small, s.w.T("sheet.number", data{"id": s.v.Order.ID}))
	d.Text(frame.Left, 21, small, s.w.T("sheet.digest.short", data{"digest": abbreviated(s.v.Package.SHA256)}))
	d.Line(frame.Left, 24, frame.Right, 24, 0.25)

	foot := pdf.Style{Size: 8.5}
	d.Line(frame.Left, 265, frame.Right, 265, 0.25)
	s.blanks(frame.Left, frame.Right, 271.5, foot, s.w.T("sheet.sign.officer"), s.w.T("sheet.sign.officer"))
	s.blanks(frame.Left, frame.Right, 279, foot, s.w.T("sheet.sign.party"), s.w.T("sheet.sign.witness"))
	d.Aligned(frame.Left, frame.Right, 287, pdf.Center, pdf.Style{Size: 9}, s.w.T("sheet.page", data{"n": page, "total": total}))
}

// abbreviated shows both ends of a digest.
func abbreviated(digest string) string {
	if len(digest) < 40 {
		return digest
	}
	return digest[:16] + "…" + digest[len(digest)-8:]
}
