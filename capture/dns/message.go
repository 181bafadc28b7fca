package dns

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// A Message is a DNS message as far as its header, first question and answer
// section go. All names are in the form of a zone file, ending in a dot.
type Message struct {
	ID        uint16
	Response  bool
	Truncated bool
	Rcode     string // NOERROR, NXDOMAIN, SERVFAIL, …, or RCODE and the number
	Question  Question
	Records   []Record
}

// A Question is what a message asks.
type Question struct{ Name, Class, Type string }

// A Record is one resource record (RFC 1035 section 3.2).
type Record struct {
	Name, Class, Type string
	TTL               uint32 // seconds
	Data              string // in the form of a zone file

	addr   netip.Addr // of A and AAAA
	target string     // of CNAME
}

// String returns the record as a line of a zone file, without its end.
func (r Record) String() string {
	return strings.Join([]string{r.Name, strconv.FormatUint(uint64(r.TTL), 10), r.Class, r.Type, r.Data}, "\t")
}

// Read reads a message. With an error comes what stood before the fault.
func Read(b []byte) (Message, error) {
	var m Message
	var p dnsmessage.Parser
	head, err := p.Start(b)
	if err != nil {
		return m, fmt.Errorf("reading a DNS message: %w", err)
	}
	m.ID, m.Response, m.Truncated, m.Rcode = head.ID, head.Response, head.Truncated, rcode(head.RCode)
	q, err := p.Question()
	if err != nil {
		return m, fmt.Errorf("reading a DNS question: %w", err)
	}
	m.Question = Question{Name: presented(q.Name), Class: class(q.Class), Type: kind(q.Type)}
	if err := p.SkipAllQuestions(); err != nil {
		return m, fmt.Errorf("reading DNS questions: %w", err)
	}
	for {
		r, err := next(&p)
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return m, nil
		}
		if err != nil {
			return m, fmt.Errorf("reading DNS record %d: %w", len(m.Records)+1, err)
		}
		m.Records = append(m.Records, r)
	}
}

func next(p *dnsmessage.Parser) (Record, error) {
	h, err := p.AnswerHeader()
	if err != nil {
		return Record{}, err
	}
	r := Record{Name: presented(h.Name), Class: class(h.Class), Type: kind(h.Type), TTL: h.TTL}
	switch {
	case h.Class != dnsmessage.ClassINET:
	case h.Type == dnsmessage.TypeA && h.Length == 4:
		body, err := p.AResource()
		r.addr = netip.AddrFrom4(body.A)
		r.Data = r.addr.String()
		return r, err
	case h.Type == dnsmessage.TypeAAAA && h.Length == 16:
		body, err := p.AAAAResource()
		r.addr = netip.AddrFrom16(body.AAAA)
		r.Data = r.addr.String()
		return r, err
	case h.Type == dnsmessage.TypeCNAME:
		body, err := p.CNAMEResource()
		r.target = presented(body.CNAME)
		r.Data = r.target
		return r, err
	}
	// RFC 3597 section 5: data of any type, as it came.
	body, err := p.UnknownResource()
	r.Data = `\# ` + strconv.Itoa(len(body.Data))
	if len(body.Data) > 0 {
		r.Data += " " + hex.EncodeToString(body.Data)
	}
	return r, err
}

// addresses returns the addresses of the type that was asked for, along the
// chain of CNAME records that begins at the name that was asked for (RFC 1034
// section 3.6.2). Records of other names are left alone.
func (m Message) addresses() []netip.Addr {
	name := m.Question.Name
	for range m.Records {
		to := m.alias(name)
		if to == "" {
			break
		}
		name = to
	}
	var out []netip.Addr
	for _, r := range m.Records {
		if r.addr.IsValid() && r.Type == m.Question.Type && strings.EqualFold(r.Name, name) {
			out = append(out, r.addr.Unmap())
		}
	}
	return out
}

func (m Message) alias(name string) string {
	for _, r := range m.Records {
		if r.target != "" && strings.EqualFold(r.Name, name) {
			return r.target
		}
	}
	return ""
}

// answers reports whether m is an answer to q (RFC 5452 section 9.1).
func (m Message) answers(q Message) bool {
	return m.Response && m.ID == q.ID && strings.EqualFold(m.Question.Name, q.Question.Name) &&
		m.Question.Class == q.Question.Class && m.Question.Type == q.Question.Type
}

// presented writes a name as in a zone file (RFC 1035 section 5.1). All but
// letters, digits, hyphen and underscore is written as \DDD, so that no
// server can put a line end or a comment into the record.
func presented(n dnsmessage.Name) string {
	var b strings.Builder
	for _, c := range n.Data[:n.Length] {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\%03d`, c)
		}
	}
	return b.String()
}

func class(c dnsmessage.Class) string {
	if c == dnsmessage.ClassINET {
		return "IN"
	}
	return "CLASS" + strconv.Itoa(int(c)) // RFC 3597 section 5
}

func kind(t dnsmessage.Type) string {
	switch t {
	case dnsmessage.TypeA:
		return "A"
	case dnsmessage.TypeAAAA:
		return "AAAA"
	case dnsmessage.TypeCNAME:
		return "CNAME"
	}
	return "TYPE" + strconv.Itoa(int(t))
}

func rcode(c dnsmessage.RCode) string {
	switch c {
	case dnsmessage.RCodeSuccess:
		return "NOERROR"
	case dnsmessage.RCodeFormatError:
		return "FORMERR"
	case dnsmessage.RCodeServerFailure:
		return "SERVFAIL"
	case dnsmessage.RCodeNameError:
		return "NXDOMAIN"
	case dnsmessage.RCodeNotImplemented:
		return "NOTIMP"
	case dnsmessage.RCodeRefused:
		return "REFUSED"
	}
	return "RCODE" + strconv.Itoa(int(c))
}
