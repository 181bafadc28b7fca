package warc_test

import (
	"bytes"
	"errors"
	"testing"

	"guzheng/capture/warc"
)

// seeds are whole, cut and broken files.
func seeds(f *testing.F) {
	var buf bytes.Buffer
	w := newWriter(f, &buf)
	e := page("https://shop.example/", "<p>199</p>")
	e.Method, e.RequestBody = "POST", []byte("a=1")
	if _, err := w.Exchange(e); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes(), true)
	f.Add(buf.Bytes()[:buf.Len()-9], true)
	f.Add([]byte("WARC/1.1\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:a>\r\nWARC-Date: 2026-01-02T03:04:05Z\r\n"+
		"Content-Type: application/http\r\nWARC-Target-URI: http://a/\r\nContent-Length: 19\r\n\r\nHTTP/1.1 200 OK\r\n\r\n\r\n\r\n"), false)
	for _, p := range posts {
		f.Add([]byte("WARC/1.1\r\nWARC-Type: request\r\nWARC-Record-ID: <urn:a>\r\nWARC-Date: 2026-01-02T03:04:05Z\r\n"+
			"Content-Type: application/http\r\nWARC-Target-URI: http://a/\r\nContent-Length: 30\r\n\r\nPOST / HTTP/1.1\r\nContent-Type: "+
			p.contentType+"\r\n\r\n"+p.body[:min(len(p.body), 200)]), false)
	}
}

// packed is the input as a file: as it is, or as one gzip member.
func packed(b []byte, raw bool) []byte {
	if raw {
		return b
	}
	return member(string(b))
}

func FuzzRecords(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte, raw bool) {
		b = packed(b, raw)
		var at int64
		for rec, err := range warc.Records(bytes.NewReader(b)) {
			if err != nil && !errors.Is(err, warc.ErrDigest) {
				if !errors.Is(err, warc.ErrFormat) {
					t.Fatalf("unexpected kind of error: %v", err)
				}
				return
			}
			if rec.Offset != at || rec.Length <= 0 || rec.ID == "" {
				t.Fatalf("record at %d of length %d, want at %d", rec.Offset, rec.Length, at)
			}
			at += rec.Length
		}
		if at != int64(len(b)) {
			t.Fatalf("%d bytes read, have %d", at, len(b))
		}
	})
}

func FuzzIndex(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte, raw bool) {
		b = packed(b, raw)
		index, err := warc.Index(bytes.NewReader(b), "x.warc.gz")
		if err != nil {
			return
		}
		if err := warc.CheckIndex(bytes.NewReader(b), index, "x.warc.gz"); err != nil {
			t.Fatalf("own index does not fit: %v\n%s", err, index)
		}
	})
}

// FuzzCheckIndex compares any index with a sound file.
func FuzzCheckIndex(f *testing.F) {
	var buf bytes.Buffer
	w := newWriter(f, &buf)
	for _, path := range []string{"", "b", "a"} {
		if _, err := w.Exchange(page("https://shop.example/"+path, "x"+path)); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	good, err := warc.Index(bytes.NewReader(buf.Bytes()), "x.warc.gz")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(bytes.Replace(good, []byte(`"offset":"`), []byte(`"offset":"-`), 1))
	f.Add([]byte("a b {}\n"))
	f.Fuzz(func(t *testing.T, index []byte) {
		if warc.CheckIndex(bytes.NewReader(buf.Bytes()), index, "x.warc.gz") == nil && bytes.Count(bytes.TrimRight(index, "\n"), []byte("\n")) != 2 {
			t.Errorf("not three lines, and fits:\n%s", index)
		}
	})
}

// FuzzQuery makes index keys from any request.
func FuzzQuery(f *testing.F) {
	for _, p := range posts {
		f.Add(p.method, p.contentType, p.body)
	}
	f.Fuzz(func(t *testing.T, method, contentType, body string) {
		var buf bytes.Buffer
		w := newWriter(t, &buf)
		e := page("https://shop.example/", "x")
		e.Method, e.RequestBody = method, []byte(body)
		e.RequestHeader = []warc.Field{{Name: "Content-Type", Value: contentType}}
		if _, err := w.Exchange(e); err != nil {
			t.Fatal(err)
		}
		index, err := warc.Index(bytes.NewReader(buf.Bytes()), "x.warc.gz")
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Count(index, []byte("\n")) != 1 || bytes.Count(index, []byte(" ")) < 2 {
			t.Fatalf("not one line of three parts: %q", index)
		}
	})
}

// FuzzExchange writes whatever a server may send; what the writer takes, the
// reader reads, and the index has one line.
func FuzzExchange(f *testing.F) {
	f.Add("https://shop.example/", "Set-Cookie", "a=1", "OK", 200, []byte("<p>199"), true)
	f.Add("data:text/plain,\xff", "a\r\nb", "\x00\x7f\xff", "\n", -1, []byte(nil), false)
	f.Add("http://[::1", ":status", "x", "", 304, []byte("x"), true)
	f.Fuzz(func(t *testing.T, url, name, value, reason string, status int, body []byte, decoded bool) {
		var buf bytes.Buffer
		w := newWriter(t, &buf)
		e := page(url, "")
		e.Header, e.RequestHeader = []warc.Field{{Name: name, Value: value}, {Name: "Content-Length", Value: value}}, []warc.Field{{Name: name, Value: value}}
		e.Reason, e.Status, e.Decoded, e.Method, e.Protocol, e.Cipher, e.PageID, e.IP = reason, status, decoded, name, value, value, value, value
		e.Body, e.BodyBytes = bytes.NewReader(body), int64(len(body))
		e.Meta = warc.Meta{Initiator: &warc.Initiator{Type: name, URL: url}, Cache: value, Frame: value}
		if _, err := w.Exchange(e); err != nil {
			t.Fatal(err)
		}
		recs, errs := records(bytes.NewReader(buf.Bytes()))
		if errors.Join(errs...) != nil || len(recs) != 3 || recs[1].PayloadBytes != int64(len(body)) {
			t.Fatalf("%d records, %v", len(recs), errs)
		}
		if len(recs[1].MessageHeader) > 3 {
			t.Fatalf("header injected: %q", recs[1].MessageHeader)
		}
		index, err := warc.Index(bytes.NewReader(buf.Bytes()), "x.warc.gz")
		if err != nil || bytes.Count(index, []byte("\n")) != 1 {
			t.Fatalf("index %q, %v", index, err)
		}
	})
}

func FuzzSalvage(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte, raw bool) {
		b = packed(b, raw)
		whole, n, err := warc.Salvage(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		again, m, err := warc.Salvage(bytes.NewReader(b[:whole]))
		if err != nil || again != whole || m != n {
			t.Fatalf("salvaged %d bytes, %d records, then %d, %d, %v", whole, n, again, m, err)
		}
	})
}
