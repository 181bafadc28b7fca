package warc_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"guzheng/capture/warc"
)

const testID = "urn:uuid:6ba7b810-9dad-41d1-80b4-00c04fd430c8"

var testTime = time.Date(2026, 5, 4, 3, 2, 1, 987_000_000, time.UTC)

func newWriter(t testing.TB, w io.Writer) *warc.Writer {
	t.Helper()
	out, err := warc.NewWriter(w, warc.Info{Software: "guzheng test", Operator: "inspector", Filename: "data.warc.gz",
		Created: testTime, ID: testID, TmpDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func page(url, body string) warc.Exchange {
	return warc.Exchange{
		URL: url, Method: "GET", RequestHeader: []warc.Field{{"Host", "shop.example"}, {"Accept", "*/*"}},
		Status: 200, Reason: "OK", Header: []warc.Field{{"Content-Type", "text/html; charset=utf-8"}},
		Protocol: "h2", Body: strings.NewReader(body), BodyBytes: int64(len(body)), Time: testTime,
		IP: "192.0.2.7", PageID: "page-1", ResourceType: "Document", TLSProtocol: "TLS 1.3", Cipher: "AES_128_GCM", Decoded: true,
	}
}

func plain(t testing.TB, b []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	p, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

func TestWriterKeepsHeaderAsSent(t *testing.T) {
	var buf bytes.Buffer
	w := newWriter(t, &buf)
	e := page("https://shop.example/商品?q=茶 叶#top", "<p>价格</p>")
	e.Header = []warc.Field{
		{":status", "200"}, {"Set-Cookie", "b=2"}, {"X-Mixed-CASE", "1"}, {"set-cookie", "a=1"},
		{"Content-Encoding", "br"}, {"Content-Length", "7"}, {"X-Name", "茶"}, {"X-Latin", "caf\xe9"},
		{"X-Split", "a\r\nEvil: 1\x00"}, {"Bad name\n", "v"}, {"", "v"},
	}
	e.RequestHeader = []warc.Field{{":authority", "shop.example"}, {":path", "/"}, {"Cookie", "s=1"}}
	id, err := w.Exchange(e)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got := plain(t, buf.Bytes())
	for _, want := range []string{
		"WARC/1.1\r\n",
		"WARC-Date: 2026-05-04T03:02:01.987Z\r\n",
		"WARC-Target-URI: https://shop.example/%E5%95%86%E5%93%81?q=%E8%8C%B6%20%E5%8F%B6\r\n",
		"WARC-Protocol: h2\r\nWARC-Protocol: tls/1.3\r\nWARC-Cipher-Suite: AES_128_GCM\r\n",
		"WARC-IP-Address: 192.0.2.7\r\n", "WARC-Page-ID: page-1\r\n", "WARC-Resource-Type: document\r\n",
		"WARC-Concurrent-To: <" + id + ">\r\n",
		`WARC-JSON-Metadata: {"decoded":true,"altered":["X-Split","Bad%20name%0A","x-unnamed"]}` + "\r\n",
		"HTTP/1.1 200 OK\r\nSet-Cookie: b=2\r\nX-Mixed-CASE: 1\r\nset-cookie: a=1\r\n" +
			"x-orig-content-encoding: br\r\nx-orig-content-length: 7\r\nX-Name: 茶\r\nX-Latin: caf\xe9\r\n" +
			"X-Split: a%0D%0AEvil: 1%00\r\nBad%20name%0A: v\r\nx-unnamed: v\r\nContent-Length: 13\r\n\r\n<p>价格</p>",
		"GET /%E5%95%86%E5%93%81?q=%E8%8C%B6%20%E5%8F%B6 HTTP/1.1\r\nHost: shop.example\r\nCookie: s=1\r\n\r\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "\r\nEvil") || strings.Contains(got, ":path") {
		t.Errorf("header injected or pseudo field kept:\n%s", got)
	}
}

func TestWriterNothingWrittenForBrokenBody(t *testing.T) {
	var buf bytes.Buffer
	w := newWriter(t, &buf)
	before := buf.Len()
	broken := errors.New("connection reset")
	e := page("https://shop.example/", "")
	e.Body, e.BodyBytes = io.MultiReader(strings.NewReader("half"), errReader{broken}), 8
	if _, err := w.Exchange(e); !errors.Is(err, broken) {
		t.Fatalf("got %v, want %v", err, broken)
	}
	e.Body, e.BodyBytes = strings.NewReader("four"), 5
	if _, err := w.Exchange(e); err == nil {
		t.Fatal("a body of another length was accepted")
	}
	if buf.Len() != before {
		t.Fatal("half a record was written")
	}
	if _, err := w.Exchange(page("https://shop.example/", "whole")); err != nil {
		t.Fatal("writer unusable after a broken body:", err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// Whatever a browser names as the address, the record is written.
func TestWriterTakesEveryURL(t *testing.T) {
	for _, u := range []string{
		"about:blank", "blob:https://shop.example/1-2", "data:text/plain,a b", "http://[::1", "https://shop.example:99999/", "http://%zz/%",
		"//shop.example/x", "no url at all", "", "#", "wss://shop.example/socket", "http://a\r\nX: y/", "https://\xff\xfe/", "urn:x",
	} {
		var buf bytes.Buffer
		w := newWriter(t, &buf)
		if _, err := w.Exchange(page(u, "x")); err != nil {
			t.Errorf("%q: %v", u, err)
		}
		recs, errs := records(&buf)
		if len(recs) != 3 || errors.Join(errs...) != nil {
			t.Errorf("%q: %d records, %v", u, len(recs), errs)
		}
	}
}

// Two captures in one process write at the same time. What this is about
// only the race detector sees.
func TestTwoWritersAtOnce(t *testing.T) {
	write := func() ([]byte, error) {
		var buf bytes.Buffer
		w, err := warc.NewWriter(&buf, warc.Info{Software: "test", TmpDir: t.TempDir()})
		if err != nil {
			return nil, err
		}
		for range 20 {
			if _, err := w.Resource(warc.Resource{URL: "urn:test:a", MediaType: "text/plain", Body: []byte("a")}); err != nil {
				return nil, err
			}
		}
		return buf.Bytes(), w.Close()
	}
	var files [2][]byte
	var errs [2]error
	var wg sync.WaitGroup
	for i := range files {
		wg.Go(func() { files[i], errs[i] = write() })
	}
	wg.Wait()
	seen := map[string]bool{}
	for i, b := range files {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		for rec, err := range warc.Records(bytes.NewReader(b)) {
			if err != nil {
				t.Fatal(err)
			}
			seen[rec.ID] = true
		}
	}
	if len(seen) != 2*21 {
		t.Errorf("%d different ids for %d records", len(seen), 2*21)
	}
}
