package web

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/google/uuid"

	"guzheng/capture"
	"guzheng/capture/warc"
	"guzheng/capture/web/devtools"
)

// A visit is one capture under way. One goroutine carries it through (run);
// the browser's events come on that of the queue. Fields are the former's
// unless it is said otherwise.
type visit struct {
	// What was ordered, and where what comes of it goes.
	pool    *Pool
	path    string // of the Chromium binary
	order   capture.Order
	secret  string // user:password of the order, never written anywhere
	pageID  string // WARC-Page-ID of the first load
	dir     *capture.Dir
	journal *capture.Journal
	facts   capture.Facts

	// The browser and the tab. The context work is the visit's time: it ends
	// with the browser or the renderer, which is what crash is for.
	proc      *process
	contextID cdp.BrowserContextID
	session   *devtools.Session // of the tab; set before ready tells
	ready     chan error        // the tab is instrumented, or why not
	work      context.Context
	crash     context.CancelFunc

	// The way of the traffic: through the guard into the browser, as events
	// through the queue to the recorder, and from there into the archive.
	guard    *guard
	queue    *queue
	recorder *recorder
	warcFile *capture.Writer
	warc     *warc.Writer
	warcErr  error    // the first of its errors; under the recorder's lock
	wire     wireFile // nothing when the wire is not recorded

	// What one step of the visit leaves to a later one.
	painted      bool              // the window shows more than one colour
	unscrolled   string            // text of the page before the scroll, for the second look
	unloaded     []string          // pictures that are not shown, the first of them
	text         string            // of the page, as it was kept
	certificates map[string]string // files by digest

	// Files being written while the browser goes on.
	writing chan struct{} // bounds them
	writers sync.WaitGroup

	adopted map[target.ID]bool // targets taken in; on the queue's goroutine only
	over    atomic.Bool        // what happens from now on is no part of the visit

	// Shared by all goroutines.
	mu      sync.Mutex
	page    pageState
	signal  chan struct{}              // closed and replaced at every change of page
	frames  []*devtools.Session        // frames in processes of their own
	world   runtime.ExecutionContextID // of our scripts in the document last asked
	told    map[string]bool            // what once has seen
	reasons []capture.Reason           // why the take is not complete
	failed  bool                       // there is no page to show
	hung    bool                       // an artefact ran into its deadline; later ones get less time
}

// mostWriting is how many files are written at a time while the browser goes
// on.
const mostWriting = 2

func newVisit(p *Pool, path string, d *capture.Dir) *visit {
	v := &visit{pool: p, path: path, dir: d, order: d.Order(), journal: d.Journal(), pageID: newUUID(), queue: newQueue(),
		ready: make(chan error, 1), signal: make(chan struct{}), writing: make(chan struct{}, mostWriting),
		told: map[string]bool{}, adopted: map[target.ID]bool{}, certificates: map[string]string{}}
	v.facts.Format, v.facts.PageID = capture.FactsFormat, v.pageID
	v.facts.RequestedURL, v.facts.Viewport = v.order.URL, v.order.Viewport
	v.page.loads = map[cdp.LoaderID]bool{}
	v.recorder = newRecorder(v)
	v.recorder.write, v.recorder.writeSocket, v.recorder.secret = v.exchange, v.socketRecord, v.secretFor
	return v
}

func (v *visit) now() time.Time { return v.pool.browser.Now() }

// because adds a reason for a partial or failed take, once.
func (v *visit) because(code, detail string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, r := range v.reasons {
		if r.Code == code && r.Detail == detail {
			return
		}
	}
	v.reasons = append(v.reasons, capture.Reason{Code: code, Detail: detail})
}

// once reports whether it is asked about what for the first time. what is one
// of a few fixed words, and never anything that a page can choose.
func (v *visit) once(what string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	first := !v.told[what]
	v.told[what] = true
	return first
}

func (v *visit) fail(code, detail string) {
	v.because(code, detail)
	v.nothing()
}

// nothing makes the take a failed one for a reason that is told elsewhere.
func (v *visit) nothing() {
	v.mu.Lock()
	v.failed = true
	v.mu.Unlock()
}

