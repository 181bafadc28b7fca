package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/websocket"

	"guzheng/capture"
)

// A trap is a server of odd pages that counts what it was asked for.
type trap struct {
	mu     sync.Mutex
	served map[string]int
}

func (s *trap) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.served[path]
}

var trapPages = map[string]string{
	"/worker":  `<p>x<script>new Worker('/worker.js')</script>`,
	"/shared":  `<p>x<script>new SharedWorker('/shared.js')</script>`,
	"/sw":      `<p>x<script>navigator.serviceWorker.register('/sw.js')</script>`,
	"/popup":   `<p>x<form id=f target=_blank method=post action=/order></form><script>window.open('/opened'); document.getElementById('f').submit()</script>`,
	"/unload":  `<p>x<script>addEventListener('pagehide', () => navigator.sendBeacon('/beacon'))</script>`,
	"/change":  `<p id=p>PRICE 10</p><div style="height:3000px"></div><script>addEventListener('scroll', () => p.textContent = 'PRICE 9999')</script>`,
	"/push":    `<p>x<script>history.replaceState(null, '', '/official/shop')</script>`,
	"/cut":     `<p>x<script src="/cut.js"></script>`,
	"/client":  `<meta http-equiv=refresh content="0;url=/arrived">`,
	"/arrived": `<title>arrived</title><p>here`,
	"/escape":  `<p>x<script>fetch('/odd/%zz')</script><iframe src="/frame/%zz"></iframe>`,
	"/leave":   `<p>of the shop<script>addEventListener('afterprint', () => location = '/arrived')</script>`,
	"/shadow": `<p>x<div id=h></div><div style="height:3000px"></div><script>const p = h.attachShadow({mode: 'closed'}); p.innerHTML = '<b>PRICE 100</b>';
		addEventListener('scroll', () => p.firstChild.textContent = 'PRICE 999')</script>`,
	"/grow":        `<p>x<div id=d style="height:3000px"></div><script>let down; addEventListener('scroll', () => { if (scrollY > 1500) down = 1; else if (down) setTimeout(() => d.style.height = '7000px', 110) })</script>`,
	"/beforeprint": `<p>x<div id=d style="height:3000px"></div><script>addEventListener('beforeprint', () => d.style.height = '7000px')</script>`,
	"/shell":       `<style>body{margin:0;overflow:hidden}</style><div style="height:100vh;overflow:auto"><div style="height:6000px">long</div></div>`,
	"/schemes": `<p>x<div style="height:90000px"></div><script>for (let i = 0; i < 260; i++) { const f = document.createElement('iframe'); f.src = 'foo' + i + '://x'; document.body.append(f) }
		addEventListener('scroll', () => { if (scrollY === 0) document.querySelector('div').style.height = '9000px' })</script>`,
	"/gone":    `<p>x<script>const u = URL.createObjectURL(new Blob(["fetch('" + location.origin + "/never').then(() => 0); setTimeout(close, 100)"])); new Worker(u)</script>`,
	"/cutload": `<p>x<iframe src=/cut.zip></iframe>`,
	"/silent":  `<p>x<script>fetch('/never')</script>`,
	"/socket":  `<p>x<script>const s = new WebSocket('ws://' + location.host + '/ws'); s.onmessage = () => s.send('ok'); </script>`,
}

