package seal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guzheng/capture"
	"guzheng/preserve/key"
	"guzheng/preserve/tlog"
	"guzheng/preserve/tlog/ledger"
	"guzheng/preserve/tsa"
)

const id = "GZ-20261123-7KQ4M2XD"

// outage is an authority or a log that can be switched off: the outside
// world, which a test cannot otherwise take down.
type outage struct {
	tsa.Authority
	Appender
	name string
	down bool
}

func (o *outage) Name() string { return o.name }

func (o *outage) Stamp(ctx context.Context, imprint [32]byte) tsa.Stamp {
	if o.down {
		return tsa.Stamp{TSA: o.name, Imprint: hex.EncodeToString(imprint[:]), Error: "no answer\xff"}
	}
	s := o.Authority.Stamp(ctx, imprint)
	s.TSA = o.name
	return s
}

func (o *outage) Append(ctx context.Context, leaf []byte, since uint64) (tlog.Entry, error) {
	if o.down {
		return tlog.Entry{}, errors.New("disk full")
	}
	return o.Appender.Append(ctx, leaf, since)
}

// press is a Press of real parts.
func press(t testing.TB) (Press, *ledger.Log) {
	t.Helper()
	dir := t.TempDir()
	k, err := key.Open(filepath.Join(dir, "k"), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := tsa.OpenPractice(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	l, err := ledger.Open(ctx, filepath.Join(dir, "log"), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return Press{Key: k, Authorities: []tsa.Authority{p}, Log: l, Now: time.Now}, l
}

func pack(t testing.TB) (name string, sum [32]byte) {
	t.Helper()
	b := []byte("a package\n")
	name = filepath.Join(t.TempDir(), "p.wacz")
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return name, sha256.Sum256(b)
}

func digestOf(t testing.TB, name string) capture.Digest {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := capture.DigestOf(f)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func sealed(t testing.TB, p Press) (Seal, string, [32]byte) {
	t.Helper()
	name, sum := pack(t)
	ev, err := p.Event(context.Background(), digestOf(t, name))
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Seal(context.Background(), id, name, ev)
	if err != nil {
		t.Fatal(err)
	}
	return s, name, sum
}

func TestSeal(t *testing.T) {
	p, l := press(t)
	s, name, sum := sealed(t, p)
	if s.Pending() {
		t.Fatalf("pending: %+v", s)
	}
	if err := CheckSignature(s, sum); err != nil {
		t.Error(err)
	}
	if r := tsa.Check(s.Stamps[0], sum, tsa.Trust{}); r.State() == tsa.Failed || !r.Practice {
		t.Errorf("stamp %+v", r)
	}
	if r := tlog.Check(s.Log, []string{l.Verifier()}); r.State() != tlog.Passed {
		t.Errorf("log %+v", r)
	}
	for _, word := range []string{"http", id, "url"} {
		if strings.Contains(string(s.Log.Leaf), word) {
			t.Errorf("the log's event says too much: %s", s.Log.Leaf)
		}
	}
	// The independent judge.
	dir := t.TempDir()
	k, ok := p.Key.(*key.Key)
	if !ok {
		t.Fatal("not a key")
	}
	for f, b := range map[string][]byte{"pub.pem": k.PublicPEM(), "sig.der": s.Signature.Value} {
		if err := os.WriteFile(filepath.Join(dir, f), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "openssl", "dgst", "-sha256", "-verify", "pub.pem", "-signature", "sig.der", name)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("openssl: %v\n%s", err, out)
	}
}

// TestSealTwice seals with an event of this process and with the same as a
// later process reads it from disk.
func TestSealTwice(t *testing.T) {
	p, l := press(t)
	name, _ := pack(t)
	ev, err := p.Event(t.Context(), digestOf(t, name))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	var stored Event
	if err := json.Unmarshal(b, &stored); err != nil {
		t.Fatal(err)
	}
	for _, e := range []Event{ev, stored} {
		s, err := p.Seal(t.Context(), id, name, e)
		if err != nil || s.Log.Index != 0 || s.Package != digestOf(t, name) {
			t.Errorf("index %d, package %+v, %v", s.Log.Index, s.Package, err)
		}
	}
	if n, err := l.Size(t.Context()); err != nil || n != 1 {
		t.Errorf("the event stands %d times in the log, %v", n, err)
	}
	// What a process reads from disk is not believed to be what it hashed.
	altered := stored
	altered.Leaf = bytes.Replace(stored.Leaf, []byte(digestOf(t, name).SM3), []byte(strings.Repeat("0", 64)), 1)
	if _, err := p.Seal(t.Context(), id, name, altered); !errors.Is(err, ErrOther) {
		t.Errorf("an event with another SM3 value: %v", err)
	}
	if err := os.WriteFile(name, []byte("another ap"), 0o644); err != nil { // as long as before
		t.Fatal(err)
	}
	for _, e := range []Event{ev, stored} {
		if _, err := p.Seal(t.Context(), id, name, e); !errors.Is(err, ErrOther) {
			t.Errorf("another package under the event: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Seal(ctx, id, name, ev); err == nil {
		t.Error("an interrupted sealing gave a seal")
	}
}

func TestComplete(t *testing.T) {
	p, l := press(t)
	remote := &outage{Authority: p.Authorities[0], name: "https://tsa.example", down: true}
	log := &outage{Appender: l, down: true}
	p.Authorities, p.Log = []tsa.Authority{p.Authorities[0], remote}, log
	s, _, sum := sealed(t, p)
	if !s.Pending() || !s.Log.Pending() || s.Log.Error == "" || s.Stamps[0].Pending() || !s.Stamps[1].Pending() {
		t.Fatalf("seal of an outage: %+v", s)
	}
	if err := CheckSignature(s, sum); err != nil {
		t.Error(err)
	}
	if out, changed, err := p.Complete(t.Context(), s); changed || err != nil || !cmp.Equal(out, s) {
		t.Errorf("nothing came back and yet: %v %v", changed, err)
	}
	log.down = false
	half, changed, err := p.Complete(t.Context(), s)
	if err != nil || !changed || half.Log.Pending() || !half.Pending() {
		t.Errorf("log is back: %v %v", changed, err)
	}
	remote.down = false
	full, changed, err := p.Complete(t.Context(), half)
	if err != nil || !changed || full.Pending() {
		t.Fatalf("all is back: %v %v %+v", changed, err, full)
	}
	for _, s := range []Seal{s, half, full} {
		if err := CheckEnvelope(s); err != nil {
			t.Error(err)
		}
	}
	if !cmp.Equal(full.Stamps[0], s.Stamps[0]) || !cmp.Equal(full.Signature, s.Signature) || full.Stamps[1].TSA != remote.name || len(full.Stamps) != 2 {
		t.Error("completing changed what was there")
	}
	if _, changed, err := p.Complete(t.Context(), full); changed || err != nil {
		t.Errorf("complete seal: %v %v", changed, err)
	}
	// An authority that was given up: another one takes its place, and never
	// the practice authority.
	gone := s
	gone.Stamps = s.Stamps[1:]
	if gone, err = Enclose(gone, p.Key); err != nil {
		t.Fatal(err)
	}
	practice := p.Authorities[0]
	p.Authorities = []tsa.Authority{practice}
	if out, changed, err := p.Complete(t.Context(), gone); err != nil || len(out.Stamps) != 1 || !out.Stamps[0].Pending() {
		t.Errorf("practice in place of an authority: %v %v %+v", changed, err, out.Stamps)
	}
	p.Authorities = []tsa.Authority{&outage{name: "https://other.example", Authority: practice}}
	if out, changed, err := p.Complete(t.Context(), gone); err != nil || !changed || out.Pending() {
		t.Errorf("authority given up: %v %v %+v", changed, err, out.Stamps)
	}
}

func TestCodec(t *testing.T) {
	p, _ := press(t)
	p.Authorities = append(p.Authorities, &outage{name: "x", down: true})
	s, _, _ := sealed(t, p)
	b, err := Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if b2, err := Encode(again); err != nil || !bytes.Equal(b, b2) {
		t.Errorf("encoding is not stable: %v", err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, b); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "compact": compact.Bytes(), "two values": append(bytes.Clone(b), b...), "space after": append(bytes.Clone(b), ' '),
		"unknown member": bytes.Replace(b, []byte("{"), []byte(`{"x":1,`), 1),
		"other case":     bytes.Replace(b, []byte(`"format"`), []byte(`"Format"`), 1),
		"format":         bytes.Replace(b, []byte(Format), []byte("guzheng-seal/9"), 1),
		"id":             bytes.Replace(b, []byte(id), []byte("../../etc/passwd"), 1),
		"digest":         bytes.Replace(b, []byte(s.Package.SHA256), []byte(strings.ToUpper(s.Package.SHA256)), 1),
		"too long":       make([]byte, MaxSize+1),
	} {
		if _, err := Decode(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	p, _ := press(f)
	s, _, _ := sealed(f, p)
	b, err := Encode(s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	h := strings.Repeat("0", 64)
	f.Add(fmt.Appendf(nil, `{"format":"guzheng-seal/1","id":%q,"package":{"bytes":1,"sha256":%q,"sm3":%q}}`, id, h, h))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode(b)
		if err != nil {
			return
		}
		if again, err := Encode(s); err != nil || !bytes.Equal(again, b) {
			t.Errorf("decoded what is not encoded so: %v", err)
		}
		_ = CheckSignature(s, [32]byte{})
		_ = CheckEnvelope(s)
	})
}

func FuzzParseKept(f *testing.F) {
	h := strings.Repeat("0", 64)
	f.Add(fmt.Appendf(nil, `{"event":"kept","time":"2026-11-23T00:00:00Z","package":{"bytes":1,"sha256":%q,"sm3":%q},"key":"x"}`, h, h))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := ParseKept(b); err == nil && k.Package == (capture.Digest{}) {
			t.Error("event without digest accepted")
		}
	})
}

// A seal has the format that its members need, and is not read under another.
func TestFormats(t *testing.T) {
	p, _ := press(t)
	s, _, _ := sealed(t, p)
	if s.Format != Format {
		t.Errorf("nothing new in it, and format %s", s.Format)
	}
	s.Stamps[0].Chain = [][]byte{{1}}
	s, err := Enclose(s, p.Key)
	if err != nil || s.Format != Format2 {
		t.Fatalf("format %s, %v", s.Format, err)
	}
	b, err := Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Decode(b); err != nil || CheckEnvelope(again) != nil {
		t.Errorf("not read again: %v", err)
	}
	for from, to := range map[string]string{Format2: Format, "guzheng-seal/": "guzheng-seal/3"} {
		if _, err := Decode(bytes.Replace(b, []byte(from), []byte(to), 1)); err == nil {
			t.Errorf("read with %s for %s", to, from)
		}
	}
}
