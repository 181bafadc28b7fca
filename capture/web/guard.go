package web

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"code.dny.dev/ssrf"

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

// Replies of RFC 1928 section 6 that the guard gives.
const (
	socksOK          = 0x00
	socksFailure     = 0x01
	socksNotAllowed  = 0x02
	socksUnreachable = 0x04
	socksBadCommand  = 0x07
)

// ErrRefused is wrapped when policy forbids to visit an address.
var ErrRefused = errors.New("address refused by policy")

// Permitted reports whether an order's address may be visited at all: with
// ErrRefused when every address of its host is private, link-local or
// reserved and the order does not allow that. A name that does not resolve
// is permitted; the visit will say that it does not.
func Permitted(ctx context.Context, order capture.Order, allow []string) error {
	u, err := url.Parse(order.URL)
	if err != nil {
		return fmt.Errorf("address %q: %w", order.URL, capture.ErrOrder)
	}
	host, port := strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), portOf(u)
	private := order.AllowPrivate || slices.Contains(allow, net.JoinHostPort(host, port))
	var addrs []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{a}
	} else if addrs, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host); err != nil {
		return nil
	}
	n, _ := strconv.ParseUint(port, 10, 16)
	var last error
	for _, a := range addrs {
		if last = judge(a.Unmap(), uint16(n), private); last == nil {
			return nil
		}
	}
	if last != nil {
		return fmt.Errorf("visiting %s: %w: %w", host, ErrRefused, last)
	}
	return nil
}

var errPrivate = errors.New("address is private, link-local or reserved")

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

// socksRequest reads the greeting and the request of RFC 1928 sections 3
// and 4 and answers the greeting.
func socksRequest(c io.ReadWriter) (host string, port uint16, err error) {
	var head [2]byte
	if _, err = io.ReadFull(c, head[:]); err != nil {
		return "", 0, err
	}
	if head[0] != 5 {
		return "", 0, fmt.Errorf("socks version %d", head[0])
	}
	if _, err = io.ReadFull(c, make([]byte, head[1])); err != nil {
		return "", 0, err
	}
	if _, err = c.Write([]byte{5, 0}); err != nil {
		return "", 0, err
	}
	var req [4]byte
	if _, err = io.ReadFull(c, req[:]); err != nil {
		return "", 0, err
	}
	if req[1] != 1 {
		_, _ = c.Write([]byte{5, socksBadCommand, 0, 1, 0, 0, 0, 0, 0, 0})
		return "", 0, fmt.Errorf("socks command %d", req[1])
	}
	size := map[byte]int{1: 4, 4: 16}[req[3]]
	if req[3] == 3 {
		var n [1]byte
		if _, err = io.ReadFull(c, n[:]); err != nil {
			return "", 0, err
		}
		size = int(n[0])
	}
	if size == 0 {
		return "", 0, fmt.Errorf("socks address type %d", req[3])
	}
	buf := make([]byte, size+2)
	if _, err = io.ReadFull(c, buf); err != nil {
		return "", 0, err
	}
	host = string(buf[:size])
	if req[3] != 3 {
		a, _ := netip.AddrFromSlice(buf[:size])
		host = a.String()
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), ".")), binary.BigEndian.Uint16(buf[size:]), nil
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

// judge says whether an address may be dialled. Link-local addresses, among
// them the metadata services of clouds, are refused in every case: no shop
// is served from there.
func judge(a netip.Addr, port uint16, private bool) error {
	a = a.Unmap()
	if private && !a.IsLinkLocalUnicast() && !a.IsMulticast() && !a.IsUnspecified() {
		return nil
	}
	network := "tcp4"
	if a.Is6() {
		network = "tcp6"
	}
	if err := publicOnly(network, netip.AddrPortFrom(a, port).String(), nil); err != nil {
		return fmt.Errorf("%s: %w", a, errPrivate)
	}
	return nil
}

// publicOnly refuses every special-purpose address of the IANA registries.
func publicOnly(network, address string, c syscall.RawConn) error {
	return ssrf.New(ssrf.WithAnyPort()).Safe(network, address, c)
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
	a, ok := g.dialled[net.JoinHostPort(strings.ToLower(strings.Trim(host, "[]")), port)]
	return a, ok
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

// ownHost reports whether Chromium calls this host of its own accord. Such
// a call is no part of the visit unless the page asks for it.
func ownHost(host string) bool {
	for _, h := range []string{"update.googleapis.com", "accounts.google.com", "clients1.google.com",
		"clients2.google.com", "clients4.google.com", "clientservices.googleapis.com",
		"optimizationguide-pa.googleapis.com", "content-autofill.googleapis.com",
		"safebrowsing.googleapis.com", "safebrowsingohttpgateway.googleapis.com", "redirector.gvt1.com",
		"edgedl.me.gvt1.com", "android.clients.google.com", "mtalk.google.com", "www.google.com", "dl.google.com"} {
		if host == h {
			return true
		}
	}
	return false
}
