package sheet

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"guzheng/capture"
	"guzheng/report"
	"guzheng/report/pdf"
	"guzheng/storage"
)

// list sets the list of files (items 13 and 14). Every file takes five
// rows, so that both digests stand whole on one line each.
func (s *sheet) list() {
	v, w := s.v, s.w.T
	s.annexTitle(w("sheet.list"))
	s.fields(field{w("label.count"), w("sheet.count", data{"files": len(v.Members)}), 1}, field{w("label.list.source"), w("sheet.list.source"), 1.4})
	s.flow.Space(1)
	s.facts([][2]string{
		{w("label.package"), w("sheet.package", data{"key": first(v.Object.Key, v.Entry.Package), "bytes": thousands(v.Package.Bytes)})},
		{"SHA-256", v.Package.SHA256},
		{"SM3", v.Package.SM3},
		{w("label.store"), s.kept()},
	})
	t := pdf.Table{
		Columns: []float64{11, 45, 21, 35, 24, 26},
		Head:    s.head("column.n", "column.name", "column.category", "column.format", "column.bytes", "column.page"),
	}
	for i, m := range v.Members {
		t.Groups = append(t.Groups, s.memberRows(i+1, m))
	}
	t.Groups = append(t.Groups, pdf.Group{{{Text: w("sheet.end.rows"), Style: cellStyle, Align: pdf.Center, Span: 6}}})
	s.flow.Table(t)
	s.flow.Space(3)
	s.flow.Need(16)
	s.text(w("sheet.list.checked"))
	s.text(w("sheet.copies"))
}

func (s *sheet) memberRows(n int, m report.Member) pdf.Group {
	rest := cellStyle
	rest.Size = 7.6
	return pdf.Group{
		{
			{Text: strconv.Itoa(n), Style: cellStyle, Align: pdf.Center},
			{Text: s.kind(m.Kind, m.Path), Style: cellBold},
			{Text: s.category(m), Style: rest, Align: pdf.Center},
			{Text: format(m), Style: rest},
			{Text: thousands(m.Bytes), Style: cellStyle, Align: pdf.Right},
			{Text: s.remark(m), Style: rest, Align: pdf.Center},
		},
		{
			{Join: true},
			{Span: 5, Style: rest, Text: s.w.T("sheet.member", data{"method": s.made(m), "time": s.written(m), "source": s.from(m)}) + s.differs(m.Kind)},
		},
		{
			{Join: true},
			{Span: 5, Join: true, Style: rest, Text: s.w.T("sheet.member.path", data{"path": m.Path})},
		},
		{
			{Join: true},
			{Span: 5, Join: true, Style: tinyStyle, Text: "SHA-256 " + s.or(m.SHA256)},
		},
		{
			{Join: true},
			{Span: 5, Join: true, Style: tinyStyle, Text: "SM3 " + s.or(m.SM3)},
		},
	}
}

// format is the media type, or else the ending of the name.
func format(m report.Member) string {
	return first(m.MediaType, strings.ToUpper(strings.TrimPrefix(path.Ext(m.Path), ".")), "—")
}

// written is when a file was closed; files made in packaging carry no time
// of their own.
func (s *sheet) written(m report.Member) string {
	if m.Written.IsZero() && m.Kind == "" {
		return s.w.T("sheet.packed")
	}
	return s.short(m.Written)
}

// packaged recognises the files that packaging adds, by their paths.
func packaged(p string) string {
	switch {
	case p == capture.TakeFile || strings.HasSuffix(p, "/"+capture.TakeFile):
		return "take"
	case p == "datapackage.json":
		return "manifest"
	case p == "datapackage-digest.json":
		return "digest"
	case strings.HasPrefix(p, "indexes/"):
		return "index"
	case strings.HasPrefix(p, "pages/"):
		return "pages"
	case path.Base(p) == "raw-stamps.json":
		return "rawstamps"
	case path.Base(p) == "raw.json":
		return "raw"
	}
	return "other"
}

// kind names a file; a kind without a word is printed as it is.
func (s *sheet) kind(kind, p string) string {
	if kind == "" {
		kind = packaged(p)
	}
	if s.w.Has("file." + kind) {
		return s.w.T("file." + kind)
	}
	return kind
}

func (s *sheet) made(m report.Member) string {
	kind := m.Kind
	if kind == "" {
		kind = packaged(m.Path)
	}
	if s.stitched(m) {
		kind = "screenshot.stitched"
	}
	if s.w.Has("method." + kind) {
		return s.w.T("method." + kind)
	}
	return s.w.T("method.other")
}

