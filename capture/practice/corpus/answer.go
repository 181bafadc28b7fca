package corpus

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	visitKey   = "v"   // query field that carries the visit
	visitPlace = "@V@" // stands for the visit in contents
	maxVisit   = 40
)

// content is what one address answers.
type content struct {
	kind   string // Content-Type
	plain  []byte
	packed []byte // gzip of plain; nil for pictures and for contents that carry the visit
	visits bool   // plain holds visitPlace
	status int
}

// newContent prepares a body. What does not change with the visit is packed
// once, so that the server takes as little as it can of the cores on which it
// is used to measure others.
func newContent(kind string, body []byte) *content {
	c := &content{kind: kind, plain: body, status: http.StatusOK}
	c.visits = textual(kind) && bytes.Contains(body, []byte(visitPlace))
	if textual(kind) && !c.visits && len(body) > 0 {
		c.packed = pack(body, gzip.BestCompression)
	}
	return c
}

// textual reports whether servers commonly pack a type.
func textual(kind string) bool {
	return !strings.HasPrefix(kind, "image/") || kind == "image/svg+xml"
}

// pack writes into memory, which does not fail.
func pack(body []byte, level int) []byte {
	var buf bytes.Buffer
	zw, err := gzip.NewWriterLevel(&buf, level)
	if err != nil {
		panic("corpus: " + err.Error())
	}
	_, _ = zw.Write(body)
	_ = zw.Close()
	return buf.Bytes()
}

// ServeHTTP answers with the content of host and path.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	visit := r.URL.Query().Get(visitKey)
	c, ok := s.contents[r.Host+r.URL.Path]
	if !ok || !validVisit(visit) {
		http.NotFound(w, r)
		return
	}
	if !s.wait(r) {
		return
	}
	body := c.body(visit, strings.Contains(r.Header.Get("Accept-Encoding"), "gzip"))
	c.headers(w.Header())
	if body.packed {
		w.Header().Set("Content-Encoding", "gzip")
	}
	if c.status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(body.bytes)))
	}
	w.WriteHeader(c.status)
	if len(body.bytes) > 0 && r.Method != http.MethodHead {
		if _, err := w.Write(body.bytes); err != nil {
			return // the visitor went away: not sent, not noted
		}
	}
	s.note(visit, "https://"+r.Host+r.URL.Path)
}

// validVisit reports whether a token may be put into contents as it is.
func validVisit(s string) bool {
	odd := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '.'
	}
	return len(s) <= maxVisit && !strings.ContainsFunc(s, odd)
}

// wait lets the delay pass; false means that the visitor did not wait.
func (s *Server) wait(r *http.Request) bool {
	d := time.Duration(s.delay.Load())
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// sendable is a body in the form in which it is sent.
type sendable struct {
	bytes  []byte
	packed bool
}

func (c *content) body(visit string, gzipped bool) sendable {
	if c.visits {
		out := bytes.ReplaceAll(c.plain, []byte(visitPlace), []byte(visit))
		if gzipped {
			return sendable{pack(out, gzip.BestSpeed), true}
		}
		return sendable{out, false}
	}
	if gzipped && c.packed != nil {
		return sendable{c.packed, true}
	}
	return sendable{c.plain, false}
}

// headers sets what the hosts of large shops commonly send.
func (c *content) headers(h http.Header) {
	h.Set("Content-Type", c.kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Timing-Allow-Origin", "*")
	switch {
	case strings.HasPrefix(c.kind, "text/html"):
		h.Set("Cache-Control", "no-cache")
		h["Set-Cookie"] = []string{
			"session=corpus; Path=/; HttpOnly; Secure; SameSite=Lax",
			"region=141122; Path=/; Max-Age=86400; Secure; SameSite=Lax",
		}
	case strings.HasPrefix(c.kind, "application/json"):
		h.Set("Cache-Control", "no-store")
	default:
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if c.packed != nil || c.visits {
		h.Set("Vary", "Accept-Encoding")
	}
}
