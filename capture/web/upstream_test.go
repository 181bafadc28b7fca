package web

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"guzheng/capture"
	"guzheng/capture/dns/dnstest"
	"guzheng/capture/wire"
)

// A connector is a proxy that knows CONNECT and its own names.
type connector struct {
	addr string
	mu   sync.Mutex
	got  []string
}

// connecting starts a proxy that leads every name to target; what it says
// before and with its consent is reply.
func connecting(t *testing.T, target, reply string) *connector {
	t.Helper()
	p := &connector{}
	p.addr = serving(t, func(c *net.TCPConn) {
		r := bufio.NewReader(c)
		req, err := http.ReadRequest(r)
		if err != nil {
			c.Close()
			return
		}
		p.mu.Lock()
		p.got = append(p.got, req.Method+" "+req.RequestURI+" "+req.Host)
		p.mu.Unlock()
		up, err := net.Dial("tcp", target)
		if err != nil {
			_, _ = io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
			c.Close()
			return
		}
		_, _ = io.WriteString(c, reply)
		go func() { _, _ = io.Copy(up, r); closeWrite(up) }() // ends with c
		_, _ = io.Copy(c, up)
		up.Close()
		c.Close()
	})
	return p
}

func (p *connector) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

func unknownHere(string, dnsmessage.Question) dnstest.Reply {
	return dnstest.Reply{Rcode: dnsmessage.RCodeNameError}
}

func by(proxy string) func(*capture.Order) {
	return func(o *capture.Order) { o.Proxy = "http://" + proxy }
}

const consent = "HTTP/1.1 200 Connection established\r\n\r\n"

// Every host is reached by the proxy, also one whose name only the proxy
// knows, and no address is claimed for it.
func TestUpstream(t *testing.T) {
	for name, reply := range map[string]string{
		"plain":   consent,
		"fields":  "HTTP/1.0 200 OK\r\nProxy-Agent: x\r\nContent-Length: 5\r\n\r\n",
		"interim": "HTTP/1.1 102 Processing\r\nX: y\r\n\r\n" + consent,
		"204":     "HTTP/1.1 204 No Content\r\n\r\n",
		"with it": consent + "first words, ",
	} {
		t.Run(name, func(t *testing.T) {
			p := connecting(t, serving(t, echo), reply)
			g := guarding(t, dnstest.Start(t, unknownHere), by(p.addr))
			c := mustThrough(t, g, "shop.internal:8443")
			if _, err := io.WriteString(c, "hello"); err != nil {
				t.Fatal(err)
			}
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			want := "hello"
			if name == "with it" {
				want = "first words, hello"
			}
			if b, err := io.ReadAll(c); err != nil || string(b) != want {
				t.Errorf("read %q, %v; want %q", b, err, want)
			}
			if got := p.asked(); !slices.Equal(got, []string{"CONNECT shop.internal:8443 shop.internal:8443"}) {
				t.Errorf("proxy was asked %q", got)
			}
			if a, ok := g.dialledFor("shop.internal", "8443"); ok || g.via() != p.addr {
				t.Errorf("claims %v, via %q", a, g.via())
			}
			f := g.conns()
			if len(f) != 1 || f[0].Addr != p.addr || f[0].Via != p.addr || f[0].Host != "shop.internal" || f[0].Up != 5 || f[0].Down != int64(len(want)) {
				t.Errorf("connections %+v", f)
			}
			answers, _, _ := g.report()
			if len(answers) != 1 || !answers[0].Check || answers[0].Dialled != "" || len(g.dnsRecords()) != 0 || g.trouble("shop.internal") != "" {
				t.Errorf("answers %+v, records %+v, trouble %q", answers, g.dnsRecords(), g.trouble("shop.internal"))
			}
		})
	}
}

// A private address is refused also where the proxy would dial it.
func TestUpstreamRefuses(t *testing.T) {
	p := connecting(t, serving(t, echo), consent)
	for host, answers := range map[string][]string{
		"127.0.0.1":     nil,
		"10.0.0.1":      nil,
		"::1":           nil,
		"rebind.test":   {"192.168.1.1"},
		"mixed.example": {"203.0.113.1", "10.0.0.1"},
	} {
		t.Run(host, func(t *testing.T) {
			g := guarding(t, dnstest.Start(t, dnstest.Fixed(answers...)), func(o *capture.Order) { by(p.addr)(o); o.AllowPrivate = false })
			hostport := net.JoinHostPort(host, "80")
			if _, err := through(t, g, hostport); err == nil || !strings.Contains(err.Error(), "not allowed") {
				t.Errorf("connected: %v", err)
			}
			if !g.refusedHost(hostport) || len(p.asked()) != 0 {
				t.Errorf("not refused; the proxy was asked %q", p.asked())
			}
		})
	}
}

