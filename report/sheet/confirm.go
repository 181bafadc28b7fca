package sheet

import (
	"guzheng/report/pdf"
)

// A confirmation is one framed block that people sign: a title, paragraphs,
// lines to fill in, signatures.
type confirmation struct {
	title   string
	texts   []string
	lines   [][]field
	after   []string // paragraphs below the lines
	more    [][]field
	signers []string
}

// confirmations sets the blocks that people sign: items 17 and 18, in the
// wording of the statutes they follow.
func (s *sheet) confirmations() {
	s.annexTitle(s.w.T("confirm.title"))
	for _, c := range append(s.ofPeople(), s.ofInstitutions()...) {
		s.block(c)
	}
	s.flow.Space(2)
	s.flow.Need(8)
	s.flow.Para(pdf.Para{Style: bodyStyle, Align: pdf.Center}, s.w.T("sheet.end"))
}

// line makes fields without values from label keys.
func (s *sheet) line(keys ...string) []field {
	out := make([]field, len(keys))
	for i, k := range keys {
		out[i].label = s.w.T(k)
	}
	return out
}

func (s *sheet) ofPeople() []confirmation {
	w, v := s.w.T, s.v
	site := data{"title": s.brief(v.Facts.Title), "url": s.brief(first(v.Facts.FinalURL, v.Order.URL))}
	party := []string{w("confirm.party.text", site), w("confirm.party.choice")}
	made := data{"names": s.blankNames(), "methods": s.ways(), "time": s.blank(s.moment(v.Take.Started)),
		"tool": s.blank(v.Facts.Tool.Name), "version": s.blank(v.Facts.Tool.Version)}
	method := w("confirm.officers.text", made)
	if !s.hasPage() {
		party = []string{w("confirm.party.process", site), w("confirm.party.process.choice")}
		method = w("confirm.officers.process", made)
	}
	officer := w("sheet.sign.officer")
	return []confirmation{
		{
			title: w("confirm.party"), texts: party,
			lines: [][]field{s.line("label.explain")}, signers: []string{w("sheet.sign.party")},
		},
		{
			title: w("confirm.copy"), texts: []string{w("confirm.copy.text")},
			lines: [][]field{s.line("label.origin", "label.issued")}, signers: []string{w("sheet.sign.provider")},
		},
		{title: w("confirm.officers"), texts: []string{method}, signers: []string{officer, officer}},
		{
			title: w("confirm.refusal"), texts: []string{w("confirm.refusal.text")},
			lines: [][]field{s.line("label.cause.given")}, after: []string{w("confirm.refusal.video")},
			more: [][]field{s.line("label.file", "label.digest"), s.line("label.witness")}, signers: []string{officer, officer},
		},
		{
			title: w("confirm.witness"), texts: []string{w("confirm.witness.text")},
			lines: [][]field{s.line("label.witness.id", "label.unit")}, signers: []string{w("sheet.sign.witness")},
		},
	}
}

func (s *sheet) ofInstitutions() []confirmation {
	w := s.w.T
	seal := []string{w("sheet.sign.seal")}
	return []confirmation{
		{title: w("confirm.notary"), lines: [][]field{s.line("label.notary", "label.notary.number")}, signers: seal},
		{title: w("confirm.authority"), lines: [][]field{s.line("label.authority", "label.document")}, signers: seal},
		{
			title: w("confirm.provider"),
			lines: [][]field{s.line("label.document.legal", "label.digest"), s.line("label.explain")}, signers: seal,
		},
		{
			title: w("confirm.review"), texts: []string{w("confirm.review.text")},
			lines: [][]field{s.line("label.explain")}, signers: []string{w("sheet.sign.reviewer")},
		},
	}
}

// blank is the value, or an underline where there is none.
func (s *sheet) blank(t string) string {
	if t == "" {
		return s.w.T("sheet.blank")
	}
	return s.value(t)
}

// brief is blank for a place where a long value would push the signatures
// apart; its whole text stands in the part about the source.
func (s *sheet) brief(t string) string {
	const most = 160
	r := []rune(t)
	if len(r) > most {
		return s.w.T("sheet.brief", data{"start": string(r[:most])})
	}
	return s.blank(t)
}

// blankNames are the officers of the order, with room for those that it does
// not name.
func (s *sheet) blankNames() string {
	blank := s.w.T("sheet.blank")
	var names []string
	for _, o := range s.v.Order.Officers {
		names = append(names, first(o.Name, blank))
	}
	switch len(names) {
	case 0:
		return s.w.T("confirm.names.none", data{"names": s.joined([]string{blank, blank})})
	case 1:
		return s.w.T("confirm.names.one", data{"name": names[0], "blank": blank})
	}
	return s.joined(names)
}

const (
	blockPad  = 3.0
	signHigh  = 9.0
	blockHead = 7.5
)

// block sets one confirmation on one page.
func (s *sheet) block(c confirmation) {
	st := pdf.Style{Size: 10}
	s.flow.Need(min(s.blockHigh(c, st), frame.Bottom-frame.Top))
	outer, top := s.flow.Frame, s.flow.Y
	s.flow.Frame.Left += blockPad
	s.flow.Frame.Right -= blockPad
	s.doc.Text(s.flow.Frame.Left, top+5.5, pdf.Style{Size: 10.5, Bold: true}, c.title)
	s.flow.Y += blockHead
	for _, part := range []struct {
		texts []string
		lines [][]field
	}{{c.texts, c.lines}, {c.after, c.more}} {
		for _, t := range part.texts {
			s.flow.Para(pdf.Para{Style: st}, t)
		}
		for _, l := range part.lines {
			s.fields(l...)
		}
	}
	for _, l := range c.signers {
		s.blanks(s.flow.Frame.Left, s.flow.Frame.Right, s.flow.Y+6.5, bodyStyle, l)
		s.flow.Y += signHigh
	}
	s.flow.Frame = outer
	s.doc.Box(outer.Left, top, outer.Width(), s.flow.Y-top+1, 0.2)
	s.flow.Y += 3.5
}

// blockHigh measures a confirmation.
func (s *sheet) blockHigh(c confirmation, st pdf.Style) float64 {
	n := 0
	for _, t := range append(c.texts[:len(c.texts):len(c.texts)], c.after...) {
		n += len(s.doc.Wrap(st, t, frame.Width()-2*blockPad))
	}
	return blockHead + float64(n)*st.Leading() + float64(len(c.lines)+len(c.more))*fieldHigh + float64(len(c.signers))*signHigh + 2
}
