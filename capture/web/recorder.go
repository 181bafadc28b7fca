package web

import (
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"

	"guzheng/capture"
	"guzheng/capture/web/devtools"
)

// A recorder follows the traffic of one visit over all of its sessions. The
// browser reports a request in up to eight kinds of events on no fixed order
// and partly on different sessions; the recorder joins them by request id,
// which is unique in a browser, spools each body while it arrives, and hands
// every finished exchange to write. Events come on the queue's goroutine; the
// lock is for those who wait and ask.
type recorder struct {
	limits  capture.Limits
	journal *capture.Journal
	now     func() time.Time
	queue   *queue
	temp    string // where bodies are spooled

	// Set before the first event. None may call the recorder: the lock is
	// held.
	write       func(*hop)                   // one exchange
	writeSocket func(*socket)                // one closed WebSocket
	reset       func(host, port string) bool // whether a connection there was broken
	secret      func(origin string) string   // Basic credentials for an origin, or nothing

	mu         sync.Mutex
	requests   map[network.RequestID]*request
	order      []*request
	sockets    map[network.RequestID]*socket
	inflight   map[network.RequestID]flight
	asked      map[string]bool
	challenges map[string]int // how often credentials were asked for, by address
	counts     capture.Counts
	failures   []capture.Failure
	reasons    []capture.Reason
	mainID     cdp.FrameID
	page       string        // WARC-Page-ID of what is asked from now on
	changed    chan struct{} // closed and replaced at every change of inflight
	last       time.Time     // of the last change
	begun      time.Time     // when the last request was
	pending    int           // bodies being asked for
	frozen     bool          // the main frame stays where it is
	closed     bool          // what comes now is no part of the visit any more
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
	page string // WARC-Page-ID

	// What the browser told of request and response, in several voices.
	sent      *network.EventRequestWillBeSent
	paused    *fetch.EventRequestPaused // the response as it was held
	response  *network.Response
	hasExtra  bool // the two that follow are still to come, or there
	reqExtra  *network.EventRequestWillBeSentExtraInfo
	respExtra *network.EventResponseReceivedExtraInfo
	at        time.Time // when the response, or its failure, was seen
	encoded   int64     // bytes on the wire, as the browser counts them

	// The bodies.
	post      []byte // of the request
	body      spool  // of the response
	head      []byte // of the body of a document, for a look at its bytes
	announced int64  // bytes of body that the browser said it received
	recoded   bool   // the body came as text and not as the server's bytes
	lost      string // why the body could not be had
	asked     bool   // the browser was asked for it after its end
	truncated string // WARC-Truncated reason

	// How the body comes to us.
	asking    int               // answers about it that are still to come
	streaming bool              // it is sent along, or never will be
	whole     bool              // it was taken before the browser went on
	download  bool              // it was taken from the held response; the page never had it
	release   func()            // lets the held response go on
	refused   bool              // by us, after a download was taken
	late      bool              // the browser did not know the request when it was asked to send its body along
	session   *devtools.Session // that spoke of it last

	// How it ended.
	failed    string // why, in the browser's words; nothing when it did not fail
	cancelled bool   // by the page or the browser, not by the network
	ended     bool
}

// headBytes is how much of a document is looked at for its charset.
const headBytes = 64 << 10

func newRecorder(v *visit) *recorder {
	return &recorder{page: v.pageID, limits: v.order.Limits, journal: v.journal, now: v.now, queue: v.queue, temp: v.pool.browser.TempDir,
		requests: map[network.RequestID]*request{}, inflight: map[network.RequestID]flight{}, sockets: map[network.RequestID]*socket{},
		asked: map[string]bool{}, challenges: map[string]int{}, changed: make(chan struct{}), last: v.now()}
}

// main says which frame the page is in.
func (r *recorder) main(id cdp.FrameID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mainID = id
}

// newPage gives what is asked from now on another page id.
func (r *recorder) newPage(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.page = id
}

// freeze keeps the main frame from moving on, or lets it again.
func (r *recorder) freeze(held bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frozen = held
}

// wasAsked reports whether the page requested anything from the host.
func (r *recorder) wasAsked(host string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked[host]
}

