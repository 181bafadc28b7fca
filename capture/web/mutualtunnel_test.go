package web

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"guzheng/capture"
	"guzheng/capture/dns/dnstest"
)

// ending starts a guard that ends TLS for shop.example at a port.
func ending(t *testing.T, a *authority, addr string, change func(*capture.Order)) *guard {
	t.Helper()
	h := a.holder(t, capture.Now().Add(time.Hour))
	g := guarding(t, dnstest.Start(t, dnstest.Fixed("127.0.0.1")), func(o *capture.Order) {
		o.URL = "https://shop.example:" + portOfAddr(t, addr) + "/"
		*o = certified(t, *o, h)
		if change != nil {
			change(o)
		}
	})
	g.mutual.roots = a.pool
	return g
}

// secured gives each TLS connection to serve after its handshake.
func secured(t *testing.T, config *tls.Config, serve func(raw *net.TCPConn, c *tls.Conn)) string {
	t.Helper()
	return serving(t, func(raw *net.TCPConn) {
		c := tls.Server(raw, config)
		if c.Handshake() != nil {
			raw.Close()
			return
		}
		serve(raw, c)
	})
}

// browse speaks TLS through the guard, as a browser that believes its key.
func browse(t *testing.T, g *guard, hostport string, protocols ...string) (*tls.Conn, *net.TCPConn, error) {
	t.Helper()
	raw := mustThrough(t, g, hostport)
	pool := x509.NewCertPool()
	pool.AddCert(g.mutual.shown.Leaf)
	host, _, _ := net.SplitHostPort(hostport)
	c := tls.Client(raw, &tls.Config{ServerName: host, RootCAs: pool, NextProtos: protocols})
	return c, raw, c.Handshake()
}

// Bytes inside TLS pass as they are, both ways; the certificate is presented,
// and the protocol is the one that the server chose of those offered.
func TestEndedPasses(t *testing.T) {
	a := newAuthority(t)
	for _, c := range []struct {
		server, offered []string
		want            string
	}{
		{[]string{"h2", "http/1.1"}, []string{"h2", "http/1.1"}, "h2"},
		{[]string{"http/1.1"}, []string{"h2", "http/1.1"}, "http/1.1"},
		{[]string{"h2", "http/1.1"}, []string{"http/1.1"}, "http/1.1"}, // a WebSocket
		{nil, []string{"h2", "http/1.1"}, ""},
	} {
		config := demanding(a, a.server(t, capture.Now().Add(time.Hour)))
		config.NextProtos = c.server
		addr := secured(t, config, func(_ *net.TCPConn, c *tls.Conn) {
			_, _ = io.Copy(c, c)
			c.Close()
		})
		g := ending(t, a, addr, nil)
		front, _, err := browse(t, g, "shop.example:"+portOfAddr(t, addr), c.offered...)
		if err != nil {
			t.Fatal(err)
		}
		if got := front.ConnectionState().NegotiatedProtocol; got != c.want {
			t.Errorf("%v of %v: %q", c.server, c.offered, got)
		}
		sent := bytes.Repeat([]byte("0123456789abcdef"), 40_000)
		go func() {
			_, _ = front.Write(sent)
			_ = front.CloseWrite()
		}()
		if got, err := io.ReadAll(front); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes came back, %v; want the %d sent", len(got), err, len(sent))
		}
		front.Close()
		until(t, func() bool { return !g.conns()[0].End.IsZero() })
		if f := g.conns()[0]; f.Up <= int64(len(sent)) || f.Down <= int64(len(sent)) || f.Reset {
			t.Errorf("connection %+v", f)
		}
		r := g.mutual.results()
		if len(r) != 1 || r[0].tls.Connections != 1 || r[0].tls.Asked != 1 || r[0].tls.Presented != 1 || r[0].refused != "" || r[0].tls.Error != "" {
			t.Errorf("handshakes %+v", r)
		}
	}
}

