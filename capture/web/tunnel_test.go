package web

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/proxy"

	"guzheng/capture"
	"guzheng/capture/dns/dnstest"
	"guzheng/capture/wire"
)

// Bytes pass untouched both ways and are counted, for the whole capture and
// for each connection.
func TestGuardPasses(t *testing.T) {
	names := dnstest.Start(t, dnstest.Fixed("127.0.0.1"))
	g := guarding(t, names, nil)
	var mu sync.Mutex
	var told []int64
	g.onBytes = func(total int64) { mu.Lock(); told = append(told, total); mu.Unlock() }
	addr := serving(t, echo)
	begun := capture.Now()

	sent := make([]byte, 3<<20)
	_, _ = rand.Read(sent)
	c := mustThrough(t, g, "shop.example:"+portOfAddr(t, addr))
	go func() {
		_, _ = c.Write(sent)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes came back, %v; want the %d sent", len(got), err, len(sent))
	}
	small := mustThrough(t, g, "shop.example:"+portOfAddr(t, addr))
	if _, err := small.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(small, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	until(t, func() bool { return !g.conns()[0].End.IsZero() })

	n := int64(len(sent))
	if up, down := passed(g); up != n+5 || down != n+5 {
		t.Errorf("%d up, %d down, want %d", up, down, n+5)
	}
	conns := g.conns()
	if len(conns) != 2 {
		t.Fatalf("connections %+v", conns)
	}
	first, second := conns[0], conns[1]
	if first.Host != "shop.example" || strconv.Itoa(int(first.Port)) != portOfAddr(t, addr) || first.Addr != addr || first.Via != "" ||
		first.Up != n || first.Down != n || first.Begin.Before(begun) || first.End.Before(first.Begin) {
		t.Errorf("first connection %+v", first)
	}
	if second.Up != 5 || second.Down != 5 || !second.End.IsZero() {
		t.Errorf("second connection %+v", second)
	}
	mu.Lock()
	defer mu.Unlock()
	if most := int(2 * n / reportEvery); len(told) < most/2 || len(told) > most {
		t.Errorf("told %d times of %d bytes", len(told), 2*n)
	}
}

// A connection that broke reaches the browser as broken, after what came
// before, and one that ended as ended: a body without a length is complete
// only in the second case.
func TestGuardPassesOnBreaks(t *testing.T) {
	const body = "HTTP/1.0 200 OK\r\n\r\nhalf a bod"
	for name, c := range map[string]struct {
		serve  func(*net.TCPConn)
		broken bool
	}{
		"ended": {func(c *net.TCPConn) { _, _ = io.WriteString(c, body); c.Close() }, false},
		"broken": {func(c *net.TCPConn) {
			_, _ = io.WriteString(c, body)
			_, _ = io.ReadFull(c, make([]byte, 1)) // the client says when it has read
			reset(c)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := guarding(t, nil, nil)
			browser := mustThrough(t, g, serving(t, c.serve))
			got := make([]byte, len(body))
			if _, err := io.ReadFull(browser, got); err != nil || string(got) != body {
				t.Fatalf("read %q, %v", got, err)
			}
			_, _ = browser.Write([]byte("x"))
			_, err := browser.Read(got)
			if broken := errors.Is(err, syscall.ECONNRESET); broken != c.broken || !broken && !errors.Is(err, io.EOF) {
				t.Errorf("the connection ended with %v", err)
			}
		})
	}
	t.Run("stopped by us", func(t *testing.T) {
		g := guarding(t, nil, nil)
		browser := mustThrough(t, g, serving(t, func(c *net.TCPConn) { _, _ = io.WriteString(c, body) }))
		if _, err := io.ReadFull(browser, make([]byte, len(body))); err != nil {
			t.Fatal(err)
		}
		g.Stop()
		if _, err := browser.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the connection ended with %v", err)
		}
	})
	t.Run("much before it", func(t *testing.T) {
		g := guarding(t, nil, nil)
		const much = 1 << 20 // more than is received ahead, less than is sent ahead
		browser := mustThrough(t, g, serving(t, func(c *net.TCPConn) {
			_, _ = c.Write(make([]byte, much))
			until(t, func() bool { return unsent(c) == 0 })
			reset(c)
		}))
		until(t, func() bool { _, down := passed(g); return down == much })
		n, err := io.Copy(io.Discard, browser)
		if n != much || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%d bytes, then %v", n, err)
		}
	})
}

// The browser may end its side first and still hear the answer.
func TestGuardHalfClose(t *testing.T) {
	g := guarding(t, nil, nil)
	browser := mustThrough(t, g, serving(t, func(c *net.TCPConn) {
		b, _ := io.ReadAll(c)
		_, _ = c.Write(append(b, " answered"...))
		c.Close()
	}))
	if _, err := io.WriteString(browser, "asked"); err != nil {
		t.Fatal(err)
	}
	if err := browser.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(browser); err != nil || string(b) != "asked answered" {
		t.Errorf("read %q, %v", b, err)
	}
}

