package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"guzheng/capture/practice"
)

// Words of the practice shop: on the page from the start, and only after it
// was scrolled down to the recommendations, which it fetches then.
const (
	shopWords = "卦麓土产"
	postWords = "已收到"
)

// TestReplay shows a package in ReplayWeb.page, a viewer that is not ours,
// while the shop is closed: what the page showed must come from the package.
func TestReplay(t *testing.T) {
	v := openViewer(t)
	g := newGuzheng(t, binary(t))
	shop := practice.New()
	srv := httptest.NewServer(shop)
	k := g.capture(t, srv.URL+"/")
	late := g.capture(t, srv.URL+"/hostile/post")
	if shop.Served()["/api/late.json"] == 0 || shop.Served()["/api/echo"] == 0 {
		t.Fatalf("the capture did not get all: %v", shop.Served())
	}
	alarm := closeShop(t, srv)

	t.Run("home", func(t *testing.T) {
		r := v.show(t, k)
		f := r.await(t, still, func(f frame) bool { return strings.Contains(f.Text, shopWords) })
		if f.Title != k.Title {
			t.Errorf("title %q, captured %q", f.Title, k.Title)
		}
		if f.Cards != 0 {
			t.Errorf("%d recommendations before scrolling", f.Cards)
		}
		f = r.await(t, scrolling, func(f frame) bool { return f.Cards == 4 && f.Waiting == 0 && len(f.Broken) == 0 })
		if f.Images < 20 {
			t.Errorf("%d pictures", f.Images)
		}
		r.signed(t)
		r.picture(t, "replay.png")
	})
	t.Run("post", func(t *testing.T) {
		r := v.show(t, late)
		f := r.await(t, still, func(f frame) bool { return strings.Contains(f.Text, postWords) })
		if !regexp.MustCompile(`[0-9a-f]{64}`).MatchString(f.Text) {
			t.Errorf("the answer has no digest: %q", f.Text)
		}
	})
	if asked := alarm(); len(asked) > 0 {
		t.Errorf("the closed shop was asked for %q", asked)
	}
}

// closeShop closes the shop and listens in its place.
func closeShop(t *testing.T, srv *httptest.Server) func() []string {
	t.Helper()
	address := srv.Listener.Addr().String()
	srv.Close()
	return inPlaceOf(t, address)
}

// inPlaceOf listens where a server was: whoever still comes is named by the
// function returned.
func inPlaceOf(t *testing.T, addresses ...string) func() []string {
	t.Helper()
	var mu sync.Mutex
	var asked []string
	note := func(who string) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, who)
	}
	guard := &http.Server{
		ConnState: func(c net.Conn, s http.ConnState) {
			if s == http.StateNew {
				note("connection from " + c.RemoteAddr().String() + " to " + c.LocalAddr().String())
			}
		},
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { note(r.Method + " " + r.URL.String()) }),
	}
	t.Cleanup(func() { guard.Close() })
	for _, address := range addresses {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatalf("listening in place of the shop: %v", err)
		}
		go func() { _ = guard.Serve(ln) }() // ends with Close
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(asked)
	}
}

// A viewer serves ReplayWeb.page and the packages that it is to show.
type viewer struct {
	url     string
	browser string
	mu      sync.Mutex
	shown   []kept // their packages are served as /x/NUMBER.wacz
}

func openViewer(t *testing.T) *viewer {
	t.Helper()
	if testing.Short() {
		t.Skip("short: starts Chromium")
	}
	dir := filepath.Join(toolsDir(t), "replaywebpage")
	for _, name := range []string{"ui.js", "sw.js"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			lacking(t, "ReplayWeb.page (make judges): "+err.Error())
		}
	}
	v := &viewer{browser: needBrowser(t)}
	srv := httptest.NewServer(v.routes(dir))
	t.Cleanup(srv.Close)
	v.url = srv.URL
	return v
}

