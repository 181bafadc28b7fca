package web

import (
	"strconv"
	"strings"

	"github.com/chromedp/cdproto/network"

	"guzheng/capture/web/devtools"
)

// requestSent begins a request, or its next hop. From here on the browser
// sends every byte of the body to us as it arrives.
func (r *recorder) requestSent(s *devtools.Session, e *network.EventRequestWillBeSent) {
	if !strings.HasPrefix(e.Request.URL, "http:") && !strings.HasPrefix(e.Request.URL, "https:") {
		return
	}
	r.noteAsked(e.Request.URL)
	q := r.get(e.RequestID)
	if h := q.current(); h != nil && e.RedirectResponse != nil {
		h.response, h.hasExtra, h.ended = e.RedirectResponse, e.RedirectHasExtraInfo, true
		h.encoded = int64(e.RedirectResponse.EncodedDataLength)
		r.seen(h)
	}
	h := &hop{sent: e, page: r.page, session: s}
	for _, p := range e.Request.PostDataEntries {
		h.post = append(h.post, p.Bytes...)
	}
	q.hops = append(q.hops, h)
	r.counts.Requests++
	r.begun = r.now()
	r.inflight[e.RequestID] = flight{since: r.now(), endless: e.Type == network.ResourceTypeEventSource}
	if e.Request.HasPostData && len(h.post) == 0 {
		r.askPost(s, q, h)
	}
	r.stream(s, q, h)
	r.touch()
	r.flush(q, false)
}

// seen notes when the answer came.
func (r *recorder) seen(h *hop) {
	if h.at.IsZero() {
		h.at = r.now()
	}
}

// stream asks the browser to send the body along (Network.
// streamResourceContent). What it has buffered by then comes with the reply,
// before any later piece.
func (r *recorder) stream(s *devtools.Session, q *request, h *hop) {
	devtools.Begin(s, network.StreamResourceContent, network.StreamResourceContentParams{RequestID: q.id},
		func(res network.StreamResourceContentResult, err error) {
			// An error means that it is tried once more when the answer comes,
			// and that the body is asked for when it is there.
			r.enqueue(func() {
				h.streaming, h.late = true, err != nil
				if !h.whole {
					r.keepData(q.id, h, res.BufferedData)
				}
				r.letGo(h)
			})
		})
}

// askPost asks for a request body that was too long for the event.
func (r *recorder) askPost(s *devtools.Session, q *request, h *hop) {
	r.ask(h)
	devtools.Begin(s, network.GetRequestPostData, network.GetRequestPostDataParams{RequestID: q.id},
		func(res network.GetRequestPostDataResult, err error) {
			r.enqueue(func() {
				if err != nil {
					r.journal.Anomaly("request.body-missing", "url", h.sent.Request.URL, "detail", err.Error())
				} else {
					h.post = res.PostData
				}
				r.answered(q, h)
			})
		})
}

// ask and answered count what the browser was asked for a hop. The lock is
// held.
func (r *recorder) ask(h *hop) {
	h.asking++
	r.pending++
}

func (r *recorder) answered(q *request, h *hop) {
	h.asking--
	r.pending--
	r.touch()
	if !r.closed {
		r.flush(q, false)
	}
}

func (r *recorder) received(s *devtools.Session, e *network.EventResponseReceived) {
	r.update(e.RequestID, func(q *request) {
		if h := q.current(); h != nil {
			h.response, h.hasExtra, h.session = e.Response, e.HasExtraInfo, s
			r.seen(h)
			if h.late && !h.whole {
				r.stream(s, q, h)
			}
		}
	})
	if endlessType(e.Response.MimeType) {
		r.notAwaited(e.RequestID)
	}
}

// endlessType reports whether an answer of the media type is never waited
// for.
func endlessType(mediaType string) bool {
	return mediaType == "text/event-stream" || mediaType == "multipart/x-mixed-replace"
}

// data takes one piece of a body.
func (r *recorder) data(e *network.EventDataReceived) {
	q := r.requests[e.RequestID]
	if q == nil || q.current() == nil {
		return
	}
	h := q.current()
	h.encoded += e.EncodedDataLength
	if h.whole {
		return
	}
	h.announced += e.DataLength
	r.keepData(e.RequestID, h, e.Data)
}

// keepData appends to a body within the limits.
func (r *recorder) keepData(id network.RequestID, h *hop, b []byte) {
	if r.closed || len(b) == 0 || h.truncated == "length" {
		return
	}
	rest := min(r.limits.BodyBytes-h.body.size, r.limits.TotalBytes-r.counts.BodyBytes)
	if int64(len(b)) > rest {
		b = b[:max(rest, 0)]
		h.truncated = "length"
		r.notAwaited(id)
		if r.counts.BodyBytes+int64(len(b)) >= r.limits.TotalBytes && r.reason("limit.total", strconv.FormatInt(r.limits.TotalBytes, 10)) {
			r.journal.Anomaly("limit.total", "bytes", r.limits.TotalBytes)
		}
	}
	if err := h.body.add(r.temp, b); err != nil {
		h.truncated = "unspecified"
		if r.reason("body.unwritten", err.Error()) {
			r.journal.Anomaly("body.unwritten", "url", h.sent.Request.URL, "detail", err.Error())
		}
		return
	}
	r.counts.BodyBytes += int64(len(b))
}

// finished ends a request. A body of which not every piece was sent along is
// asked for once more while the browser still has it.
func (r *recorder) finished(s *devtools.Session, e *network.EventLoadingFinished) {
	q := r.requests[e.RequestID]
	if q == nil || q.current() == nil {
		return
	}
	h := q.current()
	h.encoded = int64(e.EncodedDataLength)
	// Of the scripts of workers no piece is announced at all.
	short := h.body.size != h.announced || h.announced == 0 && h.header("Content-Length") != "0"
	if short && h.truncated == "" && !h.download && !h.whole && !bodiless(h) {
		r.askBody(s, q, h)
	}
	r.ended(e.RequestID, "")
}

func (r *recorder) askBody(s *devtools.Session, q *request, h *hop) {
	h.asked = true
	r.ask(h)
	devtools.Begin(s, network.GetResponseBody, network.GetResponseBodyParams{RequestID: q.id},
		func(res network.GetResponseBodyResult, err error) {
			r.enqueue(func() {
				if err != nil {
					h.lost = err.Error()
				} else {
					r.replaceBody(q.id, h, res)
				}
				r.answered(q, h)
			})
		})
}

// replaceBody takes a body that was asked for. Text comes from the browser
// as text: of another charset than UTF-8 it is no longer the server's bytes,
// which shows in its length.
func (r *recorder) replaceBody(id network.RequestID, h *hop, res network.GetResponseBodyResult) {
	h.recoded = !res.Base64encoded && h.announced > 0 && h.announced != int64(len(res.Body))
	if h.recoded && r.reason("body.recoded", h.sent.Request.URL) {
		r.journal.Anomaly("body.recoded", "url", h.sent.Request.URL, "bytes", h.announced)
	}
	r.counts.BodyBytes -= h.body.size
	h.body.drop()
	r.keepData(id, h, res.Body)
}

// ended marks the last hop of a request as over.
func (r *recorder) ended(id network.RequestID, failed string) {
	q := r.requests[id]
	if q == nil || q.current() == nil {
		return // not http
	}
	h := q.current()
	if h.download && h.refused && failed == "net::ERR_ABORTED" {
		failed = "" // by us, when all of it was there
	}
	h.ended, h.failed = true, failed
	r.seen(h)
	delete(r.inflight, id)
	r.touch()
	r.flush(q, false)
}
