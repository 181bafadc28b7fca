package web

import (
	"bytes"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/proxy"

	"guzheng/capture"
	"guzheng/capture/dns"
	"guzheng/capture/dns/dnstest"
)

// guarding starts a guard that dials private addresses, unless the order is
// changed, and asks the given name server.
func guarding(t *testing.T, names *dnstest.Server, change func(*capture.Order)) *guard {
	t.Helper()
	o := order("http://shop.example/")
	o.AllowPrivate = true
	if change != nil {
		change(&o)
	}
	g, err := startGuard(o, nil, capture.Now, func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	if names != nil {
		g.lookup = dns.Resolver{Now: capture.Now, Dial: names.Dial}.Lookup
	}
	return g
}

// through connects by way of the guard, as the browser does.
func through(t *testing.T, g *guard, hostport string) (*net.TCPConn, error) {
	t.Helper()
	d, err := proxy.SOCKS5("tcp", g.Addr(), nil, proxy.Direct)
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Dial("tcp", hostport)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(capture.Now().Add(10 * time.Second))
	return c.(*net.TCPConn), nil
}

func mustThrough(t *testing.T, g *guard, hostport string) *net.TCPConn {
	t.Helper()
	c, err := through(t, g, hostport)
	if err != nil {
		t.Fatalf("connecting to %s: %v; trouble: %s", hostport, err, g.trouble(hostport))
	}
	return c
}

// serving gives each connection to serve and returns host:port.
func serving(t *testing.T, serve func(*net.TCPConn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			wg.Go(func() { serve(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return ln.Addr().String()
}

// echo sends back what it gets, and ends when the other side has ended.
func echo(c *net.TCPConn) {
	_, _ = io.Copy(c, c)
	c.Close()
}

func portOfAddr(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// until waits for a condition that another goroutine brings about.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("it did not come to pass within 10 s")
		}
	}
}

// A name keeps the address of its first answer, whatever is answered later,
// and the facts tell the whole exchange.
func TestGuardRebinding(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	names := dnstest.Start(t, func(_ string, q dnsmessage.Question) dnstest.Reply {
		if q.Type != dnsmessage.TypeA {
			return dnstest.Reply{}
		}
		mu.Lock()
		defer mu.Unlock()
		asked++
		return dnstest.Reply{Answers: []dnsmessage.Resource{
			dnstest.Alias("shop.example.", "shop.cdn.example.", 300),
			dnstest.Address("shop.cdn.example.", "127.0.0."+strconv.Itoa(asked), 0)}}
	})
	g := guarding(t, names, nil)
	addr := serving(t, echo)
	for range 3 {
		mustThrough(t, g, "Shop.Example.:"+portOfAddr(t, addr)).Close()
	}
	if got := names.Asked(); len(got) != 2 {
		t.Errorf("asked %q", got)
	}
	if a, ok := g.dialledFor("shop.example", portOfAddr(t, addr)); !ok || a.String() != addr {
		t.Errorf("dialled %v %v", a, ok)
	}
	answers, refused, _ := g.report()
	if len(answers) != 1 || len(refused) != 0 {
		t.Fatalf("answers %+v, refused %+v", answers, refused)
	}
	a := answers[0]
	if a.Host != "shop.example" || !slices.Equal(a.Addresses, []string{"127.0.0.1"}) || a.Dialled != "127.0.0.1" || a.Source != "dns" ||
		a.Server != names.Addr || a.Rcode != "NOERROR" || a.TookMS <= 0 || a.Error != "" || a.Check || len(a.Exchanges) != 2 {
		t.Errorf("answer %+v", a)
	}
	if !slices.Contains(a.Records, "shop.example.\t300\tIN\tCNAME\tshop.cdn.example.") {
		t.Errorf("records %q", a.Records)
	}
	if x := a.Exchanges[0]; len(x.Query) == 0 || len(x.Reply) == 0 || x.Server != names.Addr || x.Network != "udp" {
		t.Errorf("exchange %+v", x)
	}
	r := g.dnsRecords()
	if len(r) != 1 || r[0].Host != "shop.example" || r[0].Server != names.Addr || !r[0].Time.Equal(a.At) ||
		!strings.HasPrefix(r[0].Text, a.At.Format("20060102150405")+"\n") || !strings.Contains(r[0].Text, "\nshop.cdn.example.\t0\tIN\tA\t127.0.0.1\n") {
		t.Errorf("records %+v", r)
	}
}

// What leads to a private address is refused before anything is dialled.
func TestGuardRefuses(t *testing.T) {
	for _, c := range []struct {
		host    string
		address string // of a name
		private bool   // allowed by the order
	}{
		{"shop.example", "127.0.0.1", false},
		{"shop.example", "10.1.2.3", false},
		{"shop.example", "::1", false},
		{"shop.example", "fd00::1", false},
		{"shop.example", "::ffff:127.0.0.1", false},
		{"127.0.0.1", "", false},
		{"::1", "", false},
		{"169.254.169.254", "", true},
		{"shop.example", "169.254.169.254", true},
		{"shop.example", "100.100.100.200", true},
		{"shop.example", "fe80::1", true},
		{"shop.example", "0.0.0.0", true},
	} {
		t.Run(c.host+" "+c.address, func(t *testing.T) {
			var names *dnstest.Server
			if c.address != "" {
				names = dnstest.Start(t, dnstest.Fixed(c.address))
			}
			g := guarding(t, names, func(o *capture.Order) { o.AllowPrivate = c.private })
			var heard []capture.Refusal
			g.onEvent = func(r capture.Refusal) { heard = append(heard, r) }
			hostport := net.JoinHostPort(c.host, "80")
			for range 2 {
				if _, err := through(t, g, hostport); err == nil || !strings.Contains(err.Error(), "not allowed") {
					t.Errorf("connected: %v", err)
				}
			}
			_, refused, _ := g.report()
			if len(refused) != 1 || refused[0].Host != hostport || !g.refusedHost(hostport) || len(heard) != 1 || len(g.conns()) != 0 {
				t.Errorf("refused %+v, heard %+v, connections %+v", refused, heard, g.conns())
			}
		})
	}
}

// What could not be resolved or dialled is told in words.
func TestGuardTrouble(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := portOfAddr(t, ln.Addr().String())
	ln.Close()
	for name, c := range map[string]struct {
		handle func(string, dnsmessage.Question) dnstest.Reply
		want   string
	}{
		"no such name": {func(string, dnsmessage.Question) dnstest.Reply {
			return dnstest.Reply{Rcode: dnsmessage.RCodeNameError}
		}, "no such host"},
		"server in trouble": {func(string, dnsmessage.Question) dnstest.Reply {
			return dnstest.Reply{Rcode: dnsmessage.RCodeServerFailure}
		}, "server misbehaving"},
		"nobody listens": {dnstest.Fixed("127.0.0.1"), "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			g := guarding(t, dnstest.Start(t, c.handle), nil)
			if _, err := through(t, g, "shop.example:"+closed); err == nil {
				t.Error("connected")
			}
			if got := g.trouble("Shop.example:" + closed); !strings.Contains(got, c.want) {
				t.Errorf("trouble %q, want %q", got, c.want)
			}
			if got := g.trouble("other.example"); got != "" {
				t.Errorf("trouble with another host: %q", got)
			}
		})
	}
}

// The hosts file is named as the source.
func TestGuardHostsFile(t *testing.T) {
	b, err := os.ReadFile("/etc/hosts")
	if err != nil || !strings.Contains(string(b), "localhost") {
		t.Skip("this machine's hosts file does not name localhost")
	}
	g := guarding(t, nil, nil)
	mustThrough(t, g, "localhost:"+portOfAddr(t, serving(t, echo)))
	answers, _, _ := g.report()
	if len(answers) != 1 || answers[0].Source != "hosts" || answers[0].Server != "" || len(g.dnsRecords()) != 0 {
		t.Errorf("answers %+v, records %+v", answers, g.dnsRecords())
	}
}

// A oneWay is what the fuzzer sends: it reads from one side and forgets the
// other.
type oneWay struct {
	io.Reader
	bytes.Buffer
}

func (r *oneWay) Read(p []byte) (int, error) { return r.Reader.Read(p) }

func FuzzSocksRequest(f *testing.F) {
	f.Add([]byte("\x05\x01\x00\x05\x01\x00\x03\x0cshop.example\x01\xbb"))
	f.Add([]byte("\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50"))
	f.Add([]byte("\x05\x00\x05\x01\x00\x04" + strings.Repeat("\x00", 15) + "\x01\x00\x50"))
	f.Add([]byte("\x05\x01\x00\x05\x01\x00\x03\x04a\r\nb\x00\x50"))
	f.Fuzz(func(t *testing.T, b []byte) {
		host, _, err := socksRequest(&oneWay{Reader: bytes.NewReader(b)})
		if err == nil && strings.ContainsAny(host, "\r\n\x00 /@?#%\\") {
			t.Errorf("host %q", host)
		}
	})
}
