package web

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"guzheng/capture"
	"guzheng/capture/web/reading"
)

// factsScript asks the page what only it knows.
const factsScript = `(() => {
	const meta = document.querySelector('meta[charset]');
	const equiv = [...document.querySelectorAll('meta[http-equiv]')].find(m => m.httpEquiv.toLowerCase() === 'content-type');
	return {
		title: document.title, url: location.href, used: document.characterSet,
		meta: meta ? meta.getAttribute('charset') : equiv ? equiv.content : '',
		agent: navigator.userAgent, languages: navigator.languages.join(','),
		zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
		password: [...document.querySelectorAll('input[type=password]')].some(i => i.getClientRects().length > 0),
	};
})()`

// titleRunes is how much of a title goes into the facts; the DOM has it all.
const titleRunes = 1000

// pageFacts fills in what the page and the browser say.
func (v *visit) pageFacts(ctx context.Context) {
	v.mu.Lock()
	shown := v.page.url
	failed := v.failed || v.page.loader == ""
	v.mu.Unlock()
	if !failed {
		ask, cancel := context.WithTimeout(ctx, capture.MS(v.order.Limits.StepMS))
		defer cancel()
		var f struct {
			Title, URL, Used, Meta, Agent, Languages, Zone string
			Password                                       bool
		}
		if err := v.ask(ask, factsScript, &f); err != nil {
			if !errors.Is(err, context.Canceled) {
				v.missing("facts of the page", err)
			}
		} else {
			v.facts.Title, v.facts.UserAgent, v.facts.Languages = short(f.Title, titleRunes), f.Agent, f.Languages
			v.facts.Browser.TimeZone, shown = f.Zone, f.URL
			v.facts.Charset.Used, v.facts.Charset.Meta = f.Used, f.Meta
			v.noteGate(f.Title, f.Password)
		}
	}
	v.connectionFacts()
	if base, _, _ := strings.Cut(shown, "#"); base != "" && base != v.facts.FinalURL {
		v.facts.ShownURL = shown
	}
	if c := v.facts.Charset; c.Used != "" && declared(c) != "" && !sameCharset(declared(c), c.Used) {
		v.journal.Anomaly("charset.mismatch", "declared", declared(c), "used", c.Used)
	} else if garbled(c) {
		v.journal.Anomaly("charset.garbled", "sniffed", c.Sniffed, "used", c.Used)
	}
}

// connectionFacts reads the answer for the main document, hop by hop.
func (v *visit) connectionFacts() {
	hops := v.recorder.mainHops()
	if len(hops) == 0 {
		return
	}
	shown := v.shown(hops)
	v.recorder.mu.Lock()
	defer v.recorder.mu.Unlock()
	for _, h := range hops[shown+1:] {
		// Asked for by the page and not shown in its place: a download, an
		// empty answer, an error.
		v.journal.Anomaly("page.unshown", "url", h.sent.Request.URL, "status", h.status())
	}
	var last *hop
	for i, h := range hops[:shown+1] {
		status := h.status()
		if status == 0 {
			continue
		}
		if last != nil && i > 0 {
			v.facts.Redirects = append(v.facts.Redirects, hopTo(last, h))
		}
		last = h
	}
	if last == nil {
		return
	}
	v.facts.Status, v.facts.StatusText, v.facts.Protocol = statusLine(last)
	v.facts.ContentType = last.header("Content-Type")
	seen := reading.Sniff(wholeCharacters(last.head), v.facts.ContentType)
	seen.Used, seen.Header = v.facts.Charset.Used, charsetOf(v.facts.ContentType)
	if seen.Meta == "" {
		seen.Meta = v.facts.Charset.Meta
	}
	v.facts.Charset = seen
	v.facts.PageTime = last.at.UTC().Truncate(time.Millisecond)
	v.facts.FinalURL = last.sent.Request.URL
	if u, err := parseAddress(last.sent.Request.URL); err == nil {
		if a, ok := v.guard.dialledFor(u.Hostname(), portOf(u)); ok {
			v.facts.RemoteIP, v.facts.RemotePort = a.Addr().String(), int(a.Port())
		}
	}
	for _, r := range v.facts.Redirects {
		v.journal.Step("page.redirect", "from", r.URL, "to", r.To, "status", r.Status)
	}
}

// garbled reports whether the bytes cannot have been read right: they are
// certainly in another encoding than the one used, or no UTF-8 at all and read
// as that.
func garbled(c capture.Charset) bool {
	switch {
	case c.Used == "" || c.Sniffed == "" && c.Why != "none":
		return false
	case c.Certain:
		return c.Why != "ascii" && !sameCharset(c.Sniffed, c.Used)
	}
	return sameCharset(c.Used, "utf-8") && (c.Why == "letters" || c.Why == "none")
}

// wholeCharacters cuts the beginning of a document so that it does not end
// within a character.
func wholeCharacters(b []byte) []byte {
	if len(b) < headBytes {
		return b
	}
	if i := bytes.LastIndexByte(b, '<'); i > 0 {
		return b[:i]
	}
	return b
}

// hopTo describes the way from one document to the next.
func hopTo(from, to *hop) capture.Hop {
	status := from.status()
	h := capture.Hop{URL: from.sent.Request.URL, To: to.sent.Request.URL}
	if status >= 300 && status < 400 && from.header("Location") != "" {
		h.Status = status
	} else {
		h.Client = true
	}
	return h
}

// charsetOf returns the charset parameter of a content type.
func charsetOf(contentType string) string {
	for _, p := range strings.Split(contentType, ";") {
		if k, val, ok := strings.Cut(strings.TrimSpace(p), "="); ok && strings.EqualFold(k, "charset") {
			return strings.Trim(val, `"' `)
		}
	}
	return ""
}

func declared(c capture.Charset) string {
	if c.Header != "" {
		return c.Header
	}
	if s := charsetOf(c.Meta); s != "" {
		return s
	}
	return c.Meta
}

// sameCharset compares names as the WHATWG encoding standard groups them:
// the labels of GBK and of Latin-1 each have one decoder.
func sameCharset(a, b string) bool {
	fold := func(s string) string {
		s = strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(s))
		switch s {
		case "gb2312", "gbk", "gb18030", "xgbk", "csgb2312":
			return "gbk"
		case "iso88591", "latin1", "windows1252", "usascii", "ascii":
			return "windows1252"
		}
		return s
	}
	return fold(a) == fold(b)
}
