package sheet

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"guzheng/capture"
)

// method sets how and with what the data was taken: items 10 and 11.
func (s *sheet) method() {
	w := s.w.T
	s.heading(w("sheet.method"))
	if s.hasPage() {
		s.text(w("sheet.method.text", data{"methods": s.ways()}))
	} else {
		s.text(w("sheet.method.process"))
	}
	s.flow.Space(1)
	s.facts(s.environment())
	if s.unsafe() {
		s.note("note.sandbox")
	}
	if s.told("connection.outside") > 0 {
		s.note("note.outside")
	}
}

// environment lists machine, programs and what was observed of them. What an
// order need not ask for has a row only where it was asked for.
func (s *sheet) environment() [][2]string {
	f, w := s.v.Facts, s.w.T
	var rows [][2]string
	row := func(label, value string) { rows = append(rows, [2]string{label, value}) }
	found := func(label, value string) {
		if value != "" {
			row(label, value)
		}
	}
	row(w("label.tool"), w("sheet.program", data{"name": f.Tool.Name, "version": f.Tool.Version, "sha256": f.Tool.SHA256}))
	row(w("label.browser"), s.program())
	row(w("label.profile"), s.profile())
	row(w("label.agent"), f.UserAgent)
	found(w("label.visitor"), s.visitor())
	row(w("label.viewport"), s.viewport())
	row(w("label.machine"), w("sheet.machine", data{"host": f.Machine.Hostname, "os": f.Machine.OS, "kernel": f.Machine.Kernel, "arch": f.Machine.Arch}))
	row(w("label.network"), w("sheet.network", data{"addresses": s.joined(f.Machine.Addresses), "resolvers": s.joined(f.Machine.Resolvers)}))
	row(w("label.zone"), w("sheet.zone", data{"zone": f.Machine.TimeZone, "page": f.Browser.TimeZone, "languages": f.Languages}))
	row(w("label.account"), f.Machine.Account)
	row(w("label.clean"), s.cleanliness())
	row(w("label.clock.servers"), s.readings())
	row(w("label.traffic"), s.traffic())
	found(w("label.wire"), s.wired())
	found(w("label.fonts"), s.fonts())
	found(w("label.second"), s.second())
	row(w("label.maker"), s.maker())
	return rows
}

// program names the browser, and the program that really ran where that was
// another than the one started.
func (s *sheet) program() string {
	b := s.v.Facts.Browser
	key := "sheet.program.path"
	if b.Executable != "" && b.Executable != b.Path {
		key = "sheet.program.run"
	}
	return s.w.T(key, data{"name": b.Product, "path": b.Path, "executable": b.Executable, "sha256": b.SHA256})
}

// profile says in what state the browser was; nothing when none ran. One that
// serves several captures gives each a context of its own.
func (s *sheet) profile() string {
	b := s.v.Facts.Browser
	if b.Product == "" {
		return ""
	}
	key := "sheet.profile"
	if !b.Opened.IsZero() {
		key = "sheet.profile.context"
	}
	return s.w.T(key, data{"user": b.User, "sandbox": s.sandbox(), "opened": s.short(b.Opened), "started": s.short(b.Started)})
}

// visitor says whom the browser was told to be; nothing when it was itself.
func (s *sheet) visitor() string {
	who := s.v.Order.Visitor
	var out []string
	if who.Mobile {
		out = append(out, s.w.T("sheet.visitor.mobile"))
	}
	if who.UserAgent != "" {
		out = append(out, s.w.T("sheet.visitor.agent"))
	}
	if who.Languages != "" {
		out = append(out, s.w.T("sheet.visitor.languages", data{"languages": who.Languages}))
	}
	if l := who.Location; l != nil {
		out = append(out, s.w.T("sheet.visitor.location", data{"latitude": s.plain(l.Latitude), "longitude": s.plain(l.Longitude), "accuracy": s.plain(l.Accuracy)}))
	}
	return strings.Join(out, s.w.T("list.semicolon"))
}

