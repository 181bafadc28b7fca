package web

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"guzheng/capture"
	"guzheng/capture/practice"
	"guzheng/capture/warc"
)

// A taken is a capture made by a test.
type taken struct {
	take    capture.Take
	dir     string
	facts   capture.Facts
	entries []capture.Entry
}

func order(address string) capture.Order {
	l := capture.DefaultLimits()
	l.NavigateMS, l.ArtefactMS, l.StepMS, l.TotalMS, l.PageHeight = 6_000, 15_000, 2_000, 90_000, 20_000
	return capture.Order{Format: capture.OrderFormat, ID: capture.NewID(capture.Now()), Kind: capture.KindWeb,
		URL: address, Created: capture.Now(), Limits: l, Viewport: capture.Viewport{Width: 1280, Height: 800, Scale: 1}}
}

// openDir makes a directory that the browser's user may enter, as t.TempDir
// is not, and that goes with the test.
func openDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "guzheng-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// collect captures and holds every file against its digest.
func collect(t *testing.T, o capture.Order, b Browser) taken {
	t.Helper()
	got := collectOnly(t, o, b)
	for _, f := range got.take.Files {
		g, err := capture.DigestOf(bytes.NewReader(got.read(t, f.Path)))
		if err != nil || g != f.Digest {
			t.Errorf("%s has digest %v, take.json says %v (%v)", f.Path, g, f.Digest, err)
		}
	}
	return got
}