// What the proxy does not do is said with its name, and its own words are
// not repeated.
func TestUpstreamTrouble(t *testing.T) {
	say := func(s string) func(*net.TCPConn) {
		return func(c *net.TCPConn) {
			_, _ = http.ReadRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, s)
			c.Close()
		}
	}
	for name, c := range map[string]struct {
		serve func(*net.TCPConn)
		want  string
	}{
		"wants a password": {say("HTTP/1.1 407 Give me money\r\nProxy-Authenticate: Basic\r\n\r\n"), "407 Proxy Authentication Required"},
		"bad gateway":      {say("HTTP/1.1 502 x\r\nContent-Length: 4\r\n\r\noops"), "502 Bad Gateway"},
		"forbidden":        {say("HTTP/1.1 403 x\r\n\r\n"), "403 Forbidden"},
		"redirect":         {say("HTTP/1.1 302 Found\r\nLocation: http://x/\r\n\r\n"), "302 Found"},
		"no HTTP":          {say("SSH-2.0-OpenSSH_9.2\r\n\r\n"), "its answer is not HTTP"},
		"no answer":        {say(""), "EOF"},
		"half an answer":   {say("HTTP/1.1 200 OK\r\n"), "EOF"},
		"endless answer":   {say("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxConnectHead)), "has no end"},
		"silence":          {func(*net.TCPConn) {}, "timeout"},
		"broken":           {func(c *net.TCPConn) { _, _ = http.ReadRequest(bufio.NewReader(c)); reset(c) }, "reset"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serving(t, c.serve)
			g := guarding(t, dnstest.Start(t, unknownHere), func(o *capture.Order) { by(addr)(o); o.Limits.NavigateMS = 500 })
			if _, err := through(t, g, "shop.example:443"); err == nil {
				t.Error("connected")
			}
			got := g.trouble("shop.example:443")
			if !strings.Contains(got, c.want) || !strings.Contains(got, "proxy "+addr) || !strings.Contains(got, "shop.example:443") || strings.Contains(got, "money") {
				t.Errorf("trouble %q, want %q", got, c.want)
			}
			if f := g.conns(); len(f) != 1 || f[0].End.IsZero() || f[0].Up != 0 {
				t.Errorf("connections %+v", f)
			}
		})
	}
	t.Run("not there", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		g := guarding(t, dnstest.Start(t, unknownHere), by(ln.Addr().String()))
		if _, err := through(t, g, "shop.example:443"); err == nil {
			t.Error("connected")
		}
		if got, want := g.trouble("shop.example"), "connecting to the proxy "+ln.Addr().String(); !strings.Contains(got, want) || !strings.Contains(got, "refused") {
			t.Errorf("trouble %q, want %q", got, want)
		}
	})
}

// A proxy that answers nothing does not hold up the end.
func TestUpstreamCloses(t *testing.T) {
	addr := serving(t, func(*net.TCPConn) {})
	g := guarding(t, dnstest.Start(t, unknownHere), by(addr))
	go func() { _, _ = through(t, g, "shop.example:443") }()
	until(t, func() bool { return len(g.conns()) == 1 })
	done := make(chan struct{})
	go func() { g.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("Close hangs")
	}
}

// A name server that says nothing holds the page up a little and no more.
func TestUpstreamWithoutNames(t *testing.T) {
	p := connecting(t, serving(t, echo), consent)
	silent := dnstest.Start(t, func(string, dnsmessage.Question) dnstest.Reply { return dnstest.Reply{Silent: true} })
	g := guarding(t, silent, func(o *capture.Order) { by(p.addr)(o); o.Limits.NavigateMS = 800 })
	mustThrough(t, g, "shop.example:443")
	if answers, _, _ := g.report(); len(answers) != 1 || answers[0].TookMS > 400 || answers[0].Error == "" {
		t.Errorf("answers %+v", answers)
	}
}

// The conversation with the proxy is in the wire record, and the hello behind
// it is found.
func TestUpstreamWire(t *testing.T) {
	p := connecting(t, serving(t, echo), consent)
	g := guarding(t, dnstest.Start(t, unknownHere), by(p.addr))
	var file bytes.Buffer
	rec, err := wire.New(&file, filepath.Join(t.TempDir(), "spool"), capture.Now, "")
	if err != nil {
		t.Fatal(err)
	}
	g.wire = rec
	c := mustThrough(t, g, "shop.example:443")
	random := bytes.Repeat([]byte{0xab}, 32)
	hello := slices.Concat([]byte{22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3}, random)
	if _, err := c.Write(hello); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, len(hello))); err != nil {
		t.Fatal(err)
	}
	if n := rec.Secrets(fmt.Appendf(nil, "CLIENT_TRAFFIC_SECRET_0 %x 00\n", random)); n != 1 {
		t.Errorf("%d secrets", n)
	}
	g.Close()
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\n\r\n", consent, string(hello)} {
		if !bytes.Contains(file.Bytes(), []byte(want)) {
			t.Errorf("the record lacks %q", want)
		}
	}
}

func FuzzConnectReply(f *testing.F) {
	f.Add([]byte(consent + "more"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 407 No\r\nA: b\r\n\r\n"))
	f.Add([]byte("HTTP/1.0 200\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		status, err := connectReply(r)
		if err != nil {
			return
		}
		if read := b[:len(b)-r.Len()]; status < 200 || status > 999 || !bytes.HasSuffix(read, []byte("\n")) {
			t.Errorf("status %d after %q", status, read)
		}
	})
}
