package web

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"

	"guzheng/capture"
)

// A recorder follows the traffic of one tab. The browser reports a request
// in up to six events on no fixed order; the recorder joins them, takes each
// body while the response is held at the response stage, and hands every
// finished exchange to write. Its lock is never held while it talks to the
// browser.
type recorder struct {
	ctx     context.Context // ends with the tab
	session cdp.Session
	limits  capture.Limits
	journal *capture.Journal
	now     func() time.Time
	write   func(*request, *hop)

	mu       sync.Mutex
	requests map[network.RequestID]*request
	order    []*request
	inflight map[network.RequestID]flight
	asked    map[string]bool
	counts   capture.Counts
	failures []capture.Failure
	reasons  []capture.Reason
	mainID   cdp.FrameID
	changed  chan struct{} // closed and replaced at every change of inflight
	last     time.Time     // of the last change
	bodies   int           // being taken
	closed   bool          // what comes now is no part of the visit any more
}

// A flight is a request under way. An endless one (event stream) is never
// waited for.
type flight struct {
	since   time.Time
	endless bool
}

// A request is one id of the Network domain with all of its hops: each
// redirect adds one.
type request struct {
	id         network.RequestID
	hops       []*hop
	reqExtras  []*network.EventRequestWillBeSentExtraInfo
	respExtras []*network.EventResponseReceivedExtraInfo
	written    int // hops handed to write
	takenReq   int // extras given to hops
	takenResp  int
}

// A hop is one request with its response.
type hop struct {
	sent      *network.EventRequestWillBeSent
	at        time.Time // when the response, or its failure, was seen
	paused    *fetch.EventRequestPaused
	response  *network.Response
	hasExtra  bool
	reqExtra  *network.EventRequestWillBeSentExtraInfo
	respExtra *network.EventResponseReceivedExtraInfo
	post      []byte
	body      []byte
	bodyState bodyState
	truncated string // WARC-Truncated reason
	failed    string
	ended     bool
	worker    bool // the script of a worker, whose end the browser does not report
}

type bodyState int

const (
	bodyNone    bodyState = iota // nothing was held, nothing to take
	bodyPending                  // being taken
	bodyTaken
)

func newRecorder(session cdp.Session, d *capture.Dir, now func() time.Time) *recorder {
	return &recorder{session: session, limits: d.Order().Limits, journal: d.Journal(), now: now,
		requests: map[network.RequestID]*request{}, inflight: map[network.RequestID]flight{},
		asked: map[string]bool{}, changed: make(chan struct{}), last: now()}
}

// wasAsked reports whether the page requested anything from the host.
func (r *recorder) wasAsked(host string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked[host]
}

// handle takes one event of the tab. It returns at once.
func (r *recorder) handle(ev any) {
	switch e := ev.(type) {
	case *network.EventRequestWillBeSent:
		r.requestSent(e)
	case *network.EventRequestWillBeSentExtraInfo:
		r.update(e.RequestID, func(q *request) { q.reqExtras = append(q.reqExtras, e) })
	case *network.EventResponseReceivedExtraInfo:
		r.update(e.RequestID, func(q *request) { q.respExtras = append(q.respExtras, e) })
	case *network.EventResponseReceived:
		r.update(e.RequestID, func(q *request) {
			if h := q.current(); h != nil {
				h.response, h.hasExtra = e.Response, e.HasExtraInfo
				if h.at.IsZero() {
					h.at = r.now()
				}
			}
		})
	case *network.EventLoadingFinished:
		r.ended(e.RequestID, "")
	case *network.EventLoadingFailed:
		reason := e.ErrorText
		if e.BlockedReason != "" {
			reason += " (" + string(e.BlockedReason) + ")"
		}
		if e.CorsErrorStatus != nil {
			reason += " (CORS " + string(e.CorsErrorStatus.CorsError) + ")"
		}
		r.ended(e.RequestID, reason)
	case *fetch.EventRequestPaused:
		r.paused(e)
	case *network.EventWebSocketCreated:
		r.unrecorded("websocket", e.URL)
	}
}

// unrecorded notes a source of traffic whose content is not in the take. Its
// own script, which the browser never reports as finished, is not waited for.
func (r *recorder) unrecorded(kind, address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noteAsked(address)
	if r.reason("target.unrecorded", kind+" "+address) {
		r.journal.Anomaly("target.unrecorded", "type", kind, "url", address)
	}
	for id := range r.inflight {
		if h := r.requests[id].current(); h != nil && h.sent.Request.URL == address {
			r.inflight[id] = flight{since: r.inflight[id].since, endless: true}
			h.worker = true
		}
	}
	r.touch()
}

// reason adds a reason for a partial take and reports whether it is new. The
// lock is held.
func (r *recorder) reason(code, detail string) bool {
	for _, old := range r.reasons {
		if old.Code == code && old.Detail == detail {
			return false
		}
	}
	r.reasons = append(r.reasons, capture.Reason{Code: code, Detail: detail})
	return true
}

func (q *request) current() *hop {
	if len(q.hops) == 0 {
		return nil
	}
	return q.hops[len(q.hops)-1]
}

