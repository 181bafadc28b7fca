package wire

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

var (
	begun = time.Date(2026, 11, 24, 8, 0, 0, 123456789, time.UTC)
	near4 = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40000}
	far4  = &net.TCPAddr{IP: net.IPv4(203, 0, 113, 9), Port: 443}
	near6 = &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 40001, Zone: "eth0"}
	far6  = &net.TCPAddr{IP: net.ParseIP("2001:db8::2"), Port: 443}
)

// A clock goes on by a millisecond each time it is read.
func clock() func() time.Time {
	t := begun
	return func() time.Time { t = t.Add(time.Millisecond); return t }
}

func newRecorder(t *testing.T, w io.Writer) *Recorder {
	t.Helper()
	r, err := New(w, filepath.Join(t.TempDir(), "spool"), clock(), "capture GZ-1")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A heard is one packet as a reader finds it.
type heard struct {
	from, to string
	flags    string
	seq, ack uint32
	payload  []byte
	at       time.Time
}

// hear reads a capture file back and checks every checksum.
func hear(t *testing.T, file []byte) []heard {
	t.Helper()
	r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	var out []heard
	for {
		b, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("packet %d: %v", len(out), err)
		}
		first := gopacket.Decoder(layers.LayerTypeIPv4)
		if b[0]>>4 == 6 {
			first = layers.LayerTypeIPv6
		}
		p := gopacket.NewPacket(b, first, gopacket.Default)
		if p.ErrorLayer() != nil {
			t.Fatalf("packet %d: %v", len(out), p.ErrorLayer().Error())
		}
		tcp, ok := p.TransportLayer().(*layers.TCP)
		if !ok || tcp.SetNetworkLayerForChecksum(p.NetworkLayer()) != nil {
			t.Fatalf("packet %d is no TCP: %v", len(out), p)
		}
		if err, mismatches := p.VerifyChecksums(); err != nil || len(mismatches) > 0 {
			t.Fatalf("packet %d: checksums %v %v", len(out), err, mismatches)
		}
		flow := p.NetworkLayer().NetworkFlow()
		h := heard{from: net.JoinHostPort(flow.Src().String(), port(tcp.SrcPort)), to: net.JoinHostPort(flow.Dst().String(), port(tcp.DstPort)),
			seq: tcp.Seq, ack: tcp.Ack, payload: tcp.Payload, at: info.Timestamp}
		for _, f := range []struct {
			name string
			set  bool
		}{{"S", tcp.SYN}, {"A", tcp.ACK}, {"F", tcp.FIN}, {"R", tcp.RST}} {
			if f.set {
				h.flags += f.name
			}
		}
		out = append(out, h)
	}
}

func port(p layers.TCPPort) string { return strconv.Itoa(int(p)) }

func flags(packets []heard) string {
	var out []string
	for _, p := range packets {
		out = append(out, p.flags)
	}
	return strings.Join(out, " ")
}

// What a stream was told comes back byte for byte, in its order, with its
// times, in segments that number and acknowledge one another.
func TestConversation(t *testing.T) {
	for name, c := range map[string]struct {
		near, far net.Addr
		segment   int
		from, to  string
	}{
		"IPv4":        {near4, far4, 1460, "192.0.2.1:40000", "203.0.113.9:443"},
		"IPv6":        {near6, far6, 1440, "[2001:db8::1]:40001", "[2001:db8::2]:443"},
		"mapped IPv4": {&net.TCPAddr{IP: near4.IP.To16(), Port: 40000}, far4, 1460, "192.0.2.1:40000", "203.0.113.9:443"},
	} {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			r := newRecorder(t, &file)
			s := r.Conn(c.near, c.far)
			question, answer := []byte("question"), make([]byte, 3*c.segment+1)
			for i := range answer {
				answer[i] = byte(rand.Uint32())
			}
			at := begun.Add(time.Hour)
			s.Sent(question, at)
			s.Received(answer, at.Add(time.Second))
			s.Received([]byte("more"), at.Add(2*time.Second))
			s.ReceivedEnd(at.Add(3 * time.Second))
			s.SentEnd(at.Add(4 * time.Second))
			s.Close(at.Add(5 * time.Second))
			s.Sent([]byte("too late"), at)
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			got := hear(t, file.Bytes())
			if want := "S SA A A A A A A A AF A AF A"; flags(got) != want {
				t.Fatalf("flags %s, want %s", flags(got), want)
			}
			next := map[string]uint32{}
			told := map[string][]byte{}
			for i, p := range got {
				if want, ok := next[p.from]; ok && p.seq != want {
					t.Errorf("packet %d has sequence number %d, want %d", i, p.seq, want)
				}
				if p.ack != next[p.to] && i > 0 {
					t.Errorf("packet %d acknowledges %d, want %d", i, p.ack, next[p.to])
				}
				n := uint32(len(p.payload))
				if strings.ContainsAny(p.flags, "SF") {
					n++
				}
				next[p.from] = p.seq + n
				told[p.from] = append(told[p.from], p.payload...)
				if len(p.payload) > c.segment {
					t.Errorf("packet %d has %d bytes", i, len(p.payload))
				}
			}
			if want := map[string][]byte{c.from: question, c.to: append(answer, "more"...)}; !cmp.Equal(want, told) {
				t.Errorf("payload of %d and %d bytes is not what passed", len(told[c.from]), len(told[c.to]))
			}
			if !got[3].at.Equal(at) || !got[4].at.Equal(at.Add(time.Second)) || !got[0].at.After(begun) {
				t.Errorf("times %v %v %v", got[0].at, got[3].at, got[4].at)
			}
		})
	}
}

