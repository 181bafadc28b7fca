package web

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"guzheng/capture"
	"guzheng/capture/dns"
)

// A resolution is the one answer for a name.
type resolution struct {
	once  sync.Once
	addrs []netip.Addr
	err   error
}

// A dnsRecord is what a WARC record for the address dns:HOST is made of:
// WARC-Date, the server for WARC-IP-Address, and the block (text/dns).
type dnsRecord struct {
	Host   string
	Time   time.Time
	Server string // host:port
	Text   string
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
		patience := g.dialTimeout
		if g.proxy != "" {
			// The proxy will resolve the name. A machine that stands
			// behind one may have no name server that answers, and the
			// page must not wait for that.
			patience /= 8
		}
		ctx, cancel := context.WithTimeout(g.ctx, patience)
		defer cancel()
		found := g.lookup(ctx, host)
		r.addrs, r.err = v4First(found.Addresses), found.Err
		g.noteAnswer(found)
	})
	return r.addrs, r.err
}

// noteAnswer keeps a resolution for facts and records.
func (g *guard) noteAnswer(found dns.Answer) {
	a := capture.DNSAnswer{Host: found.Host, At: found.At.UTC(), TookMS: inMS(found.Took), Source: found.Source,
		Server: found.Server, Rcode: found.Rcode, Records: found.Records(), Check: g.proxy != ""}
	for _, addr := range v4First(found.Addresses) {
		a.Addresses = append(a.Addresses, addr.String())
	}
	if found.Err != nil {
		a.Error = found.Err.Error()
	}
	for _, x := range found.Exchanges {
		e := capture.DNSExchange{Server: x.Server, Network: x.Network, At: x.At.UTC(), TookMS: inMS(x.Took),
			Query: x.Query, Reply: x.Reply, Strays: x.Strays}
		if x.Err != nil {
			e.Error = x.Err.Error()
		}
		a.Exchanges = append(a.Exchanges, e)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answers = append(g.answers, a)
	if text := found.Text(); text != "" && !a.Check {
		g.records = append(g.records, dnsRecord{Host: found.Host, Time: found.At.UTC(), Server: found.Server, Text: text})
	}
}

// dnsRecords returns what name servers answered, in the order of the
// answers. Names from the hosts file are not among them, nor names that were
// resolved only to judge them, for an upstream proxy.
func (g *guard) dnsRecords() []dnsRecord {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]dnsRecord(nil), g.records...)
}

func inMS(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// v4First puts IPv4 addresses first: few machines reach the world by IPv6
// alone, many have addresses for it that lead nowhere.
func v4First(in []netip.Addr) []netip.Addr {
	var v4, v6 []netip.Addr
	for _, a := range in {
		if a.Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	return append(v4, v6...)
}
