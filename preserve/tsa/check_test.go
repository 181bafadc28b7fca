package tsa

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"
)

// own makes a response with the library, with whatever is wrong in it.
type own struct {
	key        *ecdsa.PrivateKey
	rootKey    *ecdsa.PrivateKey
	leaf, root *x509.Certificate
}

func newOwn(t *testing.T, change func(leaf *x509.Certificate)) own {
	t.Helper()
	rootKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	eku, _ := asn1.Marshal([]asn1.ObjectIdentifier{oidTimeStamping})
	root := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: "Root"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	leaf := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: "Leaf"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: oidExtKeyUsage, Critical: true, Value: eku}}}
	if change != nil {
		change(leaf)
	}
	sign := func(c, parent *x509.Certificate, pub any) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, rootKey)
		if err != nil {
			t.Fatal(err)
		}
		out, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	r := sign(root, root, rootKey.Public())
	return own{key: key, rootKey: rootKey, leaf: sign(leaf, r, key.Public()), root: r}
}

func (o own) stamp(t *testing.T, sum [32]byte, change func(*timestamp.Timestamp)) Stamp {
	t.Helper()
	return o.stampUnder(t, sum, "1.2.3", change)
}

// stampUnder asks for a policy, or for none.
func (o own) stampUnder(t *testing.T, sum [32]byte, policy string, change func(*timestamp.Timestamp)) Stamp {
	t.Helper()
	s, err := begin("test", SHA256, Digests{SHA256: sum}, policy)
	if err != nil {
		t.Fatal(err)
	}
	s.At = time.Now()
	if s.Response, err = o.answer(s.Request, change); err != nil {
		t.Fatal(err)
	}
	return s
}

// answer makes a TimeStampResp under policy 1.2.3.
func (o own) answer(query []byte, change func(*timestamp.Timestamp)) ([]byte, error) {
	req, err := timestamp.ParseRequest(query)
	if err != nil {
		return nil, err
	}
	ts := timestamp.Timestamp{HashAlgorithm: crypto.SHA256, HashedMessage: req.HashedMessage, Time: time.Now(), Policy: asn1.ObjectIdentifier{1, 2, 3},
		Nonce: req.Nonce, AddTSACertificate: true, Certificates: o.parents()}
	if change != nil {
		change(&ts)
	}
	return ts.CreateResponseWithOpts(o.leaf, o.key, crypto.SHA256)
}

func TestCheckTable(t *testing.T) {
	sum, other := sha256.Sum256([]byte("x")), sha256.Sum256([]byte("y"))
	eku := func(critical bool, more ...asn1.ObjectIdentifier) func(*x509.Certificate) {
		v, _ := asn1.Marshal(append([]asn1.ObjectIdentifier{oidTimeStamping}, more...))
		return func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: oidExtKeyUsage, Critical: critical, Value: v}}
		}
	}
	for name, c := range map[string]struct {
		leaf        func(*x509.Certificate)
		token       func(*timestamp.Timestamp)
		want        [32]byte
		layer, says string
	}{
		"good":              {nil, nil, sum, LayerChain, "passed revocation.absent"},
		"good imprint":      {nil, nil, sum, LayerImprint, "passed"},
		"other imprint":     {nil, func(x *timestamp.Timestamp) { x.HashedMessage = other[:] }, sum, LayerImprint, "failed imprint.other"},
		"other package":     {nil, nil, other, LayerImprint, "failed imprint.other"},
		"other hash":        {nil, func(x *timestamp.Timestamp) { x.HashAlgorithm = crypto.SHA512; x.HashedMessage = make([]byte, 64) }, sum, LayerImprint, "failed imprint.hash"},
		"other nonce":       {nil, func(x *timestamp.Timestamp) { x.Nonce = big.NewInt(7) }, sum, LayerNonce, "failed nonce.other"},
		"no nonce":          {nil, func(x *timestamp.Timestamp) { x.Nonce = nil }, sum, LayerNonce, "failed nonce.missing"},
		"other policy":      {nil, func(x *timestamp.Timestamp) { x.Policy = asn1.ObjectIdentifier{1, 2, 4} }, sum, LayerPolicy, "failed policy.other"},
		"no certificate":    {nil, func(x *timestamp.Timestamp) { x.AddTSACertificate = false; x.Certificates = nil }, sum, LayerSignature, "failed signature.invalid"},
		"expired at time":   {nil, func(x *timestamp.Timestamp) { x.Time = time.Now().Add(48 * time.Hour) }, sum, LayerChain, "failed chain.expired"},
		"purpose not alone": {eku(true, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}), nil, sum, LayerSignature, "failed signature.purpose"},
		"purpose unknown":   {eku(true, asn1.ObjectIdentifier{1, 2, 3, 4, 5}), nil, sum, LayerSignature, "failed signature.purpose"},
		"not critical":      {eku(false), nil, sum, LayerChain, "failed chain.invalid"},
		"no purpose":        {func(c *x509.Certificate) { c.ExtraExtensions = nil }, nil, sum, LayerSignature, "failed signature.purpose"},
	} {
		o := newOwn(t, c.leaf)
		r := Check(o.stamp(t, sum, c.token), c.want, Trust{Roots: []*x509.Certificate{o.root}})
		if got := state(r, c.layer); got != c.says {
			t.Errorf("%s: %s: got %q, want %q", name, c.layer, got, c.says)
		}
		if len(r.Findings) != len(layers) {
			t.Errorf("%s: %d findings", name, len(r.Findings))
		}
	}
}

