package web

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"guzheng/capture"
	"guzheng/capture/warc"
)

// A ledger is a server that writes down every request it was sent: the
// ground truth against which the record is held.
type ledger struct {
	mu   sync.Mutex
	seen []string // METHOD URL STATUS
	mux  http.ServeMux
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	l.mux.ServeHTTP(rec, r)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, fmt.Sprintf("%s http://%s%s %d", r.Method, r.Host, r.URL.RequestURI(), rec.status))
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(code int) { w.status = code; w.ResponseWriter.WriteHeader(code) }
func (w *statusWriter) Flush()               { w.ResponseWriter.(http.Flusher).Flush() }

const everyPage = `<!doctype html><meta charset=utf-8><title>every</title><p>main text</p>
<img src=/pic.svg><img src=/moved.svg>
<iframe src="/inner"></iframe><iframe src="OTHER/foreign"></iframe>
<script>
const post = 'x'.repeat(200000);
fetch('/post', {method: 'POST', body: post});
fetch('/head', {method: 'HEAD'});
fetch('/range', {headers: {Range: 'bytes=2-5'}});
fetch('/put', {method: 'PUT', headers: {'Content-Type': 'application/json'}, body: '{"a":1}'});
fetch('OTHER/cors', {method: 'POST', headers: {'X-Own': '1'}, body: 'cross'});
navigator.sendBeacon('/beacon', 'bye');
fetch('/twice').then(() => fetch('/twice'));
fetch('/big').then(r => r.text());
fetch('/empty');
fetch('/gone');
new EventSource('/events');
new Worker('/worker.js');
new SharedWorker('/shared.js');
const x = new XMLHttpRequest(); x.open('GET', '/xhr?a=1&b=2'); x.send();
</script>`

func everyServer(other *string) *ledger {
	l := &ledger{}
	text := func(path, kind, body string) {
		l.mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			fmt.Fprint(w, body)
		})
	}
	l.mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, strings.ReplaceAll(everyPage, "OTHER", *other))
	})
	text("/pic.svg", "image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>`)
	text("/last.svg", "image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>`)
	l.mux.Handle("/moved.svg", http.RedirectHandler("/again.svg", http.StatusMovedPermanently))
	l.mux.Handle("/again.svg", http.RedirectHandler("/last.svg", http.StatusFound))
	text("/inner", "text/html", `<p>inner text</p><img src=/inner.svg>`)
	text("/inner.svg", "image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"/>`)
	text("/foreign", "text/html", `<p>foreign text</p><script>fetch('/from-foreign'); new Worker('/foreign-worker.js')</script>`)
	text("/from-foreign", "text/plain", "from foreign")
	text("/foreign-worker.js", "text/javascript", "fetch('/from-foreign-worker')")
	text("/from-foreign-worker", "text/plain", "from the worker of the foreign frame")
	for _, p := range []string{"/post", "/put", "/twice", "/xhr", "/from-worker", "/from-shared", "/from-nested"} {
		text(p, "text/plain; charset=gbk", "answer of "+p+" \xbc\xdb\xb8\xf1")
	}
	text("/big", "text/plain", strings.Repeat("0123456789abcdef", 1<<18))
	text("/empty", "text/plain", "")
	text("/worker.js", "text/javascript", "fetch('/from-worker'); new Worker('/nested.js')")
	text("/nested.js", "text/javascript", "fetch('/from-nested')")
	text("/shared.js", "text/javascript", "fetch('/from-shared')")
	l.mux.HandleFunc("/head", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "1234") })
	l.mux.HandleFunc("/range", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "range.txt", capture.Now(), strings.NewReader("0123456789"))
	})
	l.mux.HandleFunc("/cors", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Headers", "*")
		fmt.Fprint(w, "cors")
	})
	l.mux.HandleFunc("/beacon", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	l.mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: one\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	return l
}

// Every request that the servers saw is in the record once, with the status
// that they sent, whoever made it: the page, frames of the same and of
// another site, workers in workers.
func TestEveryExchange(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	var other string
	l := everyServer(&other)
	srv := httptest.NewServer(l)
	defer srv.Close()
	// Another site, in the browser's sense, on the same server.
	port := srv.URL[strings.LastIndexByte(srv.URL, ':')+1:]
	other = "http://localhost:" + port
	o := order(srv.URL + "/")
	o.Limits.SettleMS = 2_000
	got := collect(t, o, Browser{Allow: []string{"127.0.0.1:" + port, "localhost:" + port}})
	srv.CloseClientConnections()

	var recorded []string
	method := map[string]string{} // record id → method
	raw := got.read(t, "archive/data.warc.gz")
	for r, err := range warc.Records(bytes.NewReader(raw)) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Type == "request" {
			method[r.Field("WARC-Concurrent-To")] = r.Method
		}
	}
	for r, err := range warc.Records(bytes.NewReader(raw)) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Type == "response" {
			recorded = append(recorded, fmt.Sprintf("%s %s %d", method[r.Field("WARC-Record-ID")], r.URI, r.Status))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.seen)
	slices.Sort(recorded)
	for _, s := range l.seen {
		if i, ok := slices.BinarySearch(recorded, s); ok {
			recorded = slices.Delete(recorded, i, i+1)
			continue
		}
		t.Errorf("served and not recorded: %s", s)
	}
	for _, r := range recorded {
		t.Errorf("recorded and not served: %s", r)
	}
	if len(l.seen) < 28 {
		t.Errorf("only %d requests: %q", len(l.seen), l.seen)
	}
	if got.take.State != capture.Complete {
		t.Errorf("%s: %v", got.take.State, got.take.Reasons)
	}
	text := string(got.read(t, "evidence/text.txt"))
	for _, want := range []string{"main text", "inner text", "foreign text"} {
		if !strings.Contains(text, want) {
			t.Errorf("text lacks %q", want)
		}
	}
	all := gunzipAll(t, raw)
	for _, want := range []string{"\r\n\r\n" + strings.Repeat("x", 200000), "answer of /twice \xbc\xdb\xb8\xf1", "data: one\n\n", `{"a":1}`, "\r\nRange: bytes=2-5\r\n", "HTTP/1.1 206 "} {
		if !strings.Contains(all, want) {
			t.Errorf("WARC lacks %.60q", want)
		}
	}
}
