package sheet

import (
	"guzheng/capture"
	"guzheng/preserve/verify"
	"guzheng/report/pdf"
	"guzheng/storage"
)

// notes gathers every weakness in one place: item 16.
func (s *sheet) notes() {
	s.heading(s.w.T("sheet.notes"))
	all := s.weaknesses()
	if len(all) == 0 {
		s.text(s.w.T("sheet.notes.none"))
	}
	for i, t := range all {
		s.flow.Para(pdf.Para{Style: bodyStyle, Hang: 7, Indent: -7, After: 0.6}, s.w.T("sheet.item", data{"n": i + 1, "text": t}))
	}
	s.flow.Space(1)
	s.flow.Need(6 * fieldHigh)
	s.fields(field{label: s.w.T("label.notes.more")})
	s.ruled(2)
	s.fields(field{label: s.w.T("label.defence")})
	s.ruled(2)
}

// weaknesses lists what a reader must know before relying on the evidence,
// each once.
func (s *sheet) weaknesses() []string {
	var out []string
	known := map[string]bool{}
	add := func(t string) {
		if !known[t] {
			known[t] = true
			out = append(out, t)
		}
	}
	switch s.v.Take.State {
	case capture.Partial, capture.Failed:
		add(s.w.T("note.state", data{"state": s.state()}))
		for _, r := range s.v.Take.Reasons {
			add(s.w.T("note.reason", data{"reason": s.reason(r)}))
		}
	case capture.Complete:
	}
	for _, k := range s.standing() {
		add(s.w.T(k))
	}
	for _, t := range s.changes() {
		add(t)
	}
	s.anomalies(add)
	for _, c := range s.v.Verdict.Checks {
		if c.Outcome == verify.Passed {
			continue
		}
		if c.Outcome == verify.Unknown && s.w.Has("checkcode."+c.Code) {
			add(s.w.T("checkcode." + c.Code))
			continue
		}
		add(s.w.T("note.check", data{"check": s.check(c.Name), "outcome": s.w.T("outcome." + string(c.Outcome)), "why": s.why(c)}))
	}
	return out
}

// standing returns the keys of what is weak about the order, the machine
// and the keeping.
func (s *sheet) standing() []string {
	o := s.v.Order
	var out []string
	for _, n := range []struct {
		on  bool
		key string
	}{
		{len(o.Officers) == 0, "note.officer.missing"},
		{len(o.Officers) == 1, "note.officer.single"},
		{o.Purpose == "", "journal.purpose.missing"},
		{s.v.Facts.Clock.Answered == 0, "note.clock.unanswered"},
		{s.ran(), "note.headless"},
		{s.unsafe(), "note.sandbox"},
		{s.private(), "note.private"},
		{s.v.Facts.Proxy.Upstream != "", "note.upstream"},
		{s.practice(), "checkcode.stamp.practice"},
		{s.pending(), "checkcode.stamp.pending"},
		{s.v.Seal.Log.Pending(), "checkcode.log.pending"},
		{!s.v.Seal.Log.Pending(), "sheet.log.alone"},
		{s.level() == storage.LockHash, "note.lock.hash"},
	} {
		if n.on {
			out = append(out, n.key)
		}
	}
	return out
}

// anomalies adds the journal's anomalies that nothing else has said, three
// of a kind at most; the process has the others.
func (s *sheet) anomalies(add func(string)) {
	said := map[string]bool{"clock.unanswered": true, "sandbox.off": true, "officer.single": true, "officer.missing": true, "purpose.missing": true, "page.changed": true}
	for _, r := range s.v.Take.Reasons {
		said[r.Code] = true
	}
	count := map[string]int{}
	for _, e := range s.v.Journal {
		if e.Kind == capture.EntryAnomaly && !said[e.Code] {
			if count[e.Code]++; count[e.Code] <= 3 {
				add(s.w.T("note.anomaly", data{"time": s.short(e.Time), "text": s.sentence(e)}))
			}
		}
	}
}

// ran reports whether a browser ran.
func (s *sheet) ran() bool { return s.v.Facts.Browser.Product != "" || s.told("browser.started") > 0 }

// practice reports whether any time stamp is this machine's own.
func (s *sheet) practice() bool {
	for _, st := range append(s.v.Raw.Stamps[:len(s.v.Raw.Stamps):len(s.v.Raw.Stamps)], s.v.Stamps...) {
		if st.Practice {
			return true
		}
	}
	return false
}

// pending reports whether no usable stamp over the package exists.
func (s *sheet) pending() bool {
	for _, st := range s.v.Stamps {
		if st.Error == "" {
			return false
		}
	}
	return true
}