// get returns the request with the id, new if need be. The lock is held.
func (r *recorder) get(id network.RequestID) *request {
	q := r.requests[id]
	if q == nil {
		q = &request{id: id}
		r.requests[id] = q
		r.order = append(r.order, q)
	}
	return q
}

func (r *recorder) update(id network.RequestID, f func(*request)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := r.get(id)
	f(q)
	r.flush(q, false)
}

func (r *recorder) noteAsked(address string) {
	if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
		r.asked[hostKey(u.Hostname())] = true
	}
}

func (r *recorder) requestSent(e *network.EventRequestWillBeSent) {
	if !strings.HasPrefix(e.Request.URL, "http:") && !strings.HasPrefix(e.Request.URL, "https:") {
		return
	}
	var post []byte
	for _, p := range e.Request.PostDataEntries {
		post = append(post, p.Bytes...)
	}
	if e.Request.HasPostData && len(post) == 0 {
		r.fetchPost(e)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noteAsked(e.Request.URL)
	if r.closed {
		return
	}
	q := r.get(e.RequestID)
	if h := q.current(); h != nil && e.RedirectResponse != nil {
		h.response, h.hasExtra, h.ended = e.RedirectResponse, e.RedirectHasExtraInfo, true
		if h.at.IsZero() {
			h.at = r.now()
		}
	}
	q.hops = append(q.hops, &hop{sent: e, post: post})
	r.counts.Requests++
	endless := e.Type == network.ResourceTypeEventSource
	r.inflight[e.RequestID] = flight{since: r.now(), endless: endless}
	r.touch()
	r.flush(q, false)
}

// fetchPost asks for a request body that was too long for the event.
func (r *recorder) fetchPost(e *network.EventRequestWillBeSent) {
	r.busy(1)
	go func() {
		defer r.busy(-1)
		res, err := cdp.Call(r.ctx, r.session, network.GetRequestPostData, network.GetRequestPostDataParams{RequestID: e.RequestID})
		if err != nil {
			r.journal.Anomaly("request.body-missing", "url", e.Request.URL, "detail", err.Error())
			return
		}
		r.update(e.RequestID, func(q *request) {
			for _, h := range q.hops {
				if h.sent == e {
					h.post = res.PostData
				}
			}
		})
	}()
}

// touch wakes everyone who waits for quiet. The lock is held.
func (r *recorder) touch() {
	r.last = r.now()
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *recorder) ended(id network.RequestID, failed string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := r.requests[id]
	if q == nil || q.current() == nil {
		return // not http
	}
	h := q.current()
	h.ended, h.failed = true, failed
	if h.at.IsZero() {
		h.at = r.now()
	}
	delete(r.inflight, id)
	r.touch()
	r.flush(q, false)
}

// flush hands the finished hops of a request to write, in order; with force
// also the unfinished ones. The lock is held: write must be quick and must
// not call the recorder.
func (r *recorder) flush(q *request, force bool) {
	for q.written < len(q.hops) {
		h := q.hops[q.written]
		if !force && (!h.ended || h.bodyState == bodyPending) {
			return
		}
		q.giveExtras(h)
		if !force && h.hasExtra && (h.respExtra == nil || h.reqExtra == nil) {
			return
		}
		q.written++
		r.settle(h, force)
		r.write(q, h)
		h.body = nil
	}
}

// giveExtras gives the oldest extra events that no hop has yet to h. A hop
// that the network stack never saw, such as an upgrade by HSTS, has none of
// its own and must not take the next one's.
func (q *request) giveExtras(h *hop) {
	if h.response != nil && !h.hasExtra {
		return
	}
	if h.reqExtra == nil && len(q.reqExtras) > q.takenReq {
		h.reqExtra = q.reqExtras[q.takenReq]
		q.takenReq++
	}
	if h.respExtra == nil && len(q.respExtras) > q.takenResp {
		h.respExtra = q.respExtras[q.takenResp]
		q.takenResp++
	}
}

// close waits for the bodies under way until ctx ends and writes every
// exchange that is left.
func (r *recorder) close(ctx context.Context) {
	r.awaitBodies(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	for _, q := range r.order {
		r.flush(q, true)
	}
	r.closed = true
}

// busy counts the bodies being taken.
func (r *recorder) busy(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies += n
	r.touch()
}

func (r *recorder) awaitBodies(ctx context.Context) {
	for {
		r.mu.Lock()
		n, changed := r.bodies, r.changed
		r.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// quiet waits until none of the requests begun at or after since has been
// under way for the time idle, or until ctx ends. It returns how many still
// are.
func (r *recorder) quiet(ctx context.Context, since time.Time, idle time.Duration) int {
	begin := r.now()
	for {
		r.mu.Lock()
		n := 0
		for _, f := range r.inflight {
			if !f.endless && !f.since.Before(since) {
				n++
			}
		}
		changed, last := r.changed, r.last
		r.mu.Unlock()
		var calm <-chan time.Time
		if n == 0 {
			if last.Before(begin) {
				last = begin
			}
			rest := idle - r.now().Sub(last)
			if rest <= 0 {
				return 0
			}
			calm = time.After(rest)
		}
		select {
		case <-ctx.Done():
			return n
		case <-calm:
		case <-changed:
		}
	}
}
