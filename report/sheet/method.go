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
	s.text(w("sheet.method.text"))
	s.flow.Space(1)
	s.facts([][2]string{
		{w("label.tool"), w("sheet.program", data{"name": f.Tool.Name, "version": f.Tool.Version, "sha256": f.Tool.SHA256})},
		{w("label.browser"), w("sheet.program.path", data{"name": f.Browser.Product, "path": f.Browser.Path, "sha256": f.Browser.SHA256})},
		{w("label.profile"), s.profile()},
		{w("label.agent"), f.UserAgent},
		{w("label.viewport"), s.viewport()},
		{w("label.machine"), w("sheet.machine", data{"host": f.Machine.Hostname, "os": f.Machine.OS, "kernel": f.Machine.Kernel, "arch": f.Machine.Arch})},
		{w("label.network"), w("sheet.network", data{"addresses": s.joined(f.Machine.Addresses), "resolvers": s.joined(f.Machine.Resolvers)})},
		{w("label.zone"), w("sheet.zone", data{"zone": f.Machine.TimeZone, "languages": f.Languages})},
		{w("label.clean"), s.cleanliness()},
		{w("label.clock.servers"), s.readings()},
		{w("label.traffic"), s.traffic()},
		{w("label.maker"), s.maker()},
	})
	if s.unsafe() {
		s.note("note.sandbox")
	}
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
	return hosts + s.w.T("list.semicolon") + proxy + s.w.T("list.semicolon") + s.w.T("sheet.guard", data{"address": f.Proxy.Guard})
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
	return s.w.T("sheet.traffic", data{"requests": c.Requests, "responses": c.Responses, "failed": c.Failed, "refused": c.Refused,
		"truncated": c.Truncated, "bytes": thousands(c.BodyBytes), "images": c.Images, "unloaded": c.ImagesUnloaded})
}

// maker names the officers as makers, with a hint where there are none.
func (s *sheet) maker() string {
	if len(s.v.Order.Officers) == 0 {
		return s.w.T("sheet.maker.none")
	}
	return s.names(s.v.Order.Officers)
}

func (s *sheet) names(officers []capture.Officer) string {
	var out []string
	for _, o := range officers {
		out = append(out, s.w.T("sheet.officer", data{"name": o.Name, "licence": o.Licence}))
	}
	return s.joined(out)
}
