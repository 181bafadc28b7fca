package corpus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestCorpus shares one corpus among the tests: making one takes seconds.
func TestCorpus(t *testing.T) {
	s, client := started(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, *Server, *http.Client)
	}{
		{"pages", testPages}, {"long page", testLongPage}, {"pictures", testPictures}, {"visits", testVisits},
		{"strangers", testStrangers}, {"delay", testDelay}, {"gone", testGone},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, s, client) })
	}
}

// started is a corpus with a file in Vue's place, and a client that trusts
// it and nobody else.
func started(t *testing.T) (*Server, *http.Client) {
	t.Helper()
	vue := filepath.Join(t.TempDir(), "vue.js")
	if err := os.WriteFile(vue, []byte("var Vue = {};"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), Options{Now: time.Now, Vue: vue})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.Pool()}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return s, &http.Client{Transport: transport}
}

// get returns the answer's body and fails unless it is one of HTTP/2.
func get(t *testing.T, c *http.Client, url string) (*http.Response, []byte) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.ProtoMajor != 2 {
		t.Fatalf("%s: %s, want HTTP/2", url, resp.Proto)
	}
	return resp, body
}

var addressIn = regexp.MustCompile(`https://127[0-9.:]+/[^"'?\s)]*`)

// testPages reads every page as a browser would, by following what stands in
// the answers, and wants exactly what is expected to be served.
func testPages(t *testing.T, s *Server, client *http.Client) {
	pages := s.Pages()
	if len(pages) < 10 {
		t.Fatalf("%d pages, want at least ten", len(pages))
	}
	responses, size := 0, 0
	for i, p := range pages {
		visit := fmt.Sprintf("t-%d.x", i)
		seen := map[string]bool{}
		bytes := 0
		var follow func(url string)
		follow = func(url string) {
			if seen[url] {
				return
			}
			seen[url] = true
			resp, body := get(t, client, url+"?v="+visit)
			if resp.StatusCode >= 300 {
				t.Errorf("%s: %s", url, resp.Status)
			}
			bytes += len(body)
			kind := resp.Header.Get("Content-Type")
			if strings.HasPrefix(kind, "image/") && kind != "image/svg+xml" {
				return
			}
			if strings.Contains(string(body), visitPlace) {
				t.Errorf("%s: the place of the visit is left in", url)
			}
			for _, found := range addressIn.FindAllString(string(body), -1) {
				follow(found)
			}
		}
		follow(p.URL)
		hosts := map[string]bool{}
		for _, r := range p.Resources {
			hosts[strings.Split(r.URL, "/")[2]] = true
			if strings.HasSuffix(r.URL, "/api/visit") {
				follow(r.URL) // relative in the script
			}
		}
		if d := cmp.Diff(s.Expected(p.Name), s.Served(visit)); d != "" {
			t.Errorf("page %s, expected and served (-want +got):\n%s", p.Name, d)
		}
		if missing := s.Missing(p.Name, visit, true); len(missing) > 0 {
			t.Errorf("page %s: missing %q", p.Name, missing)
		}
		if len(hosts) < 5 {
			t.Errorf("page %s: from %d hosts, want at least five", p.Name, len(hosts))
		}
		t.Logf("%-9s %3d responses from %2d hosts, %7d bytes", p.Name, len(p.Resources), len(hosts), bytes)
		responses += len(p.Resources)
		size += bytes
	}
	n := len(pages)
	if mean := responses / n; mean < 50 || mean > 75 {
		t.Errorf("%d responses a page, want about 60", mean)
	}
	if mean := size / n; mean < 1_400_000 || mean > 2_200_000 {
		t.Errorf("%d bytes a page, want about 1.8 MB", mean)
	}
}

func testLongPage(t *testing.T, s *Server, _ *http.Client) {
	lazy := 0
	for _, address := range s.Missing("long", "", true) {
		if strings.Contains(address, "/long/card") {
			lazy++
		}
	}
	if lazy != 120 {
		t.Errorf("%d lazy pictures, want 120", lazy)
	}
	for _, address := range s.Missing("long", "", false) {
		if strings.Contains(address, "/long/card") {
			t.Fatalf("%s is not lazy", address)
		}
	}
}

