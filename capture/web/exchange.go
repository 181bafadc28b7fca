package web

import (
	"fmt"
	"net/url"
	"sort"
	"strings"
	"time"

	"github.com/chromedp/cdproto/network"

	"guzheng/capture/warc"
)

// exchange turns a hop into the records of the WARC.
func (v *visit) exchange(h *hop) {
	u, err := parseAddress(h.sent.Request.URL)
	if err != nil {
		v.unwritten(h.sent.Request.URL, err)
		return
	}
	status, reason, protocol := statusLine(h)
	e := warc.Exchange{
		URL: h.sent.Request.URL, Method: h.sent.Request.Method,
		RequestHeader: requestFields(h, u), RequestBody: h.post,
		Status: status, Reason: reason, Header: responseFields(h), Protocol: protocol,
		Body: h.body.reader(), BodyBytes: h.body.size,
		Time: h.at, RequestTime: epoch(float64(h.sent.WallTime)), PageID: h.page,
		ResourceType: strings.ToLower(string(h.kind())),
		Truncated:    h.truncated, Decoded: true, NoResponse: status == 0, Failure: h.failed,
	}
	e.BodySHA256, e.Meta = h.body.sum(), metaOf(h)
	if v.secret != "" {
		e.Withheld = []string{"Authorization", "Proxy-Authorization"}
	}
	a, dialled := v.guard.dialledFor(u.Hostname(), portOf(u))
	if dialled && status != 0 {
		e.IP = a.Addr().String()
	}
	if !dialled && status != 0 && !stored(h) && v.order.Proxy == "" {
		v.journal.Anomaly("connection.outside", "url", h.sent.Request.URL)
		v.because("connection.outside", u.Host)
	}
	if h.response != nil && h.response.SecurityDetails != nil {
		e.TLSProtocol, e.Cipher = h.response.SecurityDetails.Protocol, h.response.SecurityDetails.Cipher
	}
	if version, cipher, ended := v.guard.mutual.spoken(u); ended {
		e.TLSProtocol, e.Cipher = version, cipher
	}
	_, err = v.warc.Exchange(e)
	v.unwritten(h.sent.Request.URL, err)
}

// stored reports whether the answer came from memory and no connection was
// made for it.
func stored(h *hop) bool {
	r := h.response
	return r != nil && (r.FromDiskCache || r.FromServiceWorker || r.FromPrefetchCache)
}

// epoch turns the browser's seconds since 1970 into a time.
func epoch(seconds float64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(seconds * 1e6)).UTC()
}

// statusLine returns status, reason phrase and protocol of the response; all
// are zero when there was none.
func statusLine(h *hop) (int, string, string) {
	status := h.status()
	protocol, reason := "", ""
	if h.response != nil {
		protocol, reason = h.response.Protocol, h.response.StatusText
	} else if h.paused != nil {
		reason = h.paused.ResponseStatusText
	}
	if text := headersText(h); text != "" {
		line, _, _ := strings.Cut(text, "\n")
		if proto, rest, ok := strings.Cut(strings.TrimRight(line, "\r"), " "); ok {
			_, reason, _ = strings.Cut(rest, " ")
			if protocol == "" {
				protocol = strings.ToLower(proto)
			}
		}
	}
	return status, reason, protocol
}

func headersText(h *hop) string {
	if h.respExtra == nil {
		return ""
	}
	return h.respExtra.HeadersText
}

// responseFields returns the header fields as received. HTTP/1 servers are
// quoted verbatim: order, case and repetitions. Over HTTP/2 the browser has
// two incomplete accounts; the list of the held response keeps order and
// repetitions and lacks Set-Cookie, the extra dictionary has Set-Cookie and
// joins repetitions by line feeds.
func responseFields(h *hop) []warc.Field {
	if text := headersText(h); text != "" {
		return parseFields(text)
	}
	var fields []warc.Field
	seen := map[string]bool{}
	if h.paused != nil {
		for _, f := range h.paused.ResponseHeaders {
			fields = append(fields, warc.Field{Name: f.Name, Value: f.Value})
			seen[strings.ToLower(f.Name)] = true
		}
	}
	var extra network.Headers
	switch {
	case h.respExtra != nil:
		extra = h.respExtra.Headers
	case h.response != nil:
		extra = h.response.Headers
	}
	for _, f := range dictionary(extra) {
		if !seen[strings.ToLower(f.Name)] {
			fields = append(fields, f)
		}
	}
	return fields
}

