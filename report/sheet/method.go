package sheet

import (
	"strconv"
	"strings"

	"guzheng/capture"
)

// method sets how and with what the data was taken: items 10 and 11.
func (s *sheet) method() {
	f, w := s.v.Facts, s.w.T
	s.heading(w("sheet.method"))
	if s.hasPage() {
		s.text(w("sheet.method.text", data{"methods": s.ways()}))
	} else {
		s.text(w("sheet.method.process"))
	}
	s.flow.Space(1)
	s.facts([][2]string{
		{w("label.tool"), w("sheet.program", data{"name": f.Tool.Name, "version": f.Tool.Version, "sha256": f.Tool.SHA256})},
		{w("label.browser"), s.program()},
		{w("label.profile"), s.profile()},
		{w("label.agent"), f.UserAgent},
		{w("label.viewport"), s.viewport()},
		{w("label.machine"), w("sheet.machine", data{"host": f.Machine.Hostname, "os": f.Machine.OS, "kernel": f.Machine.Kernel, "arch": f.Machine.Arch})},
		{w("label.network"), w("sheet.network", data{"addresses": s.joined(f.Machine.Addresses), "resolvers": s.joined(f.Machine.Resolvers)})},
		{w("label.zone"), w("sheet.zone", data{"zone": f.Machine.TimeZone, "page": f.Browser.TimeZone, "languages": f.Languages})},
		{w("label.account"), f.Machine.Account},
		{w("label.clean"), s.cleanliness()},
		{w("label.clock.servers"), s.readings()},
		{w("label.traffic"), s.traffic()},
		{w("label.maker"), s.maker()},
	})
	if s.unsafe() {
		s.note("note.sandbox")
	}
	if s.told("connection.outside") > 0 {
		s.note("note.outside")
	}
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

// profile says in what state the browser was; nothing when none ran.
func (s *sheet) profile() string {
	if s.v.Facts.Browser.Product == "" {
		return ""
	}
	return s.w.T("sheet.profile", data{"user": s.v.Facts.Browser.User, "sandbox": s.sandbox()})
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
// watched.
func (s *sheet) guarded() string {
	d := data{"address": s.v.Facts.Proxy.Guard, "count": s.told("connection.outside")}
	switch {
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