func (s *sheet) category(m report.Member) string {
	switch m.Kind {
	case capture.FileWARC, capture.FileDOM, capture.FileMHTML, capture.FileText, capture.FileLines, capture.FilePDF,
		capture.FileViewport, capture.FileFull, capture.FileTile, capture.FileFrame, capture.FileThumbnail, capture.FileCertificate,
		capture.FileSecond, capture.FileSecondText, capture.FileAccessible, capture.FileWire:
		return s.w.T("category.page")
	case capture.FileRemains:
		return s.w.T("category.remains")
	}
	return s.w.T("category.record")
}

// from says where the bytes of a file came from.
func (s *sheet) from(m report.Member) string {
	if s.stitched(m) {
		return s.w.T("from.tool")
	}
	switch m.Kind {
	case capture.FileWARC, capture.FileCertificate:
		return s.w.T("from.server")
	case capture.FileDOM, capture.FileMHTML, capture.FileText, capture.FileLines, capture.FilePDF,
		capture.FileViewport, capture.FileFull, capture.FileTile, capture.FileFrame, capture.FileSecond, capture.FileSecondText, capture.FileAccessible:
		return s.w.T("from.browser")
	case capture.FileWire:
		return s.w.T("from.connection")
	}
	return s.w.T("from.tool")
}

// differs warns that a print need not look like the screen.
func (s *sheet) differs(kind string) string {
	if kind == capture.FilePDF {
		return s.w.T("sheet.member.pdf")
	}
	return ""
}

// stitched reports whether a picture was put together from tiles, which the
// browser made, and kept beside them, as captures did at first.
func (s *sheet) stitched(m report.Member) bool {
	return m.Kind == capture.FileFull && len(s.tileFiles()) > 0
}

// remark points from a picture in the list to its print.
func (s *sheet) remark(m report.Member) string {
	switch {
	case m.Kind == capture.FileViewport:
		return s.w.T("remark.viewport")
	case s.stitched(m):
		return s.w.T("remark.stitched")
	case m.Kind == capture.FileFull:
		return s.w.T("remark.full")
	case m.Kind == capture.FileTile:
		return s.w.T("remark.tile")
	case m.Kind == capture.FileFrame:
		return s.w.T("remark.frame")
	}
	return "—"
}

// level is what protects the package: what the store says, unless a trial
// has shown less.
func (s *sheet) level() storage.Lock {
	if s.v.Object.Lock == storage.LockStore && s.v.Proof != nil {
		return s.v.Proof.Lock()
	}
	return s.v.Object.Lock
}

// lock says what protects the package, and how that is known of a store that
// claims a lock.
func (s *sheet) lock() string {
	level := s.level()
	text := fmt.Sprint(level)
	if key := "lock." + text; s.w.Has(key) {
		text = s.w.T(key)
	}
	if s.v.Object.Lock != storage.LockStore {
		return text
	}
	if s.v.Proof == nil {
		return text + s.w.T("list.semicolon") + s.w.T("lock.untried")
	}
	var held, not []string
	for _, t := range s.v.Proof.Trials {
		name := s.w.T("lock.trial." + t.Name)
		if t.Held {
			held = append(held, name)
		} else {
			not = append(not, name)
		}
	}
	when := s.short(s.v.Proof.Time)
	if len(held) > 0 {
		text += s.w.T("list.semicolon") + s.w.T("lock.tried", data{"time": when, "held": strings.Join(held, s.w.T("list.comma"))})
	}
	if len(not) > 0 {
		text += s.w.T("list.semicolon") + s.w.T("lock.refuted", data{"time": when, "not": strings.Join(not, s.w.T("list.comma"))})
	}
	return text
}

// kept says where the package is stored, until when, and what protects it.
func (s *sheet) kept() string {
	o := s.v.Object
	term := ""
	if s.v.Order.Case != "" {
		term = s.w.T("sheet.kept.case")
	}
	if o.Key == "" {
		return term
	}
	text := s.w.T("sheet.kept", data{"stored": s.short(o.Stored), "until": s.short(o.Until), "lock": s.lock()})
	if o.Version != "" {
		text += s.w.T("list.semicolon") + s.w.T("sheet.kept.version", data{"version": o.Version, "mode": o.Mode})
	}
	if o.Hold {
		text += s.w.T("list.semicolon") + s.w.T("sheet.kept.hold")
	}
	if term != "" {
		text += s.w.T("list.semicolon") + term
	}
	return text
}
