package web

import (
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"

	"guzheng/capture/web/devtools"
)

// pageState is what the events said about the main frame.
type pageState struct {
	frame    cdp.FrameID
	loader   cdp.LoaderID // of the document shown
	url      string
	loads    map[cdp.LoaderID]bool // loaders whose load event came
	moves    int                   // documents shown after the first
	dialogs  int
	popups   int
	messages int
	schemes  int // addresses of other programs that the page wanted to open
	crashed  bool
	stopped  bool // the document shown loads no more, whether or not it loaded
}

// enqueue puts an event into the queue. It runs on the goroutine that reads
// from the browser.
func (v *visit) enqueue(e devtools.Event) { v.queue.add(func() { v.event(e) }) }

// event handles one event of the visit's targets, in order, on the queue's
// goroutine.
func (v *visit) event(e devtools.Event) {
	if v.over.Load() {
		return
	}
	if strings.HasPrefix(e.Method, "Network.") || strings.HasPrefix(e.Method, "Fetch.") {
		v.recorder.handle(e)
		return
	}
	decoded, err := e.Decode()
	if err != nil {
		return // an event that this version of the protocol does not know
	}
	switch d := decoded.(type) {
	case *target.EventAttachedToTarget:
		v.attached(e.Session, d)
	case *target.EventDetachedFromTarget:
		v.recorder.goneWith(func(h *hop) bool { return h.session != nil && h.session.ID() == d.SessionID })
	case *page.EventFrameDetached:
		v.frameDetached(d)
	case *inspector.EventTargetCrashed:
		v.targetCrashed(e.Session)
	case *page.EventJavascriptDialogOpening:
		v.dialog(e.Session, d)
	case *page.EventFrameRequestedNavigation:
		v.foreignScheme(d.URL)
	case *log.EventEntryAdded:
		v.message(d.Entry)
	default:
		if e.Session == v.session {
			v.pageEvent(decoded)
		}
	}
}

// attached adopts a new target. The browser tells of it on the session that it
// came from, and Pool of those that it told of itself on their own.
func (v *visit) attached(s *devtools.Session, e *target.EventAttachedToTarget) {
	if s.Target().TargetID != e.TargetInfo.TargetID {
		s = s.Conn().Child(e.SessionID)
	}
	if s != nil {
		v.adopt(s)
	}
}

// frameDetached ends what a removed frame asked for: nobody will hear of it.
func (v *visit) frameDetached(e *page.EventFrameDetached) {
	if e.Reason == page.FrameDetachedReasonRemove {
		v.recorder.goneWith(func(h *hop) bool { return h.sent.FrameID == e.FrameID })
	}
}

// pageEvent handles the events of the tab itself.
func (v *visit) pageEvent(decoded any) {
	switch d := decoded.(type) {
	case *page.EventFrameNavigated:
		v.navigated(d)
	case *page.EventFrameStoppedLoading:
		if d.FrameID == v.page.frame {
			v.change(func(p *pageState) { p.stopped = p.loader != "" })
		}
	case *page.EventNavigatedWithinDocument:
		if d.FrameID == v.page.frame {
			v.change(func(p *pageState) { p.url = d.URL })
		}
	case *page.EventLifecycleEvent:
		if d.Name == "load" && d.FrameID == v.page.frame {
			v.change(func(p *pageState) { p.loads[d.LoaderID] = true })
		}
	case *page.EventWindowOpen:
		v.popup(d.URL)
	}
}

// targetCrashed notes the end of a renderer.
func (v *visit) targetCrashed(s *devtools.Session) {
	v.journal.Anomaly("page.crashed", "type", s.Target().Type, "url", short(s.Target().URL, 500))
	if s != v.session {
		v.because("page.crashed", "frame "+s.Target().URL)
		return
	}
	v.because("page.crashed", "")
	v.change(func(p *pageState) { p.crashed = true })
	v.crash()
}

// popup notes a window that the page wanted to open.
func (v *visit) popup(address string) {
	n := 0
	v.change(func(p *pageState) { p.popups++; n = p.popups })
	if n <= v.order.Limits.Dialogs {
		v.journal.Anomaly("popup", "url", short(address, 2000))
	}
}

// foreignScheme notes a way out of the web that the browser did not take:
// an app's own address.
func (v *visit) foreignScheme(address string) {
	scheme, _, ok := strings.Cut(address, ":")
	switch {
	case !ok:
		return
	case scheme == "http", scheme == "https", scheme == "about", scheme == "data", scheme == "blob", scheme == "javascript":
		return
	}
	n := 0
	v.change(func(p *pageState) { p.schemes++; n = p.schemes })
	if n <= v.order.Limits.Dialogs {
		v.journal.Anomaly("scheme.refused", "url", short(address, 2000))
	}
}

// message notes what the browser complained about: mixed content, blocked
// requests, errors of scripts.
func (v *visit) message(m *log.Entry) {
	if m == nil || m.Level != log.EntryLevelError && m.Level != log.EntryLevelWarning {
		return
	}
	n := 0
	v.change(func(p *pageState) { p.messages++; n = p.messages })
	if n <= v.order.Limits.Dialogs {
		v.journal.Step("browser.message", "level", m.Level, "source", m.Source, "text", short(m.Text, 500), "url", short(m.URL, 500))
	}
}

// change updates the page's state and wakes who waits for it.
func (v *visit) change(f func(*pageState)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f(&v.page)
	close(v.signal)
	v.signal = make(chan struct{})
}

func (v *visit) navigated(e *page.EventFrameNavigated) {
	if e.Frame.ParentID != "" || e.Frame.URL == "about:blank" {
		return
	}
	moves := 0
	v.change(func(p *pageState) {
		if p.loader != "" && p.loader != e.Frame.LoaderID {
			p.moves++
			moves = p.moves
		}
		p.loader, p.url, p.stopped = e.Frame.LoaderID, e.Frame.URL+e.Frame.URLFragment, false
	})
	switch {
	case moves == 0:
	case moves <= mostMoves:
		v.journal.Step("page.moved", "to", e.Frame.URL)
	case moves == mostMoves+1:
		v.journal.Anomaly("page.restless", "moves", moves)
		v.because("page.restless", e.Frame.URL)
		v.recorder.freeze(true)
	}
}

// mostMoves is how often a page may move itself on to another document. One
// that goes on is held where it is.
const mostMoves = 5

// dialog notes the text of an alert, confirm or prompt and dismisses it; a
// beforeunload question is answered by leaving.
func (v *visit) dialog(s *devtools.Session, e *page.EventJavascriptDialogOpening) {
	n := 0
	v.change(func(p *pageState) { p.dialogs++; n = p.dialogs })
	if n <= v.order.Limits.Dialogs {
		v.journal.Anomaly("dialog", "type", e.Type, "text", short(e.Message, 500))
	}
	_ = s.Post(page.CommandHandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: e.Type == page.DialogTypeBeforeunload})
}