// routes serves the viewer's two files, the page that holds it, and, until
// its service worker answers below /replay/, a page that waits for it.
func (v *viewer) routes(dir string) http.Handler {
	mux := http.NewServeMux()
	script := func(file string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
			http.ServeFile(w, r, filepath.Join(dir, file))
		}
	}
	text := func(kind, format string, args func(r *http.Request) []any) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind+"; charset=utf-8")
			w.Header().Set("Cache-Control", "no-store")
			_, _ = fmt.Fprintf(w, format, args(r)...)
		}
	}
	none := func(*http.Request) []any { return nil }
	mux.HandleFunc("GET /ui.js", script("ui.js"))
	mux.HandleFunc("GET /replay/sw.js", script("sw.js"))
	mux.HandleFunc("GET /replay/boot.js", text("text/javascript", "navigator.serviceWorker.ready.then(() => location.reload());\n", none))
	mux.HandleFunc("GET /replay/", text("text/html", `<!doctype html><script src="/replay/boot.js"></script>`, none))
	mux.HandleFunc("GET /x/{name}", func(w http.ResponseWriter, r *http.Request) { // and HEAD
		w.Header().Set("Content-Type", "application/wacz")
		w.Header().Set("Cache-Control", "no-store")
		http.ServeFile(w, r, v.at(strings.TrimSuffix(r.PathValue("name"), ".wacz")).Package)
	})
	mux.HandleFunc("GET /show/{number}", text("text/html", `<!doctype html><html><head><meta charset="utf-8"><title>replay</title><script src="/ui.js"></script></head>
<body style="margin:0"><replay-web-page source="/x/%s.wacz" url="%s" replayBase="/replay/" embed="replayonly" style="height:800px"></replay-web-page></body></html>`,
		func(r *http.Request) []any { n := r.PathValue("number"); return []any{n, v.at(n).URL} }))
	return mux
}

// at returns a package by its number in addresses.
func (v *viewer) at(number string) kept {
	v.mu.Lock()
	defer v.mu.Unlock()
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n >= len(v.shown) {
		return kept{}
	}
	return v.shown[n]
}

// A replay is one package shown in a tab.
type replay struct {
	ctx  context.Context
	kept kept
}

// show opens the package in a fresh browser.
func (v *viewer) show(t *testing.T, k kept) *replay {
	t.Helper()
	r := &replay{ctx: v.browse(t), kept: k}
	v.open(t, r)
	return r
}

// browse makes a tab in a browser that starts with it.
func (v *viewer) browse(t *testing.T) context.Context {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(v.browser), chromedp.NoSandbox, chromedp.WindowSize(1280, 900))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

// open has the tab show its package.
func (v *viewer) open(t *testing.T, r *replay) {
	t.Helper()
	v.mu.Lock()
	number := len(v.shown)
	v.shown = append(v.shown, r.kept)
	v.mu.Unlock()
	if _, err := chromedp.Run(r.ctx, chromedp.Navigate(fmt.Sprintf("%s/show/%d", v.url, number))); err != nil {
		t.Fatal(err)
	}
}

// A frame is a page that is replayed inside the viewer.
type frame struct {
	URL     string   `json:"url"`
	Title   string   `json:"title"`
	Text    string   `json:"text"`
	Broken  []string `json:"broken"`  // pictures that could not be loaded
	Waiting int      `json:"waiting"` // pictures that load or have not begun to
	Images  int      `json:"images"`
	Cards   int      `json:"cards"` // recommendations
}

// descend calls a function with the window of each replayed page, through
// shadow roots and frames.
const descend = `((visit) => {
  const found = [];
  const walk = (root) => {
    for (const el of root.querySelectorAll("*")) {
      if (el.shadowRoot) walk(el.shadowRoot);
      if (el.localName !== "iframe") continue;
      let doc = null;
      try { doc = el.contentDocument; } catch (e) {}
      if (!doc || !doc.documentElement) continue;
      if (el.contentWindow.__WB_replay_top && doc.body) found.push(visit(el.contentWindow, doc, root.defaultView ?? root.ownerDocument.defaultView));
      walk(doc);
    }
  };
  walk(document);
  return found;
})`

