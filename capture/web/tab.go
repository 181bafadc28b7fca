package web

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"

	"guzheng/capture/web/devtools"
)

// What Chrome may keep of bodies for a request that asks for them late. Bodies
// are streamed as they arrive, so this is a second chance only.
const (
	chromeBuffer   = 64 << 20
	chromeResource = 16 << 20
	mostPost       = 16 << 20 // request bodies inside the event, bytes
)

// openTab opens the tab of the visit in a browser context of its own, behind
// the visit's own guard, and waits until it is instrumented.
func (v *visit) openTab(ctx context.Context) error {
	root := v.proc.conn.Browser()
	made, err := cdp.Call(ctx, root, target.CreateBrowserContext, target.CreateBrowserContextParams{
		DisposeOnDetach: new(true), ProxyServer: "socks5://" + v.guard.Addr(), ProxyBypassList: "<-loopback>"})
	if err != nil {
		return fmt.Errorf("making a browser context: %w", err)
	}
	v.contextID = made.BrowserContextID
	v.proc.own(v.contextID, v)
	v.facts.Browser.Context, v.facts.Browser.Opened = string(v.contextID), v.now().UTC()
	if err := v.contextRules(ctx); err != nil {
		return err
	}
	// The window has the size of the view: otherwise the browser shows the
	// page a window of 1 x 1 pixels for a moment at every picture.
	if _, err := cdp.Call(ctx, root, target.CreateTarget, target.CreateTargetParams{URL: "about:blank", BrowserContextID: v.contextID,
		Width: int64(v.order.Viewport.Width), Height: int64(v.order.Viewport.Height)}); err != nil {
		return fmt.Errorf("opening a tab: %w", err)
	}
	select {
	case err := <-v.ready:
		if err != nil {
			return fmt.Errorf("setting up the tab: %w", err)
		}
	case <-ctx.Done():
		return fmt.Errorf("setting up the tab: %w", context.Cause(ctx))
	case <-v.proc.conn.Gone():
		return fmt.Errorf("setting up the tab: %w", devtools.ErrGone)
	}
	v.journal.Step("page.opened", "context", string(v.contextID), "cache", "off", "service_workers", "bypassed")
	return nil
}

// contextRules sets what holds for every page of the context.
func (v *visit) contextRules(ctx context.Context) error {
	root := v.proc.conn.Browser()
	// Downloads are refused; the recorder already has their bytes.
	if _, err := cdp.Call(ctx, root, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorDeny, BrowserContextID: v.contextID}); err != nil {
		return fmt.Errorf("setting up downloads: %w", err)
	}
	if v.order.Visitor.Location != nil {
		if _, err := cdp.Call(ctx, root, browser.SetPermission, browser.SetPermissionParams{
			Permission: &browser.PermissionDescriptor{Name: "geolocation"}, Setting: browser.PermissionSettingGranted, BrowserContextID: v.contextID}); err != nil {
			return fmt.Errorf("setting up the location: %w", err)
		}
	}
	return nil
}

// closeTab ends the context with everything in it.
func (v *visit) closeTab() {
	v.proc.watch.account()
	v.facts.Browser.Limits = v.proc.holding()
	if v.contextID == "" || v.proc.gone() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := cdp.Call(ctx, v.proc.conn.Browser(), target.DisposeBrowserContext, target.DisposeBrowserContextParams{BrowserContextID: v.contextID})
	v.proc.own(v.contextID, nil)
	if err != nil && !v.proc.gone() {
		// A browser that does not let go of a page serves nobody else.
		v.journal.Anomaly("browser.stuck", "detail", err.Error())
		v.proc.kill()
	}
}

// A setup sends the commands that instrument one session, without waiting
// for each, and gathers the first complaint. Commands of a session are
// carried out in order, so the answer to the last one is the end of all.
type setup struct {
	s    *devtools.Session
	v    *visit
	err  error // guarded by the queue
	done func(error)
}

func put[P, R any](u *setup, what string, c cdp.Command[P, R], params P) {
	devtools.Begin(u.s, c, params, func(_ R, err error) {
		if err != nil {
			u.v.queue.add(func() {
				if u.err == nil {
					u.err = fmt.Errorf("%s: %w", what, err)
				}
			})
		}
	})
}

// end resumes the target, which was held until now.
func (u *setup) end() {
	devtools.Begin(u.s, runtime.RunIfWaitingForDebugger, cdp.Empty{}, func(_ cdp.Empty, err error) {
		u.v.queue.add(func() {
			if u.err == nil && err != nil {
				u.err = fmt.Errorf("resuming: %w", err)
			}
			u.done(u.err)
		})
	})
}