// Each way to end leaves its own trace.
func TestEndings(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*Stream)
		want string
	}{
		"open":             {func(*Stream) {}, "S SA A"},
		"broken by us":     {func(s *Stream) { s.Close(begun) }, "S SA A AR"},
		"half, then us":    {func(s *Stream) { s.SentEnd(begun); s.Close(begun) }, "S SA A AF A AR"},
		"broken by them":   {func(s *Stream) { s.ReceivedReset(begun); s.Close(begun) }, "S SA A AR"},
		"ended twice":      {func(s *Stream) { s.SentEnd(begun); s.SentEnd(begun) }, "S SA A AF A"},
		"nothing after it": {func(s *Stream) { s.SentEnd(begun); s.Sent([]byte("x"), begun) }, "S SA A AF A"},
	} {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			r := newRecorder(t, &file)
			c.end(r.Conn(near4, far4))
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if got := flags(hear(t, file.Bytes())); got != c.want {
				t.Errorf("flags %s, want %s", got, c.want)
			}
		})
	}
}

// A port that is used again begins elsewhere in the sequence.
func TestPortAgain(t *testing.T) {
	var file bytes.Buffer
	r := newRecorder(t, &file)
	r.Conn(near4, far4).Close(begun)
	r.Conn(near4, far4).Close(begun)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if p := hear(t, file.Bytes()); p[0].seq == p[4].seq {
		t.Errorf("both connections begin at %d", p[0].seq)
	}
}

// Beyond the limit nothing is kept, the file stays whole and says when.
func TestLimit(t *testing.T) {
	var file bytes.Buffer
	r := newRecorder(t, &file)
	const room = 3500
	r.Limit = r.Size() + room
	s := r.Conn(near4, far4)
	if at, cut := r.Cut(); cut {
		t.Fatalf("cut at %v before anything came", at)
	}
	at := begun.Add(time.Minute)
	s.Received(make([]byte, 5000), at)
	s.Received([]byte("short enough, and too late"), at.Add(time.Minute))
	if when, cut := r.Cut(); !cut || !when.Equal(at) {
		t.Errorf("cut %v at %v, want %v", cut, when, at)
	}
	if r.Size() > r.Limit {
		t.Errorf("%d bytes, the limit is %d", r.Size(), r.Limit)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if got := flags(hear(t, file.Bytes())); got != "S SA A A A" {
		t.Errorf("flags %s", got)
	}
	reader, err := pcapgo.NewNgReader(bytes.NewReader(file.Bytes()), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, _, err := reader.ReadPacketData(); err != nil {
			break
		}
	}
	face, err := reader.Interface(0)
	if err != nil || face.Statistics.PacketsReceived != 8 || face.Statistics.PacketsDropped != 3 {
		t.Errorf("statistics %+v %v", face.Statistics, err)
	}
}

// After a crash the spool is a capture file of its own.
func TestSpool(t *testing.T) {
	r := newRecorder(t, io.Discard)
	name := r.spool.Name()
	r.Conn(near4, far4).Sent([]byte("question"), begun)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := hear(t, b); len(got) != 4 || string(got[3].payload) != "question" {
		t.Errorf("spool holds %s", flags(got))
	}
	if int64(len(b)) != r.Size() {
		t.Errorf("%d bytes, told %d", len(b), r.Size())
	}
	if _, err := New(io.Discard, name, clock(), ""); !errors.Is(err, os.ErrExist) {
		t.Errorf("a spool was overwritten: %v", err)
	}
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("spool is left: %v", err)
	}
}

var errFull = errors.New("disk full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

// What cannot be written is told at the end and stops no connection.
func TestWriteFails(t *testing.T) {
	t.Run("file", func(t *testing.T) {
		r := newRecorder(t, full{})
		r.Conn(near4, far4).Sent([]byte("x"), begun)
		if err := r.Close(); !errors.Is(err, errFull) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("spool", func(t *testing.T) {
		r := newRecorder(t, io.Discard)
		s := r.Conn(near4, far4)
		if err := r.spool.Close(); err != nil {
			t.Fatal(err)
		}
		s.Sent([]byte("x"), begun)
		s.Sent([]byte("x"), begun)
		s.Close(begun)
		if err := r.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("address", func(t *testing.T) {
		r := newRecorder(t, io.Discard)
		s := r.Conn(&net.UnixAddr{Name: "/run/x", Net: "unix"}, far4)
		s.Sent([]byte("x"), begun)
		if err := r.Close(); err == nil || !strings.Contains(err.Error(), "/run/x") {
			t.Errorf("error %v", err)
		}
	})
}

// Without a recorder nothing is recorded and nothing breaks.
func TestNothing(t *testing.T) {
	var r *Recorder
	s := r.Conn(near4, far4)
	s.Sent(nil, begun)
	s.Received(nil, begun)
	s.SentEnd(begun)
	s.ReceivedEnd(begun)
	s.ReceivedReset(begun)
	s.Close(begun)
	if s != nil {
		t.Error("a stream of nothing")
	}
}

// A long comment is cut between characters.
func TestOption(t *testing.T) {
	got := option(strings.Repeat("證", 30_000))
	if len(got) != 65535 || strings.Contains(got, "\uFFFD") {
		t.Errorf("%d bytes", len(got))
	}
	if got := option("a" + strings.Repeat("證", 30_000)); len(got) != 65533 {
		t.Errorf("%d bytes", len(got))
	}
}

func BenchmarkReceived(b *testing.B) {
	r, err := New(io.Discard, filepath.Join(b.TempDir(), "spool"), clock(), "")
	if err != nil {
		b.Fatal(err)
	}
	s := r.Conn(near4, far4)
	p := make([]byte, 32<<10)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		s.Received(p, begun)
	}
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
}
