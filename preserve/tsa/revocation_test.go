package tsa

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// registry answers for the certificates of an own: OCSP, lists and the
// issuer's certificate, each as the test wants it.
type registry struct {
	own
	url string

	mu                sync.Mutex
	ocsp, crl, issuer func() []byte // nil: status 404
	asked             []string
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	g := &registry{}
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	g.url = srv.URL
	g.own = newOwn(t, func(c *x509.Certificate) {
		c.OCSPServer, c.CRLDistributionPoints = []string{srv.URL + "/ocsp"}, []string{"ldap://example/x", srv.URL + "/crl"}
		c.IssuingCertificateURL = []string{srv.URL + "/issuer"}
	})
	return g
}

func (g *registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, r.URL.Path)
	answer := map[string]func() []byte{"/ocsp": g.ocsp, "/crl": g.crl, "/issuer": g.issuer}[r.URL.Path]
	if answer == nil {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(answer())
}

func (g *registry) trust() Trust {
	return Trust{Roots: []*x509.Certificate{g.root}, Pins: []Pin{{Issuer: "Root", Name: "Leaf"}}}
}

// response signs an OCSP response about the leaf.
func (g *registry) response(t *testing.T, r ocsp.Response) func() []byte {
	t.Helper()
	r.SerialNumber = g.leaf.SerialNumber
	if r.ThisUpdate.IsZero() {
		r.ThisUpdate, r.NextUpdate = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	}
	b, err := ocsp.CreateResponse(g.root, g.root, r, g.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	return func() []byte { return b }
}

// list signs a revocation list.
func (g *registry) list(t *testing.T, l x509.RevocationList) func() []byte {
	t.Helper()
	l.Number = serial()
	if l.ThisUpdate.IsZero() {
		l.ThisUpdate, l.NextUpdate = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	}
	b, err := x509.CreateRevocationList(rand.Reader, &l, g.root, g.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	return func() []byte { return b }
}

func (g *registry) revoked(at time.Time, reason int) x509.RevocationList {
	return x509.RevocationList{RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: g.leaf.SerialNumber, RevocationTime: at, ReasonCode: reason}}}
}

func TestRevocationTable(t *testing.T) {
	sum := sha256.Sum256([]byte("x"))
	ago, soon := time.Now().Add(-10*time.Minute), time.Now().Add(10*time.Minute)
	const absent = "chain: passed revocation.absent"
	for name, c := range map[string]struct {
		set  func(g *registry)
		want string // of the chain, and of revocation where it is reported
	}{
		"nothing told":         {func(*registry) {}, absent},
		"good by OCSP":         {func(g *registry) { g.ocsp = g.response(t, ocsp.Response{Status: ocsp.Good}) }, "revocation: passed"},
		"good by list":         {func(g *registry) { g.crl = g.list(t, x509.RevocationList{}) }, "revocation: passed"},
		"revoked before, OCSP": {func(g *registry) { g.ocsp = g.response(t, ocsp.Response{Status: ocsp.Revoked, RevokedAt: ago}) }, "revocation: failed revocation.before"},
		"revoked before, list": {func(g *registry) { g.crl = g.list(t, g.revoked(ago, 4)) }, "revocation: failed revocation.before"},
		"superseded after":     {func(g *registry) { g.crl = g.list(t, g.revoked(soon, 4)) }, "revocation: passed revocation.later"},
		"superseded after, OCSP": {func(g *registry) {
			g.ocsp = g.response(t, ocsp.Response{Status: ocsp.Revoked, RevokedAt: soon, RevocationReason: 4})
		}, "revocation: passed revocation.later"},
		"key stolen after": {func(g *registry) { g.crl = g.list(t, g.revoked(soon, 1)) }, "revocation: cannot tell revocation.compromised"},
		"after, no reason": {func(g *registry) { g.crl = g.list(t, g.revoked(soon, 0)) }, "revocation: cannot tell revocation.compromised"},
		"another is revoked": {func(g *registry) {
			l := g.revoked(ago, 1)
			l.RevokedCertificateEntries[0].SerialNumber = serial()
			g.crl = g.list(t, l)
		}, "revocation: passed"},
		"list of long ago": {func(g *registry) {
			g.crl = g.list(t, x509.RevocationList{ThisUpdate: ago.Add(-time.Hour), NextUpdate: ago})
		}, "revocation: cannot tell revocation.stale"},
		"responder knows nothing": {func(g *registry) { g.ocsp = g.response(t, ocsp.Response{Status: ocsp.Unknown}) }, absent},
		"page for an answer":      {func(g *registry) { g.ocsp = func() []byte { return []byte("<html>") }; g.crl = g.ocsp }, absent},
		"huge list":               {func(g *registry) { g.crl = func() []byte { return make([]byte, MaxMaterial+1) } }, absent},
		"list of another": {func(g *registry) {
			o := &registry{own: newOwn(t, nil)}
			g.crl = o.list(t, x509.RevocationList{})
		}, absent},
		"list of changes": {func(g *registry) {
			g.crl = g.list(t, x509.RevocationList{ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}})
		}, absent},
		"list of authorities": {func(g *registry) {
			g.crl = g.list(t, x509.RevocationList{ExtraExtensions: []pkix.Extension{{Id: oidIssuingPoint, Critical: true, Value: []byte{0x30, 3, 0x82, 1, 0xff}}}})
		}, absent},
	} {
		g := newRegistry(t)
		c.set(g)
		s := g.stamp(t, sum, nil)
		s = (&Fetcher{Now: time.Now, Private: true}).Complete(t.Context(), s, g.trust())
		r := Check(s, sum, g.trust())
		got := summary(r)
		if !strings.Contains(got, c.want) || c.want == absent && strings.Contains(got, LayerRevocation+":") {
			t.Errorf("%s: want %s, got\n%s\n%+v", name, c.want, got, s.Revocation)
		}
		if len(s.Chain) != 2 || !bytes.Equal(s.Chain[1], g.root.Raw) {
			t.Errorf("%s: chain of %d", name, len(s.Chain))
		}
		strict := g.trust()
		strict.Revocation = true
		if got := summary(Check(s, sum, strict)); c.want == absent && !strings.Contains(got, "revocation: cannot tell revocation.absent") {
			t.Errorf("%s, when it must be shown:\n%s", name, got)
		}
		if s.Revocation == nil {
			t.Errorf("%s: the attempts are not recorded", name)
		}
		for _, m := range s.Revocation {
			if (m.Error == "") != (len(m.Data) > 0) || m.At.IsZero() || m.Certificate != about(g.leaf) {
				t.Errorf("%s: %+v", name, m)
			}
		}
	}
}

