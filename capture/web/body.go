package web

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"

	"guzheng/capture"
)

// paused handles a response that the browser holds for us: its body is taken
// from the very exchange the page is about to see, then the response goes on
// unchanged. Nothing is requested a second time.
func (r *recorder) paused(e *fetch.EventRequestPaused) {
	r.mu.Lock()
	q := r.get(e.NetworkID)
	h := q.current()
	take := false
	if h != nil && !r.closed {
		h.paused, h.at = e, r.now()
		take = r.wanted(h, e)
		if take {
			h.bodyState = bodyPending
		}
	}
	r.mu.Unlock()
	r.busy(1)
	go func() {
		defer r.busy(-1)
		if take {
			r.takeBody(q, h, e.RequestID)
		}
		// ContinueRequest lets a held response go on as it is.
		_, err := cdp.Call(r.ctx, r.session, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: e.RequestID})
		if err != nil && r.ctx.Err() == nil && !strings.Contains(err.Error(), "Invalid InterceptionId") {
			r.journal.Anomaly("response.stuck", "url", e.Request.URL, "detail", err.Error())
		}
	}()
}

// wanted decides whether there is a body to take within the limits. The lock
// is held.
func (r *recorder) wanted(h *hop, e *fetch.EventRequestPaused) bool {
	status := e.ResponseStatusCode
	switch {
	case e.ResponseErrorReason != "" || status == 0:
		return false
	case e.Request.Method == "HEAD" || status < 200 || status == 204 || status == 304:
		return false
	case status >= 300 && status < 400 && pausedHeader(e, "Location") != "":
		return false // the browser follows it and shows no body
	}
	mediaType := strings.ToLower(pausedHeader(e, "Content-Type"))
	if e.ResourceType == network.ResourceTypeEventSource || strings.HasPrefix(mediaType, "text/event-stream") ||
		strings.HasPrefix(mediaType, "multipart/x-mixed-replace") {
		// An endless stream would never reach the page if it were held.
		h.truncated = "time"
		f := r.inflight[e.NetworkID]
		f.endless = true
		r.inflight[e.NetworkID] = f
		r.touch()
		return false
	}
	length, _ := strconv.ParseInt(pausedHeader(e, "Content-Length"), 10, 64)
	if length > r.limits.BodyBytes {
		h.truncated = "length"
		r.journal.Anomaly("limit.body", "url", e.Request.URL, "bytes", length)
		return false
	}
	if r.counts.BodyBytes+length > r.limits.TotalBytes {
		h.truncated = "length"
		r.reason("limit.total", strconv.FormatInt(r.limits.TotalBytes, 10))
		return false
	}
	return true
}

func pausedHeader(e *fetch.EventRequestPaused, name string) string {
	for _, f := range e.ResponseHeaders {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// takeBody reads the held body. It gives up after half the navigation limit,
// so that a server that never finishes does not hold the page for good.
func (r *recorder) takeBody(q *request, h *hop, id fetch.RequestID) {
	ctx, cancel := context.WithTimeout(r.ctx, capture.MS(r.limits.NavigateMS)/2)
	defer cancel()
	res, err := cdp.Call(ctx, r.session, fetch.GetResponseBody, fetch.GetResponseBodyParams{RequestID: id})
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil && int64(len(res.Body)) > r.limits.BodyBytes:
		h.body, h.truncated = res.Body[:r.limits.BodyBytes], "length"
	case err == nil:
		h.body = res.Body
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		h.truncated = "time"
		f := r.inflight[q.id]
		f.endless = true
		r.inflight[q.id] = f
		r.touch()
	default:
		h.truncated = "disconnect"
	}
	h.bodyState = bodyTaken
	if r.closed {
		return // written without it
	}
	r.flush(q, false)
}
