package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"guzheng/capture"
	"guzheng/capture/dns"
	"guzheng/capture/wire"
)

// A guard is the only way out of the browser: a SOCKS5 proxy (RFC 1928,
// command CONNECT) on loopback. It resolves each name once, checks every
// address, dials the very address it checked and notes what it did. Bytes
// pass through it untouched, for http as for https, so that what the browser
// records is what the server sent; where a client certificate was ordered, it
// ends the TLS of one host, and what was inside passes untouched.
type guard struct {
	// onEvent hears of each refusal, wire keeps the bytes that pass, and
	// onBytes hears how many they are, at most once in reportEvery. All
	// may be nil and are set before the browser knows the address. onBytes
	// is called from a tunnel: it may call Stop and not Close.
	onEvent func(refusal capture.Refusal)
	onBytes func(total int64)
	wire    *wire.Recorder

	ln           net.Listener
	now          func() time.Time
	allowPrivate bool
	allowed      map[string]bool // host:port that may be private: the practice shop
	asked        func(host string) bool
	dialTimeout  time.Duration
	proxy        string  // host:port of the proxy behind this one, if any
	mutual       *mutual // ends TLS for one host; nil for none
	lookup       func(ctx context.Context, host string) dns.Answer
	ctx          context.Context // ends with the capture; closes every tunnel
	cancel       context.CancelFunc
	wg           sync.WaitGroup
	total        atomic.Int64 // payload bytes of all tunnels, both ways

	mu      sync.Mutex
	names   map[string]*resolution
	answers []capture.DNSAnswer
	records []dnsRecord
	dialled map[string]netip.AddrPort // host:port → address of the first connection
	refused []capture.Refusal
	own     map[string]int    // the browser's own hosts that were refused, with counts
	failed  map[string]string // host → why the proxy did not reach it
	tunnels []*tunnel
}

// startGuard listens on a free loopback port. asked tells whether the page
// itself requested anything from a host.
func startGuard(order capture.Order, allow []string, now func() time.Time, asked func(string) bool) (*guard, error) {
	m, err := newMutual(order, now)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the guard proxy: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &guard{ln: ln, now: now, allowPrivate: order.AllowPrivate, allowed: map[string]bool{}, asked: asked, mutual: m,
		dialTimeout: capture.MS(order.Limits.NavigateMS), ctx: ctx, cancel: cancel,
		proxy: strings.TrimPrefix(order.Proxy, "http://"), lookup: dns.Resolver{Now: now}.Lookup,
		names: map[string]*resolution{}, dialled: map[string]netip.AddrPort{}, own: map[string]int{}, failed: map[string]string{}}
	for _, a := range allow {
		g.allowed[a] = true
	}
	g.wg.Add(1)
	go g.accept()
	return g, nil
}

// Addr is where the browser finds the guard.
func (g *guard) Addr() string { return g.ln.Addr().String() }

// Stop ends every tunnel and lets no new one begin, without waiting.
func (g *guard) Stop() {
	g.cancel()
	g.ln.Close()
}

// Close ends every tunnel and waits for the goroutines.
func (g *guard) Close() {
	g.Stop()
	g.wg.Wait()
}

// via returns the host:port of the proxy that every connection goes through,
// or nothing. What address a connection reached is then not known, and
// dialledFor tells none.
func (g *guard) via() string { return g.proxy }

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
			stop := context.AfterFunc(g.ctx, func() { reset(c) })
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
	t, code := g.connect(host, port)
	if t != nil {
		defer t.server.Close()
		stop := context.AfterFunc(g.ctx, func() { t.server.Close() })
		defer stop()
	}
	reply := []byte{5, byte(code), 0, 1, 0, 0, 0, 0, 0, 0}
	if _, err := c.Write(reply); err == nil && t != nil {
		t.carry(c)
	}
	if t != nil {
		t.end()
	}
}

// connect resolves, judges and dials. It returns no tunnel and a reply code
// when the browser must not get through.
func (g *guard) connect(host string, port uint16) (*tunnel, int) {
	if ownHost(host) && !g.wasAsked(host) {
		g.mu.Lock()
		g.own[host]++
		g.mu.Unlock()
		return nil, socksNotAllowed
	}
	if g.proxy != "" {
		return g.connectThrough(host, port)
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
		return g.open(host, port, conn), socksOK
	}
	if errors.Is(last, errPrivate) {
		g.refuse(key, last)
		return nil, socksNotAllowed
	}
	g.noteUnreached(host, last)
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

func (g *guard) noteUnreached(host string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.answers {
		if g.answers[i].Host == host && g.answers[i].Dialled == "" && err != nil {
			g.answers[i].Error = err.Error()
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
	host := hostKey(withoutPort(hostport))
	if why := g.mutual.trouble(hostport); why != "" {
		return why
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.proxy != "" {
		return g.failed[host]
	}
	for _, a := range g.answers {
		if a.Host == host {
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
