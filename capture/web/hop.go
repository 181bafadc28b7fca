package web

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/chromedp/cdproto/network"

	"guzheng/capture"
)

// status returns the status of a hop, as far as known.
func (h *hop) status() int {
	switch {
	case h.respExtra != nil && h.respExtra.StatusCode != 0:
		return int(h.respExtra.StatusCode)
	case h.response != nil:
		return int(h.response.Status)
	case h.paused != nil:
		return int(h.paused.ResponseStatusCode)
	}
	return 0
}

// header returns the first value of a response header field.
func (h *hop) header(name string) string {
	for _, f := range responseFields(h) {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// settle fixes what is known of a hop at the moment it is written.
func (r *recorder) settle(h *hop, force bool) {
	answered := h.response != nil || h.paused != nil && h.paused.ResponseStatusCode != 0
	if answered && h.truncated == "" && !bodiless(h) {
		h.truncated = cutOff(h, force)
		if h.truncated == "" && h.unframed() && r.resetUnder(h) {
			// The end of the connection is the end of the body, and the
			// browser takes some broken ones for ended ones.
			h.truncated = "disconnect"
		}
	}
	r.noteCoding(h)
	if !answered {
		r.noteUnanswered(h)
		return
	}
	r.counts.Responses++
	if h.truncated != "" {
		r.noteTruncated(h)
	}
}

// noteTruncated tells of a body that is not whole. It is a gap unless nobody
// wanted the rest, or there is none.
func (r *recorder) noteTruncated(h *hop) {
	address := h.sent.Request.URL
	switch {
	case h.truncated == "time" && h.response != nil && endlessType(h.response.MimeType):
		// It has no end; what it said until now is there.
		r.journal.Step("stream.open", "url", address, "bytes", h.body.size)
	case unread(h) || abandoned(h) && h.truncated == "unspecified":
		// Nobody wanted it: the browser throws some bodies away itself.
		r.journal.Step("body.unread", "url", address, "bytes", h.body.size, "detail", h.lost)
	default:
		r.counts.Truncated++
		r.reason("body.truncated", h.truncated+" "+address)
		r.journal.Anomaly("body.truncated", "url", address, "reason", h.truncated, "bytes", h.body.size, "detail", h.lost)
	}
}

// noteUnanswered tells of a request that failed, or that nothing came back
// for.
func (r *recorder) noteUnanswered(h *hop) {
	address := h.sent.Request.URL
	if h.failed == "" {
		h.failed = "no answer before the capture ended"
		r.counts.Unanswered++
		r.reason("request.unanswered", address)
	}
	r.counts.Failed++
	r.failures = append(r.failures, capture.Failure{URL: address, Reason: h.failed})
	r.journal.Anomaly("request.failed", "url", address, "reason", h.failed)
}

// unframed reports whether only the end of the connection ends the body (RFC
// 9112 section 6.3, case 8).
func (h *hop) unframed() bool {
	return h.response != nil && strings.HasPrefix(h.response.Protocol, "http/1") && h.header("Content-Length") == "" && h.header("Transfer-Encoding") == ""
}

// resetUnder reports whether a connection to the host of a hop was broken.
func (r *recorder) resetUnder(h *hop) bool {
	u, err := parseAddress(h.sent.Request.URL)
	return err == nil && r.reset != nil && r.reset(u.Hostname(), portOf(u))
}

// noteCoding notes that a body is not in the coding that its header names
// (RFC 9110 section 8.4): it could not be decoded, or it is text that is
// still packed.
func (r *recorder) noteCoding(h *hop) {
	kind, _, _ := strings.Cut(h.header("Content-Type"), ";")
	text := strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "json") || strings.HasSuffix(kind, "javascript")
	packed := text && h.body.size > 2 && bytes.Equal(h.body.head(2), []byte{0x1f, 0x8b})
	if packed || strings.Contains(h.failed, "CONTENT_DECODING") {
		r.journal.Anomaly("encoding.mismatch", "url", h.sent.Request.URL, "coding", h.header("Content-Encoding"))
	}
}

// unread reports whether a body is missing because the browser reads none of
// its kind: answers to beacons and reports.
func unread(h *hop) bool {
	if h.lost == "" {
		return false
	}
	switch h.kind() {
	case network.ResourceTypePing, network.ResourceTypeCSPViolationReport, network.ResourceTypePreflight:
		return true
	}
	return false
}

// kind is what the browser asked for. It calls a preflight so only in its
// answer.
func (h *hop) kind() network.ResourceType {
	if i := h.sent.Initiator; i != nil && i.Type == network.InitiatorTypePreflight {
		return network.ResourceTypePreflight
	}
	return h.sent.Type
}

// abandoned reports whether it was the page that did not want the rest of a
// body: a fetch that nobody reads, a picture that was replaced.
func abandoned(h *hop) bool { return h.cancelled && h.failed == "net::ERR_ABORTED" }

// cutOff returns why the body of an answered hop is not whole, or nothing.
// A failure after the last byte is none; every other one, and a body of
// another length than the server announced for it, is a connection that
// broke.
func cutOff(h *hop, force bool) string {
	switch {
	case h.failed != "" && lengthMatches(h):
		return ""
	case abandoned(h):
		return "unspecified"
	case h.failed != "":
		return "disconnect"
	case force && !h.ended:
		return "time"
	case h.lost != "", h.asked && h.failed == "" && h.body.size == 0 && h.announced == 0:
		return "unspecified" // the browser does not give it
	case lengthDiffers(h):
		return "disconnect"
	}
	return ""
}

// lengthDiffers and lengthMatches compare the body with Content-Length where
// both count the same bytes, that is without a content coding (RFC 9110
// section 8.6). Where they do not, neither holds.
func lengthDiffers(h *hop) bool {
	n, known := announcedLength(h)
	return known && n != h.body.size && !h.recoded
}

func lengthMatches(h *hop) bool {
	n, known := announcedLength(h)
	return known && n == h.body.size
}

func announcedLength(h *hop) (int64, bool) {
	if coding := h.header("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(h.header("Content-Length")), 10, 64)
	return n, err == nil
}

// bodiless reports whether the response has no body by its nature, or only
// one that the browser never shows (RFC 9110 sections 6.4.1 and 15.4).
func bodiless(h *hop) bool {
	status := h.status()
	redirect := status >= 300 && status < 400 && h.header("Location") != ""
	return h.sent.Request.Method == "HEAD" || redirect || status < 200 ||
		status == 204 || status == 205 || status == 304
}

// mainHops returns the hops of the documents of the main frame, in order.
func (r *recorder) mainHops() []*hop {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*hop
	for _, q := range r.order {
		for _, h := range q.hops {
			if h.sent.Type == network.ResourceTypeDocument && (r.mainID == "" || h.sent.FrameID == r.mainID) {
				out = append(out, h)
			}
		}
	}
	return out
}

// tlsHosts returns the https origins that answered, with the details of
// their first connection.
func (r *recorder) tlsHosts() (origins []string, details map[string]*network.SecurityDetails) {
	r.mu.Lock()
	defer r.mu.Unlock()
	details = map[string]*network.SecurityDetails{}
	for _, q := range r.order {
		for _, h := range q.hops {
			u, err := parseAddress(h.sent.Request.URL)
			if err != nil || u.Scheme != "https" || h.response == nil || h.response.SecurityDetails == nil {
				continue
			}
			origin := u.Scheme + "://" + u.Host
			if _, ok := details[origin]; !ok {
				details[origin] = h.response.SecurityDetails
				origins = append(origins, origin)
			}
		}
	}
	return origins, details
}