// look tells what is to be seen. Scrolling, it goes on by so many windows, from
// the end to the beginning, and asks again for pictures that did not load: on a busy machine the viewer now
// and then drops a request, but a picture that the package lacks stays broken.
const look = `((windows) => (w, doc) => {
  const pictures = [...doc.images];
  const seen = {
    url: w.location.href, title: doc.title, text: doc.body.innerText,
    broken: pictures.filter((i) => i.src && i.complete && i.naturalWidth === 0).map((i) => i.src),
    waiting: pictures.filter((i) => !i.complete || i.dataset.src && !i.src).length,
    images: pictures.filter((i) => i.naturalWidth > 0).length,
    cards: doc.querySelectorAll("#recommend .card").length,
  };
  if (windows > 0) {
    if (w.scrollY + w.innerHeight >= doc.documentElement.scrollHeight - 1) w.scrollTo(0, 0);
    else w.scrollBy(0, w.innerHeight * windows);
    for (const i of pictures) if (seen.broken.includes(i.src)) i.src = i.src;
  }
  return seen;
})`

// How to look: by how many windows to go on.
const (
	still     = "0"
	scrolling = "0.5"
	striding  = "1"
)

// await looks until a replayed page is as wanted.
func (r *replay) await(t *testing.T, how string, want func(frame) bool) frame {
	t.Helper()
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	script := descend + "(" + look + "(" + how + "))"
	for {
		frames, err := chromedp.Run(r.ctx, chromedp.Evaluate[[]frame](script))
		if err != nil {
			t.Fatalf("looking at %s: %v", r.kept.URL, err)
		}
		for _, f := range frames {
			if want(f) {
				return f
			}
		}
		select {
		case <-deadline:
			r.picture(t, "failed.png")
			t.Fatalf("%s: not to be seen in %+v", r.kept.URL, frames)
		case <-tick.C:
		}
	}
}

// records reads what the viewer noted about the package while it loaded it.
const records = `(async (w, doc, viewer) => {
  const done = (q) => new Promise((ok, no) => { q.onsuccess = () => ok(q.result); q.onerror = () => no(q.error); });
  let found = [];
  for (const { name } of await viewer.indexedDB.databases()) {
    const db = await done(viewer.indexedDB.open(name));
    if (db.objectStoreNames.contains("verification")) {
      found = found.concat(await done(db.transaction("verification").objectStore("verification").getAll()));
    }
    db.close();
  }
  return found;
})`

// signed wants ReplayWeb.page to have found the package's own signature good.
// The digests of index and pages stand in its list too, but this release
// never computes them for any package.
func (r *replay) signed(t *testing.T) {
	t.Helper()
	r.signedBy(t, readSeal(t, r.kept.Seal).Signature.PublicKey)
}

// signedBy wants that signature to be by a key (SubjectPublicKeyInfo).
func (r *replay) signedBy(t *testing.T, key []byte) {
	t.Helper()
	type record struct {
		ID       string
		Expected any
		Matched  any // true, false, or null
	}
	script := descend + "(" + records + ")[0]"
	notes, err := chromedp.Run(r.ctx, chromedp.Evaluate[[]record](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("asking for the signature: %v", err)
	}
	found := map[string]record{}
	for _, n := range notes {
		found[n.ID] = n
	}
	if found["signature"].Matched != true || found["publicKey"].Expected != base64.StdEncoding.EncodeToString(key) {
		t.Errorf("the viewer does not find the signature good: %+v", notes)
	}
}

// picture keeps a picture of the viewer beside the test's results.
func (r *replay) picture(t *testing.T, name string) {
	t.Helper()
	b, err := chromedp.Run(r.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Logf("no picture: %v", err)
		return
	}
	name = filepath.Join(t.ArtifactDir(), name)
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Error(err)
	}
	t.Logf("picture of the viewer: %s", name)
}
