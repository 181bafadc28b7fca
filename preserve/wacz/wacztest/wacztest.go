// Package wacztest makes small takes and packages for tests. Everything in
// them is fixed, the key and its signatures included, so that the same bytes
// come out every time.
//
// Life of a sample: Take lays out a closed take in a directory; Input turns
// it into what wacz.Write wants; Key signs.
//
// Trust: the key is public and worth nothing.
package wacztest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"guzheng/capture"
	"guzheng/capture/warc"
	"guzheng/preserve/wacz"
)

// Values of the sample.
const (
	ID    = "GZ-20260504-TEST0001"
	URL   = "https://shop.example/"
	Title = "Tea & <Sons>"
	page  = "6ba7b811-9dad-41d1-80b4-00c04fd430c8"
)

// Time is when everything happens in the sample.
var Time = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// Now is the sample's clock.
func Now() time.Time { return Time }

// Key is a P-384 key whose secret is known to all.
type Key struct{ priv *ecdsa.PrivateKey }

// NewKey returns the key with the given number, from 1.
func NewKey(t testing.TB, n byte) Key {
	t.Helper()
	priv, err := ecdsa.ParseRawPrivateKey(elliptic.P384(), append(make([]byte, 47), n))
	if err != nil {
		t.Fatal(err)
	}
	return Key{priv}
}

// Sign returns the same signature for the same digest (RFC 6979).
func (k Key) Sign(digest [32]byte) ([]byte, error) {
	return k.priv.Sign(nil, digest[:], crypto.SHA256)
}

// Identity returns fingerprint and SubjectPublicKeyInfo.
func (k Key) Identity() (string, []byte) {
	spki, err := x509.MarshalPKIXPublicKey(&k.priv.PublicKey)
	if err != nil {
		panic("wacztest: " + err.Error())
	}
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:]), spki
}

// WARC is the traffic of the sample: a page, a picture and a POST.
func WARC(t testing.TB) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := warc.NewWriter(&buf, warc.Info{Software: "guzheng test", Created: Time, TmpDir: t.TempDir(),
		ID: "urn:uuid:6ba7b810-9dad-41d1-80b4-00c04fd430c8"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []struct{ method, path, mime, request, body string }{
		{"GET", "", "text/html; charset=utf-8", "", "<!doctype html><title>Tea</title><p>199.00<img src=a.svg>"},
		{"GET", "a.svg", "image/svg+xml", "", `<svg xmlns="http://www.w3.org/2000/svg"/>`},
		{"POST", "api", "application/json", `{"id":7}`, `{"price":"199.00"}`},
	} {
		if _, err := w.Exchange(warc.Exchange{URL: URL + e.path, Method: e.method,
			RequestHeader: []warc.Field{{Name: "Host", Value: "shop.example"}, {Name: "Content-Type", Value: "application/json"}},
			RequestBody:   []byte(e.request), Status: 200, Reason: "OK", Header: []warc.Field{{Name: "Content-Type", Value: e.mime}},
			Protocol: "http/1.1", Body: strings.NewReader(e.body), BodyBytes: int64(len(e.body)),
			Time: Time, IP: "192.0.2.7", PageID: page, Decoded: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// LargeWARC is the sample's page followed by pictures of 128 KiB, some n bytes
// of them. They do not compress, as pictures do not.
func LargeWARC(t testing.TB, n int) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := warc.NewWriter(&buf, warc.Info{Software: "guzheng test", Created: Time, TmpDir: t.TempDir(),
		ID: "urn:uuid:6ba7b810-9dad-41d1-80b4-00c04fd430c8"})
	if err != nil {
		t.Fatal(err)
	}
	noise := rand.NewChaCha8([32]byte{})
	body, mime := []byte("<!doctype html><title>Tea</title>"), "text/html"
	for i := 0; i*len(body) <= n; i++ {
		if _, err := w.Exchange(warc.Exchange{URL: fmt.Sprintf("%s?%d", URL, i), Method: "GET", Status: 200, Reason: "OK",
			Header: []warc.Field{{Name: "Content-Type", Value: mime}}, Protocol: "http/1.1",
			Body: bytes.NewReader(body), BodyBytes: int64(len(body)), Time: Time, IP: "192.0.2.7", PageID: page}); err != nil {
			t.Fatal(err)
		}
		body, mime = make([]byte, 128<<10), "image/png"
		_, _ = noise.Read(body) // never returns an error
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// picture is one white pixel, PNG.
var picture = []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\b\x02\x00\x00\x00\x90wS\xde" +
	"\x00\x00\x00\fIDATx\x9cc\xf8\xff\xff?\x00\x05\xfe\x02\xfe\r\xefF\xb8\x00\x00\x00\x00IEND\xaeB`\x82")

// Take makes a closed take in the new directory dir. With no WARC it is a
// failed one.
func Take(t testing.TB, dir string, data []byte) capture.Take {
	t.Helper()
	order := capture.Order{Format: capture.OrderFormat, ID: ID, Kind: capture.KindWeb, URL: URL, Created: Time,
		Viewport: capture.Viewport{Width: 1280, Height: 800, Scale: 1}, Limits: capture.DefaultLimits()}
	d, err := capture.OpenDir(dir, order, Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	state, reasons := capture.Complete, []capture.Reason(nil)
	if data == nil {
		state, reasons = capture.Failed, []capture.Reason{{Code: "navigation.failed", Detail: "net::ERR_CONNECTION_REFUSED"}}
	} else {
		for _, f := range []struct {
			kind, mime, path string
			b                []byte
		}{
			{capture.FileWARC, "application/warc", wacz.WARCPath, data},
			{capture.FileText, "text/plain; charset=utf-8", "evidence/text.txt", []byte("Tea 199.00\n")},
			{capture.FileDOM, "text/html", "evidence/dom.html", []byte("<p>199.00")},
			{capture.FileViewport, "image/png", "evidence/viewport.png", picture},
		} {
			if err := d.Write(f.kind, f.mime, f.path, f.b); err != nil {
				t.Fatal(err)
			}
		}
	}
	take, err := d.Close(state, reasons)
	if err != nil {
		t.Fatal(err)
	}
	return take
}

// Input is a take ready to be packaged, with proofs/raw.json and, when
// stamps is not nil, proofs/raw-stamps.json.
func Input(t testing.TB, dir string, take capture.Take, stamps func(root [32]byte) []byte) wacz.Input {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, capture.TakeFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	manifest, err := capture.DigestOf(f)
	if err != nil {
		t.Fatal(err)
	}
	raw := wacz.NewRaw(take, manifest)
	b, err := raw.Encode()
	if err != nil {
		t.Fatal(err)
	}
	proofs := t.TempDir()
	key := NewKey(t, 1)
	_, spki := key.Identity()
	in := wacz.Input{ID: ID, TakeDir: dir, Take: take, Software: "guzheng test", Created: Time, Sign: key.Sign, PublicKey: spki,
		Extra: []wacz.Extra{{Path: wacz.RawPath, From: write(t, filepath.Join(proofs, "raw.json"), b)}}}
	if stamps != nil {
		in.Extra = append(in.Extra, wacz.Extra{Path: wacz.RawStampsPath,
			From: write(t, filepath.Join(proofs, "raw-stamps.json"), stamps(raw.TreeRoot()))})
	}
	if _, ok := take.File(capture.FileWARC); ok {
		in.Title, in.MainPageURL, in.MainPageDate, in.PageID, in.Text = Title, URL, Time, page, "Tea 199.00"
	}
	return in
}

func write(t testing.TB, name string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