// A connection that breaks does not look ended, and one that ends does.
func TestEndedEnds(t *testing.T) {
	a := newAuthority(t)
	const said = "all that there is"
	for name, c := range map[string]struct {
		end    func(*net.TCPConn, *tls.Conn)
		broken bool
	}{
		"in good order": {func(_ *net.TCPConn, c *tls.Conn) { c.Close() }, false},
		"without TLS's": {func(raw *net.TCPConn, _ *tls.Conn) { raw.Close() }, false}, // as a browser takes it
		"reset":         {func(raw *net.TCPConn, _ *tls.Conn) { reset(raw) }, true},
		"inside a record": {func(raw *net.TCPConn, _ *tls.Conn) {
			_, _ = raw.Write([]byte{23, 3, 3, 1, 0, 42})
			raw.Close()
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan struct{})
			addr := secured(t, demanding(a, a.server(t, capture.Now().Add(time.Hour))), func(raw *net.TCPConn, s *tls.Conn) {
				_, _ = s.Write([]byte(said))
				<-got // a reset throws away what is on its way
				c.end(raw, s)
			})
			g := ending(t, a, addr, nil)
			front, raw, err := browse(t, g, "shop.example:"+portOfAddr(t, addr))
			if err != nil {
				t.Fatal(err)
			}
			text := make([]byte, len(said))
			_, err = io.ReadFull(front, text)
			close(got)
			if err != nil || string(text) != said {
				t.Fatalf("%q, %v", text, err)
			}
			if _, err = front.Read(text); errors.Is(err, io.EOF) == c.broken {
				t.Errorf("then %v", err)
			}
			raw.Close()
			until(t, func() bool { return !g.conns()[0].End.IsZero() })
			if g.wasReset("shop.example", portOfAddr(t, addr)) != c.broken {
				t.Errorf("connection %+v", g.conns()[0])
			}
		})
	}
}

// A chain that does not hold is answered with a certificate that the browser
// refuses, before the server has seen anything of ours, until it is accepted.
func TestEndedRefuses(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	var mu sync.Mutex
	seen := 0
	config := demanding(a, stranger.server(t, capture.Now().Add(time.Hour)))
	config.VerifyConnection = func(tls.ConnectionState) error { mu.Lock(); defer mu.Unlock(); seen++; return nil }
	addr := secured(t, config, func(_ *net.TCPConn, c *tls.Conn) { c.Close() })
	g := ending(t, a, addr, nil)
	_, _, err := browse(t, g, "shop.example:"+portOfAddr(t, addr))
	if !errors.As(err, new(x509.UnknownAuthorityError)) && !errors.As(err, new(*tls.CertificateVerificationError)) {
		t.Errorf("browser: %v", err)
	}
	mu.Lock()
	if seen != 0 {
		t.Error("the server was presented something")
	}
	mu.Unlock()
	g.mutual.accept()
	if _, _, err := browse(t, g, "shop.example:"+portOfAddr(t, addr)); err != nil {
		t.Errorf("accepted: %v", err)
	}
	r := g.mutual.results()
	if len(r) != 2 || !strings.HasPrefix(r[0].refused, "net::ERR_CERT_AUTHORITY_INVALID: x509: ") || r[0].tls.Presented != 0 || r[1].refused != "" || r[1].tls.Presented != 1 {
		t.Errorf("handshakes %+v", r)
	}
}

// Another host, another port and what is no TLS pass untouched; by an upstream
// proxy it is the same as without.
func TestEndedElsewhere(t *testing.T) {
	a := newAuthority(t)
	cert := a.server(t, capture.Now().Add(time.Hour))
	addr := secured(t, &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert}, func(_ *net.TCPConn, c *tls.Conn) {
		_, _ = c.Write([]byte{byte(len(c.ConnectionState().PeerCertificates))})
		c.Close()
	})
	port := portOfAddr(t, addr)
	g := ending(t, a, addr, nil)
	ask := func(g *guard, hostport string, roots *x509.CertPool) (byte, error) {
		host, _, _ := net.SplitHostPort(hostport)
		c := tls.Client(mustThrough(t, g, hostport), &tls.Config{ServerName: host, RootCAs: roots})
		b := []byte{99}
		_, err := io.ReadFull(c, b)
		return b[0], err
	}
	if n, err := ask(g, "localhost:"+port, a.pool); n != 0 || err != nil {
		t.Errorf("another name: %d certificates, %v", n, err)
	}
	elsewhere := ending(t, a, "127.0.0.1:1", nil)
	if n, err := ask(elsewhere, "shop.example:"+port, a.pool); n != 0 || err != nil || len(elsewhere.mutual.results()) != 0 {
		t.Errorf("another port: %d certificates, %v", n, err)
	}
	shown := x509.NewCertPool()
	shown.AddCert(g.mutual.shown.Leaf)
	if n, err := ask(g, "shop.example:"+port, shown); n != 2 || err != nil {
		t.Errorf("its own: %d certificates, %v", n, err)
	}
	p := connecting(t, addr, consent)
	behind := ending(t, a, addr, by(p.addr))
	shown.AddCert(behind.mutual.shown.Leaf)
	if n, err := ask(behind, "shop.example:"+port, shown); n != 2 || err != nil || len(p.asked()) != 1 {
		t.Errorf("behind a proxy: %d certificates, %v, asked %v", n, err, p.asked())
	}
	plain := serving(t, echo)
	g = ending(t, a, plain, nil)
	c := mustThrough(t, g, "shop.example:"+portOfAddr(t, plain))
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	_ = c.CloseWrite()
	if got, err := io.ReadAll(c); string(got) != "GET / HTTP/1.1\r\n\r\n" || err != nil {
		t.Errorf("no TLS: %q, %v", got, err)
	}
}