func collectOnly(t *testing.T, o capture.Order, b Browser) taken {
	t.Helper()
	temp := openDir(t)
	b.TempDir = temp
	got := taken{dir: filepath.Join(t.TempDir(), "take")}
	var mu sync.Mutex
	b.Listen = func(e capture.Entry) { mu.Lock(); got.entries = append(got.entries, e); mu.Unlock() }
	var err error
	if got.take, err = b.Collect(t.Context(), o, got.dir); err != nil {
		t.Fatalf("collecting %s: %v", o.URL, err)
	}
	got.facts = got.readFacts(t)
	if left, err := filepath.Glob(filepath.Join(temp, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	return got
}

func (got taken) read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(got.dir, filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (got taken) readFacts(t *testing.T) (f capture.Facts) {
	t.Helper()
	if err := json.Unmarshal(got.read(t, "evidence/facts.json"), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func (got taken) has(kind, code string) bool {
	return slices.ContainsFunc(got.entries, func(e capture.Entry) bool { return e.Kind == kind && e.Code == code })
}

// recorded lists the addresses of the response records by address without
// query, as the shop counts.
func (got taken) recorded(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for r, err := range warc.Records(bytes.NewReader(got.read(t, "archive/data.warc.gz"))) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Type == "response" {
			path, _, _ := strings.Cut(r.URI, "?")
			out[path] = append(out[path], r.URI)
		}
	}
	return out
}

func gunzipAll(t *testing.T, b []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

func shop(t *testing.T) (*practice.Shop, *httptest.Server, Browser) {
	t.Helper()
	s := practice.New()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, srv, Browser{Allow: []string{strings.TrimPrefix(srv.URL, "http://")}}
}

// The home page is recorded whole: each request of the page once, what only
// appears on scrolling, the footer, both cookies.
func TestHome(t *testing.T) {
	s, srv, b := shop(t)
	got := collect(t, order(srv.URL+"/"), b)
	if got.take.State != capture.Complete {
		t.Errorf("state %s: %v", got.take.State, got.take.Reasons)
	}
	recorded := got.recorded(t)
	for path, n := range s.Served() {
		if have := len(recorded[srv.URL+path]); have != n {
			t.Errorf("%s served %d times, recorded %d times", path, n, have)
		}
	}
	if len(recorded[srv.URL+"/api/late.json"]) != 1 {
		t.Error("what an intersection observer asks for is not recorded")
	}
	text := string(got.read(t, "evidence/text.txt"))
	for _, want := range []string{"营业执照", "统一社会信用代码", "ICP", "为您推荐"} {
		if !strings.Contains(text, want) {
			t.Errorf("text lacks %s", want)
		}
	}
	f := got.facts
	if f.Status != 200 || f.RemoteIP != "127.0.0.1" || f.FinalURL != srv.URL+"/" || f.Title == "" || f.Counts.ImagesUnloaded != 0 || f.Counts.Images < 16 {
		t.Errorf("facts: %+v", f)
	}
	if f.Fonts == nil || len(f.Fonts.Used) == 0 || f.Fonts.Asked == 0 || f.Fonts.Unknown != "" {
		t.Errorf("fonts: %+v", f.Fonts)
	}
	if !strings.Contains(f.UserAgent, "HeadlessChrome/") || len(f.Browser.SHA256) != 64 || len(f.Browser.Flags) < 20 || !f.Browser.Sandbox {
		t.Errorf("browser: %q %+v", f.UserAgent, f.Browser)
	}
	if os.Getuid() == 0 && !strings.HasPrefix(f.Browser.User, "uid ") {
		t.Errorf("browser ran as %q", f.Browser.User)
	}
	for path, want := range map[string]capture.Size{"evidence/viewport.png": {Width: 1280, Height: 800}, "evidence/full.png": f.Page} {
		cfg, err := png.DecodeConfig(bytes.NewReader(got.read(t, path)))
		if err != nil || cfg.Width != want.Width || cfg.Height != want.Height {
			t.Errorf("%s is %dx%d, want %v (%v)", path, cfg.Width, cfg.Height, want, err)
		}
	}
	var lines capture.Lines
	if err := json.Unmarshal(got.read(t, "evidence/lines.json"), &lines); err != nil || len(lines.Lines) < 50 {
		t.Errorf("%d lines (%v)", len(lines.Lines), err)
	}
	last := slices.MaxFunc(lines.Lines, func(a, b capture.Line) int { return cmp.Compare(a.Y, b.Y) })
	if int(last.Y+last.H) > f.Page.Height || last.Y < float64(f.Page.Height)-400 {
		t.Errorf("last line %+v is not in the footer of %v", last, f.Page)
	}
}

// What hostile and odd pages come to: a truthful state with its reasons,
// never a hang.
func TestOddPages(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	_, srv, b := shop(t)
	const anomaly, refused, step = capture.EntryAnomaly, capture.EntryRefused, capture.EntryStep
	for _, c := range []struct {
		path    string
		state   capture.State
		reasons string    // codes, joined
		entry   [2]string // kind and code that must be there
		title   string
	}{
		{"/redirect", capture.Complete, "", [2]string{step, "page.redirect"}, ""},
		{"/gbk", capture.Complete, "", [2]string{step, "page.response"}, ""},
		{"/hostile/names", capture.Complete, "", [2]string{step, "page.response"}, "㐂"},
		{"/hostile/dialogs", capture.Complete, "", [2]string{anomaly, "dialog"}, ""},
		{"/hostile/internal", capture.Complete, "", [2]string{refused, "request.refused"}, ""},
		{"/hostile/download", capture.Partial, "body.truncated page.download", [2]string{anomaly, "page.download"}, ""},
		{"/hostile/status/503", capture.Complete, "", [2]string{anomaly, "status.error"}, ""},
		{"/hostile/status/204", capture.Failed, "no.content", [2]string{anomaly, "no.content"}, ""},
		{"/hostile/blank", capture.Complete, "", [2]string{anomaly, "page.blank"}, ""},
		{"/hostile/loop", capture.Failed, "redirect.loop", [2]string{anomaly, "redirect.loop"}, ""},
		{"/hostile/frames", capture.Complete, "", [2]string{step, "text.saved"}, ""},
		{"/hostile/post", capture.Complete, "", [2]string{step, "traffic.closed"}, ""},
		{"/hostile/tall", capture.Partial, "limit.height limit.height", [2]string{anomaly, "limit.height"}, ""},
		{"/hostile/endless", capture.Partial, "limit.height limit.height", [2]string{anomaly, "limit.height"}, ""},
		{"/hostile/slow", capture.Partial, "body.truncated body.truncated deadline.navigate", [2]string{anomaly, "body.truncated"}, ""},
	} {
		t.Run(strings.ReplaceAll(strings.Trim(c.path, "/"), "/", "-"), func(t *testing.T) {
			got := collect(t, order(srv.URL+c.path), b)
			var codes []string
			for _, r := range got.take.Reasons {
				codes = append(codes, r.Code)
			}
			slices.Sort(codes)
			if got.take.State != c.state || strings.Join(codes, " ") != c.reasons {
				t.Errorf("%s: %v, want %s: %s", got.take.State, got.take.Reasons, c.state, c.reasons)
			}
			if !got.has(c.entry[0], c.entry[1]) {
				t.Errorf("journal lacks %v", c.entry)
			}
			if !strings.Contains(got.facts.Title, c.title) {
				t.Errorf("title %q", got.facts.Title)
			}
		})
	}
}

// A page whose script never ends is cut off at the deadlines and leaves no
// process behind.
func TestBusyPage(t *testing.T) {
	if testing.Short() {
		t.Skip("short: waits for deadlines")
	}
	_, srv, b := shop(t)
	o := order(srv.URL + "/hostile/spin")
	o.Limits.ArtefactMS, o.Limits.StepMS = 2_000, 500
	got := collect(t, o, b)
	if got.take.State != capture.Partial || !got.has(capture.EntryAnomaly, "deadline.artefact") {
		t.Errorf("%s: %v", got.take.State, got.take.Reasons)
	}
	if len(got.recorded(t)) == 0 {
		t.Error("the page's bytes are lost")
	}
	if o := order(srv.URL + "/hostile/slow"); collect(t, o, b).has(capture.EntryStep, "page.loaded") {
		t.Error("a page that never loaded is said to have loaded")
	}
}

// Over TLS and HTTP/2 the chain is kept and Set-Cookie survives although one
// of the browser's two accounts lacks it.
func TestTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.Header().Add("X-Twice", "one")
		w.Header().Add("X-Twice", "two")
		_, _ = w.Write([]byte("<!doctype html><title>tls</title><p>text"))
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	host := strings.TrimPrefix(srv.URL, "https://")

	t.Run("unknown authority", func(t *testing.T) {
		got := collect(t, order(srv.URL+"/"), Browser{Allow: []string{host}})
		if got.take.State != capture.Failed || len(got.take.Reasons) != 1 || got.take.Reasons[0].Code != "certificate.invalid" {
			t.Errorf("%s: %v", got.take.State, got.take.Reasons)
		}
		if len(got.facts.TLS) != 1 || len(got.facts.TLS[0].Chain) == 0 || got.facts.TLS[0].Error != "net::ERR_CERT_AUTHORITY_INVALID" {
			t.Fatalf("tls: %+v", got.facts.TLS)
		}
		if !bytes.Equal(got.read(t, got.facts.TLS[0].Chain[0].File), srv.Certificate().Raw) {
			t.Error("the kept certificate is not the server's")
		}
	})
	t.Run("accepted all the same", func(t *testing.T) {
		o := order(srv.URL + "/")
		o.AcceptInvalidTLS = true
		got := collect(t, o, Browser{Allow: []string{host}})
		if got.take.State != capture.Complete || got.facts.Status != 200 || got.facts.Title != "tls" {
			t.Errorf("%s: %v, status %d", got.take.State, got.take.Reasons, got.facts.Status)
		}
		if !got.has(capture.EntryAnomaly, "certificate.invalid") || !got.has(capture.EntryAnomaly, "certificate.accepted") {
			t.Error("the journal hides that nobody vouched for the server")
		}
	})
	t.Run("known key", func(t *testing.T) {
		spki := sha256.Sum256(srv.Certificate().RawSubjectPublicKeyInfo)
		b := Browser{Allow: []string{host}, extra: []string{"ignore-certificate-errors-spki-list=" + base64.StdEncoding.EncodeToString(spki[:])}}
		got := collect(t, order(srv.URL+"/"), b)
		if got.take.State != capture.Complete || got.facts.Protocol != "h2" {
			t.Fatalf("%s over %s: %v", got.take.State, got.facts.Protocol, got.take.Reasons)
		}
		if len(got.facts.TLS) != 1 || len(got.facts.TLS[0].Chain) == 0 || got.facts.TLS[0].Protocol != "TLS 1.3" {
			t.Fatalf("tls: %+v", got.facts.TLS)
		}
		der := got.read(t, got.facts.TLS[0].Chain[0].File)
		if !bytes.Equal(der, srv.Certificate().Raw) {
			t.Error("the kept certificate is not the server's")
		}
		raw := gunzipAll(t, got.read(t, "archive/data.warc.gz"))
		for _, want := range []string{"set-cookie: a=1\r\n", "set-cookie: b=2\r\n", "x-twice: one\r\nx-twice: two\r\n", "WARC-Protocol: h2\r\n", "WARC-Protocol: tls/1.3\r\n"} {
			if !strings.Contains(strings.ToLower(raw), strings.ToLower(want)) {
				t.Errorf("WARC lacks %q", want)
			}
		}
	})
}

// Without permission no private address is visited, and the practice shop
// only at its own port.
func TestPermitted(t *testing.T) {
	for address, want := range map[string]bool{
		"http://127.0.0.1:8080/": false, "http://127.0.0.1:9/": true, "http://[::1]/": false, "http://10.1.2.3/": false,
		"http://192.168.0.1/": false, "http://169.254.169.254/": false, "http://100.64.0.1/": false, "http://0.0.0.0/": false,
		"http://[fe80::1]/": false, "http://100.100.100.200/": false, "http://[::ffff:10.0.0.1]/": false, "http://[64:ff9b::7f00:1]/": false,
		"http://1.1.1.1/": true, "http://[2606:4700::1111]/": true, "http://localhost/": false,
	} {
		o := order(address)
		if err := Permitted(t.Context(), o, []string{"127.0.0.1:9"}); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
		o.AllowPrivate = true
		linkLocal := strings.Contains(address, "169.254") || strings.Contains(address, "fe80") || strings.Contains(address, "100.100") || strings.Contains(address, "0.0.0.0")
		if err := Permitted(t.Context(), o, nil); (err == nil) == linkLocal {
			t.Errorf("%s with private addresses allowed: %v", address, err)
		}
	}
}
