package sheet

import (
	"encoding/json"
	"math"
	"path"
	"strconv"
	"strings"
	"time"

	"guzheng/capture"
	"guzheng/report/pdf"
)

// often is how many entries of the same refusal or anomaly are printed one
// by one, few how many steps that a page may cause any number of; the last of
// them says how many there are.
const (
	often = 10
	few   = 3
)

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
		most := printedMost(e)
		if seen[id] > most {
			continue
		}
		if seen[id] == most && total[id] > most {
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

// printedMost is how many entries like e are printed.
func printedMost(e capture.Entry) int {
	if odd(e) {
		return often
	}
	switch e.Code {
	case "browser.message", "body.unread", "socket.closed", "stream.open", "worker.attached", "auth.asked":
		return few
	}
	return math.MaxInt
}

// unprinted reports whether an entry is told elsewhere or not at all:
// progress, files, pictures that the list of files names, and a clock check
// without an answer, which the entry after it tells.
func (s *sheet) unprinted(e capture.Entry) bool {
	switch e.Code {
	case "clock.measured":
		return s.v.Facts.Clock.Answered == 0
	case "picture.tile", "picture.frame", "thumbnail.saved":
		return true
	}
	return e.Kind == capture.EntryProgress || e.Kind == capture.EntryFile
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
	key := "journal." + e.Code + s.variant(e)
	if !s.w.Has(key) {
		b, _ := json.Marshal(e.Data)
		return s.value(e.Code + " " + string(b))
	}
	d := s.plainData(e.Data)
	for name, prefix := range coded(e.Code) {
		d[name] = s.named(prefix, e.Data[name])
	}
	switch e.Code {
	case "take.closed":
		d["state"] = s.state()
	case "clock.single":
		d["server"] = first(s.answering(), s.plain(e.Data["server"]))
	case "browser.started", "wire.cut":
		d["at"] = s.instant(e.Data["at"])
	case "look.compared", "page.unstable":
		d["similarity"] = percent(count(e.Data["similarity"]))
	case "picture.seam":
		d["row"] = s.plain(count(e.Data["row"]) + 1) // counted from 0; captions count from 1
	}
	return s.w.T(key, d)
}

// variant is the end of the key of an entry that has more than one sentence.
func (s *sheet) variant(e capture.Entry) string {
	end, other := "", false
	switch e.Code {
	case "page.redirect":
		end, other = ".self", count(e.Data["status"]) == 0
	case "page.settled":
		end, other = ".busy", count(e.Data["inflight"]) > 0
	case "page.opened":
		end, other = ".context", e.Data["context"] != nil
	case "browser.started":
		end, other = ".at", e.Data["at"] != nil
	case "picture.full":
		end, other = ".tiles", count(e.Data["tiles"]) > 1
		if s.holds(capture.FileFull) {
			end = ".stitched"
		}
	case "socket.closed":
		why, _ := e.Data["truncated"].(string)
		end, other = ".cut", why != ""
	case "look.compared":
		end, other = ".text", !s.pixelsCompared()
	}
	if other {
		return end
	}
	return ""
}

// coded says which data of an entry are codes, and how the keys of their
// words begin.
func coded(code string) map[string]string {
	switch code {
	case "page.changed":
		return map[string]string{"from": "moment.", "to": "moment."}
	case "target.unrecorded", "worker.attached", "page.crashed":
		return map[string]string{"type": "target."}
	case "page.gate":
		return map[string]string{"kind": "gate."}
	case "auth.asked":
		return map[string]string{"answered": "auth."}
	case "body.truncated":
		return map[string]string{"reason": "cut."}
	case "socket.closed":
		return map[string]string{"truncated": "cut."}
	case "browser.message":
		return map[string]string{"level": "level.", "source": "message."}
	case "artefact.missing", "deadline.artefact":
		return map[string]string{"artefact": "artefact."}
	}
	return nil
}

// named is the word for a code in an entry's data, or the code.
func (s *sheet) named(prefix string, code any) string {
	text := s.plain(code)
	if s.w.Has(prefix + text) {
		return s.w.T(prefix + text)
	}
	return text
}

// detail is the machine's own account of a reason, with the code that it
// begins with in words.
func (s *sheet) detail(r capture.Reason) string {
	prefix, end := "", " "
	switch r.Code {
	case "target.unrecorded", "page.crashed":
		prefix = "target."
	case "body.truncated":
		prefix = "cut."
	case "artefact.missing", "deadline.artefact":
		prefix, end = "artefact.", ": "
	case "limit.width", "limit.height":
		prefix = "artefact."
	default:
		return r.Detail
	}
	code, rest, more := strings.Cut(r.Detail, end)
	if more {
		rest = end + rest
	}
	return s.named(prefix, code) + rest
}

// firstData is the data of the first entry with a code.
func (s *sheet) firstData(code string) data {
	for _, e := range s.v.Journal {
		if e.Code == code {
			return e.Data
		}
	}
	return nil
}

// instant prints a time in an entry's data.
func (s *sheet) instant(v any) string {
	switch v := v.(type) {
	case time.Time:
		return s.short(v)
	case string:
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return s.short(t)
		}
	}
	return s.plain(v)
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
