package web

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"guzheng/capture"
	"guzheng/capture/warc"
)

// A body of hundreds of megabytes goes to disk as it arrives: it never is in
// our memory, and it is whole.
func TestLargeBody(t *testing.T) {
	if testing.Short() {
		t.Skip("short: moves 200 MB")
	}
	const size = 200 << 20
	block := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, `<!doctype html><p>big<script>fetch('/big').then(async r => { const s = r.body.getReader(); while (!(await s.read()).done); document.title = 'done' })</script>`)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(size))
		for left := size; left > 0; left -= len(block) {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}))
	defer srv.Close()
	o := order(srv.URL + "/")
	o.Limits.BodyBytes, o.Limits.TotalBytes = 2*size, 2*size
	o.Limits.SettleMS, o.Limits.TotalMS = 60_000, 120_000
	var peak atomic.Uint64
	stop := make(chan struct{})
	done := make(chan struct{})
	runtime.GC()
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), m.HeapInuse))
			}
		}
	}()
	got := collectOnly(t, o, Browser{Allow: []string{strings.TrimPrefix(srv.URL, "http://")}})
	close(stop)
	<-done
	if got.take.State != capture.Complete {
		t.Errorf("%s: %v", got.take.State, got.take.Reasons)
	}
	if most := uint64(128 << 20); peak.Load() > most {
		t.Errorf("%d MB in memory for a body of %d MB", peak.Load()>>20, size>>20)
	}
	f, err := os.Open(filepath.Join(got.dir, "archive", "data.warc.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found := false
	for r, err := range warc.Records(f) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Type == "response" && strings.HasSuffix(r.URI, "/big") {
			found = r.PayloadBytes == size && r.Field("WARC-Truncated") == ""
		}
	}
	if !found {
		t.Error("the large body is not whole")
	}
}

// Many captures in a row with one pool leave nothing: no goroutine, no file
// descriptor, no process, no temporary file, no growing memory.
// GUZHENG_ENDURE sets how many.
func TestEndure(t *testing.T) {
	if testing.Short() {
		t.Skip("short: makes dozens of captures")
	}
	many := 24
	if s := os.Getenv("GUZHENG_ENDURE"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		many = n
	}
	_, srv, b := shop(t)
	temp := openDir(t)
	b.TempDir = temp
	p := NewPool(b, 10)
	contexts := map[string]bool{}
	var early state
	for i := range many {
		dir := filepath.Join(t.TempDir(), "take")
		take, err := p.Collect(t.Context(), order(srv.URL+"/"), dir)
		if err != nil || take.State != capture.Complete {
			t.Fatalf("capture %d: %s %v %v", i+1, take.State, take.Reasons, err)
		}
		f := taken{dir: dir}.readFacts(t)
		if contexts[f.Browser.Context+f.Browser.Started.String()] || f.Browser.Opened.Before(f.Browser.Started) {
			t.Errorf("capture %d had a context that was used before: %+v", i+1, f.Browser)
		}
		contexts[f.Browser.Context+f.Browser.Started.String()] = true
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if i+1 == many/4 {
			early = stateNow()
		}
	}
	late := stateNow()
	t.Logf("after %d captures %+v, after %d %+v", many/4, early, many, late)
	if late.goroutines > early.goroutines+5 || late.files > early.files+5 || late.heap > early.heap*3/2+(8<<20) {
		t.Errorf("after %d captures %+v, after %d %+v", many/4, early, many, late)
	}
	p.Close()
	left, err := os.ReadDir(temp)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

type state struct {
	goroutines, files int
	heap              uint64
}

func stateNow() state {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return state{}
	}
	return state{runtime.NumGoroutine(), len(files), m.HeapAlloc}
}
