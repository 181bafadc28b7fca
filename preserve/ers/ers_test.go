package ers_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"guzheng/preserve/ers"
	"guzheng/preserve/tsa"
	"guzheng/preserve/tsa/tsatest"
)

// A clock stands still until a test turns it. It begins with the real time,
// see tsatest.New.
type clock struct{ t time.Time }

func (c *clock) now() time.Time       { return c.t }
func (c *clock) after(years int)      { c.t = c.t.AddDate(years, 0, 0) }
func newClock() *clock                { return &clock{time.Now().UTC().Truncate(time.Second)} }
func (c *clock) year(n int) time.Time { return c.t.AddDate(n, 0, 0) }

// authorities returns three authorities, valid for 2, 6 and 20 years.
func authorities(t testing.TB, c *clock) (short, long, longest *tsatest.Authority) {
	t.Helper()
	from := c.t.Add(-time.Hour)
	return tsatest.New(t, "short", from, c.year(2), c.now), tsatest.New(t, "long", from, c.year(6), c.now), tsatest.New(t, "longest", from, c.year(20), c.now)
}

// stamp has a token made over a tree of the leaf and n-1 others, the leaf at
// place i, and returns path and token.
func stamp(t testing.TB, a tsa.Imprinter, g ers.Group, i, n int) (path [][]byte, token ers.Token) {
	t.Helper()
	tree := ers.NewTree(g.Hash)
	for k := range n {
		if k == i {
			tree.Add(g.Leaf())
		} else {
			tree.Add(g.Hash.Sum(fmt.Append(nil, "other ", k)))
		}
	}
	s := a.StampImprint(t.Context(), tsa.Imprint{Hash: g.Hash, Value: tree.Root()})
	return tree.Path(i), read(t, s)
}