// outcome says how much of what was ordered there is, and why it is not all.
func (v *visit) outcome() (capture.State, []capture.Reason) {
	v.mu.Lock()
	defer v.mu.Unlock()
	state := capture.Complete
	switch {
	case v.failed:
		state = capture.Failed
	case len(v.reasons) > 0:
		state = capture.Partial
	}
	return state, slices.Clone(v.reasons)
}

// run carries the visit through. Its error means that the take itself could
// not be written; everything that goes wrong with the page ends as a reason.
func (v *visit) run(ctx context.Context) error {
	defer v.queue.close()
	v.journal.Step("order.accepted", "id", v.order.ID, "url", v.order.URL)
	clock := v.preflight(ctx)
	if err := v.openWARC(); err != nil {
		return err
	}
	var err error
	if v.guard, err = startGuard(v.order, v.pool.browser.Allow, v.now, v.recorder.wasAsked); err != nil {
		return err
	}
	defer v.guard.Close()
	v.guard.onEvent = func(r capture.Refusal) {
		v.journal.Add(capture.EntryRefused, "request.refused", "host", r.Host, "reason", r.Reason)
	}
	v.facts.Proxy.Guard, v.facts.Proxy.Upstream = v.guard.Addr(), v.guard.via()
	if err := v.openWire(); err != nil {
		return err
	}
	v.guard.wire, v.guard.onBytes = v.wire.rec, v.passed
	v.recorder.reset = v.guard.wasReset
	v.journal.Step("proxy.started", "address", v.guard.Addr())
	v.inBrowser(ctx)
	clock()
	return v.close()
}

// passed hears how many bytes went over the connections. What no body limit
// catches, such as a response that nobody reads to us, ends here.
func (v *visit) passed(total int64) {
	if total <= v.order.Limits.TotalBytes*2 {
		return
	}
	v.guard.Stop()
	if v.once("limit.traffic") {
		v.journal.Anomaly("limit.traffic", "bytes", total)
		v.because("limit.total", "connections cut")
	}
}

// inBrowser is the part of the visit that needs the browser.
func (v *visit) inBrowser(ctx context.Context) {
	proc, back, err := v.pool.lend(ctx, v)
	if err != nil {
		v.noStart(err)
		return
	}
	defer func() {
		back()
		v.journal.Step("browser.closed")
	}()
	v.proc = proc
	v.noteBrowser(proc)
	total, stop := context.WithTimeout(ctx, capture.MS(v.order.Limits.TotalMS))
	defer stop()
	v.work, v.crash = context.WithCancel(total)
	defer v.crash()
	go func() {
		select {
		case <-proc.conn.Gone():
			v.crash()
		case <-v.work.Done():
		}
	}()
	opening, cancel := context.WithTimeout(v.work, capture.MS(v.order.Limits.StartMS))
	err = v.openTab(opening)
	cancel()
	defer func() {
		// The guard first: what the page would send on leaving is neither
		// recorded nor sent.
		v.guard.Close()
		v.closeTab()
		v.takeSecrets()
	}()
	switch {
	case err != nil && v.work.Err() != nil:
		v.nothing()
	case err != nil:
		v.noStart(err)
		return
	default:
		there := v.navigate()
		if there {
			v.record()
		}
		v.describe(ctx)
		v.writers.Wait()
		if there {
			v.secondLook()
		}
		v.afterwards(ctx)
	}
	v.noteEnd(ctx, total)
}

// noStart notes that there was no browser to visit the page with.
func (v *visit) noStart(err error) {
	code := "browser.start"
	if errors.Is(err, context.DeadlineExceeded) {
		code = "deadline.start"
	}
	v.journal.Anomaly(code, "detail", err.Error())
	v.fail(code, err.Error())
}