// The token's policy is 1.2.3, its authority's name Leaf.
func TestPolicy(t *testing.T) {
	o := newOwn(t, nil)
	sum := sha256.Sum256([]byte("x"))
	practice := func(x *timestamp.Timestamp) {
		oid, err := ParsePolicy(PracticePolicy)
		if err != nil {
			t.Fatal(err)
		}
		x.Policy = oid
	}
	for name, c := range map[string]struct {
		asked string
		token func(*timestamp.Timestamp)
		pins  []Pin
		says  string
	}{
		"nobody says anything":              {"", nil, nil, "passed"},
		"authority pinned without policy":   {"", nil, []Pin{{Name: "Leaf"}}, "passed"},
		"another's policy is pinned":        {"", nil, []Pin{{Name: "Leaf"}, {Name: "Other", Policy: "1.2.4"}}, "passed"},
		"its policy is pinned":              {"", nil, []Pin{{Name: "Leaf", Policy: "1.2.3"}}, "passed"},
		"one of its policies is pinned":     {"", nil, []Pin{{Name: "Leaf", Policy: "1.2.4"}, {Name: "Leaf", Policy: "1.2.3"}}, "passed"},
		"any policy of it is pinned":        {"", nil, []Pin{{Name: "Leaf", Policy: "1.2.4"}, {Name: "Leaf"}}, "passed"},
		"its policy is another":             {"", nil, []Pin{{Name: "Leaf", Policy: "1.2.4"}}, "failed policy.not_pinned"},
		"policy of everyone is another":     {"", nil, []Pin{{Name: "Leaf"}, {Policy: "1.2.4"}}, "failed policy.not_pinned"},
		"stranger under another's policy":   {"", nil, []Pin{{Name: "Other", Policy: "1.2.3"}}, "passed"},
		"stranger under none of those":      {"", nil, []Pin{{Name: "Other", Policy: "1.2.4"}}, "failed policy.not_pinned"},
		"asked for":                         {"1.2.3", nil, nil, "passed"},
		"asked for another":                 {"1.2.4", nil, nil, "failed policy.other"},
		"asked for another, pinned this":    {"1.2.4", nil, []Pin{{Name: "Leaf", Policy: "1.2.3"}}, "failed policy.other"},
		"asked for this, pinned another":    {"1.2.3", nil, []Pin{{Name: "Leaf", Policy: "1.2.4"}}, "failed policy.not_pinned"},
		"practice policy, not asked for":    {"", practice, nil, "cannot tell policy.not_asked"},
		"practice policy, authority pinned": {"", practice, []Pin{{Name: "Leaf"}}, "cannot tell policy.not_asked"},
	} {
		trust := Trust{Roots: []*x509.Certificate{o.root}, Pins: c.pins}
		if got := state(Check(o.stampUnder(t, sum, c.asked, c.token), sum, trust), LayerPolicy); got != c.says {
			t.Errorf("%s: %s, want %s", name, got, c.says)
		}
	}
	// What that is for: an authority that is trusted otherwise.
	if r := Check(o.stampUnder(t, sum, "", nil), sum, Trust{Roots: []*x509.Certificate{o.root}, Pins: []Pin{{Name: "Leaf"}}}); r.State() != Passed {
		t.Errorf("not passed:\n%s", summary(r))
	}
}