// The wire record has what passed, between the sockets' own addresses.
func TestGuardWire(t *testing.T) {
	g := guarding(t, nil, nil)
	var file bytes.Buffer
	rec, err := wire.New(&file, filepath.Join(t.TempDir(), "spool"), capture.Now, "a test")
	if err != nil {
		t.Fatal(err)
	}
	g.wire = rec
	addr := serving(t, func(c *net.TCPConn) {
		_, _ = io.ReadFull(c, make([]byte, 8))
		_, _ = io.WriteString(c, "answered")
		c.Close()
	})
	c := mustThrough(t, g, addr)
	_, _ = io.WriteString(c, "question")
	if b, err := io.ReadAll(c); err != nil || string(b) != "answered" {
		t.Fatalf("%q %v", b, err)
	}
	c.Close()
	until(t, func() bool { return !g.conns()[0].End.IsZero() })
	g.Close()
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewNgReader(bytes.NewReader(file.Bytes()), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	to := netip.MustParseAddrPort(addr).Port()
	var out []string
	for {
		b, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		const header = 20
		tcp := b[header:]
		way := "in "
		if uint16(tcp[2])<<8|uint16(tcp[3]) == to {
			way = "out "
		}
		if payload := tcp[tcp[12]>>4*4:]; len(payload) > 0 {
			out = append(out, way+string(payload))
		} else if tcp[13]&1 != 0 {
			out = append(out, way+"FIN")
		}
	}
	if want := []string{"out question", "in answered", "in FIN", "out FIN"}; !slices.Equal(out, want) {
		t.Errorf("recorded %q, want %q", out, want)
	}
}

// Close returns and leaves nothing running, whoever is stuck.
func TestGuardCloses(t *testing.T) {
	silentNames := func(string, dnsmessage.Question) dnstest.Reply { return dnstest.Reply{Silent: true} }
	stuck := func(*net.TCPConn) {} // neither reads nor writes nor ends
	flood := func(c net.Conn) { _, _ = io.Copy(c, zeros{}) }
	dial := func(t *testing.T, g *guard, send []byte) {
		c, err := net.Dial("tcp", g.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := c.Write(send); err != nil {
			t.Fatal(err)
		}
	}
	asking := func(host string) []byte {
		return slices.Concat([]byte{5, 1, 0, 5, 1, 0, 3, byte(len(host))}, []byte(host), []byte{0, 80})
	}
	for name, get := range map[string]func(*testing.T, *guard){
		"nothing asked":      func(t *testing.T, g *guard) { dial(t, g, nil) },
		"half a greeting":    func(t *testing.T, g *guard) { dial(t, g, []byte{5, 9}) },
		"half a request":     func(t *testing.T, g *guard) { dial(t, g, []byte{5, 1, 0, 5, 1, 0, 3, 200, 'x'}) },
		"silent name server": func(t *testing.T, g *guard) { dial(t, g, asking("a.example")); dial(t, g, asking("a.example")) },
		"the browser's own":  func(t *testing.T, g *guard) { dial(t, g, asking("www.google.com")) },
		"silent server":      func(t *testing.T, g *guard) { mustThrough(t, g, serving(t, stuck)) },
		"server reads nothing": func(t *testing.T, g *guard) {
			c := mustThrough(t, g, serving(t, stuck))
			_ = c.SetWriteDeadline(capture.Now().Add(300 * time.Millisecond))
			flood(c) // until nothing more goes in
		},
		"browser reads nothing": func(t *testing.T, g *guard) {
			mustThrough(t, g, serving(t, func(c *net.TCPConn) { flood(c) }))
			until(t, func() bool { _, down := passed(g); return down > 0 })
		},
		"browser reads nothing of a broken one": func(t *testing.T, g *guard) {
			mustThrough(t, g, serving(t, func(c *net.TCPConn) {
				_, _ = c.Write(make([]byte, 1<<20))
				reset(c)
			}))
			until(t, func() bool { _, down := passed(g); return down > 0 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := guarding(t, dnstest.Start(t, silentNames), nil)
			g.asked = func(string) bool { return false }
			get(t, g)
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
			if c, err := net.Dial("tcp", g.Addr()); err == nil {
				c.Close()
				t.Error("the guard still listens")
			}
			g.Close()
		})
	}
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A hook may stop the guard from within a tunnel.
func TestGuardStopsItself(t *testing.T) {
	g := guarding(t, nil, nil)
	g.onBytes = func(int64) { g.Stop() }
	c := mustThrough(t, g, serving(t, func(c *net.TCPConn) { _, _ = io.Copy(c, zeros{}) }))
	n, err := io.Copy(io.Discard, c)
	if err == nil || n > 64*reportEvery {
		t.Errorf("%d bytes, then %v", n, err)
	}
	g.Close()
}

func BenchmarkTunnel(b *testing.B) {
	for name, record := range map[string]bool{"plain": false, "wire": true} {
		b.Run(name, func(b *testing.B) {
			g, err := startGuard(capture.Order{AllowPrivate: true, Limits: capture.DefaultLimits()}, nil, capture.Now, func(string) bool { return true })
			if err != nil {
				b.Fatal(err)
			}
			defer g.Close()
			if record {
				rec, err := wire.New(io.Discard, filepath.Join(b.TempDir(), "spool"), capture.Now, "")
				if err != nil {
					b.Fatal(err)
				}
				defer func() { g.Close(); _ = rec.Close() }()
				g.wire = rec
			}
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer ln.Close()
			go func() {
				if c, err := ln.Accept(); err == nil {
					_, _ = io.Copy(c, zeros{}) // ends with the guard
					c.Close()
				}
			}()
			d, err := proxy.SOCKS5("tcp", g.Addr(), nil, proxy.Direct)
			if err != nil {
				b.Fatal(err)
			}
			c, err := d.Dial("tcp", ln.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			b.SetBytes(1 << 20)
			for b.Loop() {
				if _, err := io.CopyN(io.Discard, c, 1<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// passed returns how many bytes went over the connections.
func passed(g *guard) (up, down int64) {
	for _, c := range g.conns() {
		up, down = up+c.Up, down+c.Down
	}
	return up, down
}
