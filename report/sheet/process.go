package sheet

import (
	"encoding/json"
	"path"
	"strconv"

	"guzheng/capture"
	"guzheng/report/pdf"
)

// often is how many entries of the same refusal or anomaly are printed one
// by one; the last of them says how many there are.
const often = 10

// process sets the journal's steps, numbered, with Beijing times: item 12.
// Progress entries are left out and files are summed up.
func (s *sheet) process() {
	s.heading(s.w.T("sheet.process"))
	steps := s.steps()
	if len(steps) == 0 {
		s.text(s.w.T("sheet.process.none"))
		return
	}
	t := pdf.Table{
		Columns: []float64{11, 38, frame.Width() - 49},
		Head:    s.head("column.n", "column.beijing", "column.step"),
	}
	for i, st := range steps {
		style := cellStyle
		if st.odd {
			style = cellBold
		}
		t.Groups = append(t.Groups, pdf.Group{{
			{Text: strconv.Itoa(i + 1), Style: cellStyle, Align: pdf.Center},
			{Text: st.when, Style: cellStyle},
			{Text: st.text, Style: style},
		}})
	}
	s.flow.Table(t)
}

// head makes the header cells of a table.
func (s *sheet) head(keys ...string) []pdf.Cell {
	out := make([]pdf.Cell, len(keys))
	for i, k := range keys {
		out[i] = pdf.Cell{Text: s.w.T(k), Style: cellBold, Align: pdf.Center}
	}
	return out
}

// A step is a printed line of the process.
type step struct {
	when, text string
	odd        bool
}

func (s *sheet) steps() []step {
	seen, total := map[string]int{}, map[string]int{}
	last := -1
	for i, e := range s.v.Journal {
		total[e.Kind+e.Code]++
		if e.Kind == capture.EntryFile {
			last = i
		}
	}
	var out []step
	for i, e := range s.v.Journal {
		when := s.short(e.Time)
		if i == last {
			out = append(out, step{when: when, text: s.filesClosed()})
		}
		if s.unprinted(e) {
			continue
		}
		id := e.Kind + e.Code
		seen[id]++
		st := step{when: when, text: s.sentence(e), odd: odd(e)}
		if st.odd && seen[id] > often {
			continue
		}
		if st.odd && seen[id] == often && total[id] > often {
			st.text += s.w.T("journal.repeated", data{"count": total[id]})
		}
		if st.odd {
			st.text = s.w.T("sheet.odd", data{"text": st.text})
		}
		out = append(out, st)
	}
	return out
}

// odd reports whether a reader must not overlook an entry.
func odd(e capture.Entry) bool {
	return e.Kind == capture.EntryAnomaly || e.Kind == capture.EntryRefused
}

// unprinted reports whether an entry is told elsewhere or not at all:
// progress, files, and a clock check without an answer, which the entry after
// it tells.
func (s *sheet) unprinted(e capture.Entry) bool {
	return e.Kind == capture.EntryProgress || e.Kind == capture.EntryFile ||
		e.Code == "clock.measured" && s.v.Facts.Clock.Answered == 0
}

// filesClosed sums up all entries about finished files.
func (s *sheet) filesClosed() string {
	var names []string
	for _, e := range s.v.Journal {
		if p, ok := e.Data["path"].(string); ok && e.Kind == capture.EntryFile {
			names = append(names, path.Base(p))
		}
	}
	const most = 12
	list := s.joined(names[:min(most, len(names))])
	if len(names) > most {
		list += s.w.T("sheet.more")
	}
	return s.w.T("journal.files", data{"count": len(names), "names": list})
}

// sentence is a journal entry in words. An entry without a sentence is
// printed as the machine wrote it.
func (s *sheet) sentence(e capture.Entry) string {
	key := "journal." + e.Code
	if !s.w.Has(key) {
		b, _ := json.Marshal(e.Data)
		return s.value(e.Code + " " + string(b))
	}
	d := s.plainData(e.Data)
	switch e.Code {
	case "take.closed":
		d["state"] = s.state()
	case "page.redirect":
		if count(e.Data["status"]) == 0 {
			key = "journal.page.redirect.self"
		}
	case "page.settled":
		if count(e.Data["inflight"]) > 0 {
			key = "journal.page.settled.busy"
		}
	case "page.changed":
		d["from"], d["to"] = s.named("moment.", e.Data["from"]), s.named("moment.", e.Data["to"])
	case "target.unrecorded":
		d["type"] = s.named("target.", e.Data["type"])
	case "clock.single":
		d["server"] = first(s.answering(), s.plain(e.Data["server"]))
	}
	return s.w.T(key, d)
}

// named is the word for a code in an entry's data, or the code.
func (s *sheet) named(prefix string, code any) string {
	text := s.plain(code)
	if s.w.Has(prefix + text) {
		return s.w.T(prefix + text)
	}
	return text
}

// answering names the time server that answered.
func (s *sheet) answering() string {
	for _, r := range s.v.Facts.Clock.Servers {
		if r.Error == "" {
			return r.Server
		}
	}
	return ""
}

// count reads a number of an entry's data, which JSON decoding makes a
// float64.
func count(v any) float64 {
	switch n := v.(type) {
	case float64:
		return n
	case int:
		return float64(n)
	}
	return 0
}
