package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"guzheng/capture"
	"guzheng/capture/warc"
)

// A visit is one capture under way.
type visit struct {
	browser Browser
	path    string // of the Chromium binary
	d       *capture.Dir
	order   capture.Order
	journal *capture.Journal
	facts   capture.Facts
	pageID  string

	guard    *guard
	proc     *process
	tab      context.Context // the tab; ends with the browser
	work     context.Context // the tab within the total limit and the caller's wish
	session  cdp.Session
	queue    *queue
	recorder *recorder
	warcFile *capture.Writer
	warc     *warc.Writer
	warcErr  error
	hashed   chan string // the digest of the running browser

	mu      sync.Mutex
	page    pageState
	signal  chan struct{} // closed and replaced at every change of page
	reasons []capture.Reason
	failed  bool // there is no page to show
	hung    bool // an artefact ran into its deadline; later ones get less time
}

func limit(ms int64) time.Duration { return capture.MS(ms) }

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

func (v *visit) fail(code, detail string) {
	v.because(code, detail)
	v.mu.Lock()
	v.failed = true
	v.mu.Unlock()
}

// nothing makes the take a failed one for a reason that is told elsewhere.
func (v *visit) nothing() {
	v.mu.Lock()
	v.failed = true
	v.mu.Unlock()
}

func (v *visit) state() capture.State {
	switch {
	case v.failed:
		return capture.Failed
	case len(v.reasons) > 0:
		return capture.Partial
	}
	return capture.Complete
}

// run carries the visit through. Its error means that the take itself could
// not be written; everything that goes wrong with the page ends as a reason.
func (v *visit) run(ctx context.Context) error {
	v.pageID = newUUID()
	v.facts.PageID, v.facts.RequestedURL, v.facts.Viewport = v.pageID, v.order.URL, v.order.Viewport
	v.signal = make(chan struct{})
	v.journal.Step("order.accepted", "id", v.order.ID, "url", v.order.URL)
	v.preflight(ctx)
	if err := v.openWARC(); err != nil {
		return err
	}
	v.recorder = newRecorder(nil, v.d, v.browser.Now)
	v.recorder.write = v.exchange
	var err error
	if v.guard, err = startGuard(v.order, v.browser.Allow, v.browser.Now, v.recorder.wasAsked); err != nil {
		return err
	}
	defer v.guard.Close()
	v.guard.onEvent = func(r capture.Refusal) {
		v.journal.Add(capture.EntryRefused, "request.refused", "host", r.Host, "reason", r.Reason)
	}
	v.facts.Proxy.Guard = v.guard.Addr()
	v.journal.Step("proxy.started", "address", v.guard.Addr())
	v.inBrowser(ctx)
	return v.close(ctx)
}

// inBrowser is the part of the visit that needs the browser; it ends the
// browser whatever happens.
func (v *visit) inBrowser(ctx context.Context) {
	proc, err := v.launch(context.WithoutCancel(ctx))
	if err != nil {
		code := "browser.start"
		if errors.Is(err, context.DeadlineExceeded) {
			code = "deadline.start"
		}
		v.journal.Anomaly(code, "detail", err.Error())
		v.fail(code, err.Error())
		return
	}
	v.proc = proc
	v.noteBrowser(proc)
	v.queue = newQueue()
	defer func() {
		proc.stop()
		v.queue.close()
		v.journal.Step("browser.closed")
	}()
	if ver, err := chromedp.CallBrowser(proc.ctx, browser.GetVersion, cdp.Empty{}); err == nil {
		v.facts.Browser.Product, v.facts.UserAgent = ver.Product, ver.UserAgent
	}
	v.journal.Step("browser.started", "product", v.facts.Browser.Product, "path", v.path,
		"sandbox", !v.order.NoSandbox, "user", proc.user)
	cancel, err := v.openTab(ctx)
	defer func() {
		// The guard first: what the page would send on leaving is neither
		// recorded nor sent.
		v.guard.Close()
		cancel()
	}()
	switch {
	case err != nil && ctx.Err() != nil:
		v.nothing()
	case err != nil:
		v.journal.Anomaly("browser.start", "detail", err.Error())
		v.fail("browser.start", err.Error())
		return
	default:
		if v.navigate() {
			v.record()
		}
		v.afterwards()
	}
	v.noteEnd(ctx)
}

