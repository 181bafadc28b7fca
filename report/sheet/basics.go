package sheet

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"guzheng/capture"
	"guzheng/preserve/verify"
)

// basics sets who, why, when and where: items 1 to 7 of the record.
func (s *sheet) basics() {
	o, t, w := s.v.Order, s.v.Take, s.w.T
	s.heading(w("sheet.basics"))
	s.fields(field{label: w("label.case"), value: o.Case})
	s.fields(field{label: w("label.cause"), value: o.Cause})
	s.fields(field{label: w("label.purpose"), value: o.Purpose})
	if o.Purpose == "" {
		s.note("journal.purpose.missing")
	}
	s.fields(field{label: w("label.time"), value: w("sheet.time", data{"from": s.blank(s.moment(t.Started)), "to": s.blank(s.moment(t.Finished))})})
	s.fields(field{label: w("label.clock"), value: s.clock()})
	if s.v.Facts.Clock.Answered == 0 {
		s.note("note.clock.unanswered")
	}
	s.fields(field{label: w("label.place"), value: o.Place})
	s.officers()
	s.fields(field{label: w("label.operator")}, field{label: w("label.writer")})

	s.fields(field{label: w("label.party"), value: o.Party})
	s.fields(field{label: w("label.party.licence")}, field{label: w("label.party.uscc")})
	s.fields(field{label: w("label.party.address")})
	s.fields(field{w("label.party.head"), "", 1.25}, field{w("label.party.id"), "", 1})
	s.fields(field{w("label.party.phone"), "", 1}, field{w("label.party.notice"), "", 1.25})
	s.fields(field{w("label.witness"), o.Witness, 1}, field{w("label.witness.id"), "", 1.25})
	s.fields(field{label: w("label.witness.unit")})

	s.fields(field{label: w("label.result"), value: s.result()})
	s.condition()
	s.fields(field{label: w("label.verdict"), value: s.tally()})
	s.standingOf()
	s.flow.Space(1.5)
	s.text(w("sheet.rights"))
}

// officers sets two lines, whatever the order named.
func (s *sheet) officers() {
	all := s.v.Order.Officers
	for i := range 2 {
		var o capture.Officer
		if i < len(all) {
			o = all[i]
		}
		s.fields(field{s.w.T("label.officer"), o.Name, 1}, field{s.w.T("label.officer.licence"), o.Licence, 1})
	}
	switch len(all) {
	case 0:
		s.note("note.officer.missing")
	case 1:
		s.note("note.officer.single")
	}
}

// clock says how this machine's clock compared.
func (s *sheet) clock() string {
	c := s.v.Facts.Clock
	if c.Answered == 0 {
		return s.w.T("clock.unanswered")
	}
	return s.w.T("clock.measured", data{"answered": c.Answered, "asked": len(c.Servers),
		"offset_ms": strconv.FormatFloat(c.OffsetMS, 'f', 1, 64)})
}

func (s *sheet) result() string {
	return s.w.T("sheet.result", data{"state": s.state(), "files": len(s.v.Members)})
}

func (s *sheet) state() string {
	if s.v.Take.State == "" {
		return s.w.T("value.absent")
	}
	return s.w.T("state." + string(s.v.Take.State))
}

// reason is the sentence of a reason with the machine's own account.
func (s *sheet) reason(r capture.Reason) string {
	text := r.Code
	if s.w.Has("reason." + r.Code) {
		text = s.w.T("reason." + r.Code)
	}
	if r.Detail != "" {
		text = s.w.T("sheet.detail", data{"text": text, "detail": s.value(s.detail(r))})
	}
	return text
}

// tally counts the outcomes of the verification.
func (s *sheet) tally() string {
	n := map[verify.Outcome]int{}
	for _, c := range s.v.Verdict.Checks {
		n[c.Outcome]++
	}
	if len(s.v.Verdict.Checks) == 0 {
		return s.w.T("sheet.unverified")
	}
	return s.w.T("sheet.tally", data{"passed": n[verify.Passed], "failed": n[verify.Failed], "unknown": n[verify.Unknown]})
}

