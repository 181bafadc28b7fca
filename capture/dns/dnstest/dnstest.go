// Package dnstest is a name server of a test's own on loopback, over UDP and
// TCP, that says what the test wants and lies when it should.
package dnstest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// A Reply is what the server sends back. The zero value says NOERROR and
// holds no record.
type Reply struct {
	Rcode     dnsmessage.RCode
	Answers   []dnsmessage.Resource
	Truncated bool
	Silent    bool   // send nothing
	Before    []byte // a datagram sent before the reply
	Raw       []byte // sent in place of the reply; its first two bytes become the query's number
	Number    uint16 // added to the query's number
	Other     string // name put in place of the one that was asked for
}

// A Server answers each question by what Handle returns.
type Server struct {
	Addr string

	handle func(network string, q dnsmessage.Question) Reply
	mu     sync.Mutex
	asked  []string
}

// Start runs a server until the test ends. network is udp or tcp.
func Start(t testing.TB, handle func(network string, q dnsmessage.Question) Reply) *Server {
	t.Helper()
	ln, packets := listen(t)
	s := &Server{Addr: ln.Addr().String(), handle: handle}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := packets.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, b := range s.answer("udp", buf[:n]) {
				_, _ = packets.WriteTo(b, from)
			}
		}
	})
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.stream(c)
			c.Close()
		}
	})
	t.Cleanup(func() { ln.Close(); _ = packets.Close(); wg.Wait() })
	return s
}

// listen finds a port that is free for both.
func listen(t testing.TB) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 20 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if packets, err := net.ListenPacket("udp", ln.Addr().String()); err == nil {
			return ln, packets
		}
		ln.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

func (s *Server) stream(c net.Conn) {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		return
	}
	for _, b := range s.answer("tcp", b) {
		_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	}
}

// answer returns the messages for a query.
func (s *Server) answer(network string, query []byte) [][]byte {
	var p dnsmessage.Parser
	head, err := p.Start(query)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	s.mu.Lock()
	s.asked = append(s.asked, q.Name.String()+" "+q.Type.String()[4:]+" "+network)
	s.mu.Unlock()
	r := s.handle(network, q)
	var out [][]byte
	if r.Before != nil {
		out = append(out, r.Before)
	}
	switch {
	case r.Silent:
		return out
	case len(r.Raw) >= 2:
		b := append(query[:2:2], r.Raw[2:]...)
		return append(out, b)
	}
	if r.Other != "" {
		q.Name = dnsmessage.MustNewName(r.Other)
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: head.ID + r.Number, Response: true, Truncated: r.Truncated, RCode: r.Rcode,
		RecursionDesired: true, RecursionAvailable: true}, Questions: []dnsmessage.Question{q}, Answers: r.Answers}
	b, err := m.Pack()
	if err != nil {
		return out
	}
	return append(out, b)
}

// Asked lists what was asked so far: "shop.example. A udp".
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

// Dial connects to the server, whatever address is wanted.
func (s *Server) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, s.Addr)
}

// Address makes an A or AAAA record.
func Address(name, address string, ttl uint32) dnsmessage.Resource {
	a := netip.MustParseAddr(address)
	r := dnsmessage.Resource{Header: header(name, ttl), Body: &dnsmessage.AAAAResource{AAAA: a.As16()}}
	if a.Is4() {
		r.Body = &dnsmessage.AResource{A: a.As4()}
	}
	return r
}

// Alias makes a CNAME record.
func Alias(name, target string, ttl uint32) dnsmessage.Resource {
	return dnsmessage.Resource{Header: header(name, ttl), Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(target)}}
}

func header(name string, ttl uint32) dnsmessage.ResourceHeader {
	return dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: ttl}
}

// Fixed answers with the same addresses for every name.
func Fixed(addresses ...string) func(string, dnsmessage.Question) Reply {
	return func(_ string, q dnsmessage.Question) Reply {
		var r Reply
		for _, a := range addresses {
			if netip.MustParseAddr(a).Is4() == (q.Type == dnsmessage.TypeA) {
				r.Answers = append(r.Answers, Address(q.Name.String(), a, 60))
			}
		}
		return r
	}
}
