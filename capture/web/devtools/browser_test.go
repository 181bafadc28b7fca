package devtools

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/domsnapshot"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
)

// chromium is where Debian has the browser that captures use.
const chromium = "/usr/lib/chromium/chromium-headless-shell"

// A wire asks a browser something, in one of the two languages that it
// speaks, and keeps what it says by itself.
type wire struct {
	conn *Conn // of CBOR
	ask  func(session target.SessionID, method string, params any) (jsonv2.Value, error)

	mu     sync.Mutex
	heard  map[string][]jsonv2.Value
	loaded chan struct{}
}

func (w *wire) note(method string, params jsonv2.Value) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard[method] = append(w.heard[method], params)
	if method == page.LoadEventFired.Method {
		close(w.loaded)
	}
}

// browse starts a browser that speaks JSON or CBOR.
func browse(t testing.TB, binary bool) *wire {
	t.Helper()
	if testing.Short() {
		t.Skip("short: no browser is started")
	}
	commands, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r, replies, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	mode := "--remote-debugging-pipe"
	if binary {
		mode += "=cbor"
	}
	home := t.TempDir()
	cmd := exec.Command(chromium, "--headless", mode, "--user-data-dir="+home, "--no-sandbox", "--disable-gpu", "--in-process-gpu", "--hide-scrollbars", "--lang=zh-CN")
	cmd.Env = []string{"HOME=" + home, "PATH=/usr/bin:/bin", "LANG=zh_CN.UTF-8"}
	cmd.ExtraFiles = []*os.File{commands, replies}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	commands.Close()
	replies.Close()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	l := &wire{heard: map[string][]jsonv2.Value{}, loaded: make(chan struct{})}
	if binary {
		l.conn = Open(r, w, nil)
		l.ask = speakCBOR(t, l, l.conn)
	} else {
		l.ask = speakJSON(t, l, chromedp.NewPipeConn(r, w))
	}
	return l
}

