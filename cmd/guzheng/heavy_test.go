package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"guzheng/capture/practice/corpus"
	"guzheng/capture/warc/warctest"
)

// lazyPictures are on the page "long" of the corpus.
const lazyPictures = 120

// counting ends the addresses to which pages send a beacon.
const counting = "/count"

// A heavy is one page of the corpus, captured, with what its server sent.
type heavy struct {
	page    corpus.Page
	visit   string
	kept    kept              // package and URL only
	sent    map[string]int    // address without the visit → times
	digests map[string]string // address → digest of the body; empty without one
}

// TestHeavyPages captures the pages of the corpus, several at a time with
// shared browsers, and lets others judge the packages: the server that was
// visited, two readers of WARC that are not ours, and ReplayWeb.page while the
// server is closed.
func TestHeavyPages(t *testing.T) {
	if testing.Short() {
		t.Skip("short: captures and replays eleven pages with Chromium")
	}
	viewer := openViewer(t)
	addresses, pages := captureHeavy(t)
	for _, h := range pages {
		t.Run(h.page.Name, func(t *testing.T) {
			j := judged{kept: h.kept}
			t.Run("server", h.server)
			t.Run("picture", h.pictured)
			t.Run("gowarc", j.gowarc)
			t.Run("warcio", j.warcio)
		})
	}
	alarm := inPlaceOf(t, addresses...)
	tab := viewer.browse(t)
	for _, h := range pages {
		t.Run(h.page.Name+" replayed", func(t *testing.T) { h.replayed(t, viewer, tab) })
	}
	if asked := alarm(); len(asked) > 0 {
		t.Errorf("the closed corpus was asked for %q", asked)
	}
}

// captureHeavy serves the corpus until every page is captured, and returns
// its addresses too.
func captureHeavy(t *testing.T) (addresses []string, pages []*heavy) {
	t.Helper()
	vue := filepath.Join(toolsDir(t), "warcio", "node_modules", "vue", "dist", "vue.runtime.global.prod.js")
	if _, err := os.Stat(vue); err != nil {
		lacking(t, "npm vue (make judges): "+err.Error())
	}
	s, err := corpus.Start(t.Context(), corpus.Options{Now: time.Now, Vue: vue})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range s.Pages() {
		visit := fmt.Sprintf("judged-%d", i)
		pages = append(pages, &heavy{page: p, visit: visit, kept: kept{URL: p.Visit(visit)}})
	}
	if len(pages) < 11 {
		t.Errorf("%d pages in the corpus", len(pages))
	}
	captureAll(t, s.SPKI(), pages)
	hosts := map[string]bool{}
	for _, h := range pages {
		h.sent = s.Sent(h.visit)
		h.digests = map[string]string{}
		for address := range h.sent {
			h.digests[address] = digestOf(s, address, h.visit)
			hosts[strings.Split(address, "/")[2]] = true
		}
		for _, address := range s.Expected(h.page.Name) {
			if h.sent[address] == 0 {
				t.Errorf("page %s: the visit did not ask for %s", h.page.Name, address)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(hosts)), pages
}

// captureAll captures the pages, two at a time, in a home of their own.
func captureAll(t *testing.T, spki string, pages []*heavy) {
	t.Helper()
	// The browser's own user enters it.
	dir, err := os.MkdirTemp("", "guzheng-heavy-")
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("GUZHENG_HOME", "") // set by newOurs, given back at the end
	o, err := newOurs(t.Context(), job{Tool: toolOurs, Browser: needBrowser(t), SPKI: spki, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	todo := make(chan *heavy)
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for h := range todo {
				c := call{Page: h.page.Name, URL: h.kept.URL, Visit: h.visit}
				_, err := o.visit(t.Context(), c)
				if err == nil {
					h.kept.Package, err = o.keep(t.Context(), c)
				}
				if err != nil {
					t.Errorf("capturing page %s: %v", h.page.Name, err)
				}
			}
		})
	}
	for _, h := range pages {
		todo <- h
	}
	close(todo)
	workers.Wait()
	if err := o.close(); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// digestOf is the digest of what the corpus answers in a visit, or nothing
// for an answer without a body.
func digestOf(s *corpus.Server, address, visit string) string {
	r := httptest.NewRequest(http.MethodGet, address+"?v="+visit, nil)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Body.Len() == 0 {
		return ""
	}
	sum := sha256.Sum256(w.Body.Bytes())
	return "sha256:" + hex.EncodeToString(sum[:])
}

// server holds the WARC against what was sent: each exchange once, and none
// beside.
func (h *heavy) server(t *testing.T) {
	want := map[warctest.Line]int{}
	for address, n := range h.sent {
		l := warctest.Line{Method: http.MethodGet, URL: address + "?v=" + h.visit, Status: http.StatusOK, Payload: h.digests[address]}
		if strings.HasSuffix(address, counting) || strings.HasSuffix(address, "/api/visit") {
			l.Method = http.MethodPost
		}
		if l.Payload == "" {
			l.Status = http.StatusNoContent
		}
		want[l] = n
	}
	file := scratch(t, "data.warc.gz", h.file(t, "archive/data.warc.gz"))
	lazy := 0
	got := map[warctest.Line]int{}
	for _, l := range warctest.Traffic(t, file) {
		if l.Status == http.StatusNoContent {
			l.Payload = ""
		}
		got[l]++
		if h.page.Name == "long" && strings.Contains(l.URL, "/long/card") {
			lazy++
		}
	}
	for l, n := range want {
		if got[l] != n {
			t.Errorf("sent %d times, recorded %d times: %+v", n, got[l], l)
		}
	}
	for l, n := range got {
		if want[l] == 0 {
			t.Errorf("recorded %d times, never sent: %+v", n, l)
		}
	}
	if h.page.Name == "long" && lazy != lazyPictures {
		t.Errorf("%d of %d lazy pictures were recorded", lazy, lazyPictures)
	}
}

// pictured wants the whole page in the picture, of one piece or in tiles.
func (h *heavy) pictured(t *testing.T) {
	z, err := zip.OpenReader(h.kept.Package)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if err := checkFiles(&z.Reader, call{Height: h.page.Height}); err != nil {
		t.Error(err)
	}
}

// file reads a file of the package.
func (h *heavy) file(t *testing.T, name string) []byte {
	t.Helper()
	z, err := zip.OpenReader(h.kept.Package)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	f, err := z.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
