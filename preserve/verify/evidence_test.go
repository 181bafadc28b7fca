package verify_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guzheng/preserve/ers"
	"guzheng/preserve/tsa"
	"guzheng/preserve/tsa/tsatest"
	"guzheng/preserve/verify"
	"guzheng/preserve/wacz/wacztest"
)

// keptLong is a package sealed with an authority whose certificate expires in
// two years, and two others to renew with.
type keptLong struct {
	*house
	pkg               string
	clock, begin      time.Time
	short, long, last *tsatest.Authority
}

func newKeptLong(t *testing.T) *keptLong {
	t.Helper()
	k := &keptLong{house: newHouse(t), begin: time.Now().UTC().Truncate(time.Second)}
	k.clock = k.begin
	now := func() time.Time { return k.clock }
	from := k.begin.Add(-time.Hour)
	k.short = tsatest.New(t, "short", from, k.year(2), now)
	k.long = tsatest.New(t, "long", from, k.year(6), now)
	k.last = tsatest.New(t, "last", from, k.year(30), now)
	k.trust.TSA = tsatest.Both(k.short, k.long, k.last)
	k.pkg = k.build(t, wacztest.WARC(t), k.short)
	return k
}

func (k *keptLong) year(n int) time.Time { return k.begin.AddDate(n, 0, 0) }

func (k *keptLong) objects(t *testing.T) []ers.Object {
	t.Helper()
	return []ers.Object{ers.Bytes("package", read(t, k.pkg)), ers.Bytes("seal", read(t, sealOf(k.pkg)))}
}