func read(t testing.TB, s tsa.Stamp) ers.Token {
	t.Helper()
	der, err := tsa.Token(s)
	if err != nil {
		t.Fatal(err)
	}
	token, err := ers.NewToken(der)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func add(t testing.TB, a tsa.Imprinter, r ers.Record, g ers.Group, i, n int) ers.Record {
	t.Helper()
	path, token := stamp(t, a, g, i, n)
	out, err := r.With(g, path, token)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sums(t testing.TB, h tsa.Hash, data []ers.Object) [][]byte {
	t.Helper()
	var out [][]byte
	for _, d := range data {
		v, err := d.Sum(h)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

func objects() []ers.Object {
	return []ers.Object{ers.Bytes("package", []byte("a package")), ers.Bytes("seal", []byte("its seal")), ers.Bytes("seal 2", []byte("its second seal"))}
}

// life makes the records of one package over the years: new, renewed twice,
// with two other hash functions, and renewed once more.
func life(t testing.TB, data []ers.Object, i, n int) (records []ers.Record, trust tsa.Trust, c *clock) {
	t.Helper()
	c = newClock()
	short, long, longest := authorities(t, c)
	g, err := ers.Initial(tsa.SHA256, sums(t, tsa.SHA256, data))
	if err != nil {
		t.Fatal(err)
	}
	r := add(t, short, ers.Record{}, g, i, n)
	records = append(records, r)
	for _, a := range []*tsatest.Authority{long, long} {
		c.after(1)
		r = add(t, a, r, r.Renewal(), i, n)
		records = append(records, r)
	}
	for _, h := range []tsa.Hash{tsa.SHA512, tsa.SM3} {
		c.after(1)
		if g, err = r.Rehash(h, sums(t, h, data)); err != nil {
			t.Fatal(err)
		}
		r = add(t, longest, r, g, i, n)
		records = append(records, r)
	}
	c.after(1)
	return append(records, add(t, longest, r, r.Renewal(), i, n)), tsatest.Both(short, long, longest), c
}

func want(t *testing.T, r ers.Report, state tsa.State, codes ...string) {
	t.Helper()
	if r.State() != state {
		t.Errorf("state %s, want %s: %+v", r.State(), state, r.Findings)
	}
	for _, code := range codes {
		found := false
		for _, f := range r.Findings {
			found = found || f.Code == code && f.State == state
		}
		if !found {
			t.Errorf("no finding %s: %+v", code, r.Findings)
		}
	}
}

func TestLife(t *testing.T) {
	for _, shape := range []struct{ i, n, objects int }{{0, 1, 3}, {0, 2, 3}, {2, 3, 3}, {5, 7, 2}, {0, 1, 1}, {4, 5, 1}, {63, 64, 3}} {
		data := objects()[:shape.objects]
		records, trust, c := life(t, data, shape.i, shape.n)
		for k, r := range records {
			der, err := r.Encode()
			if err != nil {
				t.Fatal(err)
			}
			again, err := ers.Parse(der)
			if err != nil {
				t.Fatalf("%+v, record %d: %v", shape, k, err)
			}
			if b, err := again.Encode(); err != nil || !bytes.Equal(b, der) {
				t.Errorf("%+v, record %d: %v, or other bytes after reading", shape, k, err)
			}
			want(t, again.Validate(data, trust, time.Time{}), tsa.Passed)
			if k > 0 && (!r.Extends(records[k-1]) || records[k-1].Extends(r) || r.Extends(r)) {
				t.Errorf("%+v: record %d does not extend the one before", shape, k)
			}
		}
		// Five years on the first authority's certificate has long expired;
		// the renewals cover it, and the first record alone cannot tell.
		last := records[len(records)-1]
		rep := last.Validate(data, trust, c.t)
		want(t, rep, tsa.Passed)
		if got := rep.First; !got.Equal(c.year(-5)) {
			t.Errorf("first stamp of %s, want %s", got, c.year(-5))
		}
		want(t, records[0].Validate(data, trust, c.t), tsa.Unknown, "chain.expired_since")
		want(t, last.Validate(data, trust, c.year(20)), tsa.Unknown, "chain.expired_since")
		want(t, last.Validate(data, tsa.Trust{}, c.t), tsa.Unknown, "chain.no_root")
	}
}

func TestOtherData(t *testing.T) {
	data := objects()
	records, trust, c := life(t, data, 1, 4)
	other := ers.Bytes("seal", []byte("another seal"))
	for k, r := range records {
		for name, d := range map[string][]ers.Object{
			"changed": {data[0], other, data[2]}, "left out": data[:2], "one": data[:1], "none": nil,
			"more": append(objects(), other),
		} {
			// Of one object the list may hold neighbours as well (RFC 4998
			// section 4.3); that all belong together is for the caller.
			if name != "one" {
				if r.Validate(d, trust, time.Time{}).State() != tsa.Failed {
					t.Errorf("record %d, %s: not noticed", k, name)
				}
			}
		}
		about, foreign, err := r.About(append(data[:2:2], other))
		if err != nil || len(about) != 2 || foreign != 1 {
			t.Errorf("record %d is about %d objects and %d foreign ones, %v", k, len(about), foreign, err)
		}
	}
	_ = c
}

// TestLate renews when the certificate has expired already.
func TestLate(t *testing.T) {
	c := newClock()
	short, long, _ := authorities(t, c)
	data := objects()
	g, err := ers.Initial(tsa.SHA256, sums(t, tsa.SHA256, data))
	if err != nil {
		t.Fatal(err)
	}
	first := add(t, short, ers.Record{}, g, 0, 1)
	c.after(3)
	late := add(t, long, first, first.Renewal(), 0, 1)
	for _, at := range []time.Time{c.t, {}} {
		want(t, late.Validate(data, tsatest.Both(short, long), at), tsa.Unknown, "chain.expired_since")
	}
	// A stamp after its own certificate's end is never good.
	forged := add(t, short, ers.Record{}, g, 0, 1)
	want(t, forged.Validate(data, tsatest.Both(short, long), c.t), tsa.Failed, "chain.expired")
	// Time that runs backwards: the renewal is dated before what it renews.
	c.after(-1)
	back := add(t, long, late, late.Renewal(), 0, 1)
	want(t, back.Validate(data, tsatest.Both(short, long), c.year(2)), tsa.Failed, "time.order")
	// An authority that nobody trusts.
	stranger := tsatest.New(t, "stranger", c.year(-3), c.year(9), c.now)
	want(t, add(t, stranger, ers.Record{}, g, 0, 1).Validate(data, tsatest.Both(short, long), c.t), tsa.Failed, "chain.invalid", "identity.other")
}

// TestMixed puts parts of records together that do not belong together.
func TestMixed(t *testing.T) {
	data := objects()
	records, trust, c := life(t, data, 1, 4)
	strangers, strange, _ := life(t, []ers.Object{ers.Bytes("x", []byte("x")), ers.Bytes("y", []byte("y"))}, 1, 4)
	trust.Roots, trust.Pins = append(trust.Roots, strange.Roots...), append(trust.Pins, strange.Pins...)
	last, other := records[len(records)-1], strangers[len(strangers)-1]
	for name, r := range map[string]ers.Record{
		"stamp left out":       {Chains: []ers.Chain{{last.Chains[0][0], last.Chains[0][2]}, last.Chains[1], last.Chains[2]}},
		"stamps exchanged":     {Chains: []ers.Chain{{last.Chains[0][0], last.Chains[0][2], last.Chains[0][1]}, last.Chains[1], last.Chains[2]}},
		"chain left out":       {Chains: []ers.Chain{last.Chains[0], last.Chains[2]}},
		"chains exchanged":     {Chains: []ers.Chain{last.Chains[0], last.Chains[2], last.Chains[1]}},
		"another's chain":      {Chains: []ers.Chain{last.Chains[0], other.Chains[1], last.Chains[2]}},
		"another's stamp":      {Chains: []ers.Chain{{last.Chains[0][0], other.Chains[0][1]}}},
		"another hash":         {Chains: []ers.Chain{append(last.Chains[0][:1:1], last.Chains[1][0])}},
		"another's first":      {Chains: []ers.Chain{append(other.Chains[0][:1:1], last.Chains[0][1])}},
		"old chain shortened":  {Chains: []ers.Chain{last.Chains[0][:1], last.Chains[1], last.Chains[2]}},
		"later chain is first": {Chains: last.Chains[1:]},
	} {
		if got := r.Validate(data, trust, c.t); got.State() != tsa.Failed {
			t.Errorf("%s: %s", name, got.State())
		}
	}
	for n := 1; n < len(last.Chains); n++ {
		want(t, ers.Record{Chains: last.Chains[:n]}.Validate(data, trust, time.Time{}), tsa.Passed)
	}
}

func TestWithRefuses(t *testing.T) {
	c := newClock()
	short, _, _ := authorities(t, c)
	g, err := ers.Initial(tsa.SHA256, sums(t, tsa.SHA256, objects()))
	if err != nil {
		t.Fatal(err)
	}
	path, token := stamp(t, short, g, 1, 4)
	if _, err := (ers.Record{}).With(g, path[:1], token); !errors.Is(err, ers.ErrToken) {
		t.Errorf("shortened path: %v", err)
	}
	if _, err := ers.NewToken([]byte("<html>")); err == nil {
		t.Error("what is no token")
	}
	r, err := (ers.Record{}).With(g, path, token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (ers.Record{}).With(r.Renewal(), path, token); err == nil {
		t.Error("renewal of nothing")
	}
	if _, err := r.Rehash(tsa.SHA512, sums(t, tsa.SHA256, objects())); err == nil {
		t.Error("values of another hash function")
	}
	if _, err := ers.Initial("md5", nil); err == nil {
		t.Error("unknown hash function")
	}
}

// TestFlip changes bytes all over a record: nothing passes as before but in
// the newest token, in copies of certificates that the authority did not sign
// and the reader has from elsewhere.
func TestFlip(t *testing.T) {
	data := objects()
	records, trust, c := life(t, data, 1, 4)
	last := records[3]
	der, err := last.Encode()
	if err != nil {
		t.Fatal(err)
	}
	step := 11
	if testing.Short() {
		step = 197
	}
	newest := bytes.LastIndex(der, last.Last().Token)
	for i := 0; i < len(der); i += step {
		b := bytes.Clone(der)
		b[i] ^= 1
		r, err := ers.Parse(b)
		if err != nil {
			if !errors.Is(err, ers.ErrForm) {
				t.Fatalf("byte %d: %v", i, err)
			}
			continue
		}
		if r.Validate(data, trust, c.t).State() == tsa.Passed && i < newest {
			t.Errorf("byte %d of %d can change unnoticed", i, len(der))
		}
	}
}

func TestTree(t *testing.T) {
	for n := 1; n < 40; n++ {
		tree := ers.NewTree(tsa.SHA256)
		for i := range n {
			tree.Add(tsa.SHA256.Sum([]byte{byte(i)}))
			if i == n/2 {
				tree.Root() // may be asked for in between
			}
		}
		for i := range n {
			v := tsa.SHA256.Sum([]byte{byte(i)})
			for _, s := range tree.Path(i) {
				if bytes.Compare(v, s) > 0 {
					v, s = s, v
				}
				v = tsa.SHA256.Sum(v, s)
			}
			if !bytes.Equal(v, tree.Root()) {
				t.Errorf("leaf %d of %d: path leads elsewhere", i, n)
			}
		}
	}
	if ers.NewTree(tsa.SM3).Root() != nil {
		t.Error("root of nothing")
	}
}

// TestParse refuses what is not the one DER form.
func TestParse(t *testing.T) {
	records, _, _ := life(t, objects(), 1, 4)
	der, err := records[0].Encode()
	if err != nil {
		t.Fatal(err)
	}
	// A member that is not read here, behind the others.
	longer := append(bytes.Clone(der), 0x05, 0x00)
	if longer[1] != 0x82 {
		t.Fatalf("length form %x", longer[1])
	}
	n := int(longer[2])<<8 | int(longer[3]) + 2
	longer[2], longer[3] = byte(n>>8), byte(n)
	for name, b := range map[string][]byte{
		"nothing": nil, "cut": der[:len(der)-1], "behind": append(bytes.Clone(der), 0), "member": longer,
		"large": make([]byte, ers.MaxSize+1), "indefinite": append([]byte{0x30, 0x80}, append(bytes.Clone(der[4:]), 0, 0)...),
	} {
		if _, err := ers.Parse(b); !errors.Is(err, ers.ErrForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
