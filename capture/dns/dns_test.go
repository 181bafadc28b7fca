package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"guzheng/capture"
	"guzheng/capture/dns/dnstest"
)

type reply = dnstest.Reply

func resolver(s *dnstest.Server) Resolver { return Resolver{Now: capture.Now, Dial: s.Dial} }

// chain is a shop behind two aliases, with a stranger in the answer.
func chain(network string, q dnsmessage.Question) reply {
	r := reply{Answers: []dnsmessage.Resource{
		dnstest.Address("stranger.example.", "203.0.113.66", 5),
		dnstest.Alias("Shop.example.", "shop.cdn.example.", 300),
		dnstest.Address("shop.edge.example.", "203.0.113.7", 20),
		dnstest.Alias("shop.cdn.example.", "SHOP.edge.example.", 60),
	}}
	if q.Type == dnsmessage.TypeAAAA {
		r.Answers[0] = dnstest.Address("stranger.example.", "2001:db8::66", 5)
		r.Answers[2] = dnstest.Address("shop.edge.example.", "2001:db8::7", 20)
	}
	return r
}

// The whole exchange is kept: who was asked, every record with its TTL, the
// messages, and the addresses at the end of the chain alone.
func TestChain(t *testing.T) {
	s := dnstest.Start(t, chain)
	before := capture.Now()
	a := resolver(s).Lookup(t.Context(), "shop.example")
	if a.Err != nil {
		t.Fatal(a.Err)
	}
	if want := []netip.Addr{netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8::7")}; !slices.Equal(a.Addresses, want) {
		t.Errorf("addresses %v, want %v", a.Addresses, want)
	}
	if a.Host != "shop.example" || a.Source != FromServer || a.Server != s.Addr || a.Rcode != "NOERROR" ||
		a.At.Before(before) || a.Took <= 0 || a.Took > time.Minute {
		t.Errorf("answer %+v", a)
	}
	want := []string{
		"stranger.example.\t5\tIN\tA\t203.0.113.66",
		"Shop.example.\t300\tIN\tCNAME\tshop.cdn.example.",
		"shop.edge.example.\t20\tIN\tA\t203.0.113.7",
		"shop.cdn.example.\t60\tIN\tCNAME\tSHOP.edge.example.",
		"stranger.example.\t5\tIN\tAAAA\t2001:db8::66",
		"shop.edge.example.\t20\tIN\tAAAA\t2001:db8::7",
	}
	got := a.Records()
	slices.Sort(want)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("records (-want +got):\n%s", d)
	}
	if len(a.Exchanges) != 2 {
		t.Fatalf("%d exchanges", len(a.Exchanges))
	}
	for _, x := range a.Exchanges {
		var q, r dnsmessage.Message
		if err := errors.Join(q.Unpack(x.Query), r.Unpack(x.Reply)); err != nil || q.ID != r.ID || len(r.Answers) != 4 {
			t.Errorf("messages %v: %v %v", err, q, r)
		}
		if x.Server != s.Addr || x.Network != "udp" || x.At.Before(before) || x.Took <= 0 || x.Question().Name != "shop.example." {
			t.Errorf("exchange %+v", x)
		}
	}
}

// The text is that of a dns: record: a time, comments, the zone.
func TestText(t *testing.T) {
	s := dnstest.Start(t, chain)
	a := resolver(s).Lookup(t.Context(), "shop.example")
	lines := strings.Split(strings.TrimSuffix(a.Text(), "\n"), "\n")
	if at, err := time.Parse("20060102150405", lines[0]); err != nil || a.At.Sub(at) < 0 || a.At.Sub(at) >= time.Second {
		t.Errorf("first line %q %v", lines[0], err)
	}
	comments := 0
	for _, l := range lines[1:] {
		if strings.HasPrefix(l, "; shop.example. IN A") && strings.Contains(l, "asked of "+s.Addr+" by udp at 20") && strings.Contains(l, ", NOERROR after ") {
			comments++
		}
	}
	if comments != 2 || !strings.Contains(a.Text(), "\nshop.edge.example.\t20\tIN\tA\t203.0.113.7\n") || len(lines) != 9 {
		t.Errorf("text:\n%s", a.Text())
	}
}