// TestSubstitutedCertificate puts another certificate for the same key, with
// the same issuer and serial number, in place of the signer's: only the
// signing certificate attribute tells.
func TestSubstitutedCertificate(t *testing.T) {
	o := newOwn(t, nil)
	sum := sha256.Sum256([]byte("x"))
	s := o.stamp(t, sum, nil)
	for range 200 {
		other := &x509.Certificate{SerialNumber: o.leaf.SerialNumber, Subject: pkix.Name{CommonName: "Lead"}, NotBefore: o.leaf.NotBefore, NotAfter: o.leaf.NotAfter,
			BasicConstraintsValid: true, KeyUsage: o.leaf.KeyUsage, ExtraExtensions: []pkix.Extension{{Id: oidExtKeyUsage, Critical: true, Value: ekuOf(o.leaf)}}}
		der, err := x509.CreateCertificate(rand.Reader, other, o.root, o.key.Public(), o.rootKey)
		if err != nil {
			t.Fatal(err)
		}
		if len(der) != len(o.leaf.Raw) {
			continue // the signature's length varies
		}
		s.Response = bytes.Replace(s.Response, o.leaf.Raw, der, 1)
		r := Check(s, sum, Trust{Roots: []*x509.Certificate{o.root}})
		if state(r, LayerSignature) != "failed signature.invalid" || state(r, LayerChain) != "passed revocation.absent" {
			t.Errorf("another certificate:\n%s", summary(r))
		}
		return
	}
	t.Fatal("no certificate of equal length was made")
}

func ekuOf(c *x509.Certificate) []byte {
	for _, e := range c.Extensions {
		if e.Id.Equal(oidExtKeyUsage) {
			return e.Value
		}
	}
	return nil
}