// unsafe reports whether the browser ran without its sandbox.
func (s *sheet) unsafe() bool {
	return s.v.Order.NoSandbox || s.v.Facts.Browser.Product != "" && !s.v.Facts.Browser.Sandbox
}

func (s *sheet) sandbox() string {
	if s.unsafe() {
		return s.w.T("sheet.sandbox.off")
	}
	return s.w.T("sheet.sandbox.on")
}

func (s *sheet) viewport() string {
	v := s.v.Facts.Viewport
	if v.Width == 0 {
		v = s.v.Order.Viewport
	}
	return s.w.T("sheet.viewport", data{"width": v.Width, "height": v.Height, "scale": strconv.FormatFloat(v.Scale, 'g', -1, 64),
		"page_width": s.v.Facts.Page.Width, "page_height": s.v.Facts.Page.Height})
}

// cleanliness sums up what stood between this machine and the net.
func (s *sheet) cleanliness() string {
	f := s.v.Facts
	hosts := s.w.T("sheet.hosts.none")
	if n := len(f.HostsFile.Entries); n > 0 {
		hosts = s.w.T("sheet.hosts", data{"count": n, "entries": s.value(strings.Join(f.HostsFile.Entries, s.w.T("list.semicolon")))})
	} else if f.HostsFile.Error != "" || f.HostsFile.Path == "" {
		hosts = s.w.T("sheet.hosts.unread")
	}
	proxy := s.w.T("sheet.proxy.none")
	if len(f.Proxy.Environment) > 0 {
		proxy = s.w.T("sheet.proxy.set", data{"names": s.joined(f.Proxy.Environment)})
	}
	return hosts + s.w.T("list.semicolon") + proxy + s.w.T("list.semicolon") + s.guarded()
}

// guarded says whether every connection passed the guard, as far as that was
// watched. With an upstream proxy it is not.
func (s *sheet) guarded() string {
	d := data{"address": s.v.Facts.Proxy.Guard, "count": s.told("connection.outside"), "upstream": s.v.Facts.Proxy.Upstream}
	switch {
	case s.v.Facts.Proxy.Upstream != "":
		return s.w.T("sheet.guard.upstream", d)
	case s.told("connection.outside") > 0:
		return s.w.T("sheet.guard.outside", d)
	case s.v.Facts.Proxy.Guard == "" || s.told("traffic.closed") == 0:
		return s.w.T("sheet.guard.unknown", d)
	}
	return s.w.T("sheet.guard", d)
}

func (s *sheet) readings() string {
	var out []string
	for _, r := range s.v.Facts.Clock.Servers {
		if r.Error != "" {
			out = append(out, s.w.T("sheet.reading.none", data{"server": r.Server}))
			continue
		}
		out = append(out, s.w.T("sheet.reading", data{"server": r.Server, "offset_ms": strconv.FormatFloat(r.OffsetMS, 'f', 1, 64),
			"delay_ms": strconv.FormatFloat(r.DelayMS, 'f', 1, 64)}))
	}
	return strings.Join(out, s.w.T("list.semicolon"))
}

func (s *sheet) traffic() string {
	c := s.v.Facts.Counts
	return s.w.T("sheet.traffic", data{"requests": c.Requests, "responses": c.Responses, "failed": c.Failed, "unanswered": c.Unanswered, "refused": c.Refused,
		"truncated": c.Truncated, "bytes": thousands(c.BodyBytes), "images": c.Images, "unloaded": c.ImagesUnloaded})
}

// wired says what was kept of the connections below HTTP, if anything was.
func (s *sheet) wired() string {
	m, ok := s.member(capture.FileWire)
	if !ok {
		return ""
	}
	text := s.w.T("sheet.wire", data{"path": m.Path, "secrets": int(count(s.firstData("wire.secrets")["lines"]))})
	if cut := s.firstData("wire.cut"); cut != nil {
		text += s.w.T("list.semicolon") + s.w.T("sheet.wire.cut", data{"at": s.instant(cut["at"])})
	}
	return text
}

