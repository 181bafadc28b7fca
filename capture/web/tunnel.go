package web

import (
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"guzheng/capture/wire"
)

// reportEvery is how many bytes pass between two calls of guard.onBytes.
const reportEvery = 256 << 10

// A tunnel is one connection to a server, or to the proxy that leads there.
type tunnel struct {
	g      *guard
	server net.Conn
	stream *wire.Stream // nil when the wire is not recorded
	fact   connFact     // Up, Down and End are kept apart until it is asked for
	up     atomic.Int64
	down   atomic.Int64
	broken atomic.Bool // a write to the server did not succeed
	reset  atomic.Bool // the server, or the network, broke the connection

	mu    sync.Mutex
	ended time.Time
}

// A connFact is what is known about one connection that was made. Bytes are
// those of TCP payload, TLS included; the exchange with an upstream proxy is
// not among them. End is zero while the connection is open.
type connFact struct {
	Host  string // as the browser asked for it
	Port  uint16
	Addr  string // remote address and port of the socket
	Via   string // the upstream proxy, whose address Addr then is
	Begin time.Time
	End   time.Time
	Up    int64
	Down  int64
	Reset bool // the server, or the network, broke it
}

// open enters a connection that was just made.
func (g *guard) open(host string, port uint16, conn net.Conn) *tunnel {
	t := &tunnel{g: g, server: conn, stream: g.wire.Conn(conn.LocalAddr(), conn.RemoteAddr()),
		fact: connFact{Host: host, Port: port, Addr: conn.RemoteAddr().String(), Via: g.proxy, Begin: g.now().UTC()}}
	g.mu.Lock()
	g.tunnels = append(g.tunnels, t)
	g.mu.Unlock()
	return t
}

// end notes that the connection is over.
func (t *tunnel) end() {
	now := t.g.now()
	t.stream.Close(now)
	t.mu.Lock()
	t.ended = now.UTC()
	t.mu.Unlock()
}

// relay passes bytes both ways until both sides have ended, or one of them
// broke. A break is passed on as a break: a body that ends with its
// connection must not look complete because the guard closed in good order.
func (t *tunnel) relay(browser net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.sendAll(browser)
	}()
	t.receiveAll(browser)
	<-done
}

// sendAll passes on what the browser sends.
func (t *tunnel) sendAll(browser net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := browser.Read(buf)
		if n > 0 {
			// Told before it is sent, or the answer could be told first.
			t.stream.Sent(buf[:n], t.g.now())
			t.up.Add(int64(n))
			t.g.count(n)
			if _, err := t.server.Write(buf[:n]); err != nil {
				// What the server said before is still to be read.
				t.broken.Store(true)
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			t.stream.SentEnd(t.g.now())
			closeWrite(t.server)
			return
		case err != nil:
			reset(t.server)
			return
		}
	}
}

// receiveAll passes on what the server sends.
func (t *tunnel) receiveAll(browser net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := t.server.Read(buf)
		if n > 0 {
			t.stream.Received(buf[:n], t.g.now())
			t.down.Add(int64(n))
			t.g.count(n)
			if _, err := browser.Write(buf[:n]); err != nil {
				reset(t.server)
				reset(browser)
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF) && !t.broken.Load():
			t.stream.ReceivedEnd(t.g.now())
			closeWrite(browser)
			return
		case err != nil:
			if !errors.Is(err, net.ErrClosed) {
				t.reset.Store(true)
				t.stream.ReceivedReset(t.g.now())
				drain(browser)
			}
			reset(browser)
			return
		}
	}
}

// drain waits until the browser's side has everything that was written to
// it: a reset throws away what is still on its way, and the server's did not.
// The end of the guard closes that side, and nothing is left to wait for.
func drain(browser net.Conn) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for unsent(browser) > 0 {
		<-tick.C
	}
}

// unsent returns how many bytes of a connection are not yet acknowledged; a
// connection that cannot tell has none.
func unsent(c net.Conn) int {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return 0
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	_ = raw.Control(func(fd uintptr) { // closed meanwhile: nothing is left to wait for
		if queued, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
			n = queued
		}
	})
	return n
}

// count tells of the bytes that passed, now and then.
func (g *guard) count(n int) {
	total := g.total.Add(int64(n))
	if g.onBytes != nil && total/reportEvery != (total-int64(n))/reportEvery {
		g.onBytes(total)
	}
}

// conns returns the connections in the order in which they were made.
func (g *guard) conns() []connFact {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]connFact, 0, len(g.tunnels))
	for _, t := range g.tunnels {
		f := t.fact
		f.Up, f.Down, f.Reset = t.up.Load(), t.down.Load(), t.reset.Load()
		t.mu.Lock()
		f.End = t.ended
		t.mu.Unlock()
		out = append(out, f)
	}
	return out
}

// wasReset reports whether a connection to a host and port was broken by the
// other side.
func (g *guard) wasReset(host, port string) bool {
	for _, c := range g.conns() {
		if c.Reset && c.Host == hostKey(host) && strconv.Itoa(int(c.Port)) == port {
			return true
		}
	}
	return false
}

func closeWrite(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
}

// reset breaks a connection off, so that the other side knows it was not
// ended in good order.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	c.Close()
}