// noteEnd says why a visit ended before its time: because it was told to,
// because its time was up, or because the browser was gone. That the page's
// own process crashed is told already.
func (v *visit) noteEnd(ctx, total context.Context) {
	switch {
	case ctx.Err() != nil:
		v.journal.Anomaly("cancelled")
		v.because("cancelled", ctx.Err().Error())
	case errors.Is(total.Err(), context.DeadlineExceeded):
		v.journal.Anomaly("deadline.total")
		v.because("deadline.total", capture.MS(v.order.Limits.TotalMS).String())
	case v.proc.gone():
		v.journal.Anomaly("browser.crashed")
		v.because("browser.crashed", "")
	}
}

// record takes every artefact of a page that is there. The text of the page
// is compared in between: the artefacts are not of one moment.
//
// A page that moves on meanwhile would leave some of them of another page: it
// is held as soon as the first of them is taken, and when it moved on all the
// same, by a way that needs no request, the take says so.
func (v *visit) record() {
	first := v.loader()
	defer func() {
		if now := v.loader(); now != first {
			v.journal.Anomaly("page.mixed")
			v.because("page.mixed", "")
		}
	}()
	before := v.textDigest()
	v.picture()
	v.firstLook()
	v.scroll()
	if now := v.loader(); now == first {
		v.recorder.freeze(true)
	}
	v.measure()
	v.saveDOM()
	between := v.saveText()
	v.pictureFull()
	v.saveMHTML()
	short := v.stillAsLarge()
	v.pictureForeign()
	if !v.order.NoPrint {
		v.savePDF()
	}
	v.compare("viewport", before, "full", between)
	v.compare("full", between, "end", v.textDigest())
	if !short {
		v.grownLate()
	}
}

// loader names the document on display.
func (v *visit) loader() cdp.LoaderID {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.page.loader
}

// compare notes that the page's text changed between two artefacts.
func (v *visit) compare(from, a, to, b string) {
	if a != "" && b != "" && a != b {
		v.journal.Anomaly("page.changed", "from", from, "to", to)
	}
}

// describe asks for the facts of the page and the certificates. It has time
// of its own, also when that of the visit is up.
func (v *visit) describe(ctx context.Context) {
	facts, cancel := context.WithTimeout(context.WithoutCancel(ctx), capture.MS(v.order.Limits.StepMS))
	defer cancel()
	v.pageFacts(facts)
	v.saveCertificates(facts)
}

// afterwards waits for the traffic still under way, and ends the record of it.
func (v *visit) afterwards(ctx context.Context) {
	after := context.WithoutCancel(ctx)
	// The end of a request is often told just after the answer that brought
	// us here; without it a failed request would pass for an unanswered one.
	last, end := context.WithTimeout(after, time.Second)
	defer end()
	v.queue.drain(last)
	v.recorder.quiet(last, time.Time{}, 0)
	v.recorder.awaitBodies(last)
	v.recorder.close()
	v.over.Store(true)
}

// phase returns a context for one step of the visit. When an earlier step
// ran into its deadline, the page no longer answers and gets less time.
func (v *visit) phase(ms int64) (context.Context, context.CancelFunc) {
	v.mu.Lock()
	hung := v.hung
	v.mu.Unlock()
	if hung {
		ms = min(ms, v.order.Limits.StepMS)
	}
	return context.WithTimeout(v.work, capture.MS(ms))
}

// missing notes that an artefact could not be had.
func (v *visit) missing(artefact string, err error) {
	if v.work.Err() != nil {
		v.because("artefact.missing", artefact) // why is told where the visit ends
		return
	}
	if errors.Is(err, context.DeadlineExceeded) {
		v.mu.Lock()
		v.hung = true
		v.mu.Unlock()
		v.journal.Anomaly("deadline.artefact", "artefact", artefact)
		v.because("deadline.artefact", artefact)
		return
	}
	v.journal.Anomaly("artefact.missing", "artefact", artefact, "detail", err.Error())
	v.because("artefact.missing", artefact+": "+err.Error())
}

// newUUID returns a random UUID (RFC 9562 section 5.4). The package's own
// pool is not used: the WARC library switches it on at any time.
func newUUID() string {
	id, err := uuid.NewRandomFromReader(rand.Reader)
	if err != nil {
		panic("web: crypto/rand never fails: " + err.Error())
	}
	return id.String()
}

// short cuts a text for the journal.
func short(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "\u2026"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
