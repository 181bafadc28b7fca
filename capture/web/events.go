package web

import (
	"context"
	"fmt"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// pageState is what the events said about the main frame.
type pageState struct {
	frame   cdp.FrameID
	loader  cdp.LoaderID // of the document shown
	url     string
	loads   map[cdp.LoaderID]bool // loaders whose load event came
	moves   int                   // documents shown after the first
	dialogs int
	popups  int
	crashed bool
}

// instrument switches on everything the recorder needs, before the page is
// asked for.
func (v *visit) instrument() error {
	ctx, cancel := v.phase(v.order.Limits.StartMS)
	defer cancel()
	yes := new(true)
	v.page.loads = map[cdp.LoaderID]bool{}
	tree, err := cdp.Call(ctx, v.session, page.GetFrameTree, cdp.Empty{})
	if err != nil {
		return fmt.Errorf("reading the frame tree: %w", err)
	}
	v.page.frame = tree.FrameTree.Frame.ID
	v.recorder.mu.Lock()
	v.recorder.mainID = v.page.frame
	v.recorder.mu.Unlock()
	viewport := v.order.Viewport
	steps := []struct {
		what string
		do   func() error
	}{
		{"network", call(ctx, v, network.Enable, network.EnableParams{MaxPostDataSize: new(int64(16 << 20))})},
		{"cache", call(ctx, v, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})},
		{"service workers", call(ctx, v, network.SetBypassServiceWorker, network.SetBypassServiceWorkerParams{Bypass: true})},
		{"lifecycle", call(ctx, v, page.SetLifecycleEventsEnabled, page.SetLifecycleEventsEnabledParams{Enabled: true})},
		{"interception", call(ctx, v, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{
			{URLPattern: "*", RequestStage: fetch.RequestStageResponse}}})},
		{"viewport", call(ctx, v, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: int64(viewport.Width), Height: int64(viewport.Height), DeviceScaleFactor: viewport.Scale})},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("setting up %s: %w", s.what, err)
		}
	}
	// Downloads are refused; the recorder already has their bytes.
	_, err = chromedp.CallBrowser(v.tab, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorDeny, EventsEnabled: yes,
		BrowserContextID: chromedp.FromContext(v.tab).BrowserContextID})
	if err != nil {
		return fmt.Errorf("setting up downloads: %w", err)
	}
	return v.watchPopups()
}

// call packs a command into a func.
func call[P, R any](ctx context.Context, v *visit, c cdp.Command[P, R], params P) func() error {
	return func() error {
		_, err := cdp.Call(ctx, v.session, c, params)
		return err
	}
}

// watchPopups watches for targets beside the tab: windows that the page
// opens in spite of all are closed, workers are noted.
func (v *visit) watchPopups() error {
	own, ours := chromedp.FromContext(v.tab).Target.TargetID, chromedp.FromContext(v.tab).BrowserContextID
	return chromedp.ListenBrowser(v.tab, func(ev any) {
		e, ok := ev.(*target.EventTargetCreated)
		if ok && e.TargetInfo.BrowserContextID == ours && e.TargetInfo.TargetID != own {
			v.queue.add(func() { v.attached(e.TargetInfo) })
		}
		if !ok || e.TargetInfo.Type != "page" || e.TargetInfo.OpenerID != own {
			return
		}
		// The browser was told to open none; one that is there all the same
		// may already have sent requests that nobody recorded.
		v.recorder.unrecorded("popup", e.TargetInfo.URL)
		go func() {
			_, _ = chromedp.CallBrowser(v.tab, target.CloseTarget, target.CloseTargetParams{TargetID: e.TargetInfo.TargetID})
		}()
	})
}

// event handles one event of the tab, in order, on the queue's goroutine.
func (v *visit) event(ev any) {
	v.recorder.handle(ev)
	switch e := ev.(type) {
	case *page.EventFrameNavigated:
		v.navigated(e)
	case *page.EventNavigatedWithinDocument:
		v.change(func(p *pageState) {
			if e.FrameID == p.frame {
				p.url = e.URL
			}
		})
	case *page.EventLifecycleEvent:
		if e.Name == "load" {
			v.change(func(p *pageState) {
				if e.FrameID == p.frame {
					p.loads[e.LoaderID] = true
				}
			})
		}
	case *page.EventWindowOpen:
		n := 0
		v.change(func(p *pageState) { p.popups++; n = p.popups })
		if n <= v.order.Limits.Dialogs {
			v.journal.Anomaly("popup", "url", e.URL)
		}
	case *page.EventJavascriptDialogOpening:
		v.dialog(e)
	case *inspector.EventTargetCrashed:
		v.journal.Anomaly("browser.crashed")
		v.because("browser.crashed", "")
		v.change(func(p *pageState) { p.crashed = true })
	case *target.EventAttachedToTarget:
		v.attached(e.TargetInfo)
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
	moved := false
	v.change(func(p *pageState) {
		moved = p.loader != "" && p.loader != e.Frame.LoaderID
		if moved {
			p.moves++
		}
		p.loader, p.url = e.Frame.LoaderID, e.Frame.URL+e.Frame.URLFragment
	})
	if moved {
		v.journal.Step("page.moved", "to", e.Frame.URL)
	}
}

// dialog notes the text of an alert, confirm or prompt and dismisses it; a
// beforeunload question is answered by leaving.
func (v *visit) dialog(e *page.EventJavascriptDialogOpening) {
	n := 0
	v.change(func(p *pageState) { p.dialogs++; n = p.dialogs })
	if n <= v.order.Limits.Dialogs {
		v.journal.Anomaly("dialog", "type", e.Type, "text", short(e.Message, 500))
	}
	leave := e.Type == page.DialogTypeBeforeunload
	go func() {
		_, _ = cdp.Call(v.tab, v.session, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: leave})
	}()
}

// attached notes targets whose traffic the recorder does not see.
func (v *visit) attached(t *target.Info) {
	switch t.Type {
	case "worker", "shared_worker", "service_worker", "iframe":
		v.recorder.unrecorded(t.Type, t.URL)
	}
}
