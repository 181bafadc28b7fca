package web

import (
	"bytes"
	"fmt"
	"net/url"
	"sort"
	"strings"
	"time"

	"github.com/chromedp/cdproto/network"

	"guzheng/capture/warc"
)

// exchange turns a hop into the records of the WARC.
func (v *visit) exchange(_ *request, h *hop) {
	u, err := url.Parse(h.sent.Request.URL)
	if err != nil {
		v.journal.Anomaly("exchange.unwritten", "url", h.sent.Request.URL, "detail", err.Error())
		return
	}
	status, reason, protocol := statusLine(h)
	e := warc.Exchange{
		URL: h.sent.Request.URL, Method: h.sent.Request.Method,
		RequestHeader: requestFields(h, u), RequestBody: h.post,
		Status: status, Reason: reason, Header: responseFields(h), Protocol: protocol,
		Body: bytes.NewReader(h.body), BodyBytes: int64(len(h.body)),
		Time: h.at, RequestTime: epoch(float64(h.sent.WallTime)), PageID: v.pageID,
		ResourceType: strings.ToLower(string(h.sent.Type)),
		Truncated:    h.truncated, Decoded: true, NoResponse: status == 0, Failure: h.failed,
	}
	a, dialled := v.guard.dialledFor(u.Hostname(), portOf(u))
	if dialled && status != 0 {
		e.IP = a.Addr().String()
	}
	if !dialled && status != 0 && !stored(h) {
		v.journal.Anomaly("connection.outside", "url", h.sent.Request.URL)
		v.because("connection.outside", u.Host)
	}
	if h.response != nil && h.response.SecurityDetails != nil {
		e.TLSProtocol, e.Cipher = h.response.SecurityDetails.Protocol, h.response.SecurityDetails.Cipher
	}
	if _, err := v.warc.Exchange(e); err != nil && v.warcErr == nil {
		v.warcErr = fmt.Errorf("recording %s: %w", h.sent.Request.URL, err)
		v.journal.Anomaly("exchange.unwritten", "url", h.sent.Request.URL, "detail", err.Error())
	}
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

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" || u.Scheme == "wss" {
		return "443"
	}
	return "80"
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
