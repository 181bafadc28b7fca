package ordeal

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// socket opens a WebSocket (RFC 6455) and pushes text messages until the
// client or the server goes. What the client sends is not read.
func (s *Server) socket(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Sec-WebSocket-Key")
	if key == "" || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		http.Error(w, "not a WebSocket", http.StatusBadRequest)
		return
	}
	c, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "not over HTTP/1.1", http.StatusBadRequest)
		return
	}
	defer c.Close()
	stop := context.AfterFunc(s.ctx, func() { c.Close() })
	defer stop()
	gone, cancel := context.WithCancel(s.ctx)
	defer cancel()
	if s.run(func() { drain(c, cancel) }) != nil {
		return
	}
	_, _ = fmt.Fprintf(buf, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accepted(key))
	for n := 0; buf.Flush() == nil && pause(gone, push); n++ {
		message(buf, fmt.Sprintf(`{"n":%d,"price":"39.90"}`, n))
	}
}

// drain reads until the client goes and then calls gone.
func drain(c net.Conn, gone func()) {
	defer gone()
	_, _ = io.Copy(io.Discard, c)
}

// accepted answers the key of a handshake (RFC 6455 section 4.2.2).
func accepted(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// message writes a text message of fewer than 126 bytes in one unmasked
// frame (RFC 6455 section 5.2).
func message(buf *bufio.ReadWriter, text string) {
	_, _ = buf.Write([]byte{0x81, byte(len(text))})
	_, _ = buf.WriteString(text)
}