// A truncated answer is fetched again over TCP, and both are kept.
func TestTruncated(t *testing.T) {
	s := dnstest.Start(t, func(network string, q dnsmessage.Question) reply {
		r := dnstest.Fixed("203.0.113.7")(network, q)
		if network == "udp" && q.Type == dnsmessage.TypeA {
			r = reply{Truncated: true, Answers: []dnsmessage.Resource{dnstest.Address("shop.example.", "203.0.113.99", 60)}}
		}
		return r
	})
	a := resolver(s).Lookup(t.Context(), "shop.example")
	if a.Err != nil || len(a.Addresses) != 1 || a.Addresses[0].String() != "203.0.113.7" {
		t.Errorf("addresses %v %v", a.Addresses, a.Err)
	}
	i := slices.IndexFunc(a.Exchanges, func(x Exchange) bool { return x.Network == "tcp" })
	if len(a.Exchanges) != 3 || i < 0 || a.Exchanges[i].Reply == nil {
		t.Fatalf("exchanges %+v", a.Exchanges)
	}
	if !strings.Contains(a.Text(), ", truncated\n") || strings.Contains(a.Text(), "203.0.113.99") {
		t.Errorf("text:\n%s", a.Text())
	}
}

// What the server says against the name is kept as it was said.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		handle func(string, dnsmessage.Question) reply
		rcode  string
		says   string
	}{
		"NXDOMAIN": {func(string, dnsmessage.Question) reply { return reply{Rcode: dnsmessage.RCodeNameError} }, "NXDOMAIN", "no such host"},
		"SERVFAIL": {func(string, dnsmessage.Question) reply { return reply{Rcode: dnsmessage.RCodeServerFailure} }, "SERVFAIL", "server misbehaving"},
		"odd code": {func(string, dnsmessage.Question) reply { return reply{Rcode: 9} }, "RCODE9", "server misbehaving"},
		"nothing":  {func(string, dnsmessage.Question) reply { return reply{} }, "NOERROR", "no such host"},
		"another name in the answer": {func(_ string, q dnsmessage.Question) reply {
			return reply{Answers: []dnsmessage.Resource{dnstest.Address("evil.example.", "203.0.113.66", 60)}}
		}, "NOERROR", "no address of this name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := resolver(dnstest.Start(t, c.handle)).Lookup(t.Context(), "shop.example")
			if a.Err == nil || !strings.Contains(a.Err.Error(), c.says) || len(a.Addresses) > 0 {
				t.Errorf("addresses %v, error %v, want %q", a.Addresses, a.Err, c.says)
			}
			if a.Rcode != c.rcode || a.Source != FromServer || !strings.Contains(a.Text(), ", "+c.rcode+" after") {
				t.Errorf("code %s, source %s, want %s\n%s", a.Rcode, a.Source, c.rcode, a.Text())
			}
		})
	}
}

// Only what answers the question is an answer.
func TestStrays(t *testing.T) {
	right := dnstest.Fixed("203.0.113.7")
	for name, spoil := range map[string]func(*reply){
		"another number":   func(r *reply) { r.Number = 1 },
		"another question": func(r *reply) { r.Other = "evil.example." },
		"nonsense":         func(r *reply) { r.Raw = []byte("xxnonsense") },
		"cut off":          func(r *reply) { r.Raw = []byte{0, 0, 0x80, 0, 0, 1} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := dnstest.Start(t, func(network string, q dnsmessage.Question) reply {
				r := right(network, q)
				spoil(&r)
				return r
			})
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			a := resolver(s).Lookup(ctx, "shop.example")
			if a.Err == nil || len(a.Addresses) > 0 || a.Source != "" || a.Text() != "" {
				t.Errorf("believed: %+v", a)
			}
			for _, x := range a.Exchanges {
				if x.Strays != 1 || x.Reply != nil {
					t.Errorf("exchange %+v", x)
				}
			}
		})
	}
	t.Run("before the answer", func(t *testing.T) {
		t.Parallel()
		s := dnstest.Start(t, func(network string, q dnsmessage.Question) reply {
			r := right(network, q)
			r.Before = []byte("forged in haste")
			return r
		})
		a := resolver(s).Lookup(t.Context(), "shop.example")
		if a.Err != nil || len(a.Addresses) != 1 || len(a.Exchanges) != 2 || a.Exchanges[0].Strays != 1 {
			t.Errorf("answer %+v", a)
		}
	})
}