// parseFields splits an HTTP/1 header block, status line included, without
// changing anything. Obsolete line folding (RFC 9112 section 5.2) is joined
// by a space.
func parseFields(text string) []warc.Field {
	lines := strings.Split(strings.TrimRight(text, "\r\n"), "\n")
	var fields []warc.Field
	for _, line := range lines[1:] {
		line = strings.TrimRight(line, "\r")
		if line == "" {
			continue
		}
		if (line[0] == ' ' || line[0] == '\t') && len(fields) > 0 {
			fields[len(fields)-1].Value += " " + strings.TrimSpace(line)
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, warc.Field{Name: name, Value: strings.Trim(value, " \t")})
	}
	return fields
}

// requestFields returns the header fields as sent, cookies included. The
// browser gives them as a dictionary, so their order on the wire is not
// known: Host first, then by name.
func requestFields(h *hop, u *url.URL) []warc.Field {
	headers := h.sent.Request.Headers
	if h.reqExtra != nil {
		headers = h.reqExtra.Headers
	}
	var fields []warc.Field
	for _, f := range dictionary(headers) {
		if !strings.HasPrefix(f.Name, ":") && !strings.EqualFold(f.Name, "Host") {
			fields = append(fields, f)
		}
	}
	return append([]warc.Field{{Name: "Host", Value: u.Host}}, fields...)
}

// dictionary sorts the fields of a CDP header dictionary and splits values
// that were joined.
func dictionary(headers network.Headers) []warc.Field {
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	sort.Slice(names, func(i, k int) bool {
		a, b := strings.ToLower(names[i]), strings.ToLower(names[k])
		return a < b || a == b && names[i] < names[k]
	})
	var fields []warc.Field
	for _, name := range names {
		value, ok := headers[name].(string)
		if !ok {
			value = fmt.Sprint(headers[name])
		}
		for _, one := range strings.Split(value, "\n") {
			fields = append(fields, warc.Field{Name: name, Value: one})
		}
	}
	return fields
}

// socketRecord turns a WebSocket into the exchange of its handshake and the
// list of its messages.
func (v *visit) socketRecord(s *socket) {
	u, err := parseAddress(s.url)
	if err != nil {
		v.unwritten(s.url, err)
		return
	}
	e := warc.Exchange{URL: strings.Replace(s.url, "ws", "http", 1), Method: "GET", Time: s.at, RequestTime: s.opened,
		PageID: s.page, ResourceType: "websocket", Protocol: "http/1.1", NoResponse: s.response == nil, Failure: s.failure}
	if s.sent != nil && s.sent.Request != nil {
		e.RequestHeader = dictionary(s.sent.Request.Headers)
	}
	if r := s.response; r != nil {
		e.Status, e.Reason = int(r.Status), r.StatusText
		if e.Header = dictionary(r.Headers); r.HeadersText != "" {
			e.Header = parseFields(r.HeadersText)
		}
		if r.RequestHeadersText != "" {
			e.RequestHeader = parseFields(r.RequestHeadersText)
		}
	} else {
		e.Time = s.closed
	}
	if a, ok := v.guard.dialledFor(u.Hostname(), portOf(u)); ok && s.response != nil {
		e.IP = a.Addr().String()
	}
	if v.secret != "" {
		e.Withheld = []string{"Authorization"}
	}
	id, err := v.warc.Exchange(e)
	if err == nil && s.response != nil {
		_, err = v.warc.Frames(warc.Frames{URL: s.url, Time: s.opened, Body: s.frames.reader(), BodyBytes: s.frames.size,
			ConcurrentTo: id, PageID: s.page, IP: e.IP, Truncated: s.truncated})
	}
	v.unwritten(s.url, err)
	v.journal.Step("socket.closed", "url", s.url, "messages", s.count, "left", s.left, "truncated", s.truncated)
}

// unwritten notes that a record could not be written; nil is fine.
func (v *visit) unwritten(address string, err error) {
	if err == nil {
		return
	}
	v.journal.Anomaly("exchange.unwritten", "url", address, "detail", err.Error())
	if v.warcErr == nil {
		v.warcErr = fmt.Errorf("recording %s: %w", address, err)
	}
}