// fonts names the fonts that the page was really drawn with, and what none of
// them has.
func (s *sheet) fonts() string {
	f := s.v.Facts.Fonts
	if f == nil {
		return ""
	}
	const most = 6
	var names, out []string
	for _, u := range f.Used {
		if !slices.Contains(names, u.Family) {
			names = append(names, u.Family)
		}
	}
	if n := len(names); n > 0 {
		list := s.joined(names[:min(most, n)])
		if n > most {
			list += s.w.T("sheet.more")
		}
		out = append(out, s.w.T("sheet.fonts", data{"count": n, "names": list}))
	}
	if len(names) == 0 && f.Styles > 0 {
		out = append(out, s.w.T("sheet.fonts.unasked"))
	}
	switch n, codes := s.missingGlyphs(); {
	case n > 0:
		out = append(out, s.w.T("sheet.fonts.missing", data{"count": n, "codes": codes}))
	case f.Unknown != "":
		out = append(out, s.w.T("sheet.fonts.unknown"))
	}
	return strings.Join(out, s.w.T("list.semicolon"))
}

// missingGlyphs counts the characters that no font could draw and lists the
// first. A character in a web font may have been drawn by it.
func (s *sheet) missingGlyphs() (n int, codes string) {
	if s.v.Facts.Fonts == nil {
		return 0, ""
	}
	const most = 10
	var list []string
	for _, g := range s.v.Facts.Fonts.Missing {
		if !g.Web {
			n += g.Count
			list = append(list, g.Code)
		}
	}
	codes = s.joined(list[:min(most, len(list))])
	if len(list) > most {
		codes += s.w.T("sheet.more")
	}
	return n, codes
}

// second says how the page compared when it was loaded once more.
func (s *sheet) second() string {
	look := s.v.Facts.Second
	if look == nil {
		return ""
	}
	d := data{"at": s.short(look.At), "status": look.Status, "similarity": percent(look.Similarity), "error": look.Error,
		"gone": s.lines(look.Gone), "come": s.lines(look.Come), "pixels": look.Pixels}
	if look.Status == 0 {
		d["status"] = nil // none came
	}
	if look.Error != "" {
		return s.w.T("sheet.second.failed", d)
	}
	text := s.w.T("sheet.second", d)
	if s.pixelsCompared() {
		text += s.w.T("sheet.second.pixels", d)
	}
	return text
}

// lines counts quoted lines. A capture quotes no more than twenty.
func (s *sheet) lines(quoted []string) string {
	const most = 20
	key := "sheet.lines"
	if len(quoted) >= most {
		key = "sheet.least"
	}
	return s.w.T(key, data{"count": len(quoted)})
}

// pixelsCompared reports whether there were two pictures to compare, and it
// was done.
func (s *sheet) pixelsCompared() bool {
	return s.holds(capture.FileViewport) && s.holds(capture.FileSecond) && s.told("look.failed") == 0
}

// percent prints a share, rounded down: only what is the same is 100 %.
func percent(share float64) string {
	const rounding = 1e-9 // of the multiplication
	return strconv.FormatFloat(math.Floor(share*1000+rounding)/10, 'f', 1, 64) + "%"
}

// maker names the officers as makers, with a hint where there are none.
func (s *sheet) maker() string {
	if len(s.v.Order.Officers) == 0 {
		return s.w.T("sheet.maker.none")
	}
	return s.w.T("sheet.maker", data{"names": s.names(s.v.Order.Officers)})
}

func (s *sheet) names(officers []capture.Officer) string {
	var out []string
	for _, o := range officers {
		out = append(out, s.w.T("sheet.officer", data{"name": o.Name, "licence": o.Licence}))
	}
	return s.joined(out)
}
