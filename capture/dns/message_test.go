package dns

import (
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"guzheng/capture/dns/dnstest"
)

func packed(t testing.TB, m dnsmessage.Message) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func question(name string) []dnsmessage.Question {
	return []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}
}

// Records of any type and class are written as RFC 3597 wants, and names so
// that they stay in their line.
func TestRecords(t *testing.T) {
	unknown := func(name string, kind dnsmessage.Type, class dnsmessage.Class, data string) dnsmessage.Resource {
		return dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: class, TTL: 7},
			Body: &dnsmessage.UnknownResource{Type: kind, Data: []byte(data)}}
	}
	for name, c := range map[string]struct {
		r    dnsmessage.Resource
		want string
	}{
		"signature":       {unknown("a.example.", 46, dnsmessage.ClassINET, "\x00\xff"), "a.example.\t7\tIN\tTYPE46\t\\# 2 00ff"},
		"empty":           {unknown("a.example.", 65280, dnsmessage.ClassINET, ""), "a.example.\t7\tIN\tTYPE65280\t\\# 0"},
		"class":           {unknown("a.example.", dnsmessage.TypeA, dnsmessage.ClassCHAOS, "abcd"), "a.example.\t7\tCLASS3\tA\t\\# 4 61626364"},
		"odd length":      {unknown("a.example.", dnsmessage.TypeA, dnsmessage.ClassINET, "abc"), "a.example.\t7\tIN\tA\t\\# 3 616263"},
		"line in a name":  {dnstest.Address("a\nb;c d\\.example.", "192.0.2.1", 1), `a\010b\059c\032d\092.example.` + "\t1\tIN\tA\t192.0.2.1"},
		"line in a alias": {dnstest.Alias("a.example.", "é\r\n.", 1), "a.example.\t1\tIN\tCNAME\t" + `\195\169\013\010.`},
		"root":            {dnstest.Alias(".", ".", 1), ".\t1\tIN\tCNAME\t."},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Read(packed(t, dnsmessage.Message{Questions: question("a.example."), Answers: []dnsmessage.Resource{c.r}}))
			if err != nil || len(m.Records) != 1 || m.Records[0].String() != c.want {
				t.Errorf("read %q %v, want %q", m.Records, err, c.want)
			}
		})
	}
}

// Address records of another class or a wrong length are no addresses.
func TestNoAddress(t *testing.T) {
	for _, r := range []dnsmessage.Resource{
		{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("a.example."), Class: dnsmessage.ClassCHAOS},
			Body: &dnsmessage.UnknownResource{Type: dnsmessage.TypeA, Data: []byte{203, 0, 113, 7}}},
		{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("a.example."), Class: dnsmessage.ClassINET},
			Body: &dnsmessage.UnknownResource{Type: dnsmessage.TypeA, Data: make([]byte, 16)}},
		dnstest.Address("a.example.", "2001:db8::1", 1), // asked for A
	} {
		m, err := Read(packed(t, dnsmessage.Message{Questions: question("a.example."), Answers: []dnsmessage.Resource{r}}))
		if err != nil || len(m.addresses()) > 0 {
			t.Errorf("%v gives %v, %v", r, m.addresses(), err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(packed(f, dnsmessage.Message{Questions: question("a.example."), Answers: chain("", question("a.example.")[0]).Answers}))
	f.Add(packed(f, dnsmessage.Message{Header: dnsmessage.Header{Response: true, RCode: 3}, Questions: question("x\ny.")}))
	f.Add([]byte{0, 1, 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0xc0, 0x0c, 0, 1, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, _ := Read(b)
		for _, r := range m.Records {
			line := r.String()
			if strings.Count(line, "\t") != 4 || strings.ContainsAny(line, "\n\r;\x00") {
				t.Errorf("record %q", line)
			}
			for i := range len(line) {
				if line[i] < ' ' && line[i] != '\t' || line[i] > '~' {
					t.Errorf("record %q", line)
				}
			}
		}
		if n := len(m.addresses()); n > len(m.Records) {
			t.Errorf("%d addresses of %d records", n, len(m.Records))
		}
		if m.answers(m) && !m.Response {
			t.Error("a question that answers itself")
		}
	})
}
