package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"guzheng/capture"
)

// A guard is the only way out of the browser: a SOCKS5 proxy (RFC 1928,
// command CONNECT) on loopback. It resolves each name once, checks every
// address, dials the very address it checked and notes what it did. Bytes
// pass through it untouched, for http as for https, so that what the browser
// records is what the server sent.
type guard struct {
	ln           net.Listener
	now          func() time.Time
	allowPrivate bool
	allowed      map[string]bool // host:port that may be private: the practice shop
	asked        func(host string) bool
	dialTimeout  time.Duration
	ctx          context.Context // ends with the capture; closes every tunnel
	cancel       context.CancelFunc
	wg           sync.WaitGroup

	mu      sync.Mutex
	names   map[string]*resolution
	answers []capture.DNSAnswer
	dialled map[string]netip.AddrPort // host:port → address of the first connection
	refused []capture.Refusal
	own     map[string]int // the browser's own hosts that were refused, with counts
	onEvent func(refusal capture.Refusal)
}

// startGuard listens on a free loopback port. asked tells whether the page
// itself requested anything from a host.
func startGuard(order capture.Order, allow []string, now func() time.Time, asked func(string) bool) (*guard, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the guard proxy: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &guard{ln: ln, now: now, allowPrivate: order.AllowPrivate, allowed: map[string]bool{}, asked: asked,
		dialTimeout: capture.MS(order.Limits.NavigateMS), ctx: ctx, cancel: cancel,
		names: map[string]*resolution{}, dialled: map[string]netip.AddrPort{}, own: map[string]int{}}
	for _, a := range allow {
		g.allowed[a] = true
	}
	g.wg.Add(1)
	go g.accept()
	return g, nil
}

// Addr is where the browser finds the guard.
func (g *guard) Addr() string { return g.ln.Addr().String() }

// Close ends every tunnel and waits for the goroutines.
func (g *guard) Close() {
	g.cancel()
	g.ln.Close()
	g.wg.Wait()
}

func (g *guard) accept() {
	defer g.wg.Done()
	for {
		c, err := g.ln.Accept()
		if err != nil {
			return // closed
		}
		g.wg.Add(1)
		go func() {
			defer g.wg.Done()
			defer c.Close()
			stop := context.AfterFunc(g.ctx, func() { c.Close() })
			defer stop()
			g.serve(c)
		}()
	}
}

// serve answers one connection of the browser.
func (g *guard) serve(c net.Conn) {
	_ = c.SetDeadline(g.now().Add(10 * time.Second))
	host, port, err := socksRequest(c)
	if err != nil {
		return
	}
	_ = c.SetDeadline(time.Time{})
	up, code := g.connect(host, port)
	reply := []byte{5, byte(code), 0, 1, 0, 0, 0, 0, 0, 0}
	if _, err := c.Write(reply); err != nil || up == nil {
		if up != nil {
			up.Close()
		}
		return
	}
	defer up.Close()
	stop := context.AfterFunc(g.ctx, func() { up.Close() })
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(up, c)
		closeWrite(up)
	}()
	_, _ = io.Copy(c, up)
	closeWrite(c)
	<-done
}

func closeWrite(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
}

// connect resolves, judges and dials. It returns a nil connection and a
// reply code when the browser must not get through.
func (g *guard) connect(host string, port uint16) (net.Conn, int) {
	if ownHost(host) && !g.wasAsked(host) {
		g.mu.Lock()
		g.own[host]++
		g.mu.Unlock()
		return nil, socksNotAllowed
	}
	addrs, err := g.resolve(host)
	if err != nil {
		return nil, socksUnreachable
	}
	key := net.JoinHostPort(host, strconv.Itoa(int(port)))
	private := g.allowPrivate || g.allowed[key]
	if a, ok := g.dialledFor(host, strconv.Itoa(int(port))); ok {
		// One host and port, one address, for the whole capture: every
		// record of it can then name the address it came from.
		addrs = []netip.Addr{a.Addr()}
	}
	var last error
	for _, a := range addrs {
		if err := judge(a, port, private); err != nil {
			last = err
			continue
		}
		conn, err := g.dial(netip.AddrPortFrom(a, port), private)
		if err != nil {
			last = err
			continue
		}
		g.mu.Lock()
		if _, ok := g.dialled[key]; !ok {
			g.dialled[key] = netip.AddrPortFrom(a, port)
		}
		g.noteDialled(host, a)
		g.mu.Unlock()
		return conn, socksOK
	}
	if errors.Is(last, errPrivate) {
		g.refuse(key, last)
		return nil, socksNotAllowed
	}
	g.mu.Lock()
	for i := range g.answers {
		if g.answers[i].Host == host && g.answers[i].Dialled == "" && last != nil {
			g.answers[i].Error = last.Error()
		}
	}
	g.mu.Unlock()
	return nil, socksFailure
}

