package reading

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/domsnapshot"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium is where Debian has the browser that captures use.
const chromium = "/usr/lib/chromium/chromium-headless-shell"

// A tab is a page of a real browser.
type tab struct {
	t   *testing.T
	ctx context.Context
	s   cdp.Session
}

// browse starts a browser as captures do; extra are switches such as
// "force-device-scale-factor=2", and "LANG=C" for another locale.
func browse(t *testing.T, extra ...string) *tab {
	t.Helper()
	if testing.Short() {
		t.Skip("short: recorded snapshots are read in TestRecorded, no browser is started")
	}
	lang := "LANG=zh_CN.UTF-8"
	if i := slices.IndexFunc(extra, func(e string) bool { return strings.HasPrefix(e, "LANG=") }); i >= 0 {
		lang, extra = extra[i], slices.Delete(slices.Clone(extra), i, i+1)
	}
	opts := []chromedp.ExecAllocatorOption{chromedp.ExecPath(chromium), chromedp.NoInheritEnv,
		chromedp.Env("HOME="+t.TempDir(), "PATH=/usr/bin:/bin", lang),
		chromedp.Flag("headless", true), chromedp.Flag("disable-gpu", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("lang", "zh-CN"), chromedp.Flag("no-sandbox", os.Getuid() == 0)}
	for _, e := range extra {
		k, v, _ := strings.Cut(e, "=")
		opts = append(opts, chromedp.Flag(k, v))
	}
	ctx, cancelAlloc := chromedp.NewExecAllocator(t.Context(), opts...)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(func() { cancelTab(); cancelAlloc() })
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", chromium, err)
	}
	b := &tab{t: t, ctx: ctx, s: chromedp.FromContext(ctx).Target}
	call(b, page.Enable, page.EnableParams{})
	return b
}

func call[P, R any](b *tab, c cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	r, err := cdp.Call(ctx, b.s, c, params)
	if err != nil {
		b.t.Fatalf("%s: %v", c.Method, err)
	}
	return r
}

// visit opens a page and waits until it is loaded.
func (b *tab) visit(url string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	loaded := cdp.Events(ctx, b.s, page.LoadEventFired)
	call(b, page.Navigate, page.NavigateParams{URL: url})
	for _, err := range loaded {
		if err != nil {
			b.t.Fatalf("loading %s: %v", url, err)
		}
		return
	}
}

// size sets the window as captures do.
func (b *tab) size(width, height int, scale float64) {
	b.t.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: int64(width), Height: int64(height), DeviceScaleFactor: scale})
}

// evaluate asks the page for a string.
func (b *tab) evaluate(expression string) string {
	b.t.Helper()
	r := call(b, runtime.Evaluate, runtime.EvaluateParams{Expression: expression, ReturnByValue: new(true), AwaitPromise: new(true)})
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %v", expression, r.ExceptionDetails)
	}
	var s string
	if err := json.Unmarshal(r.Result.Value, &s); err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return s
}

func (b *tab) snapshot() *domsnapshot.CaptureSnapshotResult {
	b.t.Helper()
	r := call(b, domsnapshot.CaptureSnapshot, Params())
	return &r
}

func (b *tab) read() Result {
	b.t.Helper()
	return Read([]Layer{{Snapshot: b.snapshot()}})
}

// innerText is the judge: what the browser itself takes for the text.
const innerText = `document.body ? document.body.innerText : ''`

// serve answers each path with a page; those without a doctype get one.
func serve(t *testing.T, pages map[string]string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if !strings.HasPrefix(p, "<!") {
			p = "<!doctype html><title>t</title>" + p
		}
		fmt.Fprint(w, p)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}