// handle takes one event of the Network or Fetch domain.
func (r *recorder) handle(e devtools.Event) {
	switch e.Method {
	case network.RequestServedFromCache.Method, network.ResourceChangedPriority.Method, network.PolicyUpdated.Method:
		return
	}
	decoded, err := e.Decode()
	if err != nil {
		return // an event that this version of the protocol does not know
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	switch d := decoded.(type) {
	case *network.EventRequestWillBeSent:
		r.requestSent(e.Session, d)
	case *network.EventRequestWillBeSentExtraInfo:
		r.update(d.RequestID, func(q *request) { q.reqExtras = append(q.reqExtras, d) })
	case *network.EventResponseReceivedExtraInfo:
		r.update(d.RequestID, func(q *request) { q.respExtras = append(q.respExtras, d) })
	case *network.EventResponseReceived:
		r.received(e.Session, d)
	case *network.EventDataReceived:
		r.data(d)
	case *network.EventLoadingFinished:
		r.finished(e.Session, d)
	case *network.EventLoadingFailed:
		r.failed(d)
	case *fetch.EventRequestPaused:
		r.paused(e.Session, d)
	case *fetch.EventAuthRequired:
		r.authenticate(e.Session, d)
	case *network.EventWebTransportCreated:
		r.unseen("webtransport", d.URL)
	default:
		r.socketEvent(decoded)
	}
}

func (r *recorder) failed(e *network.EventLoadingFailed) {
	if q := r.requests[e.RequestID]; q != nil && q.current() != nil {
		q.current().cancelled = e.Canceled
	}
	r.ended(e.RequestID, failureOf(e))
}

// failureOf words why a request failed, as the browser does.
func failureOf(e *network.EventLoadingFailed) string {
	reason := e.ErrorText
	if e.BlockedReason != "" {
		reason += " (" + string(e.BlockedReason) + ")"
	}
	if e.CorsErrorStatus != nil {
		reason += " (CORS " + string(e.CorsErrorStatus.CorsError) + ")"
	}
	return reason
}

// unrecorded notes a source of traffic whose content is not in the take.
func (r *recorder) unrecorded(kind, address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unseen(kind, address)
}

// unseen is unrecorded with the lock held.
func (r *recorder) unseen(kind, address string) {
	r.noteAsked(address)
	if r.reason("target.unrecorded", kind+" "+address) {
		r.journal.Anomaly("target.unrecorded", "type", kind, "url", address)
	}
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

// update changes a request and writes what it completes. The lock is held.
func (r *recorder) update(id network.RequestID, f func(*request)) {
	q := r.get(id)
	f(q)
	r.flush(q, false)
}

func (r *recorder) noteAsked(address string) {
	if u, err := parseAddress(address); err == nil && u.Hostname() != "" {
		r.asked[hostKey(u.Hostname())] = true
		r.asked[dialKey(u)] = true
	}
}

// enqueue has f run after the events that are queued now, with the lock held.
// It is for the answers to what the recorder asks: they come on the goroutine
// that reads from the browser, which must not wait.
func (r *recorder) enqueue(f func()) {
	r.queue.add(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		f()
	})
}

// notAwaited has nobody wait for the end of a request. The lock is held.
func (r *recorder) notAwaited(id network.RequestID) {
	f := r.inflight[id]
	f.endless = true
	r.inflight[id] = f
	r.touch()
}

// touch wakes everyone who waits for quiet. The lock is held.
func (r *recorder) touch() {
	r.last = r.now()
	close(r.changed)
	r.changed = make(chan struct{})
}

// flush hands the finished hops of a request to write, in order; with force
// also the unfinished ones. The lock is held.
func (r *recorder) flush(q *request, force bool) {
	for q.written < len(q.hops) {
		h := q.hops[q.written]
		if !force && (!h.ended || h.asking > 0) {
			return
		}
		q.giveExtras(h)
		if !force && h.hasExtra && (h.respExtra == nil || h.reqExtra == nil) {
			return
		}
		q.written++
		r.settle(h, force)
		if h.sent.Type == network.ResourceTypeDocument {
			h.head = h.body.head(headBytes)
		}
		r.write(h)
		h.body.drop()
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

// goneWith ends what nobody will hear the end of: requests of a target that
// was closed, or of a frame that was removed or shows another document.
func (r *recorder) goneWith(of func(*hop) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	for id := range r.inflight {
		q := r.requests[id]
		if q == nil || q.current() == nil {
			continue
		}
		if h := q.current(); !h.ended && of(h) {
			h.cancelled = true
			r.ended(id, "net::ERR_ABORTED")
		}
	}
}

// close writes every exchange and socket that is left. What comes after it
// is no part of the take.
func (r *recorder) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	for _, q := range r.order {
		r.flush(q, true)
	}
	for _, s := range r.sockets {
		r.socketClosed(s, true)
	}
	r.closed = true
}
