package web

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// carry passes bytes both ways, and ends TLS where the order wants that. What
// is no TLS on such a host's port passes untouched, and is offered nothing.
func (t *tunnel) carry(browser net.Conn) {
	m := t.g.mutual
	if m == nil || !m.ends(net.JoinHostPort(t.fact.Host, strconv.Itoa(int(t.fact.Port)))) || !startsTLS(browser) {
		t.relay(browser)
		return
	}
	e := &ended{t: t, m: m, browser: &tap{Conn: browser}, server: &tap{Conn: t.server, t: t}}
	if e.shakeBoth() {
		e.relay()
	}
}

// startsTLS looks at the first byte that the browser sends, and leaves it: a
// TLS record of the handshake (RFC 8446 section 5.1).
func startsTLS(browser net.Conn) bool {
	const handshake = 22
	tcp, ok := browser.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	var b [1]byte
	err = raw.Read(func(fd uintptr) bool {
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK)
		return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
	})
	return err == nil && b[0] == handshake
}

// An ended is a tunnel inside which TLS ends: two TLS connections with the
// guard between them.
type ended struct {
	t               *tunnel
	m               *mutual
	browser, server *tap // below TLS
	front, back     *tls.Conn
	seen            *handshake
}

// A tap is a connection below TLS, which sees that its other side ended; one
// that has a tunnel tells it what passes.
type tap struct {
	net.Conn
	t     *tunnel
	ended atomic.Bool
}

func (c *tap) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.t != nil {
		c.t.stream.Received(p[:n], c.t.g.now())
		c.t.down.Add(int64(n))
		c.t.g.count(n)
	}
	switch {
	case errors.Is(err, io.EOF):
		c.ended.Store(true)
		if c.t != nil {
			c.t.stream.ReceivedEnd(c.t.g.now())
		}
	case err != nil && c.t != nil && !errors.Is(err, net.ErrClosed):
		c.t.reset.Store(true)
		c.t.stream.ReceivedReset(c.t.g.now())
	}
	return n, err
}

func (c *tap) Write(p []byte) (int, error) {
	if c.t == nil {
		return c.Conn.Write(p)
	}
	// Told before it is sent, or the answer could be told first.
	c.t.stream.Sent(p, c.t.g.now())
	c.t.up.Add(int64(len(p)))
	c.t.g.count(len(p))
	n, err := c.Conn.Write(p)
	if err != nil {
		c.t.broken.Store(true)
	}
	return n, err
}

// shakeBoth answers the browser's handshake when that with the server is
// done: the browser is offered the protocol that the server chose. It reports
// whether there is something to pass on.
func (e *ended) shakeBoth() bool {
	var refused error
	e.front = tls.Server(e.browser, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		var err error
		// Offered to the server as the browser offers them: a WebSocket asks
		// for http/1.1 alone.
		e.back, e.seen, err = e.m.shake(e.t.g.ctx, e.server, hello.SupportedProtos)
		answer := &tls.Config{SessionTicketsDisabled: true, Certificates: []tls.Certificate{e.m.shown}, Time: e.t.g.now}
		switch {
		case errors.As(err, new(*untrusted)):
			// The browser is to end with an error of certificates, as it does
			// when it judges by itself.
			refused, answer.Certificates = err, []tls.Certificate{e.m.stranger}
		case err != nil:
			return nil, err
		case e.back.ConnectionState().NegotiatedProtocol != "":
			answer.NextProtos = []string{e.back.ConnectionState().NegotiatedProtocol}
		}
		return answer, nil
	}})
	ctx, cancel := context.WithTimeout(e.t.g.ctx, 2*e.m.timeout)
	defer cancel()
	err := e.front.HandshakeContext(ctx)
	return err == nil && refused == nil
}

// relay passes on what is inside, as tunnel.relay does without TLS.
func (e *ended) relay() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.sendAll()
	}()
	e.receiveAll()
	<-done
}

// sendAll passes on what the browser sends.
func (e *ended) sendAll() {
	buf := make([]byte, 32<<10)
	for {
		n, err := e.front.Read(buf)
		if n > 0 {
			if _, err := e.back.Write(buf[:n]); err != nil {
				return // what the server said before is still to be read
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if !e.browser.ended.Load() {
				_ = e.back.CloseWrite() // the browser said so inside TLS
			}
			e.t.stream.SentEnd(e.t.g.now())
			closeWrite(e.t.server)
			return
		case err != nil:
			reset(e.t.server)
			return
		}
	}
}

// receiveAll passes on what the server sends. An end inside TLS, an end of the
// connection and a break are passed on each as what it is.
func (e *ended) receiveAll() {
	buf := make([]byte, 32<<10)
	browser := e.browser.Conn
	for {
		n, err := e.back.Read(buf)
		if n > 0 {
			if _, err := e.front.Write(buf[:n]); err != nil {
				reset(e.t.server)
				reset(browser)
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF) && !e.t.broken.Load():
			if !e.server.ended.Load() {
				_ = e.front.CloseWrite()
			}
			closeWrite(browser)
			_, _ = io.Copy(io.Discard, e.server) // to its end, which is recorded
			return
		case err != nil:
			if !errors.Is(err, net.ErrClosed) {
				if !errors.Is(err, io.EOF) {
					e.m.failed(e.seen, err)
				}
				e.t.reset.Store(true)
				drain(browser)
			}
			reset(browser)
			reset(e.t.server)
			return
		}
	}
}
