package sheet

import (
	"strconv"

	"guzheng/preserve/verify"
	"guzheng/report/pdf"
)

// checks sets what the verification found.
func (s *sheet) checks() {
	s.flow.Need(50)
	s.heading(s.w.T("sheet.checks"))
	if len(s.v.Verdict.Checks) == 0 {
		s.text(s.w.T("sheet.unverified"))
		return
	}
	s.text(s.w.T("sheet.checks.text"))
	if s.ownTrust() {
		s.text(s.w.T("sheet.checks.trust"))
	}
	s.flow.Space(1)
	t := pdf.Table{
		Columns: []float64{11, 56, 20, 13, frame.Width() - 100},
		Head:    s.head("column.n", "column.check", "column.outcome", "column.count", "column.why"),
	}
	for i, l := range s.checkLines() {
		style := cellStyle
		if l.outcome != verify.Passed {
			style = cellBold
		}
		t.Groups = append(t.Groups, pdf.Group{{
			{Text: strconv.Itoa(i + 1), Style: cellStyle, Align: pdf.Center},
			{Text: l.name, Style: cellStyle},
			{Text: s.w.T("outcome." + string(l.outcome)), Style: style, Align: pdf.Center},
			{Text: strconv.Itoa(l.count), Style: cellStyle, Align: pdf.Center},
			{Text: l.why, Style: cellStyle},
		}})
	}
	s.flow.Table(t)
}

// ownTrust reports whether a key was compared with what this machine keeps
// about itself; such a check proves nothing to anybody else.
func (s *sheet) ownTrust() bool {
	for _, c := range s.v.Verdict.Checks {
		if (c.Name == "seal.signer" || c.Name == "log.key") && c.Outcome != verify.Unknown {
			return true
		}
	}
	return false
}

// A checkLine is one check, or all passed ones of one name.
type checkLine struct {
	name    string
	outcome verify.Outcome
	count   int
	why     string
}

func (s *sheet) checkLines() []checkLine {
	var out []checkLine
	passed := map[string]int{}
	for _, c := range s.v.Verdict.Checks {
		if c.Outcome == verify.Passed {
			if i, ok := passed[c.Name]; ok {
				out[i].count++
				continue
			}
			passed[c.Name] = len(out)
			out = append(out, checkLine{name: s.check(c.Name), outcome: c.Outcome, count: 1})
			continue
		}
		out = append(out, checkLine{name: s.check(c.Name), outcome: c.Outcome, count: 1, why: s.why(c)})
	}
	return out
}

func (s *sheet) check(name string) string {
	if s.w.Has("check." + name) {
		return s.w.T("check." + name)
	}
	return name
}

// why explains an outcome that is not a pass.
func (s *sheet) why(c verify.Check) string {
	text := first(c.Code, c.Detail)
	if s.w.Has("checkcode." + c.Code) {
		text = s.w.T("checkcode." + c.Code)
	} else if c.Code != "" && c.Detail != "" {
		text = c.Code + ": " + s.value(c.Detail)
	}
	if c.Subject != "" {
		text = s.w.T("sheet.subject", data{"subject": s.value(c.Subject), "text": text})
	}
	return text
}
