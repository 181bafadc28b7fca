// Package dns resolves names as the system does and keeps the exchange with
// the name server: which server was asked, when, what it answered, byte for
// byte and record by record with the time each may be kept.
//
// Life of a lookup: Resolver.Lookup asks Go's own resolver, which reads
// resolv.conf and the hosts file anew and asks for A and AAAA at once, over
// UDP and again over TCP when an answer did not fit. Every connection it
// opens is watched. When it is done, the messages that answered are read once
// more (RFC 1035 section 4) and the addresses are taken from there, along the
// chain of CNAME records from the name that was asked. A name that the hosts
// file gives costs no exchange, and its Source says so.
//
// A name with a dot is asked as it stands, never with the machine's search
// domains behind it: "shop.example" that does not exist must not become
// "shop.example.office.internal".
//
// Trust: whoever answers can say anything, and plain DNS lets anyone on the
// way answer. The package keeps what was said and by which address; it does
// not check DNSSEC. An answer with another number or to another question is
// counted as a stray and not used. Addresses of other names than those of the
// chain are kept in the record and not used. Names in the record are written
// so that they cannot break its lines. Whoever can write the hosts file
// decides alone.
package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Sources of an answer.
const (
	FromHosts  = "hosts" // the hosts file, no server was asked
	FromServer = "dns"
)

// A Resolver asks the name servers of this system.
type Resolver struct {
	// Now is the clock; it is read from several goroutines.
	Now func() time.Time
	// Dial connects to a name server; nil is net.Dialer's. Tests lead it
	// to servers of their own.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// An Answer is what came of one name.
type Answer struct {
	Host      string // as asked for
	At        time.Time
	Took      time.Duration
	Source    string       // FromHosts or FromServer; empty when nothing answered
	Addresses []netip.Addr // A before AAAA, in the order of the server
	Server    string       // host:port that gave the addresses or the last answer
	Rcode     string       // of that answer (RFC 6895 section 2.3), NOERROR, NXDOMAIN
	Exchanges []Exchange   // in the order in which they began
	Err       error        // why there are no addresses
}

// An Exchange is one query to one server.
type Exchange struct {
	Server  string // host:port
	Network string // udp or tcp
	At      time.Time
	Took    time.Duration // until the answer, or until there was none
	Query   []byte        // message without the length that TCP puts before it
	Reply   []byte        // the message that answered it
	Strays  int           // messages that did not answer it, forged or late
	Err     error         // why there is no answer, or why it cannot be read to its end

	asked, said Message
}

// Message returns the answer as far as it could be read.
func (x Exchange) Message() Message { return x.said }

// Question returns what was asked.
func (x Exchange) Question() Question { return x.asked.Question }

// answered reports whether the exchange brought a usable answer.
func (x Exchange) answered() bool { return x.Reply != nil && x.Err == nil && !x.said.Truncated }

// errForeign is the error of a name whose answers hold addresses of other
// names only.
var errForeign = errors.New("the answer holds no address of this name")

// Lookup resolves a host name, which a literal address is not. It ends with
// ctx.
func (r Resolver) Lookup(ctx context.Context, host string) Answer {
	w := &watch{now: r.Now, dial: r.Dial}
	if w.dial == nil {
		w.dial = new(net.Dialer).DialContext
	}
	a := Answer{Host: host, At: r.Now()}
	// One resolver for one lookup: net would merge lookups of the same
	// name, and the exchange would be seen by one of them only.
	system := net.Resolver{PreferGo: true, Dial: w.open}
	addrs, err := system.LookupNetIP(ctx, "ip", rooted(host))
	a.Took = r.Now().Sub(a.At)
	a.Exchanges, a.Err = w.exchanges(), err
	a.judge(addrs)
	return a
}

// judge takes from the exchanges what the record is about.
func (a *Answer) judge(addrs []netip.Addr) {
	if len(a.Exchanges) == 0 {
		if a.Err == nil {
			a.Source = FromHosts
			for _, addr := range addrs {
				a.Addresses = append(a.Addresses, addr.Unmap())
			}
		}
		return
	}
	for i, x := range a.decisive() {
		if i == 0 {
			a.Source, a.Server, a.Rcode = FromServer, x.Server, x.said.Rcode
		}
		if a.Err == nil {
			a.Addresses = append(a.Addresses, x.said.addresses()...)
		}
	}
	if a.Err == nil && len(a.Addresses) == 0 {
		a.Err = fmt.Errorf("resolving %s: %w", a.Host, errForeign)
	}
}

// decisive returns the exchanges that gave the addresses, A before AAAA, or
// else the last that was answered.
func (a *Answer) decisive() []Exchange {
	name, last := "", -1
	for i, x := range a.Exchanges {
		if x.answered() && len(x.said.addresses()) > 0 {
			name = x.said.Question.Name
		}
		if x.Reply != nil {
			last = i
		}
	}
	if name == "" {
		if last < 0 {
			return nil
		}
		return a.Exchanges[last : last+1]
	}
	byType := map[string]Exchange{}
	for _, x := range a.Exchanges {
		if x.answered() && x.said.Question.Name == name {
			byType[x.said.Question.Type] = x
		}
	}
	var out []Exchange
	for _, kind := range []string{"A", "AAAA"} {
		if x, ok := byType[kind]; ok {
			out = append(out, x)
		}
	}
	return out
}

// Records returns the resource records of the answers, each once, as lines
// of a zone file.
func (a Answer) Records() []string {
	var out []string
	for _, x := range a.Exchanges {
		if !x.answered() {
			continue
		}
		for _, r := range x.said.Records {
			if line := r.String(); !slices.Contains(out, line) {
				out = append(out, line)
			}
		}
	}
	return out
}

// Text returns the block of a WARC record for the address dns:HOST (RFC
// 4501) in the form that Heritrix gave it: a line with the time, UTC to the
// second, then lines of a zone file (text/dns, RFC 4027). Comment lines tell
// of each exchange. It is empty when no server answered.
func (a Answer) Text() string {
	if a.Source != FromServer {
		return ""
	}
	var b strings.Builder
	b.WriteString(a.At.UTC().Format("20060102150405") + "\n")
	for _, x := range a.Exchanges {
		fmt.Fprintf(&b, "; %s %s %s, asked of %s by %s at %s", x.asked.Question.Name, x.asked.Question.Class,
			x.asked.Question.Type, x.Server, x.Network, x.At.UTC().Format(time.RFC3339Nano))
		switch {
		case x.Reply == nil:
			b.WriteString(", no answer")
		case x.said.Truncated:
			b.WriteString(", truncated")
		default:
			fmt.Fprintf(&b, ", %s after %.3f ms", x.said.Rcode, float64(x.Took.Microseconds())/1000)
		}
		b.WriteString("\n")
	}
	for _, line := range a.Records() {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// rooted ends a name with a dot, which keeps search domains away. A name of
// one label is left to them: it means nothing without.
func rooted(host string) string {
	if strings.Contains(strings.TrimSuffix(host, "."), ".") && !strings.HasSuffix(host, ".") {
		return host + "."
	}
	return host
}