// standingOf says beside the outcome how far time stamps and log can be
// relied on.
func (s *sheet) standingOf() {
	if s.practice() {
		s.note("checkcode.stamp.practice")
	}
	if s.pending() {
		s.note("checkcode.stamp.pending")
	}
	if s.v.Seal.Log.Pending() {
		s.note("checkcode.log.pending")
	} else {
		s.note("sheet.log.alone")
	}
}

// source sets where the data came from: items 8 and 9.
func (s *sheet) source() {
	f, o, w := s.v.Facts, s.v.Order, s.w.T
	s.heading(w("sheet.source"))
	s.fields(field{w("label.site"), "", 1}, field{w("label.domain"), host(f.FinalURL, f.RequestedURL, o.URL), 1})
	s.fields(field{label: w("label.title"), value: f.Title})
	s.fields(field{label: w("label.url.requested"), value: first(f.RequestedURL, o.URL)})
	s.fields(field{label: w("label.url.final"), value: f.FinalURL})
	if f.ShownURL != "" {
		s.fields(field{label: w("label.url.shown"), value: f.ShownURL})
		s.note("sheet.shown")
	}
	s.flow.Space(2)
	s.facts(s.way())
	if s.private() {
		s.note("note.private")
	}
	s.text(s.carrier())
}

// way lists how the page was reached.
func (s *sheet) way() [][2]string {
	w := s.w.T
	return [][2]string{
		{w("label.redirects"), s.redirects()},
		{w("label.answer"), s.answer()},
		{w("label.dns"), s.dns()},
		{w("label.tls"), s.tls()},
		{w("label.charset"), s.charset()},
		{w("label.entry"), s.entry()},
	}
}

// private reports whether the site may be none of the public network.
func (s *sheet) private() bool {
	ip, err := netip.ParseAddr(s.v.Facts.RemoteIP)
	return s.v.Order.AllowPrivate || err == nil && (ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast())
}

