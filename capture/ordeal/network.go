package ordeal

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	gigabyte = 1 << 30
	drip     = time.Second           // between two bytes
	gush     = 20 * time.Millisecond // between two pieces of an answer without end
	push     = 2 * time.Millisecond  // between two messages
)

// network lists answers that are too long, too slow, broken or never over.
func network() []Case {
	return []Case{
		// 19: body without end: cut at the budget, flagged as truncated.
		{Number: 19, Name: "endless-page", State: Partial, Or: Failed, Reasons: cut(), Heavy: true},
		{Number: 19, Name: "endless-script", State: Partial, Reasons: cut(), Anomaly: "body.truncated"},
		// 20: slow loris, one byte a second: the same.
		{Number: 20, Name: "drip-page", State: Partial, Or: Failed, Reasons: cut()},
		{Number: 20, Name: "drip-picture", State: Partial, Reasons: cut(), Anomaly: "body.truncated"},
		{Number: 20, Name: "drip-header", Place: Wire, State: Failed, Reasons: codes("deadline.navigate", "navigate.failed", "deadline.total")},
		// 21: answer of 1 GB: cut by length.
		{Number: 21, Name: "gigabyte-page", State: Partial, Or: Failed, Reasons: append(cut(), "limit.memory"), Heavy: true},
		{Number: 21, Name: "gigabyte-picture", State: Partial, Reasons: append(cut(), "limit.memory"), Heavy: true},
		// 22: header of 256 KB, of 1,000 fields: an error or stored, no crash.
		{Number: 22, Name: "huge-header", State: Failed, Or: Complete, Reasons: codes("navigate.failed")},
		{Number: 22, Name: "many-headers", State: Complete, Text: "a thousand fields"},
		// 23: wrong Content-Length: recorded as an error, what came is kept.
		// What stands behind a length that is too short is no part of the
		// message (RFC 9112 section 6.3) and no client sees it.
		{Number: 23, Name: "length-short", Place: Wire, State: Complete, Or: Partial, Reasons: codes("body.truncated"), Text: "as long as announced", NoText: "smuggled"},
		{Number: 23, Name: "length-long", Place: Wire, State: Partial, Or: Failed, Reasons: codes("body.truncated", "navigate.failed")},
		{Number: 23, Name: "length-twice", Place: Wire, State: Failed, Reasons: codes("navigate.failed")},
		// 24: reset in the middle: failed, or a warning for the resource.
		{Number: 24, Name: "reset-at-once", Place: Wire, State: Failed, Reasons: codes("navigate.failed")},
		{Number: 24, Name: "reset-page", Place: Wire, State: Partial, Or: Failed, Reasons: codes("body.truncated", "navigate.failed")},
		// Without any length only the reset tells that something is missing.
		{Number: 24, Name: "reset-unframed", Place: Wire, State: Partial, Or: Failed, Reasons: codes("body.truncated", "navigate.failed")},
		{Number: 24, Name: "reset-picture", State: Partial, Reasons: codes("body.truncated"), Anomaly: "body.truncated"},
		{Number: 24, Name: "chunk-broken", Place: Wire, State: Partial, Or: Failed, Reasons: codes("body.truncated", "navigate.failed")},
		// 30: WebSocket and event stream without end: messages logged up to
		// a cap, quiet does not wait for them.
		{Number: 30, Name: "socket-endless", State: Partial, Or: Complete, Reasons: codes("stream.cut", "limit.frames", "target.unrecorded"), Text: "socket open"},
		{Number: 30, Name: "events-endless", State: Partial, Or: Complete, Reasons: codes("stream.cut", "limit.frames", "body.truncated"), Text: "stream open"},
		// 31: long poll each second: over by time, not by silence.
		{Number: 31, Name: "long-poll", State: Complete, Or: Partial, Reasons: codes("request.unanswered", "body.truncated"), Text: "polling", Asked: codes("/31/long-poll/next")},
		// 32: service worker that serves content of its own: switched off or
		// flagged, the network's truth is kept.
		{Number: 32, Name: "service-worker", State: Complete, Or: Partial, Reasons: codes("target.unrecorded"), Text: "from the network", NoText: "from the worker"},
		// 33: blocked by CSP, or as mixed content: stored as errors.
		{Number: 33, Name: "csp-blocks", State: Complete, Anomaly: "request.failed", Text: "policy", Unasked: codes("/33/forbidden.js")},
		{Number: 33, Name: "mixed-content", Place: Secure, State: Complete, Anomaly: "request.failed", Text: "mixed"},
	}
}