func speakCBOR(t testing.TB, l *wire, c *Conn) func(target.SessionID, string, any) (jsonv2.Value, error) {
	t.Cleanup(func() { c.Close() })
	c.Browser().Handle(func(e Event) {
		text, err := e.Params.JSON()
		if err != nil {
			t.Errorf("%s: %v", e.Method, err)
		}
		if _, err := e.Decode(); err != nil {
			t.Error(err)
		}
		l.note(e.Method, text)
	})
	return func(id target.SessionID, method string, params any) (jsonv2.Value, error) {
		s := c.Browser()
		if id != "" {
			s = c.Child(id)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		var v jsonv2.Value
		return v, s.Call(ctx, method, params, &v)
	}
}

// speakJSON reads on a goroutine of its own until the connection is closed.
func speakJSON(t testing.TB, l *wire, c *chromedp.PipeConn) func(target.SessionID, string, any) (jsonv2.Value, error) {
	t.Cleanup(func() { c.Close() })
	replies := make(chan *cdproto.Message, 1)
	go func() {
		defer close(replies)
		for {
			m := new(cdproto.Message)
			if c.Read(context.Background(), m) != nil {
				return
			}
			if m.ID != 0 {
				replies <- m
				continue
			}
			l.note(string(m.Method), m.Params)
		}
	}()
	var id int64
	return func(session target.SessionID, method string, params any) (jsonv2.Value, error) {
		b, err := jsonv2.Marshal(params)
		if err != nil {
			return nil, err
		}
		id++
		if err := c.Write(context.Background(), &cdproto.Message{ID: id, SessionID: session, Method: cdproto.MethodType(method), Params: b}); err != nil {
			return nil, err
		}
		m := <-replies
		switch {
		case m == nil:
			return nil, ErrGone
		case m.Error != nil:
			return nil, m.Error
		}
		return m.Result, nil
	}
}

// odd is a page with texts in every form that the browser has for them.
const odd = `<!doctype html><meta charset=utf-8><title>店铺 😀 "é"</title>
<body style="margin:0;font:16px/1.5 serif"><h1 id=h class="标题 a">促销 𠮷 naïve \ / &lt;</h1><p title="tab&#9;nl&#10;">Text ` + "\u0080\u009f\u00ff\u2028" + `</p>
<img src="/图片.png?名=值" alt="图"><ul><li>1<li>2.5<li>−3</ul><form><input value="值"><input type=checkbox checked></form>
<script>
h.append('\ud800 alone \udc00', String.fromCharCode(0x7f, 1, 0xfffe)); h.dataset.x = 'é\udfff';
console.log('lone \ud83d', 'pair 😀', 'latin é', {'键': '值', n: 1.5}, 1e300, -0, NaN, 12345678901234, true, null, undefined);
console.warn('汉字'.repeat(300));
fetch('/路径/\ud800?q=é 汉', {method: 'POST', body: 'x=\ud800汉', headers: {'X-Odd': 'a"b\\c'}});
</script>`

// values is what an expression gives by value: numbers and texts that the two
// languages write in their own ways.
const values = `({ints: [0, 23, 24, -1, -24, -25, 255, 256, 65535, 65536, 2147483647, -2147483648, 2147483648, 4294967296, 9007199254740993],
doubles: [0.1, -0.5, 1e21, 1e300, 5e-324, 1.7976931348623157e308, 123456789.125, 1e-7], lone: '\ud800', low: 'a\udc00b', two: '\udc00\ud800', pair: '😀',
latin: 'é\x80\xff', zero: '\0\x01\x1f\x7f', quote: '"\\/\b\f\n\r\t', long: 'x'.repeat(70000), wide: '汉'.repeat(70000), empty: '', none: null,
deep: {a: [[], {}, [[1]], {b: {}}]}, '键 é': true, f: false, uni: '\u2028\ufeff\uffff'})`

// TestSameAsJSON asks two browsers, one in each language, the same of the same
// page, and wants the same answers and events, as JSON and in Go's types.
func TestSameAsJSON(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Path", r.URL.EscapedPath())
		w.Header().Set("X-Raw", "\xe9\xff raw")
		if r.URL.Path == "/" {
			fmt.Fprint(w, odd)
		}
	}))
	defer site.Close()
	asked := []struct {
		method string
		params any
		into   any
	}{
		{runtime.Evaluate.Method, runtime.EvaluateParams{Expression: values, ReturnByValue: new(true)}, runtime.EvaluateResult{}},
		{runtime.Evaluate.Method, runtime.EvaluateParams{Expression: "throw new Error('错 \\ud800')"}, runtime.EvaluateResult{}},
		{runtime.Evaluate.Method, runtime.EvaluateParams{Expression: `[..."汉 é 😀"].map(c => c.codePointAt(0)).join()`}, runtime.EvaluateResult{}},
		{runtime.Evaluate.Method, runtime.EvaluateParams{Expression: "h", GeneratePreview: new(true)}, runtime.EvaluateResult{}},
		{dom.GetDocument.Method, dom.GetDocumentParams{Depth: new(int64(-1)), Pierce: new(true)}, dom.GetDocumentResult{}},
		{domsnapshot.CaptureSnapshot.Method, domsnapshot.CaptureSnapshotParams{ComputedStyles: []string{"color", "font-size"}, IncludePaintOrder: new(true), IncludeDOMRects: new(true)}, domsnapshot.CaptureSnapshotResult{}},
		{accessibility.GetFullAXTree.Method, accessibility.GetFullAXTreeParams{}, accessibility.GetFullAXTreeResult{}},
		{page.GetLayoutMetrics.Method, cdp.Empty{}, page.GetLayoutMetricsResult{}},
		{page.GetResourceTree.Method, cdp.Empty{}, page.GetResourceTreeResult{}},
		{page.CaptureScreenshot.Method, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatPng}, page.CaptureScreenshotResult{}},
		{"CSS.enable", cdp.Empty{}, cdp.Empty{}},
		{css.GetComputedStyleForNode.Method, css.GetComputedStyleForNodeParams{NodeID: 5}, css.GetComputedStyleForNodeResult{}},
		{css.GetMatchedStylesForNode.Method, css.GetMatchedStylesForNodeParams{NodeID: 5}, css.GetMatchedStylesForNodeResult{}},
		{dom.GetOuterHTML.Method, dom.GetOuterHTMLParams{NodeID: 5}, dom.GetOuterHTMLResult{}},
		{dom.GetOuterHTML.Method, dom.GetOuterHTMLParams{NodeID: 99999}, dom.GetOuterHTMLResult{}},
		{"Page.captureSnapshot", cdp.Empty{}, page.CaptureSnapshotResult{}},
		{"Nothing.known", cdp.Empty{}, cdp.Empty{}},
		{"Page.navigate", map[string]any{"url": 5}, cdp.Empty{}},
	}
	type answer struct{ text, typed, failure string }
	var answers [2][]answer
	var wires [2]*wire
	for i := range wires {
		w := browse(t, i == 1)
		wires[i] = w
		session := open(t, w, site.URL)
		for _, a := range asked {
			text, err := w.ask(session, a.method, a.params)
			into := reflect.New(reflect.TypeOf(a.into))
			got := answer{failure: fmt.Sprint(err)}
			if err == nil {
				got.text = settle(t, text)
				got.typed = typed(t, w, session, a.method, a.params, into.Interface())
			}
			answers[i] = append(answers[i], got)
		}
	}
	for k, a := range asked {
		if d := cmp.Diff(answers[0][k], answers[1][k], cmp.AllowUnexported(answer{})); d != "" {
			t.Errorf("%s (- JSON, + CBOR)\n%.3000s", a.method, d)
		}
		if len(answers[0][k].text)+len(answers[0][k].failure) < 7 {
			t.Errorf("%s answered %+v", a.method, answers[0][k])
		}
	}
	for _, method := range []string{runtime.ConsoleAPICalled.Method, network.RequestWillBeSent.Method, network.ResponseReceived.Method,
		network.RequestWillBeSentExtraInfo.Method, network.ResponseReceivedExtraInfo.Method, page.FrameNavigated.Method, target.AttachedToTarget.Method} {
		if d := cmp.Diff(wires[0].events(t, method), wires[1].events(t, method)); d != "" {
			t.Errorf("%s (- JSON, + CBOR)\n%.3000s", method, d)
		}
	}
}