// An answer that is broken behind its question is kept and not used.
func TestMalformed(t *testing.T) {
	s := dnstest.Start(t, func(network string, q dnsmessage.Question) reply {
		m := dnsmessage.Message{Header: dnsmessage.Header{Response: true}, Questions: []dnsmessage.Question{q},
			Answers: dnstest.Fixed("203.0.113.7", "2001:db8::7")(network, q).Answers}
		b, err := m.Pack()
		if err != nil {
			t.Error(err)
		}
		return reply{Raw: b[:len(b)-2]}
	})
	a := resolver(s).Lookup(t.Context(), "shop.example")
	if a.Err == nil || len(a.Addresses) > 0 {
		t.Errorf("believed: %+v", a)
	}
	if x := a.Exchanges[0]; x.Reply == nil || x.Err == nil || !strings.Contains(x.Err.Error(), "reading DNS record 1") {
		t.Errorf("exchange %+v", x)
	}
}

// A server that says nothing costs no more than the time that is given.
func TestSilence(t *testing.T) {
	s := dnstest.Start(t, func(string, dnsmessage.Question) reply { return reply{Silent: true} })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	a := resolver(s).Lookup(ctx, "shop.example")
	if a.Err == nil || a.Took > 5*time.Second || a.Source != "" || len(a.Exchanges) == 0 || a.Exchanges[0].Query == nil {
		t.Errorf("answer %+v", a)
	}
}

// A name server that cannot be reached is named.
func TestNoServer(t *testing.T) {
	refused := errors.New("nobody there")
	r := Resolver{Now: capture.Now, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, refused }}
	a := r.Lookup(t.Context(), "shop.example")
	if a.Err == nil || len(a.Exchanges) == 0 || a.Exchanges[0].Server == "" || !errors.Is(a.Exchanges[0].Err, refused) {
		t.Errorf("answer %+v", a)
	}
}

// The hosts file goes first and no server is asked.
func TestHostsFile(t *testing.T) {
	b, err := os.ReadFile("/etc/hosts")
	if err != nil || !strings.Contains(string(b), "localhost") {
		t.Skip("this machine's hosts file does not name localhost")
	}
	s := dnstest.Start(t, dnstest.Fixed("203.0.113.7"))
	a := resolver(s).Lookup(t.Context(), "localhost")
	if a.Err != nil || a.Source != FromHosts || len(a.Addresses) == 0 || !a.Addresses[0].IsLoopback() || len(s.Asked()) > 0 || a.Text() != "" {
		t.Errorf("answer %+v, asked %q", a, s.Asked())
	}
}

// A name with a dot is asked as it is and no other.
func TestRooted(t *testing.T) {
	s := dnstest.Start(t, func(string, dnsmessage.Question) reply { return reply{Rcode: dnsmessage.RCodeNameError} })
	resolver(s).Lookup(t.Context(), "shop.example")
	got := s.Asked()
	slices.Sort(got)
	if want := []string{"shop.example. A udp", "shop.example. AAAA udp"}; !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
	for in, want := range map[string]string{"a.b": "a.b.", "a.b.": "a.b.", "a": "a", "a.": "a.", "": ""} {
		if got := rooted(in); got != want {
			t.Errorf("rooted(%q) = %q, want %q", in, got, want)
		}
	}
}

// An alias that leads back to itself leads nowhere, and ends.
func TestCircle(t *testing.T) {
	s := dnstest.Start(t, func(string, dnsmessage.Question) reply {
		return reply{Answers: []dnsmessage.Resource{
			dnstest.Alias("shop.example.", "a.example.", 1), dnstest.Alias("a.example.", "shop.example.", 1),
			dnstest.Address("evil.example.", "203.0.113.66", 1)}}
	})
	if a := resolver(s).Lookup(t.Context(), "shop.example"); len(a.Addresses) > 0 || a.Err == nil {
		t.Errorf("answer %+v", a)
	}
}
