// Package tsatest is a time-stamping authority for tests that is not this
// machine's own practice authority: with a root to trust, with certificates
// that begin and end when the test says, and with a clock that the test turns.
//
// Life of an authority: New makes root and leaf; Stamp and StampImprint answer
// at the clock's time whatever the certificate says, so that tests can also
// make what no honest authority would.
//
// Trust: it is for tests only, and signs anything.
package tsatest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"testing"
	"time"

	"guzheng/preserve/internal/issue"
	"guzheng/preserve/tsa"
)

// Policy is the policy of every token.
const Policy = "1.2.3"

// An Authority stamps. Root is what a reader has to trust.
type Authority struct {
	Root *x509.Certificate
	// Down makes it give no answers.
	Down bool

	name string
	leaf *x509.Certificate
	key  *ecdsa.PrivateKey
	now  func() time.Time
}

var _ tsa.Imprinter = (*Authority)(nil)

// New makes an authority called name with certificates that are valid from
// one time until another. The CMS library writes the real time into its
// tokens and compares it, so that the real present MUST lie between the two.
func New(t testing.TB, name string, from, until time.Time, now func() time.Time) *Authority {
	t.Helper()
	a := &Authority{name: name, now: now}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	purpose, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name + " root"}, NotBefore: from, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: until,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: purpose}}}
	make := func(c, parent *x509.Certificate, pub any) *x509.Certificate {
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
	a.Root = make(root, root, rootKey.Public())
	a.leaf = make(leaf, a.Root, a.key.Public())
	return a
}

// Trust names this authority by its root and its name.
func (a *Authority) Trust() tsa.Trust {
	return tsa.Trust{Roots: []*x509.Certificate{a.Root}, Pins: []tsa.Pin{{Policy: Policy, Name: a.name}}}
}

// Both trusts what either trusts.
func Both(as ...*Authority) tsa.Trust {
	var t tsa.Trust
	for _, a := range as {
		t.Roots = append(t.Roots, a.Root)
		t.Pins = append(t.Pins, a.Trust().Pins...)
	}
	return t
}

// Name implements tsa.Authority.
func (a *Authority) Name() string { return "https://" + a.name + ".example/" }

// Stamp implements tsa.Authority.
func (a *Authority) Stamp(ctx context.Context, sum [32]byte) tsa.Stamp {
	return a.StampImprint(ctx, tsa.Imprint{Hash: tsa.SHA256, Value: sum[:]})
}

// StampImprint implements tsa.Imprinter.
func (a *Authority) StampImprint(ctx context.Context, want tsa.Imprint) tsa.Stamp {
	s := tsa.Stamp{TSA: a.Name(), At: a.now().UTC(), Imprint: hex.EncodeToString(want.Value)}
	if err := ctx.Err(); err != nil {
		s.Error = err.Error()
		return s
	}
	if a.Down {
		s.Error = "status 503"
		return s
	}
	nonce := big.NewInt(0x4711)
	policy := asn1.ObjectIdentifier{1, 2, 3}
	var err error
	s.Request, err = asn1.Marshal(struct {
		Version int
		Imprint issue.Imprint
		Policy  asn1.ObjectIdentifier
		Nonce   *big.Int
		Certs   bool
	}{1, issue.Imprint{Hash: pkix.AlgorithmIdentifier{Algorithm: want.Hash.OID()}, Value: want.Value}, policy, nonce, true})
	if err == nil {
		s.Response, err = issue.Response(issue.Token{Hash: want.Hash.OID(), Imprint: want.Value, Policy: policy, Nonce: nonce,
			Time: a.now(), Certificates: []*x509.Certificate{a.leaf, a.Root}, Key: a.key})
	}
	if err != nil {
		s.Error = err.Error()
	}
	return s
}