// open loads the page in a tab and returns its session.
func open(t testing.TB, w *wire, url string) target.SessionID {
	t.Helper()
	must := func(s target.SessionID, method string, params, into any) {
		b, err := w.ask(s, method, params)
		if err == nil && into != nil {
			err = json.Unmarshal(b, into)
		}
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
	}
	var tab struct {
		TargetID  target.ID        `json:"targetId"`
		SessionID target.SessionID `json:"sessionId"`
	}
	must("", browser.GetVersion.Method, cdp.Empty{}, nil)
	must("", target.CreateTarget.Method, target.CreateTargetParams{URL: "about:blank"}, &tab)
	must("", target.AttachToTarget.Method, target.AttachToTargetParams{TargetID: tab.TargetID, Flatten: new(true)}, &tab)
	for _, domain := range []string{"Page", "Runtime", "Network", "DOM", "Accessibility"} {
		must(tab.SessionID, domain+".enable", cdp.Empty{}, nil)
	}
	must(tab.SessionID, page.Navigate.Method, page.NavigateParams{URL: url}, nil)
	select {
	case <-w.loaded:
	case <-time.After(30 * time.Second):
		t.Fatal("the page was not loaded")
	}
	must(tab.SessionID, runtime.Evaluate.Method, runtime.EvaluateParams{Expression: "document.fonts.ready.then(() => fetch('/done')).then(() => 1)", AwaitPromise: new(true)}, nil)
	return tab.SessionID
}

// typed asks for an answer in Go's types.
func typed(t *testing.T, w *wire, session target.SessionID, method string, params, into any) string {
	t.Helper()
	var err error
	if w.conn != nil {
		err = w.conn.Child(session).Call(t.Context(), method, params, into)
	} else {
		var text jsonv2.Value
		if text, err = w.ask(session, method, params); err == nil {
			err = jsonv2.Unmarshal(text, into, chromedp.DefaultUnmarshalOptions)
		}
	}
	if err != nil {
		t.Errorf("%s: %v", method, err)
	}
	b, err := json.Marshal(into)
	if err != nil {
		t.Errorf("%s: %v", method, err)
	}
	return settle(t, b)
}

// events are the parameters of the events of one name, in an order that does
// not depend on when they came.
func (w *wire) events(t *testing.T, method string) []string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	for _, e := range w.heard[method] {
		list = append(list, settle(t, e))
	}
	if len(list) == 0 {
		t.Errorf("no %s", method)
	}
	slices.Sort(list)
	return list
}

// settle makes of JSON what two runs have in common: names that the browser
// invents and the time of day are taken out, and members put in order.
func settle(t testing.TB, text []byte) string {
	t.Helper()
	var v any
	if err := jsonv2.Unmarshal(text, &v, jsonv2.AllowInvalidUTF8(true)); err != nil {
		t.Fatalf("%.200s: %v", text, err)
	}
	b, err := json.MarshalIndent(calm("", v), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	s := string(b)
	for _, p := range []string{`[0-9A-F]{32}`, `----MultipartBoundary--[0-9A-Za-z]+----`, `(Date: |<)[^\\]*(\\r|GMT|@)`, `-?\d{15,}\.-?\d+\.\d+`} {
		s = regexp.MustCompile(p).ReplaceAllString(s, "∗")
	}
	return s
}

// calm replaces what is a point in time, or an identifier, by its kind.
func calm(name string, v any) any {
	volatile := []string{"timestamp", "wallTime", "requestTime", "connectionReused", "timing", "responseTime", "encodedDataLength", "requestId", "connectionId", "uniqueId",
		"Date", "User-Agent", "headersText", "objectId", "uniqueContextId", "backendNodeId", "backendDOMNodeId", "scriptId", "executionContextId", "id"}
	if slices.Contains(volatile, name) {
		return fmt.Sprintf("%T", v)
	}
	if _, number := v.(float64); !number && slices.Contains([]string{"nodeId", "parentId", "childIds"}, name) {
		return fmt.Sprintf("%T", v) // of an accessibility tree: numbered as the browser came to them
	}
	switch x := v.(type) {
	case map[string]any:
		for k := range x {
			x[k] = calm(k, x[k])
		}
	case []any:
		for i := range x {
			x[i] = calm("", x[i])
		}
	case string:
		return strings.ReplaceAll(x, "\r", "")
	}
	return v
}