// wasAsked gives the recorder a moment to see the request that the browser
// connects for: the two arrive on different ways.
func (g *guard) wasAsked(host string) bool {
	ctx, cancel := context.WithTimeout(g.ctx, time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if g.asked(host) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// resolve asks once per name and answers from that ever after, so that a
// name keeps its address for the whole capture whatever its server says
// later.
func (g *guard) resolve(host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	g.mu.Lock()
	r := g.names[host]
	if r == nil {
		r = &resolution{}
		g.names[host] = r
	}
	g.mu.Unlock()
	r.once.Do(func() {
		ctx, cancel := context.WithTimeout(g.ctx, g.dialTimeout)
		defer cancel()
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		ans := capture.DNSAnswer{Host: host, At: g.now().UTC()}
		for _, a := range addrs {
			ans.Addresses = append(ans.Addresses, a.Unmap().String())
		}
		if err != nil {
			ans.Error = err.Error()
		}
		r.addrs, r.err = parseAddrs(ans.Addresses), err
		g.mu.Lock()
		g.answers = append(g.answers, ans)
		g.mu.Unlock()
	})
	return r.addrs, r.err
}

// A resolution is the one answer for a name.
type resolution struct {
	once  sync.Once
	addrs []netip.Addr
	err   error
}

func parseAddrs(in []string) []netip.Addr {
	var v4, v6 []netip.Addr
	for _, s := range in {
		a, err := netip.ParseAddr(s)
		switch {
		case err != nil:
		case a.Is4():
			v4 = append(v4, a)
		default:
			v6 = append(v6, a)
		}
	}
	return append(v4, v6...)
}

func (g *guard) dial(to netip.AddrPort, private bool) (net.Conn, error) {
	d := net.Dialer{Timeout: g.dialTimeout}
	if !private {
		// The second look, at the address the kernel is about to connect to.
		d.Control = publicOnly
	}
	return d.DialContext(g.ctx, "tcp", to.String())
}

func (g *guard) noteDialled(host string, a netip.Addr) {
	for i := range g.answers {
		if g.answers[i].Host == host && g.answers[i].Dialled == "" {
			g.answers[i].Dialled = a.String()
			g.answers[i].Error = ""
		}
	}
}

func (g *guard) refuse(host string, reason error) {
	r := capture.Refusal{Host: host, Reason: reason.Error(), At: g.now().UTC()}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, old := range g.refused {
		if old.Host == host {
			return
		}
	}
	g.refused = append(g.refused, r)
	if g.onEvent != nil {
		g.onEvent(r)
	}
}

// report returns what the guard saw, without the browser's own hosts.
func (g *guard) report() (answers []capture.DNSAnswer, refused []capture.Refusal, own map[string]int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append(answers, g.answers...), append(refused, g.refused...), g.own
}

// dialledFor returns the address that was dialled for host and port.
func (g *guard) dialledFor(host, port string) (netip.AddrPort, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a, ok := g.dialled[net.JoinHostPort(hostKey(host), port)]
	return a, ok
}

// trouble returns why a host could not be resolved or dialled, if so. The
// browser is only told that it did not get through.
func (g *guard) trouble(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range g.answers {
		if a.Host == hostKey(host) {
			return a.Error
		}
	}
	return ""
}

// refusedHost reports whether connections to host:port were refused.
func (g *guard) refusedHost(hostport string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.refused {
		if r.Host == hostport {
			return true
		}
	}
	return false
}
