package web

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/chromedp/cdproto/network"

	"guzheng/capture"
)

// status returns the status and header fields of a hop, as far as known.
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
	}
	switch {
	case answered:
		r.counts.Responses++
		r.counts.BodyBytes += int64(len(h.body))
		if h.truncated != "" {
			r.counts.Truncated++
			r.reason("body.truncated", h.truncated+" "+h.sent.Request.URL)
			r.journal.Anomaly("body.truncated", "url", h.sent.Request.URL, "reason", h.truncated, "bytes", len(h.body))
		}
	default:
		if h.failed == "" {
			h.failed = "no answer before the capture ended"
			r.counts.Unanswered++
			r.reason("request.unanswered", h.sent.Request.URL)
		}
		r.counts.Failed++
		r.failures = append(r.failures, capture.Failure{URL: h.sent.Request.URL, Reason: h.failed})
		r.journal.Anomaly("request.failed", "url", h.sent.Request.URL, "reason", h.failed)
	}
}

// cutOff returns why the body of an answered hop is not whole, or nothing.
// ERR_ABORTED over a body that was taken is the browser turning away from a
// download; every other failure, and a body of another length than the
// server announced for it, is a connection that broke.
func cutOff(h *hop, force bool) string {
	taken := h.bodyState == bodyTaken
	switch {
	case h.failed != "" && (!taken || h.failed != "net::ERR_ABORTED"):
		return "disconnect"
	case taken && lengthDiffers(h):
		return "disconnect"
	case !taken && force && !h.ended && !h.worker:
		return "time"
	}
	return ""
}

// lengthDiffers compares the body with Content-Length where both count the
// same bytes, that is without a content coding (RFC 9110 section 8.6).
func lengthDiffers(h *hop) bool {
	if coding := h.header("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(h.header("Content-Length")), 10, 64)
	return err == nil && n != int64(len(h.body))
}

// bodiless reports whether the response has no body by its nature, or only
// one that the browser never shows (RFC 9110 sections 6.4.1 and 15.4).
func bodiless(h *hop) bool {
	status := h.status()
	redirect := status >= 300 && status < 400 && h.header("Location") != ""
	return h.sent.Request.Method == "HEAD" || h.sent.Type == network.ResourceTypePreflight || redirect ||
		status < 200 || status == 204 || status == 205 || status == 304
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
			u, err := url.Parse(h.sent.Request.URL)
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
