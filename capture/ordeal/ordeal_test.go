package ordeal

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func start(t *testing.T) *Server {
	t.Helper()
	s, err := Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// client follows nothing, trusts everything and unpacks nothing.
func client(t *testing.T) *http.Client {
	tr := &http.Transport{DisableCompression: true, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func find(t *testing.T, name string) Case {
	t.Helper()
	for _, c := range Cases() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no case %s", name)
	return Case{}
}

// get asks for the page of a case; the body may be cut.
func get(t *testing.T, s *Server, name string) (*http.Response, []byte, error) {
	t.Helper()
	res, err := client(t).Get(s.Address(find(t, name)))
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res, b, err
}

func TestCases(t *testing.T) {
	names, numbers := map[string]bool{}, map[int]bool{}
	last := 0
	for _, c := range Cases() {
		if names[c.Name] || c.Name == "" || strings.ToLower(c.Name) != c.Name || strings.ContainsAny(c.Name, " _/") {
			t.Errorf("name %q", c.Name)
		}
		if c.Number < last || c.Number < 1 || c.Number > 64 {
			t.Errorf("%s: number %d after %d", c.Name, c.Number, last)
		}
		names[c.Name], numbers[c.Number], last = true, true, c.Number
		for _, state := range []string{c.State, c.Or} {
			if !slices.Contains([]string{Complete, Partial, Failed}, state) && (state != "" || c.State == "") {
				t.Errorf("%s: state %q", c.Name, state)
			}
			if (state == Partial || state == Failed) && len(c.Reasons) == 0 {
				t.Errorf("%s: %s for no reason", c.Name, state)
			}
		}
		if c.State == c.Or || !strings.HasPrefix(c.Path, "/") {
			t.Errorf("%s: %s or %s at %q", c.Name, c.State, c.Or, c.Path)
		}
		if c.State == Complete && c.Or == "" && len(c.Reasons) > 0 {
			t.Errorf("%s: complete with reasons", c.Name)
		}
	}
	for n := 1; n <= 64; n++ {
		if !numbers[n] {
			t.Errorf("no case %d", n)
		}
	}
}

// Every page that is a file belongs to a case or is named by one, and every
// case on a listener of net/http has its answer.
func TestPages(t *testing.T) {
	s := start(t)
	parts := []string{"chinese", "login", "frame-same", "frame-other", "frame-inner", "frame-sandboxed"}
	err := fs.WalkDir(files, "pages", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name := strings.TrimSuffix(e.Name(), ".html")
		if !slices.Contains(parts, name) && !slices.ContainsFunc(Cases(), func(c Case) bool { return c.Name == name }) {
			t.Errorf("page %s belongs to no case", name)
		}
		b, err := s.file(name)
		if err != nil || bytes.Contains(b, []byte("{{")) || bytes.Contains(b, []byte("<no value>")) {
			t.Errorf("page %s: %v %s", name, err, b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	endless := []string{"endless-page", "drip-page", "gigabyte-page", "gzip-bomb", "huge-header"}
	for _, c := range Cases() {
		if slices.Contains(endless, c.Name) || slices.Contains([]Place{Wire, Frames, Closed, SixOnly, Nowhere}, c.Place) {
			continue
		}
		res, err := client(t).Get(s.Address(c))
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		res.Body.Close()
		if res.StatusCode == http.StatusNotFound && c.Name != "missing-page" {
			t.Errorf("%s: nothing at %s", c.Name, c.Path)
		}
		if s.Served()[c.Path] == 0 {
			t.Errorf("%s is not counted", c.Path)
		}
	}
	if s.Victim() != 0 {
		t.Error("the victim was reached")
	}
}

func TestHosts(t *testing.T) {
	s := start(t)
	hosts := s.Hosts()
	for p := Plain; p <= Nowhere; p++ {
		if !slices.Contains(hosts, s.Host(p)) {
			t.Errorf("place %d at %q is not among %v", p, s.Host(p), hosts)
		}
	}
	if slices.Contains(hosts, s.victim.host) {
		t.Error("the victim is among the hosts")
	}
	c, err := net.Dial("tcp", s.victim.host)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
	c.Close()
	if s.Victim() != 1 {
		t.Errorf("%d connections reached the victim", s.Victim())
	}
	for _, p := range []Place{Closed, SixOnly} {
		c, err := net.Dial("tcp", s.Host(p))
		if err == nil {
			c.Close()
			t.Errorf("%s answers", s.Host(p))
		}
	}
	if _, err := net.Dial("tcp", s.Host(Closed)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
}

func TestNavigation(t *testing.T) {
	s := start(t)
	for _, c := range []struct {
		name     string
		status   int
		location string
	}{
		{"redirect-loop", 302, "/1/redirect-loop/again"},
		{"redirect-chain", 302, "/2/redirect-chain/1"},
		{"redirect-private", 302, s.victim.url + "/admin"},
		{"redirect-metadata", 302, "http://169.254.169.254/latest/meta-data/"},
		{"redirect-file", 302, "file:///etc/passwd"},
		{"scheme-by-redirect", 302, "taobao://item.taobao.com/item.htm?id=1"},
		{"no-content", 204, ""}, {"reset-content", 205, ""}, {"not-modified", 304, ""},
		{"empty-page", 200, ""}, {"missing-page", 404, ""}, {"broken-page", 500, ""},
		{"too-many-requests", 429, ""}, {"captcha", 403, ""}, {"basic-auth", 401, ""}, {"login-wall", 302, "/36/login?from=/36/login-wall"},
	} {
		res, b, err := get(t, s, c.name)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if res.StatusCode != c.status || res.Header.Get("Location") != c.location {
			t.Errorf("%s: %d to %q", c.name, res.StatusCode, res.Header.Get("Location"))
		}
		if c.name == "empty-page" && len(b) > 0 {
			t.Errorf("%s: %q", c.name, b)
		}
	}
	if res, err := client(t).Get("http://" + s.Host(Plain) + "/2/redirect-chain/39"); err != nil || res.StatusCode != 302 {
		t.Errorf("the chain ends early: %v", err)
	}
	if res, b, err := get(t, s, "attachment"); err != nil || !strings.HasPrefix(res.Header.Get("Content-Disposition"), "attachment") || !bytes.HasPrefix(b, []byte("goods,")) {
		t.Errorf("%v %s", err, b)
	}
	_, b, err := get(t, s, "pdf-page")
	at := bytes.LastIndex(b, []byte("startxref\n"))
	var xref int
	if _, scan := fmt.Sscanf(string(b[max(at, 0):]), "startxref\n%d", &xref); err != nil || scan != nil || !bytes.HasPrefix(b[xref:], []byte("xref\n0 6\n")) {
		t.Errorf("%v %v %s", err, scan, b)
	}
}

func TestEarlyHints(t *testing.T) {
	s := start(t)
	for _, name := range []string{"early-hints", "early-hints-h2"} {
		hints := 0
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == 103 && h.Get("Link") != "" {
				hints++
			}
			return nil
		}})
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Address(find(t, name)), nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client(t).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if hints != 1 || res.StatusCode != 200 || (res.ProtoMajor == 2) != (name == "early-hints-h2") {
			t.Errorf("%s: %d hints, %s %d", name, hints, res.Proto, res.StatusCode)
		}
	}
}

// What is written to the wire by hand is as wrong as documented.
func TestWire(t *testing.T) {
	s := start(t)
	reset := func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }
	for _, c := range []struct {
		path  string
		body  string
		wrong func(error) bool
	}{
		{"/23/length-long", halfPage, func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		{"/24/reset-at-once", "", reset},
		{"/24/reset-page", halfPage, reset},
		{"/24/reset-unframed", halfPage, reset},
		{"/24/reset.png", string(drawing(1)[:len(drawing(1))/2]), reset},
		{"/24/chunk-broken", halfPage, func(err error) bool { return err != nil && strings.Contains(err.Error(), "chunk") }},
		{"/none", "", func(err error) bool { return err == nil }},
	} {
		res, err := client(t).Get("http://" + s.Host(Wire) + c.path)
		var b []byte
		if err == nil {
			b, err = io.ReadAll(res.Body)
			res.Body.Close()
		}
		if !c.wrong(err) || string(b) != c.body {
			t.Errorf("%s: %v after %q", c.path, err, b)
		}
	}
	for path, want := range map[string][]string{
		"/23/length-short": {"Content-Length: 58\r\n", "announced<p>smuggled"},
		"/23/length-twice": {"Content-Length: 5\r\n", fmt.Sprintf("Content-Length: %d\r\n", len(halfPage))},
	} {
		raw := exchange(t, s.Host(Wire), path)
		for _, w := range want {
			if !strings.Contains(raw, w) {
				t.Errorf("%s lacks %q: %s", path, w, raw)
			}
		}
	}
}

// exchange sends a request and returns what comes until the end.
func exchange(t *testing.T, host, path string) string {
	t.Helper()
	c := dial(t, host, path)
	b, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

func dial(t *testing.T, host, path string, fields ...string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, host, strings.Join(append(fields, ""), "\r\n"))
	return c
}

// Answers without end go on while somebody reads, at their pace, and end
// when the client goes.
func TestEndless(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []struct {
		place Place
		path  string
		body  int           // bytes that are waited for
		after time.Duration // at the earliest
	}{
		{Plain, "/19/endless-page", 200_000, 0},
		{Plain, "/19/endless.js", 200_000, 0},
		{Plain, "/20/drip-page", 2, time.Second},
		{Plain, "/20/drip.png", 62, time.Second},
		{Wire, "/20/drip-header", 26, time.Second},
		{Plain, "/21/gigabyte-page", 50 << 20, 0},
		{Plain, "/21/gigabyte.png", 50 << 20, 0},
		{Plain, "/30/events-endless/events", 500, 0},
		{Plain, "/52/endless.wav", 100_000, 0},
	} {
		t.Run(strings.Trim(strings.ReplaceAll(c.path, "/", "-"), "-"), func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			var in io.Reader = dial(t, s.Host(c.place), c.path)
			if c.place == Plain {
				res, err := http.ReadResponse(bufio.NewReader(in), nil)
				if err != nil {
					t.Fatal(err)
				}
				in = res.Body
			}
			if _, err := io.CopyN(io.Discard, in, int64(c.body)); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took < c.after || took > 8*time.Second {
				t.Errorf("%d bytes took %v", c.body, took)
			}
		})
	}
}

func TestSizes(t *testing.T) {
	s := start(t)
	tr := &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 1 << 20}
	for name, check := range map[string]func(http.Header) bool{
		"huge-header":   func(h http.Header) bool { return len(h.Get("X-Huge")) == 256<<10 },
		"many-headers":  func(h http.Header) bool { return len(h) > 1000 && h.Get("X-Field-999") == "999" },
		"gigabyte-page": func(h http.Header) bool { return h.Get("Content-Length") == "1073741824" },
	} {
		res, err := (&http.Client{Transport: tr}).Get(s.Address(find(t, name)))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if !check(res.Header) {
			t.Errorf("%s: %d fields", name, len(res.Header))
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Host(Plain)+"/52/sound.wav", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Range", "bytes=104857590-")
	res, err := client(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 206 || len(b) != 10 || b[9] != byte((soundBytes-1)%101) {
		t.Errorf("%d %v %v", res.StatusCode, b, err)
	}
}

func TestCertificates(t *testing.T) {
	s := start(t)
	roots := x509.NewCertPool()
	for _, p := range []Place{SelfSigned, Expired, WrongHost, Secure} {
		c, err := tls.Dial("tcp", s.Host(p), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		leaf := c.ConnectionState().PeerCertificates[0]
		c.Close()
		_, unknown := leaf.Verify(x509.VerifyOptions{DNSName: "127.0.0.1", Roots: roots, CurrentTime: leaf.NotBefore})
		own := x509.NewCertPool()
		own.AddCert(leaf)
		_, err = leaf.Verify(x509.VerifyOptions{DNSName: "127.0.0.1", Roots: own})
		var host x509.HostnameError
		var invalid x509.CertificateInvalidError
		switch p {
		case WrongHost:
			if !errors.As(err, &host) {
				t.Errorf("wrong host: %v", err)
			}
		case Expired:
			if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
				t.Errorf("expired: %v", err)
			}
		default:
			if err != nil || !errors.As(unknown, new(x509.UnknownAuthorityError)) {
				t.Errorf("place %d: %v, %v", p, err, unknown)
			}
		}
	}
}

func TestSocket(t *testing.T) {
	s := start(t)
	// The key and its answer are the example of RFC 6455 section 1.3.
	c := dial(t, s.Host(Plain), "/30/socket-endless/socket", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
	in := bufio.NewReader(c)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 101 || res.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("%v %v", res, err)
	}
	for n := range 3 {
		want := fmt.Sprintf(`{"n":%d,"price":"39.90"}`, n)
		b := make([]byte, 2+len(want))
		if _, err := io.ReadFull(in, b); err != nil || string(b) != "\x81"+string(rune(len(want)))+want {
			t.Fatalf("%q %v", b, err)
		}
	}
	if res, err := client(t).Get("http://" + s.Host(Plain) + "/30/socket-endless/socket"); err != nil || res.StatusCode != 400 {
		t.Error("without a handshake:", err)
	}
}

// A second look at the same address differs; in everything else two servers
// give the same bytes.
func TestSame(t *testing.T) {
	s, other := start(t), start(t)
	_, a, _ := get(t, s, "differs-each-time")
	_, b, _ := get(t, s, "differs-each-time")
	_, c, _ := get(t, other, "differs-each-time")
	if bytes.Equal(a, b) || !bytes.Equal(a, c) {
		t.Errorf("%s %s %s", a, b, c)
	}
	for _, name := range []string{"brotli", "utf16-bom", "big5", "sticky-sections"} {
		_, a, err := get(t, s, name)
		_, b, _ := get(t, other, name)
		if err != nil || len(a) == 0 || !bytes.Equal(a, b) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Close and the end of the context end every listener, answer and goroutine.
func TestClose(t *testing.T) {
	for _, name := range []string{"Close", "context"} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s, err := Start(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range []struct {
				place Place
				path  string
			}{{Plain, "/19/endless-page"}, {Plain, "/20/drip-page"}, {Plain, "/21/gigabyte-page"}, {Wire, "/20/drip-header"}, {Plain, "/31/long-poll/next"}} {
				c := dial(t, s.Host(at.place), at.path)
				if at.path != "/31/long-poll/next" {
					if _, err := io.ReadFull(c, make([]byte, 10)); err != nil {
						t.Fatal(err)
					}
				}
			}
			c := dial(t, s.Host(Plain), "/30/socket-endless/socket", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: x")
			if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
				t.Fatal(err)
			}
			if name == "Close" {
				s.Close()
				buf := make([]byte, 1<<18)
				left := string(buf[:runtime.Stack(buf, true)])
				for _, ours := range []string{"ordeal.pieces", "ordeal.gigabytePage", "(*Server).socket", "(*Server).dripHeader", "(*Server).accept"} {
					if strings.Contains(left, ours) {
						t.Errorf("Close did not wait for %s", ours)
					}
				}
				s.Close()
			} else {
				cancel()
			}
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for end := time.After(5 * time.Second); runtime.NumGoroutine() > before; {
				select {
				case <-tick.C:
				case <-end:
					buf := make([]byte, 1<<16)
					t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
				}
			}
			var refused *net.OpError
			if _, err := net.Dial("tcp", s.Host(Plain)); !errors.As(err, &refused) {
				t.Error("still listening")
			}
		})
	}
}

func TestAddress(t *testing.T) {
	s := start(t)
	for _, c := range Cases() {
		u, err := url.Parse(s.Address(c))
		if err != nil || u.Host != s.Host(c.Place) || u.Path != c.Path {
			t.Errorf("%s: %s (%v)", c.Name, s.Address(c), err)
		}
	}
}
