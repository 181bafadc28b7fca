package verify_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"guzheng/capture"
	"guzheng/preserve/seal"
	"guzheng/preserve/tsa"
	"guzheng/preserve/verify"
	"guzheng/preserve/wacz"
	"guzheng/preserve/wacz/wacztest"
)

func digestOf(t testing.TB, name string) capture.Digest {
	t.Helper()
	d, err := capture.DigestOf(bytes.NewReader(read(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func verdict(t testing.TB, pkg string, opt verify.Options) verify.Verdict {
	t.Helper()
	v, err := verify.Package(t.Context(), pkg, opt)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// told is one line per check that is not passed.
func told(v verify.Verdict) string {
	var b strings.Builder
	for _, c := range v.Checks {
		if c.Outcome != verify.Passed {
			fmt.Fprintf(&b, "%s %s: %s\n", c.Name, c.Outcome, c.Code)
		}
	}
	return b.String()
}

func TestEverythingPasses(t *testing.T) {
	h := newHouse(t)
	v := verdict(t, h.build(t, wacztest.WARC(t)), verify.Options{Trust: h.trust})
	var names []string
	for _, c := range v.Checks {
		if c.Outcome != verify.Passed {
			t.Errorf("%+v", c)
		}
		names = append(names, c.Name)
	}
	want := strings.Fields(`zip datapackage files.sha256 files.sm3 take raw.root
		raw.stamp.imprint raw.stamp.nonce raw.stamp.policy raw.stamp.signature raw.stamp.chain raw.stamp.identity
		warc index pages package.signature seal.present seal.digest seal.signature seal.envelope seal.signer
		stamp.imprint stamp.nonce stamp.policy stamp.signature stamp.chain stamp.identity
		log.leaf log.inclusion log.checkpoint log.key`)
	if d := cmp.Diff(want, names); d != "" {
		t.Error(d)
	}
}

func TestTrustNobody(t *testing.T) {
	h := newHouse(t)
	v := verdict(t, h.build(t, wacztest.WARC(t)), verify.Options{})
	want := `raw.stamp.chain cannot tell: chain.no_root
raw.stamp.identity cannot tell: identity.not_pinned
seal.signer cannot tell: signer.unpinned
stamp.chain cannot tell: chain.no_root
stamp.identity cannot tell: identity.not_pinned
log.key cannot tell: log.unpinned
`
	if d := cmp.Diff(want, told(v)); d != "" || v.Outcome() != verify.Unknown {
		t.Errorf("%s: %s", v.Outcome(), d)
	}
}

// Practice stamps never pass, not even for a reader who trusts the practice
// root and pins its name.
func TestPracticeIsNeverPassed(t *testing.T) {
	h := newHouse(t)
	p, err := tsa.OpenPractice(t.TempDir(), wacztest.Now)
	if err != nil {
		t.Fatal(err)
	}
	h.trust.TSA.Roots = append(h.trust.TSA.Roots, p.Root())
	h.trust.TSA.Pins = []tsa.Pin{{Policy: tsa.PracticePolicy, Issuer: p.Root().Subject.CommonName}}
	v := verdict(t, h.build(t, wacztest.WARC(t), p), verify.Options{Trust: h.trust})
	want := `raw.stamp.chain cannot tell: stamp.practice
raw.stamp.identity cannot tell: stamp.practice
stamp.chain cannot tell: stamp.practice
stamp.identity cannot tell: stamp.practice
`
	if d := cmp.Diff(want, told(v)); d != "" {
		t.Error(d)
	}
}

func TestPending(t *testing.T) {
	h := newHouse(t)
	h.log.down = true
	v := verdict(t, h.build(t, wacztest.WARC(t), silent{}), verify.Options{Trust: h.trust})
	for _, c := range v.Checks {
		stamp := strings.HasPrefix(c.Name, "stamp.") || strings.HasPrefix(c.Name, "raw.stamp.")
		log := strings.HasPrefix(c.Name, "log.")
		if (stamp && c.Code != "stamp.pending") || (log && c.Code != "log.pending") || (stamp || log) != (c.Outcome == verify.Unknown) {
			t.Errorf("%+v", c)
		}
	}
}

// A capture that got nothing has nothing of which the traffic could be
// checked, and passes where all else does.
func TestTakeWithoutTraffic(t *testing.T) {
	h := newHouse(t)
	v := verdict(t, h.build(t, nil), verify.Options{Trust: h.trust})
	if v.Outcome() != verify.Passed {
		t.Error(told(v))
	}
	for _, c := range v.Checks {
		if c.Name == "warc" || c.Name == "index" {
			t.Errorf("nothing to check, and yet %+v", c)
		}
	}
}

func TestSealChoice(t *testing.T) {
	h := newHouse(t)
	pkg := h.build(t, nil)
	good := read(t, sealOf(pkg))
	if err := os.Remove(sealOf(pkg)); err != nil {
		t.Fatal(err)
	}
	opt := verify.Options{Trust: h.trust}
	if got := told(verdict(t, pkg, opt)); got != "seal.present cannot tell: seal.missing\n" {
		t.Error(got)
	}
	if got := told(verdict(t, pkg, verify.Options{Trust: h.trust, Seal: good})); got != "" {
		t.Error(got)
	}
	stem := strings.TrimSuffix(pkg, ".wacz")
	for name, b := range map[string][]byte{".seal.json": nil, ".seal-2.json": nil, ".seal-10.json": good, ".seal-9.json": nil, ".seal-010.json": nil, ".seal-11.json.tmp": nil} {
		if err := os.WriteFile(stem+name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if newest, err := verify.NewestSeal(pkg); err != nil || newest != stem+".seal-10.json" {
		t.Errorf("newest is %s, %v", newest, err)
	}
	if got := told(verdict(t, pkg, opt)); got != "" {
		t.Error(got)
	}
	if _, err := verify.Package(t.Context(), pkg, verify.Options{SealPath: stem + ".nowhere"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("named seal that is not there: %v", err)
	}
	if _, err := verify.Package(t.Context(), stem, verify.Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("package that is not there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := verify.Package(ctx, pkg, opt); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// spots are byte offsets in every region between marks: the first and last
// bytes and some between.
func spots(b []byte, step int) []int {
	var out []int
	for i := range b {
		if i < 16 || i >= len(b)-22 || i%step == 0 {
			out = append(out, i)
		}
	}
	return out
}

// A flipped bit anywhere in a package ends in failed, with and without the
// seal.
func TestFlippedByteInPackage(t *testing.T) {
	h := newHouse(t)
	pkg := h.build(t, wacztest.WARC(t))
	good, sealed := read(t, pkg), read(t, sealOf(pkg))
	p, err := wacz.Open(bytes.NewReader(good), int64(len(good)))
	if err != nil {
		t.Fatal(err)
	}
	at := map[int]bool{}
	for _, i := range spots(good, 509) {
		at[i] = true
	}
	for _, f := range p.Files() { // one in each file: its name is found in the local header
		i := bytes.Index(good, []byte(f.Path)) + len(f.Path)
		at[i], at[i+int(f.Bytes)/2], at[i+int(f.Bytes)-1] = true, true, true
	}
	alone := filepath.Join(t.TempDir(), "alone.wacz")
	for i := range at {
		bad := bytes.Clone(good)
		bad[i] ^= 0x01
		if err := os.WriteFile(alone, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if v := verdict(t, alone, verify.Options{Trust: h.trust}); v.Outcome() != verify.Failed {
			t.Errorf("byte %d, no seal: %s\n%s", i, v.Outcome(), told(v))
		}
		if v := verdict(t, alone, verify.Options{Trust: h.trust, Seal: sealed}); !failed(v, "seal.digest") {
			t.Errorf("byte %d: seal fits", i)
		}
	}
}

func failed(v verify.Verdict, name string) bool {
	for _, c := range v.Checks {
		if c.Name == name && c.Outcome == verify.Failed {
			return true
		}
	}
	return false
}

// A flipped bit anywhere in a seal ends in failed: in the sealing machine's
// notes, in what the authority did not sign, in the envelope itself.
func TestFlippedByteInSeal(t *testing.T) {
	trust, err := verify.LoadTrust(filepath.Join(vectors, "trust.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"good", "good-failed", "good-pending", "good-practice"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pkg := filepath.Join(vectors, name+".wacz")
			good := read(t, sealOf(pkg))
			verdict := verify.Beside(t, read(t, pkg), trust)
			if v := verdict(good); v.Outcome() == verify.Failed {
				t.Fatal(told(v))
			}
			for i := range good {
				if testing.Short() && i%31 != 0 {
					continue
				}
				bad := bytes.Clone(good)
				bad[i] ^= 0x01
				if v := verdict(bad); v.Outcome() != verify.Failed {
					t.Errorf("byte %d, %q for %q: %s\n%s", i, around(bad, i), around(good, i), v.Outcome(), told(v))
				}
			}
		})
	}
}

// around is the byte at i with its neighbours.
func around(b []byte, i int) []byte { return b[max(i-5, 0):min(i+5, len(b))] }

// An index that does not fit the traffic is a failure of its own, and so is
// every record without a digest, of which a hundred are named.
func TestTraffic(t *testing.T) {
	h := newHouse(t)
	pkg := h.build(t, wacztest.WARC(t))
	b := read(t, pkg)
	p, err := wacz.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	index, err := p.ReadFile(wacz.IndexPath, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Replace(index, []byte(`"status":"200"`), []byte(`"status":"201"`), 1)
	sum := func(b []byte) []byte { return binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)) }
	b = bytes.Replace(b, index, other, 1)
	b = bytes.ReplaceAll(b, sum(index), sum(other))
	if err := os.WriteFile(pkg, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := told(verdict(t, pkg, verify.Options{Trust: h.trust})); !strings.Contains(got, "index failed: index.other\n") {
		t.Error(got)
	}

	var bare bytes.Buffer
	gz := gzip.NewWriter(&bare)
	for i := range 150 {
		gz.Reset(&bare)
		fmt.Fprintf(gz, "WARC/1.1\r\nWARC-Type: resource\r\nWARC-Record-ID: <urn:uuid:%d>\r\nWARC-Target-URI: urn:x:%d\r\n"+
			"WARC-Date: 2026-05-04T03:02:01Z\r\nContent-Length: 0\r\n\r\n\r\n\r\n", i, i)
		if err := gz.Close(); err != nil {
			t.Fatal(err)
		}
	}
	got := told(verdict(t, h.build(t, bare.Bytes()), verify.Options{Trust: h.trust}))
	if want := strings.Repeat("warc failed: warc.no_digest\n", 100); got != want {
		t.Errorf("got %d lines:\n%.300s", strings.Count(got, "\n"), got)
	}
}

// Whoever rebuilds a whole package with a key of their own is found out by
// the seal.
func TestForgeries(t *testing.T) {
	h := newHouse(t)
	pkg := h.build(t, wacztest.WARC(t))
	sealed := read(t, sealOf(pkg))
	reseal := func(change func(*seal.Seal)) []byte {
		s, err := seal.Decode(sealed)
		if err != nil {
			t.Fatal(err)
		}
		change(&s)
		return encode(t, s)
	}
	other := newHouse(t)
	other.key = wacztest.NewKey(t, 2)
	foreign := other.build(t, wacztest.WARC(t)) // package by key 1, seal by key 2
	otherPkg := h.build(t, nil)
	for _, c := range []struct {
		name, pkg string
		seal      []byte
		want      string // check that fails
		code      string
	}{
		{"seal of another package", pkg, read(t, sealOf(otherPkg)), "seal.digest", "seal.other_digest"},
		{"other signer", foreign, read(t, sealOf(foreign)), "seal.signer", "signer.other"},
		{"other id", pkg, reseal(func(s *seal.Seal) { s.ID = "GZ-20260504-TEST0002" }), "seal.digest", "seal.other_id"},
		{"log entry of another", pkg, reseal(func(s *seal.Seal) { s.Log = decode(t, read(t, sealOf(otherPkg))).Log }), "log.leaf", "log.other_package"},
		{"stamp of another", pkg, reseal(func(s *seal.Seal) { s.Stamps = decode(t, read(t, sealOf(otherPkg))).Stamps }), "stamp.imprint", "imprint.other"},
		{"envelope left out", pkg, reseal(func(s *seal.Seal) { s.Envelope = nil }), "seal.envelope", "envelope.missing"},
		{"clock of a stamp", pkg, reseal(func(s *seal.Seal) { s.Stamps[0].At = s.Stamps[0].At.Add(1) }), "seal.envelope", "envelope.invalid"},
		{"fuller seal without the key", pkg, reseal(func(s *seal.Seal) { s.Stamps = append(s.Stamps, s.Stamps[0]) }), "seal.envelope", "envelope.invalid"},
		{"not a seal", pkg, []byte("{}"), "seal.present", "seal.unreadable"},
		{"empty seal", pkg, []byte{}, "seal.present", "seal.unreadable"},
	} {
		v := verdict(t, c.pkg, verify.Options{Trust: h.trust, Seal: c.seal})
		found := false
		for _, k := range v.Checks {
			found = found || k.Name == c.want && k.Outcome == verify.Failed && k.Code == c.code
		}
		if !found {
			t.Errorf("%s: want %s %s\n%s", c.name, c.want, c.code, told(v))
		}
	}
	h.trust.Signers = []string{strings.Repeat("0", 64)}
	if v := verdict(t, pkg, verify.Options{Trust: h.trust}); told(v) != "seal.signer failed: signer.not_trusted\n" {
		t.Error(told(v))
	}
}

func decode(t testing.TB, b []byte) seal.Seal {
	t.Helper()
	s, err := seal.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A lenient reader does not call a stranger's package altered, and still
// notices when it is.
func TestLenient(t *testing.T) {
	h := newHouse(t)
	pkg := h.build(t, wacztest.WARC(t))
	us := newHouse(t).trust
	us.Signers, us.Logs = []string{strings.Repeat("0", 64)}, []string{"log.example/us+00000000+AAAA"}
	us.TSA.Roots, us.TSA.Pins = nil, []tsa.Pin{{Name: "Our TSA"}}
	opt := verify.Options{Trust: us}
	if v := verdict(t, pkg, opt); v.Outcome() != verify.Failed {
		t.Errorf("strict reader: %s", v.Outcome())
	}
	opt.Trust.Lenient = true
	want := `raw.stamp.chain cannot tell: chain.no_root
raw.stamp.identity cannot tell: identity.not_pinned
seal.signer cannot tell: signer.unpinned
stamp.chain cannot tell: chain.no_root
stamp.identity cannot tell: identity.not_pinned
log.key cannot tell: log.unpinned
`
	if d := cmp.Diff(want, told(verdict(t, pkg, opt))); d != "" {
		t.Error(d)
	}
	opt.Seal = bytes.Replace(read(t, sealOf(pkg)), []byte(`"index": 3`), []byte(`"index": 2`), 1)
	if v := verdict(t, pkg, opt); !failed(v, "log.inclusion") {
		t.Error(told(v))
	}
}

func TestLoadTrust(t *testing.T) {
	h := newHouse(t)
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	root := pemOf(newRoot(t))
	write("root.pem", root)
	inline, err := json.Marshal(string(root))
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{"format": "guzheng-trust/1", "signers": [%q], "logs": [%q],
		"tsa": {"roots": ["root.pem", %s], "pins": [{"policy": "1.2.3", "name": "Test TSA"}], "max_skew_seconds": 5}}`,
		strings.ToUpper(h.trust.Signers[0]), h.trust.Logs[0], inline)
	trust, err := verify.LoadTrust(write("trust.json", []byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	if v := verdict(t, h.build(t, wacztest.WARC(t)), verify.Options{Trust: trust}); v.Outcome() != verify.Passed || len(trust.TSA.Roots) != 2 {
		t.Error(told(v))
	}
	for _, bad := range []string{``, `{}`, `{"format":"guzheng-trust/2"}`, `{"format":"guzheng-trust/1","signer":[]}`,
		`{"format":"guzheng-trust/1","signers":["x"]}`, `{"format":"guzheng-trust/1","tsa":{"roots":["none.pem"]}}`,
		`{"format":"guzheng-trust/1","tsa":{"roots":["-----BEGIN nothing"]}}`, `{"format":"guzheng-trust/1","tsa":{"max_skew_seconds":-1}}`,
		`{"format":"guzheng-trust/1","witnesses":{"keys":["x"]}}`, `{"format":"guzheng-trust/1","witnesses":{"quorum":1}}`} {
		if _, err := verify.LoadTrust(write("bad.json", []byte(bad))); err == nil {
			t.Errorf("accepted %s", bad)
		}
	}
	if _, err := verify.ParseTrust([]byte(text)); err == nil {
		t.Error("a text that names a file was accepted")
	}
	if b, err := trust.Encode(); err != nil {
		t.Error(err)
	} else if again, err := verify.ParseTrust(b); err != nil || !cmp.Equal(trust, again) {
		t.Errorf("%v: %s", err, b)
	}
	text = strings.Replace(text, `"root.pem", `, "", 1)
	if trust, err := verify.ParseTrust([]byte(text)); err != nil || len(trust.TSA.Roots) != 1 {
		t.Errorf("%d roots, %v", len(trust.TSA.Roots), err)
	}
}

// TestRead wants the verdict on bytes that lie in no file to be the one on
// the file, and to be about the digest of the package.
func TestRead(t *testing.T) {
	h := newHouse(t)
	pkg := h.build(t, wacztest.WARC(t))
	b := read(t, pkg)
	for _, opt := range []verify.Options{{Trust: h.trust}, {Trust: h.trust, Seal: read(t, sealOf(pkg))}} {
		got, err := verify.Read(t.Context(), bytes.NewReader(b), int64(len(b)), opt)
		if err != nil {
			t.Fatal(err)
		}
		want := verdict(t, pkg, verify.Options{Trust: h.trust, Seal: opt.Seal})
		if got.Package != digestOf(t, pkg) {
			t.Errorf("package is %+v", got.Package)
		}
		if opt.Seal == nil {
			if got.Checks[len(got.Checks)-1].Code != "seal.missing" {
				t.Error("a seal was found beside bytes that lie nowhere")
			}
			continue
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
}
