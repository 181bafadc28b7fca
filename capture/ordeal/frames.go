package ordeal

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A session is one connection of HTTP/2 (RFC 9113) that is answered frame by
// frame.
type session struct {
	s      *Server
	f      *http2.Framer
	fields bytes.Buffer
	enc    *hpack.Encoder
}

// frames serves connections with HTTP/2 over TLS.
func (s *Server) frames(config *tls.Config) func(net.Conn) {
	return func(raw net.Conn) {
		c := tls.Server(raw, config)
		if err := c.HandshakeContext(s.ctx); err != nil {
			return
		}
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(c, preface); err != nil || string(preface) != http2.ClientPreface {
			return
		}
		s.session(c).serve()
	}
}

func (s *Server) session(c net.Conn) *session {
	x := &session{s: s, f: http2.NewFramer(c, c)}
	x.f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	x.enc = hpack.NewEncoder(&x.fields)
	return x
}

// serve answers until the connection or an answer ends it.
func (x *session) serve() {
	if x.f.WriteSettings() != nil {
		return
	}
	for {
		frame, err := x.f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = x.f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				err = x.f.WritePing(true, frame.Data)
			}
		case *http2.MetaHeadersFrame:
			err = x.answer(frame.StreamID, frame.PseudoValue("path"))
		}
		if err != nil {
			return
		}
	}
}

// answer misbehaves as the path says. It returns io.EOF when the connection
// is to end.
func (x *session) answer(stream uint32, path string) error {
	path, _, _ = strings.Cut(path, "?")
	x.s.count(path)
	first := x.s.turn(path)%2 == 0
	switch {
	case path == "/27/goaway-once" && first, path == "/27/goaway-always":
		// Last stream 0: no request was looked at, all may be sent again.
		_ = x.f.WriteGoAway(0, http2.ErrCodeNo, nil)
		return io.EOF
	case path == "/27/goaway-once":
		return x.page(stream, "<!doctype html><title>again</title><p>after going away")
	case path == "/27/refused-once" && first:
		return x.f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
	case path == "/27/refused-once":
		return x.page(stream, "<!doctype html><title>again</title><p>after being refused")
	case path == "/27/reset-storm":
		return x.page(stream, storm())
	case strings.HasPrefix(path, "/27/refused/"):
		return x.f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
	case strings.HasPrefix(path, "/27/broken/"):
		return x.broken(stream, "image/png", drawing(1)[:60])
	case path == "/27/reset-stream":
		return x.broken(stream, html, []byte(halfPage))
	}
	return x.headers(stream, true, "404", "text/plain")
}

// storm is a page of 40 pictures, none of which arrives.
func storm() string {
	var b strings.Builder
	b.WriteString("<!doctype html><title>storm</title><p>storm")
	for i := range 20 {
		fmt.Fprintf(&b, `<img src="/27/refused/%d.png" alt="" width=9 height=9><img src="/27/broken/%d.png" alt="" width=9 height=9>`, i, i)
	}
	return b.String()
}

func (x *session) headers(stream uint32, end bool, status, mediaType string) error {
	x.fields.Reset()
	for _, f := range []hpack.HeaderField{{Name: ":status", Value: status}, {Name: "content-type", Value: mediaType}} {
		if err := x.enc.WriteField(f); err != nil {
			return fmt.Errorf("encoding a header: %w", err)
		}
	}
	return x.f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: x.fields.Bytes(), EndHeaders: true, EndStream: end})
}

func (x *session) page(stream uint32, text string) error {
	if err := x.headers(stream, false, "200", html); err != nil {
		return err
	}
	return x.f.WriteData(stream, true, []byte(text))
}

// broken begins an answer and resets its stream.
func (x *session) broken(stream uint32, mediaType string, half []byte) error {
	if err := x.headers(stream, false, "200", mediaType); err != nil {
		return err
	}
	if err := x.f.WriteData(stream, false, half); err != nil {
		return err
	}
	return x.f.WriteRSTStream(stream, http2.ErrCodeInternal)
}