// adopt takes in a target of the context that is held. It runs on the
// queue's goroutine.
func (v *visit) adopt(s *devtools.Session) {
	info := s.Target()
	u := &setup{s: s, v: v, done: func(error) {}}
	if v.adopted[info.TargetID] {
		u.end() // a second session to a worker that the browser announced itself
		return
	}
	v.adopted[info.TargetID] = true
	u.done = func(err error) {
		if err != nil && !isGone(s) {
			v.recorder.unrecorded(info.Type, info.URL)
		}
	}
	switch {
	case info.Type == "page" && v.session == nil:
		v.session, v.page.frame = s, cdp.FrameID(info.TargetID)
		v.recorder.main(v.page.frame)
		u.done = func(err error) { v.ready <- err }
		v.instrumentPage(u)
	case info.Type == "page":
		// Windows are not opened; this one has not sent anything yet.
		v.popup(info.URL)
		_ = v.proc.conn.Browser().Post(target.CommandCloseTarget, target.CloseTargetParams{TargetID: info.TargetID})
		return
	case info.Type == "iframe":
		v.mu.Lock()
		v.frames = append(v.frames, s)
		v.mu.Unlock()
		v.instrumentPage(u)
	case info.Type == "worker" || info.Type == "shared_worker" || info.Type == "service_worker":
		v.journal.Step("worker.attached", "type", info.Type, "url", short(info.URL, 500))
		if info.Type == "service_worker" {
			v.journal.Anomaly("service-worker.bypassed", "url", short(info.URL, 500))
		}
		instrumentTraffic(u)
		if info.Type != "worker" {
			// What a dedicated worker asks for is held with its page.
			v.instrumentHold(u)
		}
	default:
		v.recorder.unrecorded(info.Type, info.URL)
	}
	u.end()
}

func isGone(s *devtools.Session) bool {
	select {
	case <-s.Gone():
		return true
	default:
		return false
	}
}

// instrumentTraffic switches on what every target with traffic needs.
func instrumentTraffic(u *setup) {
	put(u, "network", network.Enable, network.EnableParams{MaxPostDataSize: new(int64(mostPost)),
		MaxTotalBufferSize: new(int64(chromeBuffer)), MaxResourceBufferSize: new(int64(chromeResource))})
	put(u, "cache", network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
	put(u, "children", target.SetAutoAttach, target.SetAutoAttachParams{AutoAttach: true, WaitForDebuggerOnStart: true, Flatten: new(true)})
}

// instrumentPage switches on what a tab or a frame of its own process needs.
func (v *visit) instrumentPage(u *setup) {
	instrumentTraffic(u)
	put(u, "service workers", network.SetBypassServiceWorker, network.SetBypassServiceWorkerParams{Bypass: true})
	v.instrumentHold(u)
	put(u, "page", page.Enable, page.EnableParams{})
	put(u, "lifecycle", page.SetLifecycleEventsEnabled, page.SetLifecycleEventsEnabledParams{Enabled: true})
	put(u, "crashes", inspector.Enable, cdp.Empty{})
	put(u, "messages", log.Enable, cdp.Empty{})
	// Before there is a document: later, the browser would load the page's
	// style sheets once more for it.
	put(u, "nodes", dom.Enable, dom.EnableParams{})
	put(u, "fonts", css.Enable, cdp.Empty{})
	v.emulate(u)
}

// instrumentHold has responses held until the browser sends their bodies
// along.
func (v *visit) instrumentHold(u *setup) {
	held := []*fetch.RequestPattern{{URLPattern: "*", RequestStage: fetch.RequestStageResponse}}
	if v.secret != "" {
		// Only requests that are held before they are sent are asked about.
		held = append(held, &fetch.RequestPattern{URLPattern: "*", RequestStage: fetch.RequestStageRequest})
	}
	put(u, "interception", fetch.Enable, fetch.EnableParams{HandleAuthRequests: new(v.secret != ""), Patterns: held})
}

// emulate makes the browser the visitor that was ordered.
func (v *visit) emulate(u *setup) {
	who := v.order.Visitor
	if u.s == v.session {
		put(u, "viewport", emulation.SetDeviceMetricsOverride, v.metrics(nil))
	}
	if who.Mobile {
		put(u, "touch", emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: true, MaxTouchPoints: 5})
	}
	if who.UserAgent == "" {
		who.UserAgent = v.ownAgent()
	}
	if who.UserAgent != v.proc.agent || who.Languages != "" {
		agent := who.UserAgent
		put(u, "user agent", emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: who.Languages})
	}
	if l := who.Location; l != nil {
		put(u, "location", emulation.SetGeolocationOverride, emulation.SetGeolocationOverrideParams{
			Latitude: new(l.Latitude), Longitude: new(l.Longitude), Accuracy: new(l.Accuracy)})
	}
}

// ownAgent is how the browser names itself. As a telephone it keeps its name
// and version and calls itself the reduced device that Chrome names there.
func (v *visit) ownAgent() string {
	if !v.order.Visitor.Mobile {
		return v.proc.agent
	}
	return strings.NewReplacer("X11; Linux x86_64", "Linux; Android 10; K", " Safari/", " Mobile Safari/").Replace(v.proc.agent)
}