// routeNetwork hangs their answers into mux.
func routeNetwork(mux *http.ServeMux, s *Server) {
	mux.HandleFunc("GET /19/endless-page", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", html)
		write(w, "<!doctype html><title>endless</title>")
		pieces(w, r, gush, []byte(strings.Repeat("<p>and another line</p>\n", 1000)))
	})
	mux.HandleFunc("GET /19/endless.js", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		pieces(w, r, gush, []byte(strings.Repeat("// and another line\n", 1000)))
	})
	mux.HandleFunc("GET /20/drip-page", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", html)
		pieces(w, r, drip, []byte("x"))
	})
	mux.HandleFunc("GET /20/drip.png", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(drawing(1)[:60])
		pieces(w, r, drip, []byte{0})
	})
	mux.HandleFunc("GET /21/gigabyte-page", gigabytePage)
	mux.HandleFunc("GET /21/gigabyte.png", gigabytePicture)
	mux.HandleFunc("GET /22/huge-header", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Huge", strings.Repeat("h", 256<<10))
		write(w, "<!doctype html><title>huge</title><p>one field of 256 KB")
	})
	mux.HandleFunc("GET /22/many-headers", func(w http.ResponseWriter, _ *http.Request) {
		for i := range 1000 {
			w.Header().Set(fmt.Sprintf("X-Field-%d", i), strconv.Itoa(i))
		}
		write(w, "<!doctype html><title>many</title><p>a thousand fields")
	})
	mux.HandleFunc("GET /30/socket-endless/socket", s.socket)
	mux.HandleFunc("GET /30/events-endless/events", events)
	mux.HandleFunc("GET /31/long-poll/next", func(w http.ResponseWriter, r *http.Request) {
		pause(r.Context(), 900*time.Millisecond)
		w.Header().Set("Content-Type", "application/json")
		write(w, "[]")
	})
	mux.HandleFunc("GET /32/worker.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		write(w, `addEventListener('install', () => skipWaiting());
addEventListener('activate', e => e.waitUntil(clients.claim()));
addEventListener('fetch', e => e.respondWith(new Response('<!doctype html><p>from the worker', {headers: {'Content-Type': 'text/html'}})));
`)
	})
	mux.HandleFunc("GET /32/check", page("<!doctype html><p>from the network"))
	mux.HandleFunc("GET /33/csp-blocks", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		r.SetPathValue("name", "csp-blocks")
		s.page(w, r)
	})
}

// pause waits for d or the end of ctx, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// pieces sends the piece again and again until the client or the server goes.
func pieces(w http.ResponseWriter, r *http.Request, every time.Duration, piece []byte) {
	out := http.NewResponseController(w)
	for {
		if _, err := w.Write(piece); err != nil || out.Flush() != nil || !pause(r.Context(), every) {
			return
		}
	}
}

// filler is a reader of blanks without end.
type filler struct{}

func (filler) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// gigabytePage announces and sends a page of 1 GB, blank but for its start.
func gigabytePage(w http.ResponseWriter, _ *http.Request) {
	head := "<!doctype html><title>gigabyte</title><p>one gigabyte of blanks</p>"
	w.Header().Set("Content-Type", html)
	w.Header().Set("Content-Length", strconv.Itoa(gigabyte))
	write(w, head)
	_, _ = io.CopyN(w, filler{}, gigabyte-int64(len(head)))
}

// gigabytePicture sends a PNG whose one text chunk would be 1 GB long.
func gigabytePicture(w http.ResponseWriter, _ *http.Request) {
	head := bytes.Clone(drawing(1)[:33]) // signature and IHDR
	head = binary.BigEndian.AppendUint32(head, gigabyte)
	head = append(head, "tEXt"...)
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Content-Length", strconv.Itoa(len(head)+gigabyte))
	_, _ = w.Write(head)
	_, _ = io.CopyN(w, filler{}, gigabyte)
}

// events is a stream of server-sent events without end.
func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	pieces(w, r, push, []byte("event: price\ndata: 39.90\n\n"))
}