func host(urls ...string) string {
	u, err := url.Parse(first(urls...))
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// first returns the first text that is not empty.
func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func (s *sheet) redirects() string {
	var hops []string
	for _, h := range s.v.Facts.Redirects {
		key := "sheet.hop"
		if h.Client || h.Status == 0 {
			key = "sheet.hop.client"
		}
		hops = append(hops, s.w.T(key, data{"from": s.value(h.URL), "status": h.Status, "to": s.value(h.To)}))
	}
	if len(hops) == 0 {
		return s.w.T("value.none")
	}
	return strings.Join(hops, s.w.T("list.semicolon"))
}

func (s *sheet) answer() string {
	f := s.v.Facts
	if f.Status == 0 && f.RemoteIP == "" {
		return ""
	}
	key := "sheet.answer"
	if f.Proxy.Upstream != "" {
		key = "sheet.answer.upstream"
	}
	return s.w.T(key, data{"status": f.Status, "protocol": f.Protocol, "ip": f.RemoteIP, "port": f.RemotePort, "type": f.ContentType,
		"upstream": f.Proxy.Upstream})
}

// dns lists the answers for the page's own host first, and counts the rest.
func (s *sheet) dns() string {
	own := host(s.v.Facts.FinalURL, s.v.Facts.RequestedURL, s.v.Order.URL)
	if _, err := netip.ParseAddr(own); err == nil {
		return s.w.T("sheet.dns.literal")
	}
	var out []string
	for _, a := range s.v.Facts.DNS {
		if a.Host != own {
			continue
		}
		key := "sheet.dns"
		if a.Check {
			key += ".check"
		}
		if a.Error != "" {
			key += ".failed"
		}
		out = append(out, s.w.T(key, data{"host": a.Host, "addresses": s.joined(a.Addresses), "dialled": a.Dialled, "at": s.short(a.At),
			"source": s.resolver(a), "error": a.Error}))
	}
	if rest := len(s.v.Facts.DNS) - len(out); rest > 0 {
		out = append(out, s.w.T("sheet.dns.rest", data{"count": rest}))
	}
	return strings.Join(out, s.w.T("list.semicolon"))
}

// resolver says who gave the addresses.
func (s *sheet) resolver(a capture.DNSAnswer) string {
	if a.Source == "dns" && a.Server != "" {
		return s.w.T("source.dns.server", data{"server": a.Server, "records": len(a.Records)})
	}
	if key := "source." + a.Source; s.w.Has(key) {
		return s.w.T(key)
	}
	return a.Source
}

// tls describes the certificate of the page's own host. One that the browser
// refused and was then told to accept is that of its connections; one that it
// refused for good was read on a connection of our own. Where the guard ended
// TLS, it is the guard that refused and accepted.
func (s *sheet) tls() string {
	final := first(s.v.Facts.FinalURL, s.v.Facts.RequestedURL, s.v.Order.URL)
	used, own := s.tlsHosts(host(final))
	accepted, refused := "sheet.tls.accepted", "sheet.tls.own"
	if own != nil && own.Guard != nil {
		accepted, refused = "sheet.tls.accepted.guard", "sheet.tls.own.guard"
	}
	switch {
	case used != nil && own != nil && len(used.Chain) > 0:
		return s.chain(used) + s.w.T("list.semicolon") + s.w.T(accepted, data{"error": own.Error})
	case own != nil && len(own.Chain) > 0:
		return s.w.T(refused, data{"error": own.Error, "text": s.chain(own)})
	case used != nil:
		return s.chain(used)
	case own != nil:
		return s.chain(own)
	case strings.HasPrefix(final, "http:"):
		return s.w.T("sheet.tls.plain")
	}
	return ""
}

// tlsHosts returns what is known of a host's certificate: from the browser's
// connections, and from one of our own.
func (s *sheet) tlsHosts(name string) (used, own *capture.TLSHost) {
	for _, t := range s.v.Facts.TLS {
		switch {
		case t.Host != name && !strings.HasPrefix(t.Host, name+":"):
		case t.OwnConnection && own == nil:
			own = &t
		case !t.OwnConnection && used == nil:
			used = &t
		}
	}
	return used, own
}

// chain describes the first certificate of a chain, and says where TLS ended
// if that was at the guard.
func (s *sheet) chain(t *capture.TLSHost) string {
	text := s.w.T("sheet.tls.none", data{"protocol": t.Protocol, "error": t.Error})
	if len(t.Chain) > 0 {
		c := t.Chain[0]
		text = s.w.T("sheet.tls", data{"protocol": t.Protocol, "subject": c.Subject, "issuer": c.Issuer, "serial": c.Serial,
			"from": s.short(c.NotBefore), "to": s.short(c.NotAfter), "sha256": c.SHA256})
	}
	if g := t.Guard; g != nil && !t.OwnConnection {
		text = s.w.T("sheet.tls.guard", data{"text": text, "certificate": g.Certificate, "asked": g.Asked, "presented": g.Presented})
	}
	return text
}

// entry says how the page was reached, if it was opened at all.
func (s *sheet) entry() string {
	if s.told("page.navigate") == 0 {
		return ""
	}
	redirects, moves := 0, 0
	for _, h := range s.v.Facts.Redirects {
		if h.Client || h.Status == 0 {
			moves++
		} else {
			redirects++
		}
	}
	d := data{"login": s.login(), "redirects": redirects, "moves": moves}
	switch {
	case redirects+moves > 0:
		return s.w.T("sheet.entry.hops", d)
	case s.told("page.moved") > 0:
		return s.w.T("sheet.entry.moved", d)
	}
	return s.w.T("sheet.entry", d)
}

// login says whether the server was given a name and a password, or a client
// certificate.
func (s *sheet) login() string {
	var given []string
	for _, t := range s.v.Facts.TLS {
		if t.Guard != nil && t.Guard.Presented > 0 {
			given = append(given, s.w.T("sheet.login.certificate"))
			break
		}
	}
	for _, e := range s.v.Journal {
		if e.Code == "auth.asked" && e.Data["answered"] == "ProvideCredentials" {
			given = append(given, s.w.T("sheet.login.basic"))
			break
		}
	}
	switch len(given) {
	case 0:
		return s.w.T("sheet.login.none")
	case 1:
		return given[0]
	}
	return s.w.T("sheet.login.both", data{"first": given[0], "second": given[1]})
}

func (s *sheet) charset() string {
	c := s.v.Facts.Charset
	return s.w.T("sheet.charset", data{"header": c.Header, "meta": c.Meta, "used": c.Used})
}
