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
	"/silent":  `<p>x<script>fetch('/never')</script>`,
	"/socket":  `<p>x<script>new WebSocket('ws://' + location.host + '/ws')</script>`,
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
	case strings.HasSuffix(r.URL.Path, ".js"):
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, "// nothing")
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
		unsent                []string
		check                 func(*testing.T, taken, string)
	}{
		{path: "/worker", state: capture.Partial, reason: "target.unrecorded", anomaly: "target.unrecorded"},
		{path: "/shared", state: capture.Partial, reason: "target.unrecorded", anomaly: "target.unrecorded"},
		{path: "/sw", state: capture.Partial, reason: "target.unrecorded", anomaly: "target.unrecorded"},
		{path: "/socket", state: capture.Partial, reason: "target.unrecorded", anomaly: "target.unrecorded"},
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
			if got.take.State != c.state {
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
			if c.check != nil {
				c.check(t, got, srv.URL)
			}
		})
	}
}

// A script in the browser's place that leads it past the guard is found out.
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
	dir, err := os.MkdirTemp("", "guzheng-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	wrapper := filepath.Join(dir, "browser")
	script := "#!/bin/sh\nexec " + real + ` "$@" --proxy-server=direct:// --host-resolver-rules="MAP shop.example ` + strings.TrimPrefix(srv.URL, "http://") + "\"\n"
	if err := os.WriteFile(wrapper, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	got := collect(t, order("http://shop.example/"), Browser{Path: wrapper})
	if got.take.State == capture.Complete || !got.has(capture.EntryAnomaly, "connection.outside") {
		t.Errorf("%s: %v", got.take.State, got.take.Reasons)
	}
	flags := strings.Join(got.facts.Browser.Flags, " ")
	if !strings.Contains(flags, "MAP shop.example") || got.facts.Browser.Executable != real {
		t.Errorf("the record hides what ran: %+v", got.facts.Browser)
	}
}