func (s *trap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.served[r.URL.Path]++
	s.mu.Unlock()
	page, ok := trapPages[r.URL.Path]
	switch {
	case ok:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html>", page)
	case strings.HasSuffix(r.URL.Path, "cut.js"):
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, "var x = 1;")
	case strings.HasSuffix(r.URL.Path, "cut.zip"):
		w.Header().Set("Content-Type", "application/zip")
		w.Header().Set("Content-Disposition", "attachment")
		fmt.Fprint(w, strings.Repeat("half of it", 100))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	case strings.HasSuffix(r.URL.Path, ".js"):
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, "// nothing")
	case r.URL.Path == "/ws":
		websocket.Handler(func(c *websocket.Conn) {
			_, _ = c.Write([]byte("PRICE 10"))
			var b [16]byte
			n, _ := c.Read(b[:])
			_ = websocket.Message.Send(c, b[:n])
			<-r.Context().Done()
		}).ServeHTTP(w, r)
	case r.URL.Path == "/never":
		<-r.Context().Done()
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// What the recorder cannot see, or what is not whole, makes the take partial
// and is named; what a page tries behind its back is not sent.
func TestGaps(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	for _, c := range []struct {
		path, reason, anomaly string
		state                 capture.State
		either                bool // check knows which state it is
		unsent, recorded      []string
		check                 func(*testing.T, taken, string)
	}{
		{path: "/worker", state: capture.Complete, recorded: []string{"/worker.js"}},
		{path: "/shared", state: capture.Complete, recorded: []string{"/shared.js"}},
		{path: "/sw", state: capture.Complete, anomaly: "service-worker.bypassed", recorded: []string{"/sw.js"}},
		{path: "/socket", state: capture.Complete, recorded: []string{"/ws"}, check: func(t *testing.T, got taken, base string) {
			raw := gunzipAll(t, got.read(t, "archive/data.warc.gz"))
			for _, want := range []string{"HTTP/1.1 101 ", "WARC-Target-URI: ws://", `"direction":"received","opcode":1,"text":"PRICE 10"`, `"direction":"sent","opcode":1,"text":"ok"`} {
				if !strings.Contains(raw, want) {
					t.Errorf("WARC lacks %q", want)
				}
			}
		}},
		{path: "/escape", state: capture.Complete, check: func(t *testing.T, got taken, base string) {
			raw := gunzipAll(t, got.read(t, "archive/data.warc.gz"))
			for _, want := range []string{"GET /odd/%zz ", "GET /frame/%zz "} {
				if !strings.Contains(raw, want) {
					t.Errorf("WARC lacks %q", want)
				}
			}
		}},
		{path: "/leave", state: capture.Complete, anomaly: "page.held", check: func(t *testing.T, got taken, base string) {
			if got.facts.FinalURL != base+"/leave" || got.facts.Title == "arrived" {
				t.Errorf("the page is called %q, %s", got.facts.Title, got.facts.FinalURL)
			}
		}},
		{path: "/shadow", state: capture.Complete, anomaly: "page.changed"},
		{path: "/grow", either: true, check: func(t *testing.T, got taken, _ string) {
			// When it grows before it is measured, all of it is pictured; when
			// the picture had been taken, that is told; and it is a fault unless
			// printing had begun.
			head := got.whole(t).Header()
			short, late := got.has(capture.EntryAnomaly, "picture.short"), got.has(capture.EntryAnomaly, "page.grown")
			if (head.Height < 7_000) != (short || late) || short && late || short == (got.take.State == capture.Complete) {
				t.Errorf("%d pixels pictured, %s: %v", head.Height, got.take.State, got.take.Reasons)
			}
		}},
		{path: "/beforeprint", state: capture.Complete, anomaly: "page.grown"},
		{path: "/shell", state: capture.Partial, reason: "picture.window-only", anomaly: "picture.window-only"},
		{path: "/schemes", state: capture.Partial, reason: "limit.height", anomaly: "scheme.refused"},
		{path: "/gone", state: capture.Complete, anomaly: "request.failed"},
		{path: "/cutload", state: capture.Partial, reason: "body.truncated", anomaly: "body.truncated"},
		{path: "/popup", state: capture.Complete, anomaly: "popup", unsent: []string{"/opened", "/order"}},
		{path: "/unload", state: capture.Complete, unsent: []string{"/beacon"}},
		{path: "/change", state: capture.Complete, anomaly: "page.changed"},
		{path: "/cut", state: capture.Partial, reason: "body.truncated", anomaly: "body.truncated"},
		{path: "/silent", state: capture.Partial, reason: "request.unanswered", anomaly: "request.failed"},
		{path: "/push", state: capture.Complete, check: func(t *testing.T, got taken, base string) {
			if got.facts.FinalURL != base+"/push" || got.facts.ShownURL != base+"/official/shop" {
				t.Errorf("final %s, shown %s", got.facts.FinalURL, got.facts.ShownURL)
			}
		}},
		{path: "/client", state: capture.Complete, check: func(t *testing.T, got taken, base string) {
			want := capture.Hop{URL: base + "/client", To: base + "/arrived", Client: true}
			if !slices.Contains(got.facts.Redirects, want) || got.facts.FinalURL != base+"/arrived" || got.facts.Title != "arrived" {
				t.Errorf("%+v", got.facts)
			}
		}},
	} {
		t.Run(c.path[1:], func(t *testing.T) {
			s := &trap{served: map[string]int{}}
			srv := httptest.NewServer(s)
			defer srv.Close()
			o := order(srv.URL + c.path)
			o.Limits.SettleMS = 2_000
			got := collect(t, o, Browser{Allow: []string{strings.TrimPrefix(srv.URL, "http://")}})
			if got.take.State != c.state && !c.either {
				t.Errorf("%s: %v", got.take.State, got.take.Reasons)
			}
			if c.reason != "" && !slices.ContainsFunc(got.take.Reasons, func(r capture.Reason) bool { return r.Code == c.reason }) {
				t.Errorf("reasons %v lack %s", got.take.Reasons, c.reason)
			}
			if c.anomaly != "" && !got.has(capture.EntryAnomaly, c.anomaly) {
				t.Errorf("journal lacks %s", c.anomaly)
			}
			for _, path := range c.unsent {
				if n := s.count(path); n > 0 {
					t.Errorf("%s was asked for %d times", path, n)
				}
			}
			have := got.recorded(t)
			for _, path := range c.recorded {
				if n := len(have[srv.URL+path]); n != 1 || s.count(path) != 1 {
					t.Errorf("%s served %d times, recorded %d times", path, s.count(path), n)
				}
			}
			if c.check != nil {
				c.check(t, got, srv.URL)
			}
		})
	}
}

// A script in the browser's place that would lead it past the guard does not,
// because the context has the guard as its own proxy; and it is found out.
func TestBrowserPastTheGuard(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	real, err := FindChromium("")
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<p>not the shop") }))
	defer srv.Close()
	dir := openDir(t)
	wrapper := filepath.Join(dir, "browser")
	script := "#!/bin/sh\nexec " + real + ` "$@" --proxy-server=direct:// --host-resolver-rules="MAP shop.example ` + strings.TrimPrefix(srv.URL, "http://") + "\"\n"
	if err := os.WriteFile(wrapper, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	got := collect(t, order("http://shop.example/"), Browser{Path: wrapper})
	if got.take.State == capture.Complete || got.facts.Status != 0 {
		t.Errorf("%s, status %d: %v", got.take.State, got.facts.Status, got.take.Reasons)
	}
	flags := strings.Join(got.facts.Browser.Flags, " ")
	if !strings.Contains(flags, "MAP shop.example") || got.facts.Browser.Executable != real {
		t.Errorf("the record hides what ran: %+v", got.facts.Browser)
	}
}
