package wire

import (
	"net"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// maxSegment4 and maxSegment6 bound the payload of a packet, so that it is
// one of an Ethernet's 1,500 bytes.
const (
	maxSegment4 = 1460
	maxSegment6 = 1440
)

// A Stream is one recorded connection. Its methods may be called from
// several goroutines, but Sent by one at a time; each writes its packets in one piece, in the order of
// the calls. What goes out MUST be told before it is handed to the socket and
// what came in after it was read, or an answer could stand before its
// question. The methods of a nil Stream do nothing.
type Stream struct {
	r        *Recorder
	out, in  side
	ended    bool
	segments int    // largest payload
	first    []byte // that went out, until there is enough to know the client's random
}

// A side is one end of the connection and what it has sent.
type side struct {
	addr netip.AddrPort
	next uint32 // sequence number of the next byte
	fin  bool
	id   uint16 // of the next IPv4 packet
}

func newStream(r *Recorder, local, remote netip.AddrPort, number uint32) *Stream {
	local, remote = unmapped(local), unmapped(remote)
	s := &Stream{r: r, segments: maxSegment6}
	if local.Addr().Is4() && remote.Addr().Is4() {
		s.segments = maxSegment4
	}
	// Sequence numbers begin far apart: a port that is used again must not
	// look like a repetition of what its first connection sent.
	const apart = 2654435761
	s.out = side{addr: local, next: number * apart}
	s.in = side{addr: remote, next: ^(number * apart)}
	return s
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// open writes the handshake (RFC 9293 section 3.5). The window is as large
// as can be (RFC 7323 section 2.3): readers then miss no window updates.
func (s *Stream) open(t time.Time) {
	options := []layers.TCPOption{
		{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{byte(s.segments >> 8), byte(s.segments)}},
		{OptionType: layers.TCPOptionKindNop, OptionLength: 1},
		{OptionType: layers.TCPOptionKindWindowScale, OptionLength: 3, OptionData: []byte{14}},
	}
	s.write(t, &s.out, layers.TCP{SYN: true, Options: options}, nil)
	s.out.next++
	s.write(t, &s.in, layers.TCP{SYN: true, ACK: true, Options: options}, nil)
	s.in.next++
	s.write(t, &s.out, layers.TCP{ACK: true}, nil)
}

// Sent records bytes on their way to the server.
func (s *Stream) Sent(p []byte, t time.Time) {
	if s == nil {
		return
	}
	s.data(&s.out, p, t)
	if n := helloSize - len(s.first); n > 0 {
		s.first = append(s.first, p[:min(n, len(p))]...)
		if len(s.first) == helloSize {
			s.r.hello(s.first)
		}
	}
}

// Tunnelled tells that from here on another conversation passes through this
// one: a proxy agreed to CONNECT (RFC 9110 section 9.3.6).
func (s *Stream) Tunnelled() {
	if s != nil {
		s.first = nil
	}
}

// Received records bytes that the server sent.
func (s *Stream) Received(p []byte, t time.Time) {
	if s != nil {
		s.data(&s.in, p, t)
	}
}

// SentEnd records that nothing more goes to the server (FIN).
func (s *Stream) SentEnd(t time.Time) {
	if s != nil {
		s.end(&s.out, t)
	}
}

// ReceivedEnd records that the server said it sends nothing more (FIN).
func (s *Stream) ReceivedEnd(t time.Time) {
	if s != nil {
		s.end(&s.in, t)
	}
}

// ReceivedReset records that the server, or the network, broke the
// connection (RST).
func (s *Stream) ReceivedReset(t time.Time) {
	if s != nil {
		s.reset(&s.in, t)
	}
}

// Close records the end of a connection. One that was not ended from both
// sides was broken from this side (RST).
func (s *Stream) Close(t time.Time) {
	if s == nil {
		return
	}
	if !s.whole() {
		s.reset(&s.out, t)
	}
}

func (s *Stream) whole() bool {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	return s.out.fin && s.in.fin
}

func (s *Stream) data(from *side, p []byte, t time.Time) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if s.ended || from.fin {
		return
	}
	for len(p) > 0 {
		n := min(len(p), s.segments)
		s.write(t, from, layers.TCP{ACK: true, PSH: n == len(p)}, p[:n])
		from.next += uint32(n)
		p = p[n:]
	}
	s.r.flush()
}

func (s *Stream) end(from *side, t time.Time) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if s.ended || from.fin {
		return
	}
	s.write(t, from, layers.TCP{ACK: true, FIN: true}, nil)
	from.next++
	from.fin = true
	s.write(t, s.other(from), layers.TCP{ACK: true}, nil)
	s.r.flush()
}

func (s *Stream) reset(from *side, t time.Time) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	s.write(t, from, layers.TCP{ACK: true, RST: true}, nil)
	s.r.flush()
}

func (s *Stream) other(of *side) *side {
	if of == &s.out {
		return &s.in
	}
	return &s.out
}

// write makes one packet from a side to the other; r.mu is held.
func (s *Stream) write(t time.Time, from *side, tcp layers.TCP, p []byte) {
	to := s.other(from)
	tcp.SrcPort, tcp.DstPort = layers.TCPPort(from.addr.Port()), layers.TCPPort(to.addr.Port())
	tcp.Seq, tcp.Window = from.next, 65535
	if tcp.ACK {
		tcp.Ack = to.next
	}
	const lifetime = 64
	source, target := net.IP(from.addr.Addr().AsSlice()), net.IP(to.addr.Addr().AsSlice())
	var ip network = &layers.IPv6{Version: 6, HopLimit: lifetime, NextHeader: layers.IPProtocolTCP,
		SrcIP: source.To16(), DstIP: target.To16()}
	if s.segments == maxSegment4 {
		ip = &layers.IPv4{Version: 4, TTL: lifetime, Id: from.id, Flags: layers.IPv4DontFragment,
			Protocol: layers.IPProtocolTCP, SrcIP: source, DstIP: target}
		from.id++
	}
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		s.r.fail(err)
		return
	}
	s.r.packet(t, ip, &tcp, gopacket.Payload(p))
}

// network is a header that is written and that a TCP checksum covers.
type network interface {
	gopacket.SerializableLayer
	gopacket.NetworkLayer
}