// noteEnd says why a visit ended before its time: because it was told to,
// because its time was up, or because the browser was gone.
func (v *visit) noteEnd(ctx context.Context) {
	switch {
	case ctx.Err() != nil:
		v.journal.Anomaly("cancelled")
		v.because("cancelled", ctx.Err().Error())
	case errors.Is(v.work.Err(), context.DeadlineExceeded):
		v.journal.Anomaly("deadline.total")
		v.because("deadline.total", limit(v.order.Limits.TotalMS).String())
	case v.work.Err() != nil:
		v.journal.Anomaly("browser.crashed")
		v.because("browser.crashed", "")
	}
}

// noteBrowser writes down which program runs.
func (v *visit) noteBrowser(p *process) {
	b := &v.facts.Browser
	b.User, b.Flags = p.user, p.flags
	executable, arguments := p.look()
	if executable != "" {
		b.Executable = executable
	}
	if len(arguments) > 1 {
		b.Flags = arguments[1:]
	}
	if !slices.Contains(debianBrowsers(), b.Executable) {
		v.journal.Anomaly("browser.other", "path", v.path, "executable", b.Executable)
	}
	v.hashed = make(chan string, 1)
	go func() { v.hashed <- fileSHA256(b.Executable) }()
}

// record takes every artefact of a page that is there. The text of the page
// is compared in between: the artefacts are not of one moment.
func (v *visit) record() {
	before := v.textDigest()
	v.picture(capture.FileViewport)
	v.scroll()
	between := v.textDigest()
	v.measure()
	v.saveDOM()
	v.saveText()
	v.picture(capture.FileFull)
	v.saveMHTML()
	v.savePDF()
	v.compare("viewport", before, "full", between)
	v.compare("full", between, "end", v.textDigest())
}

// compare notes that the page's text changed between two artefacts.
func (v *visit) compare(from, a, to, b string) {
	if a != "" && b != "" && a != b {
		v.journal.Anomaly("page.changed", "from", from, "to", to)
	}
}

// afterwards collects what must be asked before the tab goes: the facts of
// the page, the certificates, the traffic still under way.
func (v *visit) afterwards() {
	ctx, cancel := context.WithTimeout(v.tab, limit(v.order.Limits.ArtefactMS))
	defer cancel()
	v.pageFacts(ctx)
	v.saveCertificates(ctx)
	wait, stop := context.WithTimeout(v.tab, limit(v.order.Limits.StepMS))
	defer stop()
	// The end of a request is often told just after the answer that brought
	// us here; without it a failed request would pass for an unanswered one.
	last, end := context.WithTimeout(wait, time.Second)
	defer end()
	v.queue.drain(last)
	v.recorder.quiet(last, time.Time{}, 0)
	v.recorder.close(wait)
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
	return context.WithTimeout(v.work, limit(ms))
}

// missing notes that an artefact could not be had.
func (v *visit) missing(artefact string, err error) {
	if errors.Is(err, context.DeadlineExceeded) {
		v.mu.Lock()
		v.hung = true
		v.mu.Unlock()
		v.journal.Anomaly("deadline.artefact", "artefact", artefact)
		v.because("deadline.artefact", artefact)
		return
	}
	if v.work.Err() != nil {
		v.because("artefact.missing", artefact) // why is told where the visit ends
		return
	}
	v.journal.Anomaly("artefact.missing", "artefact", artefact, "detail", err.Error())
	v.because("artefact.missing", artefact+": "+err.Error())
}