// A revoked authority's answer is refused when it comes.
func TestRevokedOnArrival(t *testing.T) {
	g := newRegistry(t)
	g.ocsp = g.response(t, ocsp.Response{Status: ocsp.Revoked, RevokedAt: time.Now().Add(-time.Minute)})
	srv := httptest.NewServer(g.authority(nil))
	defer srv.Close()
	ask := Remote{URL: srv.URL, Now: time.Now, Trust: g.trust(), Revocation: &Fetcher{Now: time.Now, Private: true}}
	sum := sha256.Sum256([]byte("x"))
	if s := ask.Stamp(t.Context(), sum); !s.Pending() || !strings.Contains(s.Error, "revocation.before") || len(s.Revocation) != 1 {
		t.Errorf("%q, %d answers", s.Error, len(s.Revocation))
	}
	g.mu.Lock()
	g.ocsp = g.response(t, ocsp.Response{Status: ocsp.Good})
	g.mu.Unlock()
	ask.Revocation = &Fetcher{Now: time.Now, Private: true}
	for range 2 {
		if s := ask.Stamp(t.Context(), sum); s.Pending() || Check(s, sum, ask.Trust).State() != Passed {
			t.Errorf("%q", s.Error)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.asked); n != 2 {
		t.Errorf("asked %d times: %v", n, g.asked)
	}
}

// Who must not be asked, whatever a certificate says.
func TestFetcherKeepsAway(t *testing.T) {
	sum := sha256.Sum256([]byte("x"))
	stranger := newOwn(t, nil)
	for name, c := range map[string]struct {
		private bool
		trust   func(*registry) Trust
		says    string
	}{
		"private address": {false, (*registry).trust, "prohibited"},
		"no root":         {true, func(*registry) Trust { return Trust{} }, ""},
		"root of others":  {true, func(*registry) Trust { return Trust{Roots: []*x509.Certificate{stranger.root}} }, ""},
		"another is pinned": {true, func(g *registry) Trust {
			return Trust{Roots: []*x509.Certificate{g.root}, Pins: []Pin{{Name: "Other"}}}
		}, ""},
		"no fingerprint to fetch issuers by": {true, func(g *registry) Trust {
			return Trust{Roots: []*x509.Certificate{stranger.root}, Pins: []Pin{{Name: "Leaf"}}}
		}, ""},
	} {
		g := newRegistry(t)
		g.ocsp = g.response(t, ocsp.Response{Status: ocsp.Good})
		s := (&Fetcher{Now: time.Now, Private: c.private}).Complete(t.Context(), g.stamp(t, sum, nil), c.trust(g))
		if len(g.asked) > 0 {
			t.Errorf("%s: asked %v", name, g.asked)
		}
		if got := fmt.Sprint(s.Revocation); c.says != "" && !strings.Contains(got, c.says) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// An address that never answers costs no more than the time set, and what it
// was is recorded.
func TestFetcherTimeout(t *testing.T) {
	g := newRegistry(t)
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer slow.Close()
	g.own = newOwn(t, func(c *x509.Certificate) { c.OCSPServer = []string{slow.URL} })
	sum := sha256.Sum256([]byte("x"))
	start := time.Now()
	s := (&Fetcher{Now: time.Now, Private: true, Timeout: 200 * time.Millisecond}).Complete(t.Context(), g.stamp(t, sum, nil), g.trust())
	if took := time.Since(start); took > 5*time.Second || len(s.Revocation) != 1 || !strings.Contains(s.Revocation[0].Error, "deadline") {
		t.Errorf("%s, %+v", took, s.Revocation)
	}
	if r := Check(s, sum, g.trust()); r.State() != Passed {
		t.Errorf("unreachable is a failure:\n%s", summary(r))
	}
}

// A token without the intermediate certificate gets it from the address in
// the pinned signer's certificate.
func TestMissingIntermediate(t *testing.T) {
	top := newOwn(t, nil)
	midKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	mid := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: "Mid"}, NotBefore: top.root.NotBefore, NotAfter: top.root.NotAfter,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	midDER, err := x509.CreateCertificate(rand.Reader, mid, top.root, midKey.Public(), top.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	g := newRegistry(t)
	g.issuer = func() []byte { return midDER }
	leaf := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: "Leaf"}, NotBefore: top.root.NotBefore, NotAfter: top.root.NotAfter,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtraExtensions: []pkix.Extension{{Id: oidExtKeyUsage, Critical: true, Value: ekuOf(g.leaf)}},
		IssuingCertificateURL: []string{g.url + "/issuer"}}
	if mid, err = x509.ParseCertificate(midDER); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, mid, g.key.Public(), midKey)
	if err != nil {
		t.Fatal(err)
	}
	if g.leaf, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	bare := g.own
	bare.root = nil
	sum := sha256.Sum256([]byte("x"))
	s := bare.stamp(t, sum, nil)
	trust := Trust{Roots: []*x509.Certificate{top.root}, Pins: []Pin{{CertificateSHA256: about(g.leaf)}}}
	if got := state(Check(s, sum, trust), LayerChain); got != "failed chain.invalid" {
		t.Fatalf("without the intermediate: %s", got)
	}
	s = (&Fetcher{Now: time.Now, Private: true}).Complete(t.Context(), s, trust)
	if got := state(Check(s, sum, trust), LayerChain); got != "passed revocation.absent" || len(s.Chain) != 3 || s.Revocation[0].Kind != KindIssuer {
		t.Errorf("%s, chain of %d, %+v", got, len(s.Chain), s.Revocation)
	}
	g.asked = nil
	trust.Pins = []Pin{{Name: "Leaf"}}
	(&Fetcher{Now: time.Now, Private: true}).Complete(t.Context(), bare.stamp(t, sum, nil), trust)
	if len(g.asked) > 0 {
		t.Errorf("an unknown certificate's address was asked: %v", g.asked)
	}
}