// Close returns and leaves nothing running, whoever is stuck.
func TestEndedCloses(t *testing.T) {
	a := newAuthority(t)
	silent := func(*net.TCPConn) {}
	for name, get := range map[string]func(*testing.T) *guard{
		"browser says nothing": func(t *testing.T) *guard {
			addr := serving(t, silent)
			g := ending(t, a, addr, nil)
			mustThrough(t, g, "shop.example:"+portOfAddr(t, addr))
			return g
		},
		"browser says half": func(t *testing.T) *guard {
			addr := serving(t, silent)
			g := ending(t, a, addr, nil)
			_, _ = mustThrough(t, g, "shop.example:"+portOfAddr(t, addr)).Write([]byte{22, 3, 1})
			return g
		},
		"server is silent": func(t *testing.T) *guard {
			addr := serving(t, silent)
			g := ending(t, a, addr, nil)
			c := tls.Client(mustThrough(t, g, "shop.example:"+portOfAddr(t, addr)), &tls.Config{InsecureSkipVerify: true})
			go func() { _ = c.HandshakeContext(context.WithoutCancel(t.Context())) }() // ends with the guard
			until(t, func() bool { up, _ := passed(g); return up > 0 })
			return g
		},
		"nobody reads": func(t *testing.T) *guard {
			addr := secured(t, demanding(a, a.server(t, capture.Now().Add(time.Hour))), func(_ *net.TCPConn, c *tls.Conn) { _, _ = io.Copy(c, zeros{}) })
			g := ending(t, a, addr, nil)
			if _, _, err := browse(t, g, "shop.example:"+portOfAddr(t, addr)); err != nil {
				t.Fatal(err)
			}
			return g
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := get(t)
			done := make(chan struct{})
			go func() { g.Close(); close(done) }()
			select {
			case <-done:
			case <-time.After(5 * time.Second):
				t.Fatal("Close hangs")
			}
			for _, c := range g.conns() {
				if c.End.IsZero() {
					t.Errorf("not ended: %+v", c)
				}
			}
		})
	}
}

// A server that asks only once it knows what is wanted (a renegotiation of
// TLS 1.2, RFC 5246 section 7.4.1.1) is given the certificate then. The
// secrets of that second handshake are more than the first one's.
func TestEndedAskedLater(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is needed: make test installs it")
	}
	a := newAuthority(t)
	cert, dir := a.server(t, capture.Now().Add(time.Hour)), t.TempDir()
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"server.pem": slices.Concat(pemOf("CERTIFICATE", cert.Leaf.Raw), pemOf("PRIVATE KEY", der)), "ca.pem": pemOf("CERTIFICATE", a.cert.Raw)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	cmd := exec.CommandContext(t.Context(), openssl, "s_server", "-accept", addr, "-cert", "server.pem", "-CAfile", "ca.pem", "-tls1_2", "-naccept", "1")
	cmd.Dir = dir
	commands, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewScanner(said)
	read := func(want string) {
		t.Helper()
		for out.Scan() {
			if strings.Contains(out.Text(), want) {
				return
			}
		}
		t.Fatalf("openssl does not say %q", want)
	}
	read("ACCEPT")
	g := ending(t, a, addr, nil)
	g.mutual.wire = true
	front, raw, err := browse(t, g, "shop.example:"+portOfAddr(t, addr))
	if err != nil {
		t.Fatal(err)
	}
	if r := g.mutual.results(); len(r) != 1 || r[0].tls.Asked != 0 {
		t.Errorf("handshakes %+v", r)
	}
	if _, err := front.Write([]byte("GET /orders\n")); err != nil {
		t.Fatal(err)
	}
	read("GET /orders")
	_, _ = io.WriteString(commands, "R\n")
	read("SSL_do_handshake -> 1")
	_, _ = io.WriteString(commands, "ORDERS 42\n")
	b := make([]byte, 9)
	if _, err := io.ReadFull(front, b); err != nil || string(b) != "ORDERS 42" {
		t.Errorf("%q, %v", b, err)
	}
	if r := g.mutual.results(); len(r) != 1 || r[0].tls.Connections != 1 || r[0].tls.Presented != 1 || bytes.Count(g.mutual.keyLog(), []byte("\n")) != 2 {
		t.Errorf("handshakes %+v", r)
	}
	raw.Close()
	_ = commands.Close()
	_ = cmd.Wait() // ended by its only client
}
