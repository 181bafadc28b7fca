package sheet

import (
	"strconv"
	"strings"

	"guzheng/preserve/seal"
	"guzheng/preserve/verify"
	"guzheng/report"
	"guzheng/report/pdf"
)

// stamps sets the time stamps, the log and the large QR code: item 15.
func (s *sheet) stamps() {
	w := s.w.T
	s.annexTitle(w("sheet.stamps"))
	s.text(w("sheet.stamps.text"))
	s.flow.Space(1)
	t := pdf.Table{
		Columns: []float64{42, 42, 34, frame.Width() - 118},
		Head:    s.head("column.covers", "column.tsa", "column.beijing", "column.serial"),
	}
	for _, st := range s.v.Raw.Stamps {
		t.Groups = append(t.Groups, s.stampRow(w("sheet.covers.raw"), st))
	}
	for _, st := range s.v.Stamps {
		t.Groups = append(t.Groups, s.stampRow(w("sheet.covers.package"), st))
	}
	if len(t.Groups) == 0 {
		s.note("checkcode.stamp.pending")
	} else {
		s.flow.Table(t)
		s.flow.Space(2)
	}
	if s.practice() {
		s.note("checkcode.stamp.practice")
	}
	s.noted()
	signature := func(sig seal.Signature) string {
		return w("sheet.signature", data{"algorithm": sig.Algorithm, "key": sig.KeyID})
	}
	rows := [][2]string{{w("label.root"), s.v.Raw.Root}, {w("label.signature"), signature(s.v.Seal.Signature)}}
	if sm2 := s.v.Seal.SM2; sm2 != nil {
		rows = append(rows, [2]string{w("label.signature.sm2"), signature(*sm2)})
	}
	s.facts(append(rows, [][2]string{
		{w("label.log"), s.logged()},
		{w("label.log.root"), s.root()},
	}...))
	s.checkpoint()
	s.bigCode()
}

// noted tells what a reader should know of stamps that passed, once for each
// authority.
func (s *sheet) noted() {
	seen := map[string]bool{}
	for _, c := range s.v.Verdict.Checks {
		text := s.why(c)
		if c.Outcome != verify.Passed || c.Code == "" || !strings.Contains(c.Name, "stamp.") || seen[text] {
			continue
		}
		seen[text] = true
		s.text(text)
	}
}

func (s *sheet) stampRow(covers string, st report.StampView) pdf.Group {
	when, serial := s.short(st.Time), s.w.T("sheet.serial", data{"serial": st.Serial, "policy": st.Policy})
	if st.Error != "" {
		when, serial = s.w.T("value.none"), s.w.T("sheet.stamp.error", data{"reason": s.value(st.Error)})
	}
	name := s.or(st.TSA)
	if st.Practice {
		name = s.w.T("sheet.practice")
	}
	return pdf.Group{{
		{Text: covers, Style: cellStyle},
		{Text: name, Style: cellStyle},
		{Text: when, Style: cellStyle},
		{Text: serial, Style: cellStyle},
	}}
}

func (s *sheet) logged() string {
	l := s.v.Seal.Log
	if l.Pending() {
		return s.w.T("sheet.log.pending", data{"reason": l.Error})
	}
	return s.w.T("sheet.log", data{"origin": l.Origin, "index": strconv.FormatInt(l.Index, 10), "verifier": l.Verifier})
}

// root is the third line of a checkpoint (C2SP tlog-checkpoint).
func (s *sheet) root() string {
	lines := strings.Split(s.v.Seal.Log.Checkpoint, "\n")
	if len(lines) < 3 {
		return ""
	}
	return s.w.T("sheet.log.root", data{"size": lines[1], "root": lines[2]})
}

// checkpoint prints the signed note whole, line by line.
func (s *sheet) checkpoint() {
	text := strings.TrimRight(s.v.Seal.Log.Checkpoint, "\n")
	if text == "" {
		return
	}
	s.flow.Need(30)
	s.flow.Para(pdf.Para{Style: cellBold, After: 0.5}, s.w.T("sheet.checkpoint"))
	for _, line := range strings.Split(s.value(text), "\n") {
		s.flow.Para(pdf.Para{Style: cellStyle, Hang: 4}, line)
	}
	s.flow.Space(3)
}

// bigCode draws the QR code with its text beside it.
func (s *sheet) bigCode() {
	const side = 34
	s.flow.Need(side + 4)
	top := s.flow.Y
	s.doc.QR(frame.Left, top, side, s.code())
	s.doc.Box(frame.Left, top, side, side, 0.15)
	x := frame.Left + side + 5
	y := top + 6
	s.doc.Text(x, y, cellBold, s.w.T("sheet.code"))
	for _, line := range s.doc.Wrap(cellStyle, s.code(), frame.Right-x) {
		y += 5.5
		s.doc.Text(x, y, cellStyle, line)
	}
	for _, line := range s.doc.Wrap(quietStyle, s.w.T("sheet.code.text"), frame.Right-x) {
		y += 5
		s.doc.Text(x, y, quietStyle, line)
	}
	s.flow.Y = top + side + 3
}