// A responder with a certificate of its own must be one: not every
// certificate of the issuer may answer.
func TestResponder(t *testing.T) {
	g := newRegistry(t)
	for name, c := range map[string]struct {
		usage []x509.ExtKeyUsage
		until time.Duration
		good  bool
	}{
		"responder":         {[]x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}, time.Hour, true},
		"expired responder": {[]x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}, -time.Minute, false},
		"any certificate":   {[]x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}, time.Hour, false},
	} {
		key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: "R"}, ExtKeyUsage: c.usage,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(c.until), KeyUsage: x509.KeyUsageDigitalSignature}, g.root, key.Public(), g.rootKey)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		b, err := ocsp.CreateResponse(g.root, cert, ocsp.Response{Status: ocsp.Good, SerialNumber: g.leaf.SerialNumber, Certificate: cert,
			ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour), IssuerHash: crypto.SHA256}, key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readOCSP(b, g.leaf, g.root); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Many answers must not make a seal too large to be read.
func TestMaterialBound(t *testing.T) {
	s := Stamp{Revocation: []Material{{Data: make([]byte, 60)}, {Data: make([]byte, 60)}, {Data: make([]byte, 40)}}}
	s.bound(100)
	if len(s.Revocation[0].Data) != 60 || s.Revocation[1].Data != nil || s.Revocation[1].Error == "" || len(s.Revocation[2].Data) != 40 {
		t.Errorf("%+v", s.Revocation)
	}
}

func FuzzRevocation(f *testing.F) {
	t := &testing.T{}
	g := &registry{own: newOwn(t, func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"http://a.example/crl"} })}
	good, list := g.response(t, ocsp.Response{Status: ocsp.Good})(), g.list(t, g.revoked(time.Now(), 1))()
	f.Add(good, []byte{0x30, 3, 0x82, 1, 0xff})
	f.Add(list, []byte{0x30, 0})
	f.Add([]byte{0x30, 3, 0x0a, 1, 6}, []byte("http://a.example/crl"))
	f.Fuzz(func(t *testing.T, der, point []byte) {
		for _, kind := range []string{KindOCSP, KindCRL} {
			s, err := readStatus(Material{Kind: kind, Data: der}, g.leaf, g.root)
			// What is signed says the same however the rest is altered.
			if err == nil && s.revoked != (kind == KindCRL) {
				t.Errorf("%s accepted: %+v", kind, s)
			}
		}
		_ = fitsPoint(point, g.leaf)
		r := Check(Stamp{Imprint: "00", Request: der, Response: point, Chain: [][]byte{der}, Revocation: []Material{{Kind: KindCRL, Data: der}}}, [32]byte{}, Trust{Roots: []*x509.Certificate{g.root}})
		if r.State() == Passed {
			t.Error("garbage passed")
		}
	})
}