// testPictures decodes the pictures and wants no two alike: a recorder that
// keeps what is the same once must have nothing to gain.
func testPictures(t *testing.T, s *Server, _ *http.Client) {
	seen := map[[32]byte]string{}
	for at, c := range s.contents {
		if !strings.HasPrefix(c.kind, "image/") {
			continue
		}
		sum := sha256.Sum256(c.plain)
		if seen[sum] != "" {
			t.Errorf("%s and %s are the same", at, seen[sum])
		}
		seen[sum] = at
		if c.kind == "image/svg+xml" {
			continue
		}
		if _, _, err := image.DecodeConfig(bytes.NewReader(c.plain)); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
	if len(seen) < 400 {
		t.Errorf("only %d pictures", len(seen))
	}
}

func testVisits(t *testing.T, s *Server, client *http.Client) {
	p := s.Pages()[0]
	get(t, client, p.Visit("one"))
	get(t, client, p.Visit("one"))
	if got, want := s.Served("one"), []string{p.URL}; !slices.Equal(got, want) {
		t.Errorf("served in visit one: %q, want %q", got, want)
	}
	if got := s.Served("two"); got != nil {
		t.Errorf("served in visit two, which was not made: %q", got)
	}
	if slices.Contains(s.Missing(p.Name, "one", true), p.URL) {
		t.Error("the document is missing although it was served")
	}
	if got, want := len(s.Missing(p.Name, "two", true)), len(p.Resources); got != want {
		t.Errorf("%d missing in visit two, want all %d", got, want)
	}
	s.Forget("one")
	if got := s.Served("one"); got != nil {
		t.Errorf("served in a visit that is forgotten: %q", got)
	}
	for _, odd := range []string{"a%22b", "a/b", strings.Repeat("x", maxVisit+1)} {
		resp, body := get(t, client, p.Visit(odd))
		if resp.StatusCode != http.StatusNotFound || bytes.Contains(body, []byte("html")) {
			t.Errorf("visit %q: %s", odd, resp.Status)
		}
	}
}

// testDelay has a visitor that gives up before the delay has passed.
func testDelay(t *testing.T, s *Server, client *http.Client) {
	p := s.Pages()[0]
	get(t, client, p.Visit("first")) // the connection is there now
	s.SetDelay(time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Visit("short"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := client.Do(req); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("answered within the delay: %v %v", resp, err)
	}
	if got := s.Served("short"); got != nil {
		t.Errorf("noted although not sent: %q", got)
	}
	s.SetDelay(60 * time.Millisecond)
	start := time.Now()
	get(t, client, p.Visit("long"))
	if took := time.Since(start); took < 60*time.Millisecond {
		t.Errorf("answered after %v, want at least 60 ms", took)
	}
}

func testStrangers(t *testing.T, s *Server, _ *http.Client) {
	resp, err := http.Get(s.Pages()[0].Visit("x"))
	if err == nil {
		resp.Body.Close()
		t.Error("a client that was not told of the authority trusts the corpus")
	}
}

// A hungUp is a connection on which nothing can be sent any more.
type hungUp struct{ *httptest.ResponseRecorder }

func (hungUp) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func testGone(t *testing.T, s *Server, _ *http.Client) {
	p := s.Pages()[0]
	req := httptest.NewRequest(http.MethodGet, p.Visit("gone"), nil)
	s.ServeHTTP(hungUp{httptest.NewRecorder()}, req)
	if got := s.Served("gone"); got != nil {
		t.Errorf("noted although not sent: %q", got)
	}
	s.ServeHTTP(httptest.NewRecorder(), req)
	if got := s.Served("gone"); len(got) != 1 {
		t.Errorf("served %q, want the document", got)
	}
}

// TestSameInEveryRun makes the contents twice, without Vue.
func TestSameInEveryRun(t *testing.T) {
	if testing.Short() {
		t.Skip("short: makes the corpus twice, which takes seconds")
	}
	digests := func() map[string][32]byte {
		contents := map[string]*content{}
		hosts := strings.Split("a b c d e f g h i j k l m", " ")[:hostCount]
		pages, err := build(hosts, "", contents)
		if err != nil {
			t.Fatal(err)
		}
		named := func(p Page) bool { return p.Name == "spa" }
		if len(pages) < 10 || slices.ContainsFunc(pages, named) {
			t.Errorf("%d pages without Vue; want ten and no application", len(pages))
		}
		out := map[string][32]byte{}
		for at, c := range contents {
			out[at] = sha256.Sum256(c.plain)
		}
		return out
	}
	if d := cmp.Diff(digests(), digests()); d != "" {
		t.Errorf("two runs differ:\n%s", d)
	}
}
