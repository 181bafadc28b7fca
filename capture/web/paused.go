package web

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/io"
	"github.com/chromedp/cdproto/network"

	"guzheng/capture"
	"guzheng/capture/web/devtools"
)

// paused decides on a request or response that the browser holds. The header
// list of a held response keeps order and repetitions of HTTP/2.
func (r *recorder) paused(s *devtools.Session, e *fetch.EventRequestPaused) {
	var h *hop
	sent := e.ResponseStatusCode != 0 || e.ResponseErrorReason != ""
	if q := r.requests[e.NetworkID]; q != nil && sent {
		h = q.current()
	}
	if h == nil {
		resume(s, e)
		return
	}
	h.paused, h.at = e, r.now()
	switch {
	case e.ResponseErrorReason != "":
		resume(s, e)
	case r.counts.Requests > r.limits.Requests && r.limits.Requests > 0:
		if r.reason("limit.requests", strconv.Itoa(r.limits.Requests)) {
			r.journal.Anomaly("limit.requests", "requests", r.limits.Requests)
		}
		refuse(s, e, network.ErrorReasonBlockedByClient)
	case r.frozen && e.ResourceType == network.ResourceTypeDocument && e.FrameID == r.mainID:
		r.journal.Anomaly("page.held", "url", short(e.Request.URL, 2000))
		refuse(s, e, network.ErrorReasonAborted)
	default:
		r.takeHeld(s, e, h)
	}
}

// resume lets a held request or response go on as it is.
func resume(s *devtools.Session, e *fetch.EventRequestPaused) {
	_ = s.Post(fetch.CommandContinueRequest, fetch.ContinueRequestParams{RequestID: e.RequestID})
}

// refuse has a held request fail in the browser.
func refuse(s *devtools.Session, e *fetch.EventRequestPaused, reason network.ErrorReason) {
	_ = s.Post(fetch.CommandFailRequest, fetch.FailRequestParams{RequestID: e.RequestID, ErrorReason: reason})
}

// takeHeld chooses the way in which the body of a held response comes to us
// as the server's bytes. A document that the browser would not show is taken
// from here: nothing is requested twice.
func (r *recorder) takeHeld(s *devtools.Session, e *fetch.EventRequestPaused, h *hop) {
	document := e.ResourceType == network.ResourceTypeDocument
	switch {
	case document && turnsAway(e):
		r.takeDownload(s, e, h)
	case bodiless(h), document && tooLarge(e, r.limits):
		resume(s, e)
	case document:
		r.takeDocument(s, e, h)
	default:
		r.hold(s, e, h)
	}
}

// tooLarge reports whether a document says that it is more than the browser
// should hold for us in one piece.
func tooLarge(e *fetch.EventRequestPaused, l capture.Limits) bool {
	n, err := strconv.ParseInt(pausedHeader(e, "Content-Length"), 10, 64)
	return err == nil && n > min(l.BodyBytes, documentBytes)
}

const documentBytes = 32 << 20

// turnsAway reports whether the browser turns away from a document with these
// fields: a download by its disposition or by a type that it does not show.
func turnsAway(e *fetch.EventRequestPaused) bool {
	status := e.ResponseStatusCode
	if status < 200 || status == 204 || status == 205 || status >= 300 && status < 400 && pausedHeader(e, "Location") != "" {
		return false
	}
	if d := strings.ToLower(strings.TrimSpace(pausedHeader(e, "Content-Disposition"))); strings.HasPrefix(d, "attachment") {
		return true
	}
	kind, _, _ := strings.Cut(strings.ToLower(pausedHeader(e, "Content-Type")), ";")
	kind = strings.TrimSpace(kind)
	switch {
	case kind == "", strings.HasPrefix(kind, "text/"), strings.HasPrefix(kind, "image/"), strings.HasPrefix(kind, "video/"), strings.HasPrefix(kind, "audio/"):
		return false
	case strings.HasSuffix(kind, "+xml"), strings.HasSuffix(kind, "/xml"), strings.HasSuffix(kind, "json"), strings.HasSuffix(kind, "javascript"),
		kind == "multipart/x-mixed-replace", kind == "multipart/related", kind == "application/x-mimearchive":
		return false
	}
	return strings.Contains(kind, "/")
}

func pausedHeader(e *fetch.EventRequestPaused, name string) string {
	for _, f := range e.ResponseHeaders {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// takeDownload reads a held response to its end as a stream, and ends the
// request in the browser then.
func (r *recorder) takeDownload(s *devtools.Session, e *fetch.EventRequestPaused, h *hop) {
	q := r.requests[e.NetworkID]
	h.download = true
	r.ask(h)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), capture.MS(r.limits.NavigateMS))
		defer cancel()
		cut := r.readStream(ctx, s, e, h)
		r.mu.Lock()
		h.refused = true
		r.mu.Unlock()
		refuse(s, e, network.ErrorReasonAborted)
		r.enqueue(func() {
			if _, known := announcedLength(h); !known && cut == "" {
				// The end of a held body looks the same, broken or not.
				cut, h.lost = "unspecified", "the browser does not tell whether it is whole"
			}
			if h.truncated == "" {
				h.truncated = cut
			}
			r.answered(q, h)
		})
	}()
}

