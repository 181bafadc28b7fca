package practice

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// answer is one prepared response: the same bytes for everyone, every time.
type answer struct {
	kind   string // Content-Type
	etag   string
	plain  []byte
	packed []byte // gzip of plain; nil for pictures
	maxAge int    // seconds; 0 means no-cache
}

// newAnswer prepares body. Text is also packed with gzip; the packed bytes do
// not change between runs because the gzip header carries no time.
func newAnswer(kind string, body []byte) (answer, error) {
	sum := sha256.Sum256(body)
	a := answer{kind: kind, etag: `"` + hex.EncodeToString(sum[:8]) + `"`, plain: body}
	if strings.HasPrefix(kind, "image/") && kind != "image/svg+xml" {
		a.maxAge = 86400
		return a, nil
	}
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	if _, err := zw.Write(body); err != nil {
		return answer{}, fmt.Errorf("packing %s: %w", kind, err)
	}
	if err := zw.Close(); err != nil {
		return answer{}, fmt.Errorf("packing %s: %w", kind, err)
	}
	a.packed = buf.Bytes()
	return a, nil
}

// ServeHTTP sends the answer with status 200, or 304 when the caller holds it.
func (a answer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.headers(w.Header())
	if r.Header.Get("If-None-Match") == a.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	a.body(w, r, http.StatusOK)
}

// headers sets what every answer of the shop carries. Set-Cookie and
// X-Practice-Shop stand twice on purpose: a capture must keep both lines.
func (a answer) headers(h http.Header) {
	h.Set("Content-Type", a.kind)
	h.Set("ETag", a.etag)
	h.Set("Vary", "Accept-Encoding")
	h.Set("X-Content-Type-Options", "nosniff")
	h["X-Practice-Shop"] = []string{"fictitious", "takes no orders"}
	if a.maxAge > 0 {
		h.Set("Cache-Control", "public, max-age="+strconv.Itoa(a.maxAge))
		return
	}
	h.Set("Cache-Control", "no-cache")
	h["Set-Cookie"] = []string{
		"visit=practice; Path=/; HttpOnly; SameSite=Lax",
		"region=141122; Path=/; Max-Age=86400; SameSite=Lax",
	}
}

// body sends the bytes, packed when the caller takes gzip. A caller that went
// away is no concern of the shop, so write errors are dropped.
func (a answer) body(w http.ResponseWriter, r *http.Request, status int) {
	out := a.plain
	if a.packed != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		out = a.packed
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(out)
	}
}