// extend stamps a group in the given year and returns the longer record.
func (k *keptLong) extend(t *testing.T, r ers.Record, g ers.Group, a tsa.Imprinter, year int) ers.Record {
	t.Helper()
	k.clock = k.year(year)
	tree := ers.NewTree(g.Hash)
	tree.Add(g.Leaf())
	tree.Add(g.Hash.Sum([]byte("another package")))
	der, err := tsa.Token(a.StampImprint(t.Context(), tsa.Imprint{Hash: g.Hash, Value: tree.Root()}))
	if err != nil {
		t.Fatal(err)
	}
	token, err := ers.NewToken(der)
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.With(g, tree.Path(0), token)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (k *keptLong) initial(t *testing.T, a tsa.Imprinter, year int, data ...ers.Object) ers.Record {
	t.Helper()
	g, err := ers.Initial(tsa.SHA256, values(t, tsa.SHA256, data))
	if err != nil {
		t.Fatal(err)
	}
	return k.extend(t, ers.Record{}, g, a, year)
}

func values(t *testing.T, h tsa.Hash, data []ers.Object) (out [][]byte) {
	t.Helper()
	for _, d := range data {
		v, err := d.Sum(h)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

func (k *keptLong) put(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(strings.TrimSuffix(k.pkg, ".wacz")+name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (k *keptLong) putRecord(t *testing.T, name string, r ers.Record) {
	t.Helper()
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	k.put(t, name, b)
}

// says wants exactly these lines for what does not pass in a year.
func (k *keptLong) says(t *testing.T, year int, want ...string) {
	t.Helper()
	got := told(verdict(t, k.pkg, verify.Options{Trust: k.trust, At: k.year(year)}))
	if d := cmp.Diff(strings.Join(append(want, ""), "\n"), got); d != "" {
		t.Errorf("year %d (-want +got):\n%s", year, d)
	}
}

func TestEvidence(t *testing.T) {
	k := newKeptLong(t)
	k.says(t, 9) // without records as ever: stamps are looked at as of their own time
	r := k.initial(t, k.long, 1, k.objects(t)...)
	k.putRecord(t, ".evidence.ers", r)
	k.says(t, 3)
	k.says(t, 7, "evidence.time cannot tell: chain.expired_since", "evidence.cover cannot tell: evidence.unsure")
	r = k.extend(t, r, r.Renewal(), k.last, 5)
	k.putRecord(t, ".evidence-2.ers", r)
	k.says(t, 7)
	for i, h := range []tsa.Hash{tsa.SHA512, tsa.SM3} {
		g, err := r.Rehash(h, values(t, h, k.objects(t)))
		if err != nil {
			t.Fatal(err)
		}
		r = k.extend(t, r, g, k.last, 8+i)
	}
	k.putRecord(t, ".evidence-10.ers", r)
	k.says(t, 29)
	k.says(t, 31, "evidence.time cannot tell: chain.expired_since", "evidence.cover cannot tell: evidence.unsure")

	v := verdict(t, k.pkg, verify.Options{Trust: k.trust, At: k.year(20)})
	var names []string
	for _, c := range v.Checks {
		if strings.HasPrefix(c.Name, "evidence.") {
			names = append(names, strings.TrimSpace(c.Name+" "+strings.TrimPrefix(c.Subject, wacztest.ID)))
		}
	}
	want := strings.Split("evidence.form .evidence.ers|evidence.data .evidence.ers|evidence.links .evidence.ers|evidence.stamps .evidence.ers|"+
		"evidence.form .evidence-2.ers|evidence.data .evidence-2.ers|evidence.links .evidence-2.ers|evidence.stamps .evidence-2.ers|"+
		"evidence.form .evidence-10.ers|evidence.data .evidence-10.ers|evidence.links .evidence-10.ers|evidence.stamps .evidence-10.ers|"+
		"evidence.time|evidence.cover "+k.short.Name(), "|")
	if d := cmp.Diff(want, names); d != "" {
		t.Error(d)
	}

	// The same from bytes, as where there is no directory to look in.
	files, err := verify.ReadBeside(k.pkg)
	if err != nil {
		t.Fatal(err)
	}
	alone := filepath.Join(t.TempDir(), "p.wacz")
	if err := os.WriteFile(alone, read(t, k.pkg), 0o600); err != nil {
		t.Fatal(err)
	}
	opt := verify.Options{Trust: k.trust, At: k.year(20), Beside: files, Seal: read(t, sealOf(k.pkg))}
	if got := told(verdict(t, alone, opt)); got != "" {
		t.Error(got)
	}
}

func TestEvidenceBad(t *testing.T) {
	k := newKeptLong(t)
	good := k.initial(t, k.last, 1, k.objects(t)...)
	strange := k.initial(t, k.last, 1, ers.Bytes("x", []byte("x")), k.objects(t)[1])
	more := k.initial(t, k.last, 1, append(k.objects(t), ers.Bytes("x", []byte("x")))...)
	late := k.initial(t, k.last, 3, k.objects(t)...)
	only := k.initial(t, k.last, 1, k.objects(t)[0])
	cut := ers.Record{Chains: []ers.Chain{{good.Last(), late.Last()}}}
	stranger := tsatest.New(t, "stranger", k.year(-1), k.year(30), func() time.Time { return k.clock })
	untrusted := k.initial(t, stranger, 1, k.objects(t)...)
	k.clock = k.begin
	practice, err := tsa.OpenPractice(t.TempDir(), func() time.Time { return k.clock })
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		r    ers.Record
		want string
	}{
		{"of another package", strange, "evidence.data failed: evidence.foreign|evidence.time cannot tell: evidence.none|evidence.cover cannot tell: evidence.not_covered"},
		{"of one file more", more, "evidence.data failed: evidence.foreign|evidence.time cannot tell: evidence.none|evidence.cover cannot tell: evidence.not_covered"},
		{"late", late, "evidence.cover cannot tell: evidence.late"},
		{"of the package only", only, "evidence.cover cannot tell: evidence.not_covered"},
		{"put together", cut, "evidence.links failed: chain.broken|evidence.cover cannot tell: evidence.unsure"},
		{"by a stranger", untrusted, "evidence.stamps failed: chain.invalid|evidence.cover cannot tell: evidence.unsure"},
		{"by the practice authority", k.initial(t, practice, 1, k.objects(t)...), "evidence.stamps cannot tell: stamp.practice|evidence.cover cannot tell: stamp.practice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k.putRecord(t, ".evidence.ers", c.r)
			k.says(t, 4, strings.Split(c.want, "|")...)
		})
	}
	k.put(t, ".evidence.ers", []byte("no record"))
	k.says(t, 4, "evidence.form failed: evidence.unreadable", "evidence.time cannot tell: evidence.none", "evidence.cover cannot tell: evidence.not_covered")
	// One good record does not make up for a broken one.
	k.putRecord(t, ".evidence-2.ers", good)
	k.says(t, 4, "evidence.form failed: evidence.unreadable")
	// To a lenient reader a stranger is one that cannot be told.
	k.putRecord(t, ".evidence.ers", untrusted)
	k.trust.Lenient = true
	k.says(t, 4, "evidence.stamps cannot tell: chain.no_root")
	// A seal that was exchanged is not what the record is about.
	k.putRecord(t, ".evidence.ers", good)
	k.seal(t, k.pkg, k.last)
	if got := told(verdict(t, k.pkg, verify.Options{Trust: k.trust, At: k.year(4)})); !strings.Contains(got, "evidence.cover cannot tell: evidence.not_covered") {
		t.Error(got)
	}
}
