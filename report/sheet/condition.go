package sheet

import (
	"net/netip"
	"strings"

	"guzheng/capture"
	"guzheng/report/pdf"
)

// alarmStyle is for an error status, which nobody may overlook.
var alarmStyle = pdf.Style{Size: 15, Bold: true}

// condition sets in what state the page itself was, beside the result, which
// only says how far the extraction came.
func (s *sheet) condition() {
	if s.v.Take.State == capture.Complete {
		s.flow.Para(pdf.Para{Style: cellStyle, Hang: 2, After: 0.8}, s.w.T("sheet.complete"))
	}
	for _, r := range s.v.Take.Reasons {
		s.note("note.reason", data{"reason": s.reason(r)})
	}
	s.fields(field{label: s.w.T("label.condition"), value: strings.Join(s.conditions(), s.w.T("list.semicolon"))})
	if s.v.Facts.Status >= 400 {
		s.flow.Para(pdf.Para{Style: alarmStyle, Hang: 2, After: 0.8}, s.w.T("sheet.condition.error", data{"status": s.statusLine()}))
	}
}

// conditions lists what was not in order with the page. It says that nothing
// was seen only when nothing at all was.
func (s *sheet) conditions() []string {
	f := s.v.Facts
	var out []string
	if f.Format == "" {
		out = append(out, s.w.T("sheet.condition.unrecorded"))
	}
	if f.Status == 0 {
		out = append(out, s.w.T("sheet.condition.silent"))
	} else {
		out = append(out, s.w.T("sheet.condition.status", data{"status": s.statusLine()}))
	}
	faults := s.faults()
	out = append(out, faults...)
	usual := f.Format != "" && f.Status >= 200 && f.Status < 300
	switch {
	case s.others():
		out = append(out, s.w.T("sheet.condition.other"))
	case len(faults) == 0 && usual:
		out = append(out, s.w.T("sheet.condition.clear"))
	}
	return out
}

func (s *sheet) statusLine() string {
	return strings.TrimSpace(s.plain(float64(s.v.Facts.Status)) + " " + s.value(s.v.Facts.StatusText))
}

// faults counts, by the facts and by the journal, whichever knows of more.
// First comes what makes it doubtful that the page asked for is shown at all.
func (s *sheet) faults() []string {
	c := s.v.Facts.Counts
	var out []string
	for _, n := range []struct {
		key   string
		count int
	}{
		{"sheet.condition.gate", s.told("page.gate")},
		{"sheet.condition.accepted", s.told("certificate.accepted")},
		{"sheet.condition.restless", s.told("page.restless")},
		{"sheet.condition.crashed", s.told("page.crashed")},
		{"sheet.condition.failed", max(c.Failed, c.Unanswered, s.told("request.failed"), s.told("request.unanswered"))},
		{"sheet.condition.refused", max(c.Refused, len(s.v.Facts.Refused), s.told("request.refused"))},
		{"sheet.condition.truncated", max(c.Truncated, s.told("body.truncated"))},
		{"sheet.condition.unloaded", max(c.ImagesUnloaded, s.unloaded())},
		{"sheet.condition.blank", s.told("page.blank")},
		{"sheet.condition.picture", s.told("picture.blank")},
		{"sheet.condition.textless", s.told("text.absent")},
		{"sheet.condition.glyphs", s.glyphless()},
		{"sheet.condition.seam", s.told("picture.seam")},
		{"sheet.condition.unstable", s.told("page.unstable")},
	} {
		if n.count > 0 {
			out = append(out, s.w.T(n.key, data{"count": n.count, "unanswered": max(c.Unanswered, s.told("request.unanswered")),
				"kind":       s.named("gate.", s.firstData("page.gate")["kind"]),
				"similarity": percent(count(s.firstData("page.unstable")["similarity"]))}))
		}
	}
	return out
}

// glyphless is how many characters of the page no font could draw.
func (s *sheet) glyphless() int {
	n, _ := s.missingGlyphs()
	if d := s.firstData("glyphs.missing"); d != nil {
		n = max(n, 1, int(count(d["count"])))
	}
	return n
}

// unloaded is how many images the journal says were missing.
func (s *sheet) unloaded() int {
	n := min(1, s.told("images.unloaded"))
	for _, e := range s.v.Journal {
		if e.Code == "images.unloaded" {
			n = max(n, int(count(e.Data["count"])))
		}
	}
	return n
}