// readStream spools a held body and returns why it is not whole, or nothing.
func (r *recorder) readStream(ctx context.Context, s *devtools.Session, e *fetch.EventRequestPaused, h *hop) string {
	taken, err := cdp.Call(ctx, s, fetch.TakeResponseBodyAsStream, fetch.TakeResponseBodyAsStreamParams{RequestID: e.RequestID})
	if err != nil {
		return "disconnect"
	}
	for {
		part, err := cdp.Call(ctx, s, io.Read, io.ReadParams{Handle: taken.Stream, Size: 1 << 20})
		switch {
		case err != nil && ctx.Err() != nil:
			return "time"
		case err != nil:
			return "disconnect"
		}
		r.mu.Lock()
		r.keepData(e.NetworkID, h, part.Data)
		full, closed := h.truncated != "", r.closed
		r.mu.Unlock()
		if part.EOF || full || closed {
			_ = s.Post(io.CommandClose, io.CloseParams{Handle: taken.Stream})
			return ""
		}
	}
}

// authenticate answers a request for Basic credentials with those of the
// order, once, and for the page's own host only; every other is left
// unanswered, so that the page for strangers is shown.
func (r *recorder) authenticate(s *devtools.Session, e *fetch.EventAuthRequired) {
	reply := &fetch.AuthChallengeResponse{Response: fetch.AuthChallengeResponseResponseCancelAuth}
	if e.AuthChallenge == nil {
		e.AuthChallenge = &fetch.AuthChallenge{}
	}
	r.challenges[e.Request.URL]++
	if c := e.AuthChallenge; r.challenges[e.Request.URL] == 1 && strings.EqualFold(c.Scheme, "basic") && c.Source != fetch.AuthChallengeSourceProxy {
		if user, password, ok := strings.Cut(r.secret(c.Origin), ":"); ok {
			reply = &fetch.AuthChallengeResponse{Response: fetch.AuthChallengeResponseResponseProvideCredentials, Username: user, Password: password}
		}
	}
	// The browser tells of the challenge here only, and not of the
	// credentials among the fields that it sent.
	r.journal.Step("auth.asked", "url", e.Request.URL, "scheme", e.AuthChallenge.Scheme, "realm", short(e.AuthChallenge.Realm, 200),
		"answered", string(reply.Response))
	_ = s.Post(fetch.CommandContinueWithAuth, fetch.ContinueWithAuthParams{RequestID: e.RequestID, AuthChallengeResponse: reply})
}

// hold keeps a response back until the browser has begun to send its body
// along: what comes before that is told only as text, and text is not the
// server's bytes. A page that waits for the response with all its script held
// (a synchronous XMLHttpRequest) could not begin: it is let go after a moment.
func (r *recorder) hold(s *devtools.Session, e *fetch.EventRequestPaused, h *hop) {
	h.release = func() { resume(s, e) }
	if h.streaming {
		r.letGo(h)
		return
	}
	r.letGoAfter(holdAtMost, h)
}

const holdAtMost = 250 * time.Millisecond

// letGo lets a held response go on. The lock is held.
func (r *recorder) letGo(h *hop) {
	if h.release != nil {
		h.release()
		h.release = nil
	}
}

// letGoAfter lets a held response go on at the latest after d.
func (r *recorder) letGoAfter(d time.Duration, h *hop) {
	time.AfterFunc(d, func() { r.enqueue(func() { r.letGo(h) }) })
}

// takeDocument reads the body of a held document before the browser shows
// it. What a new renderer is given before it sends bodies along is told only
// as text, which is not the server's bytes, and of a page that is left at once
// not at all. A document that does not end soon goes on, and is taken piece by
// piece. Of one that breaks the browser gives nothing.
func (r *recorder) takeDocument(s *devtools.Session, e *fetch.EventRequestPaused, h *hop) {
	q := r.requests[e.NetworkID]
	h.release = func() { resume(s, e) }
	r.ask(h)
	devtools.Begin(s, fetch.GetResponseBody, fetch.GetResponseBodyParams{RequestID: e.RequestID},
		func(res fetch.GetResponseBodyResult, err error) {
			r.enqueue(func() {
				if err == nil && h.body.size == 0 {
					h.whole = true
					r.keepData(q.id, h, res.Body)
				}
				r.letGo(h)
				r.answered(q, h)
			})
		})
	r.letGoAfter(min(documentAtMost, capture.MS(r.limits.NavigateMS)/4), h)
}

const documentAtMost = 5 * time.Second