// TestContentTypeAttribute signs a TSTInfo as if it were plain data: a
// signature made for another purpose must not become a time stamp.
func TestContentTypeAttribute(t *testing.T) {
	o := newOwn(t, nil)
	sum := sha256.Sum256([]byte("x"))
	s := o.stamp(t, sum, nil)
	good, err := readToken(s.Response, nil)
	if err != nil {
		t.Fatal(err)
	}
	sd, err := pkcs7.NewSignedData(good.content)
	if err != nil {
		t.Fatal(err)
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := sd.AddSigner(o.leaf, o.key, pkcs7.SignerInfoConfig{}); err != nil {
		t.Fatal(err)
	}
	sd.SetContentType(oidTSTInfo)
	raw, err := sd.Finish()
	if err != nil {
		t.Fatal(err)
	}
	s.Response, err = asn1.Marshal(struct {
		Status struct{ Code int }
		Token  asn1.RawValue
	}{Token: asn1.RawValue{FullBytes: raw}})
	if err != nil {
		t.Fatal(err)
	}
	r := Check(s, sum, Trust{})
	if state(r, LayerSignature) != "failed signature.invalid" || !strings.Contains(fmt.Sprint(r.Findings), "content type is") {
		t.Errorf("signature over data:\n%+v", r.Findings)
	}
}

func TestExpiredSince(t *testing.T) {
	// A certificate that has expired since the token was made is no failure:
	// the chain counts at the token's time.
	o := newOwn(t, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(2*time.Second)
	})
	sum := sha256.Sum256([]byte("x"))
	s := o.stamp(t, sum, nil)
	tok, err := readToken(s.Response, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := buildChain(tok, []*x509.Certificate{o.root}); err != nil {
		t.Error(err)
	}
	tok.info.Time = o.leaf.NotAfter.Add(time.Second)
	if _, err := buildChain(tok, []*x509.Certificate{o.root}); err == nil {
		t.Error("chain is not built at the token's time")
	}
}

func TestFlippedBytes(t *testing.T) {
	o := newOwn(t, nil)
	sum := sha256.Sum256([]byte("x"))
	s := o.stamp(t, sum, nil)
	trust := Trust{Roots: []*x509.Certificate{o.root}, Pins: []Pin{{Name: "Leaf"}}}
	if r := Check(s, sum, trust); r.State() != Passed {
		t.Fatalf("good token:\n%s", summary(r))
	}
	// The root inside the token is a convenience: it is not what is trusted.
	at := bytes.Index(s.Response, o.root.Raw)
	unseen := 0
	for i := range s.Response {
		bad := s
		bad.Response = bytes.Clone(s.Response)
		bad.Response[i] ^= 1
		if r := Check(bad, sum, trust); r.State() == Passed && (i < at || i >= at+len(o.root.Raw)) {
			unseen++
			t.Logf("byte %d of %d flipped unseen", i, len(s.Response))
		}
	}
	// Some bytes are not signed by design: versions, status 0/1, the digest
	// algorithm list.
	if unseen > 12 {
		t.Errorf("%d flipped bytes were not noticed", unseen)
	}
	for name, der := range map[string][]byte{"trailing": append(bytes.Clone(s.Response), 0), "cut": s.Response[:len(s.Response)-1], "empty": {0x30, 0}, "nested": bytes.Repeat([]byte{0x30, 0x80}, 5000)} {
		bad := s
		bad.Response = der
		if r := Check(bad, sum, trust); state(r, LayerSignature) != "failed token.unreadable" {
			t.Errorf("%s:\n%s", name, summary(r))
		}
	}
}

func FuzzCheck(f *testing.F) {
	dir := f.TempDir()
	p, err := OpenPractice(dir, time.Now)
	if err != nil {
		f.Fatal(err)
	}
	sum := sha256.Sum256([]byte("x"))
	s := p.Stamp(context.Background(), sum)
	f.Add(s.Request, s.Response)
	refusal, _ := timestamp.CreateErrorResponse(timestamp.Rejection, timestamp.BadAlgorithm)
	f.Add(s.Request, refusal)
	f.Add([]byte{0x30, 0x80}, []byte{0x30, 0x03, 0x30, 0x01, 0x00})
	f.Fuzz(func(t *testing.T, req, resp []byte) {
		r := Check(Stamp{Imprint: fmt.Sprintf("%x", sum), Request: req, Response: resp}, sum, Trust{Roots: []*x509.Certificate{p.Root()}})
		if len(r.Findings) != len(layers) {
			t.Errorf("%d findings", len(r.Findings))
		}
		if r.State() == Passed {
			t.Error("practice or garbage passed")
		}
	})
}

func FuzzCheckApart(f *testing.F) {
	p, err := OpenPractice(f.TempDir(), time.Now)
	if err != nil {
		f.Fatal(err)
	}
	sum := sha256.Sum256([]byte("x"))
	f.Add(p.Stamp(context.Background(), sum).Response)
	f.Add([]byte{0x30, 0x03, 0x30, 0x01, 0x00})
	f.Fuzz(func(t *testing.T, resp []byte) {
		r := CheckApart(resp, sum, []*x509.Certificate{p.Root(), p.leaf}, Trust{Roots: []*x509.Certificate{p.Root()}})
		if len(r.Findings) != 4 || r.State() == Passed {
			t.Errorf("%+v", r.Findings)
		}
	})
}

// parents are the certificates put into a token beside the signer's.
func (o own) parents() []*x509.Certificate {
	if o.root == nil {
		return nil
	}
	return []*x509.Certificate{o.root}
}