// told counts journal entries and reasons of a code.
func (s *sheet) told(code string) int {
	entries, reasons := 0, 0
	for _, e := range s.v.Journal {
		if e.Code == code {
			entries++
		}
	}
	for _, r := range s.v.Take.Reasons {
		if r.Code == code {
			reasons++
		}
	}
	return max(entries, reasons)
}

// others reports whether there is more to know of the page than faults says.
func (s *sheet) others() bool {
	if s.v.Take.State != capture.Complete {
		return true
	}
	for _, e := range s.v.Journal {
		if (e.Code == "certificate.invalid" || e.Code == "certificate.refused") && s.told("certificate.accepted") > 0 {
			continue // faults tells of it as accepted
		}
		if e.Kind == capture.EntryAnomaly && !ofMachine(e.Code) && !counted(e.Code) {
			return true
		}
	}
	return false
}

// ofMachine reports whether an anomaly is about the order or this machine and
// not about the page.
func ofMachine(code string) bool {
	switch code {
	case "purpose.missing", "sandbox.off", "private.allowed", "proxy.environment", "hosts.entries", "browser.other", "browser.stuck", "roots.environment", "client-certificate.expired":
		return true
	}
	return strings.HasPrefix(code, "officer.") || strings.HasPrefix(code, "clock.")
}

// counted reports whether faults tells an anomaly.
func counted(code string) bool {
	switch code {
	case "request.failed", "request.unanswered", "request.refused", "body.truncated", "images.unloaded", "page.blank", "picture.blank", "status.error",
		"page.gate", "certificate.accepted", "page.restless", "page.crashed", "text.absent", "glyphs.missing", "picture.seam", "page.unstable":
		return true
	}
	return false
}

// pictured are the kinds of files that are pictures of the page.
func pictured() []string {
	return []string{capture.FileViewport, capture.FileFull, capture.FileTile, capture.FileFrame, capture.FileSecond}
}

// copied are the kinds of files that are copies of what the browser held.
func copied() []string {
	return []string{capture.FileDOM, capture.FileMHTML, capture.FileText, capture.FileLines, capture.FileAccessible, capture.FileSecondText}
}

// holds reports whether the package has a file of one of the kinds.
func (s *sheet) holds(kinds ...string) bool {
	for _, k := range kinds {
		if _, ok := s.member(k); ok {
			return true
		}
	}
	return false
}

// hasPage reports whether the take holds anything of a page, and not only of
// the attempt to open it.
func (s *sheet) hasPage() bool {
	return s.holds(copied()...) || s.holds(pictured()...) || s.holds(capture.FilePDF)
}

// ways names the methods by which the files that are really there were made.
func (s *sheet) ways() string {
	var out []string
	if s.holds(capture.FilePDF) {
		out = append(out, s.w.T("way.written"))
	}
	if s.holds(copied()...) || s.holds(capture.FileWARC, capture.FileCertificate, capture.FileWire) {
		out = append(out, s.w.T("way.copied"))
	}
	if s.holds(pictured()...) {
		out = append(out, s.w.T("way.pictured"))
	}
	return s.joined(out)
}

// carrier says where the original data lies, as far as that is known.
func (s *sheet) carrier() string {
	ip, err := netip.ParseAddr(s.v.Facts.RemoteIP)
	switch {
	case !s.hasPage():
		return s.w.T("sheet.carrier.none")
	case err != nil:
		return s.w.T("sheet.carrier.unknown")
	case !public(ip):
		return s.w.T("sheet.carrier.internal", data{"ip": ip})
	}
	return s.w.T("sheet.carrier")
}

// public reports whether an address can be one of a server on the public net
// (RFC 6890).
func public(ip netip.Addr) bool {
	ip = ip.Unmap()
	for _, p := range []string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4"} {
		if netip.MustParsePrefix(p).Contains(ip) {
			return false
		}
	}
	return ip.IsGlobalUnicast() && !ip.IsPrivate()
}

// changes tells between which artefacts the page's text changed; a visit
// compares twice.
func (s *sheet) changes() []string {
	const most = 2
	var out []string
	for _, e := range s.v.Journal {
		if e.Code == "page.changed" && len(out) < most {
			out = append(out, s.sentence(e))
		}
	}
	return out
}
