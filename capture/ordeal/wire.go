package ordeal

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// flush is how long a wire answer waits before it resets the connection, so
// that what was written before has been read.
const flush = 200 * time.Millisecond

// wire reads one request of c and misbehaves as its path says. The connection
// ends with the answer.
func (s *Server) wire(c net.Conn) {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	s.count(r.URL.Path)
	answer, ok := map[string]func(net.Conn){
		"/20/drip-header":    s.dripHeader,
		"/23/length-short":   lengthShort,
		"/23/length-long":    lengthLong,
		"/23/length-twice":   lengthTwice,
		"/24/reset-at-once":  reset,
		"/24/reset-page":     s.resetPage,
		"/24/reset-unframed": s.resetUnframed,
		"/24/reset.png":      s.resetPicture,
		"/24/chunk-broken":   chunkBroken,
	}[r.URL.Path]
	if !ok {
		say(c, "HTTP/1.1 404 Not Found", "Content-Length: 0")
		return
	}
	answer(c)
}

// say writes a status line, header fields and the empty line.
func say(c net.Conn, status string, fields ...string) {
	_, _ = io.WriteString(c, status+"\r\n"+strings.Join(append(fields, "Connection: close", "", ""), "\r\n"))
}

const (
	fine     = "HTTP/1.1 200 OK"
	asHTML   = "Content-Type: text/html; charset=utf-8"
	halfPage = "<!doctype html><title>half</title><p>the first half</p>"
)

// dripHeader never comes to the end of its header.
func (s *Server) dripHeader(c net.Conn) {
	_, _ = io.WriteString(c, fine+"\r\nX-Slow: ")
	for pause(s.ctx, drip) {
		if _, err := io.WriteString(c, "s"); err != nil {
			return
		}
	}
}

// lengthShort sends more than it announced.
func lengthShort(c net.Conn) {
	body := "<!doctype html><title>short</title><p>as long as announced"
	say(c, fine, asHTML, fmt.Sprintf("Content-Length: %d", len(body)))
	_, _ = io.WriteString(c, body+"<p>smuggled")
}

// lengthLong sends less than it announced.
func lengthLong(c net.Conn) {
	say(c, fine, asHTML, "Content-Length: 100000")
	_, _ = io.WriteString(c, halfPage)
}

// lengthTwice announces two lengths.
func lengthTwice(c net.Conn) {
	say(c, fine, asHTML, fmt.Sprintf("Content-Length: %d", len(halfPage)), "Content-Length: 5")
	_, _ = io.WriteString(c, halfPage)
}

// chunkBroken sends a chunk whose size is no number (RFC 9112 section 7.1).
func chunkBroken(c net.Conn) {
	say(c, fine, asHTML, "Transfer-Encoding: chunked")
	_, _ = fmt.Fprintf(c, "%x\r\n%s\r\nmany\r\n", len(halfPage), halfPage)
}

// reset ends the connection by RST in place of FIN (RFC 9293 section 3.5.2).
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	c.Close()
}

func (s *Server) resetPage(c net.Conn) {
	say(c, fine, asHTML, "Content-Length: 100000")
	s.halfway(c, []byte(halfPage))
}

// resetUnframed sends a page that ends with the connection.
func (s *Server) resetUnframed(c net.Conn) {
	say(c, fine, asHTML)
	s.halfway(c, []byte(halfPage))
}

func (s *Server) resetPicture(c net.Conn) {
	b := drawing(1)
	say(c, fine, "Content-Type: image/png", fmt.Sprintf("Content-Length: %d", len(b)))
	s.halfway(c, b[:len(b)/2])
}

// halfway writes b, lets it arrive and resets the connection.
func (s *Server) halfway(c net.Conn, b []byte) {
	if _, err := c.Write(b); err == nil {
		pause(s.ctx, flush)
	}
	reset(c)
}