func (v *visit) openWARC() error {
	f, err := v.d.Create(capture.FileWARC, "application/warc+gzip", "archive/data.warc.gz")
	if err != nil {
		return err
	}
	v.warcFile = f
	v.warc, err = warc.NewWriter(f, warc.Info{
		Software: v.browser.Tool.Name + "/" + v.browser.Tool.Version, Filename: "data.warc.gz",
		Description: "bodies are stored without content and transfer encodings; the order of request header fields is not known",
		Created:     v.browser.Now(), ID: "urn:uuid:" + newUUID(), TmpDir: v.browser.TempDir,
	})
	return err
}

// close writes what is only known at the end.
func (v *visit) close(ctx context.Context) error {
	wait, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer stop()
	v.recorder.close(wait)
	v.gatherTraffic()
	if v.hashed != nil {
		v.facts.Browser.SHA256 = <-v.hashed
	}
	if err := v.warc.Close(); err != nil {
		return err
	}
	if v.warcErr != nil {
		v.because("exchange.unwritten", v.warcErr.Error())
	}
	if err := v.warcFile.Close(); err != nil {
		return err
	}
	c := v.facts.Counts
	v.journal.Step("traffic.closed", "requests", c.Requests, "responses", c.Responses, "failed", c.Failed, "refused", c.Refused)
	return v.writeJSON(capture.FileFacts, "evidence/facts.json", v.facts)
}

// gatherTraffic moves what recorder and guard saw into facts and reasons.
func (v *visit) gatherTraffic() {
	r := v.recorder
	answers, refused, own := v.guard.report()
	v.facts.DNS, v.facts.Refused = answers, refused
	for i, a := range v.facts.DNS {
		if len(a.Addresses) > 0 {
			v.facts.DNS[i].Source = "dns"
		}
		if names(v.facts.HostsFile.Entries, a.Host) {
			v.facts.DNS[i].Source = "hosts"
		}
	}
	if len(own) > 0 {
		n, hosts := 0, slices.Sorted(maps.Keys(own))
		for _, c := range own {
			n += c
		}
		v.journal.Step("browser.own-traffic", "refused", n, "hosts", strings.Join(hosts, ", "))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	images, unloaded, steps := v.facts.Counts.Images, v.facts.Counts.ImagesUnloaded, v.facts.Counts.ScrollSteps
	v.facts.Counts = r.counts
	v.facts.Counts.Refused = len(refused)
	v.facts.Counts.Images, v.facts.Counts.ImagesUnloaded, v.facts.Counts.ScrollSteps = images, unloaded, steps
	v.facts.Failed = r.failures
	v.mu.Lock()
	v.reasons = append(v.reasons, r.reasons...)
	v.mu.Unlock()
}

// openTab opens the tab of the visit in a browser context of its own, with
// every event going to the recorder before the first navigation.
func (v *visit) openTab(parent context.Context) (context.CancelFunc, error) {
	tab, cancel := chromedp.NewContext(v.proc.ctx,
		chromedp.WithNewBrowserContext(),
		chromedp.WithListener(func(ev any) { v.queue.add(func() { v.event(ev) }) }))
	v.tab = tab
	v.recorder.ctx = tab
	work, stopWork := context.WithTimeout(tab, limit(v.order.Limits.TotalMS))
	unhook := context.AfterFunc(parent, stopWork)
	v.work = work
	end := func() { unhook(); stopWork(); cancel() }
	if err := startWithin(tab, limit(v.order.Limits.StartMS)); err != nil {
		return end, fmt.Errorf("opening a tab: %w", err)
	}
	v.session = chromedp.FromContext(tab).Target
	v.recorder.session = v.session
	if err := v.instrument(); err != nil {
		return end, err
	}
	v.journal.Step("page.opened", "cache", "off", "service_workers", "bypassed")
	return end, nil
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
