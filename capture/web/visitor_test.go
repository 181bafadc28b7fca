package web

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"guzheng/capture"
	"guzheng/capture/raster"
	"guzheng/capture/warc"
)

// What was ordered about the visitor is what the server and the page see.
func TestVisitor(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><meta name=viewport content="width=device-width"><p>AGENT %s</p><p>LANGUAGE %s</p><p id=p></p>
			<script>navigator.geolocation.getCurrentPosition(l => p.textContent = 'PLACE ' + l.coords.latitude + ' TOUCH ' + navigator.maxTouchPoints + ' WIDTH ' + innerWidth)</script>`,
			r.UserAgent(), r.Header.Get("Accept-Language"))
	}))
	defer srv.Close()
	o := order(srv.URL + "/")
	o.Viewport = capture.Viewport{Width: 390, Height: 844, Scale: 3}
	o.Visitor = capture.Visitor{Mobile: true, Languages: "zh-TW,zh;q=0.8", Location: &capture.Location{Latitude: 37.43, Longitude: 111.9, Accuracy: 50}}
	got := collect(t, o, Browser{Allow: []string{strings.TrimPrefix(srv.URL, "http://")}})
	text := string(got.read(t, "evidence/text.txt"))
	for _, want := range []string{"Linux; Android 10; K", "HeadlessChrome", " Mobile Safari/", "LANGUAGE zh-TW,zh;q=0.8", "PLACE 37.43 TOUCH 5 WIDTH 390"} {
		if !strings.Contains(text, want) {
			t.Errorf("page lacks %q: %s", want, text)
		}
	}
	if !strings.Contains(got.facts.UserAgent, "Android 10; K") {
		t.Errorf("facts hide the user agent: %q", got.facts.UserAgent)
	}
	head, err := raster.ReadHeader(bytes.NewReader(got.read(t, "evidence/viewport.png")))
	if err != nil || head.Width != 390*3 || head.Height != 844*3 {
		t.Errorf("viewport picture %+v (%v)", head, err)
	}
}

// Credentials reach the host of the order, no other, and nothing of them is
// in the take.
func TestCredentials(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	const secret = "inspector:Kaixin-2026"
	var other string
	asked := map[string]bool{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		asked[r.Host+" "+user] = true
		if !ok || user+":"+password != secret {
			w.Header().Set("WWW-Authenticate", `Basic realm="shop"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, "<!doctype html><p>for members<img src=%s/other.png>", other)
	}))
	defer srv.Close()
	port := srv.URL[strings.LastIndexByte(srv.URL, ':')+1:]
	other = "http://localhost:" + port
	name := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(name, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := order(srv.URL + "/")
	o.CredentialsFile = name
	got := collect(t, o, Browser{Allow: []string{"127.0.0.1:" + port, "localhost:" + port}})
	if text := string(got.read(t, "evidence/text.txt")); got.facts.Status != 200 || !strings.Contains(text, "for members") {
		t.Errorf("status %d, text %q", got.facts.Status, text)
	}
	if asked["localhost:"+port+" inspector"] {
		t.Error("another host was told the credentials")
	}
	err := filepath.WalkDir(got.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".gz") {
			b = []byte(gunzipAll(t, b))
		}
		for _, s := range []string{"Kaixin-2026", "aW5zcGVjdG9yOkthaXhpbi0yMDI2"} {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("%s holds the credentials", path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !got.has(capture.EntryStep, "auth.asked") {
		t.Error("the journal does not say that credentials were given")
	}
}

// A page that differs at every load is told from one that does not, and the
// second load is recorded under a page id of its own.
func TestSecondLook(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Path == "/moody" {
			n++
			fmt.Fprintf(w, "<!doctype html><p>always here</p><p>PRICE %d</p>", n*100)
			return
		}
		fmt.Fprint(w, "<!doctype html><p>always here</p>")
	}))
	defer srv.Close()
	for path, unstable := range map[string]bool{"/moody": true, "/calm": false} {
		o := order(srv.URL + path)
		o.SecondLook = true
		got := collect(t, o, Browser{Allow: []string{strings.TrimPrefix(srv.URL, "http://")}})
		look := got.facts.Second
		if look == nil || look.Status != 200 || look.Error != "" {
			t.Fatalf("%s: %+v", path, look)
		}
		if got.has(capture.EntryAnomaly, "page.unstable") != unstable || (look.Pixels > 0) != unstable || (look.Similarity < 1) != unstable {
			t.Errorf("%s: %+v", path, look)
		}
		if unstable && (len(look.Gone) != 1 || look.Gone[0] != "PRICE 100" || len(look.Come) != 1 || look.Come[0] != "PRICE 200") {
			t.Errorf("%s: %+v", path, look)
		}
		pages := map[string]int{}
		for r, err := range warc.Records(bytes.NewReader(got.read(t, "archive/data.warc.gz"))) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Type == "response" && r.URI == o.URL {
				pages[r.Field("WARC-Page-ID")]++
			}
		}
		if pages[got.facts.PageID] != 1 || pages[look.PageID] != 1 || !bytes.Contains(got.read(t, "evidence/text.txt"), []byte("always here")) {
			t.Errorf("%s: pages %v", path, pages)
		}
	}
}

// A download as the page is taken whole, from the one request that was made.
func TestDownload(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	const size = 24 << 20
	served := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served++
		w.Header().Set("Content-Type", "application/pdf")
		w.Header().Set("Content-Length", fmt.Sprint(size))
		block := bytes.Repeat([]byte("%PDF-1.7 "), 1<<10)
		for left := size; left > 0; left -= len(block) {
			_, _ = w.Write(block[:min(left, len(block))])
		}
	}))
	defer srv.Close()
	got := collect(t, order(srv.URL+"/list.pdf"), Browser{Allow: []string{strings.TrimPrefix(srv.URL, "http://")}})
	if got.take.State != capture.Partial || len(got.take.Reasons) != 1 || got.take.Reasons[0].Code != "page.download" {
		t.Errorf("%s: %v", got.take.State, got.take.Reasons)
	}
	for r, err := range warc.Records(bytes.NewReader(got.read(t, "archive/data.warc.gz"))) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Type == "response" && (r.Field("WARC-Truncated") != "" || r.PayloadBytes < size) {
			t.Errorf("%d bytes, truncated %q", r.PayloadBytes, r.Field("WARC-Truncated"))
		}
	}
	if served != 1 {
		t.Errorf("asked for %d times", served)
	}
}
