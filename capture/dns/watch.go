package dns

import (
	"context"
	"encoding/binary"
	"net"
	"slices"
	"sync"
	"time"
)

// A watch notes what passes over the connections of one lookup. The resolver
// uses a connection for one query.
type watch struct {
	now  func() time.Time
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu   sync.Mutex
	list []*Exchange
}

// exchanges returns what was noted so far. A lookup that was ended early may
// leave goroutines behind that note more.
func (w *watch) exchanges() []Exchange {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]Exchange, 0, len(w.list))
	for _, x := range w.list {
		c := *x
		c.Query, c.Reply = slices.Clone(x.Query), slices.Clone(x.Reply)
		out = append(out, c)
	}
	return out
}

func (w *watch) open(ctx context.Context, network, address string) (net.Conn, error) {
	x := &Exchange{Server: address, Network: network[:3], At: w.now()}
	w.mu.Lock()
	w.list = append(w.list, x)
	w.mu.Unlock()
	c, err := w.dial(ctx, network, address)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		x.Err, x.Took = err, w.now().Sub(x.At)
		return nil, err
	}
	x.Server = c.RemoteAddr().String()
	if u, ok := c.(*net.UDPConn); ok {
		// net tells datagrams from a stream by the methods of the connection.
		return &datagrams{UDPConn: u, w: w, x: x}, nil
	}
	return &stream{Conn: c, w: w, x: x}, nil
}

// sent notes a query; the clock of the exchange begins with it.
func (w *watch) sent(x *Exchange, message []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x.Query, x.At = slices.Clone(message), w.now()
	x.asked, _ = Read(message)
}

// got notes a message, or why none came.
func (w *watch) got(x *Exchange, message []byte, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x.Reply != nil {
		return
	}
	x.Took = w.now().Sub(x.At)
	if err != nil {
		x.Err = err
		return
	}
	said, err := Read(message)
	if !said.answers(x.asked) {
		x.Strays++
		return
	}
	x.Reply, x.said, x.Err = slices.Clone(message), said, err
}

// datagrams is a watched UDP connection.
type datagrams struct {
	*net.UDPConn
	w *watch
	x *Exchange
}

func (c *datagrams) Write(p []byte) (int, error) {
	c.w.sent(c.x, p)
	return c.UDPConn.Write(p)
}

func (c *datagrams) Read(p []byte) (int, error) {
	n, err := c.UDPConn.Read(p)
	c.w.got(c.x, p[:n], err)
	return n, err
}

// stream is a watched TCP connection; a length of two bytes stands before
// each message (RFC 1035 section 4.2.2).
type stream struct {
	net.Conn
	w   *watch
	x   *Exchange
	buf []byte
}

func (c *stream) Write(p []byte) (int, error) {
	if len(p) > 2 {
		c.w.sent(c.x, p[2:])
	}
	return c.Conn.Write(p)
}

func (c *stream) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.buf = append(c.buf, p[:n]...)
	if len(c.buf) >= 2 {
		if size := 2 + int(binary.BigEndian.Uint16(c.buf)); len(c.buf) >= size {
			c.w.got(c.x, c.buf[2:size], nil)
			c.buf = c.buf[size:]
		}
	}
	if err != nil {
		c.w.got(c.x, nil, err)
	}
	return n, err
}
