package verify_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"io"
	"math/big"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"guzheng/preserve/tsa"
	"guzheng/preserve/wacz/wacztest"
)

// An authority stamps (RFC 3161) as it is told, rightly or wrongly, and
// gives the same bytes for the same digest. Libraries for this put the time
// of day and random numbers into tokens.
type authority struct {
	name   string
	key    fixedKey
	leaf   *x509.Certificate   // signs
	extra  []*x509.Certificate // go with it
	policy asn1.ObjectIdentifier
	asked  asn1.ObjectIdentifier // in the request; nil: none

	nonce     *big.Int // in the token
	sent      *big.Int // in the request; nil: none
	imprint   []byte   // in place of the digest
	essOf     *x509.Certificate
	noCerts   bool
	status    int
	response  []byte // instead of everything
	behind    []byte
	breakSign bool
}

// fixedKey signs the same for the same (RFC 6979) whatever it is given as
// source of randomness.
type fixedKey struct{ *ecdsa.PrivateKey }

func (k fixedKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.PrivateKey.Sign(nil, digest, opts)
}

func p256(t testing.TB, n byte) fixedKey {
	t.Helper()
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), append(make([]byte, 31), n))
	if err != nil {
		t.Fatal(err)
	}
	return fixedKey{k}
}

// Object identifiers of tokens and certificates.
var (
	oidPolicy       = asn1.ObjectIdentifier{1, 2, 3}
	oidSHA256       = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidECDSA        = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	oidSigned       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidTSTInfo      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidContentType  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessage      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningCert2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidTimeStamping = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
	practicePolicy  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 1, 1}
	timeStamping    = []asn1.ObjectIdentifier{oidTimeStamping}
	oidCodeSigning  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 3}
)

// An issue is a certificate in the making.
type issue struct {
	name     string
	org      string
	key      byte // number of its P-256 key
	from, to time.Time
	purposes []asn1.ObjectIdentifier // of a leaf; empty: a CA
	lax      bool                    // purposes not marked critical
	host     string                  // for TLS servers instead
}

// certificate issues one, by itself when by is nil. Keys and signatures are
// fixed, so the certificate is too.
func certificate(t testing.TB, i issue, by *x509.Certificate, byKey byte) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(int64(i.key)), Subject: pkix.Name{CommonName: i.name}, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, NotBefore: i.from, NotAfter: i.to}
	if i.org != "" {
		c.Subject.Organization = []string{i.org}
	}
	if i.from.IsZero() {
		c.NotBefore, c.NotAfter = wacztest.Time.AddDate(-1, 0, 0), wacztest.Time.AddDate(40, 0, 0)
	}
	switch {
	case i.host != "":
		c.DNSNames, c.ExtKeyUsage = []string{i.host}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	case len(i.purposes) == 0:
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
	default:
		b, err := asn1.Marshal(i.purposes)
		if err != nil {
			t.Fatal(err)
		}
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: !i.lax, Value: b}}
	}
	if by == nil {
		by = c
	}
	der, err := x509.CreateCertificate(nil, c, by, p256(t, i.key).Public(), p256(t, byKey))
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// newRoot is the root that readers of the vectors trust.
func newRoot(t testing.TB) *x509.Certificate {
	t.Helper()
	return certificate(t, issue{name: "Test Root", key: 11}, nil, 11)
}

// newAuthority is one that this root vouches for; changes to the certificate
// come first, the others are the caller's.
func newAuthority(t testing.TB, change func(*issue)) *authority {
	t.Helper()
	root := newRoot(t)
	i := issue{name: "Test TSA", key: 12, purposes: []asn1.ObjectIdentifier{oidTimeStamping}}
	if change != nil {
		change(&i)
	}
	return &authority{name: "https://tsa.example/", key: p256(t, i.key), leaf: certificate(t, i, root, 11), extra: []*x509.Certificate{root},
		policy: oidPolicy, asked: oidPolicy, nonce: big.NewInt(0x4711), sent: big.NewInt(0x4711)}
}

func (a *authority) Name() string { return a.name }

func (a *authority) Stamp(_ context.Context, sum [32]byte) tsa.Stamp {
	s := tsa.Stamp{TSA: a.name, At: wacztest.Time, Imprint: hex.EncodeToString(sum[:])}
	var err error
	if s.Request, err = a.request(sum[:]); err == nil {
		s.Response, err = a.answer(sum[:])
	}
	if err != nil {
		s.Error = err.Error()
	}
	return s
}

// request is a TimeStampReq (RFC 3161 section 2.4.1).
func (a *authority) request(sum []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		addImprint(b, sum)
		if a.asked != nil {
			b.AddASN1ObjectIdentifier(a.asked)
		}
		if a.sent != nil {
			b.AddASN1BigInt(a.sent)
		}
		b.AddASN1Boolean(true)
	})
	return b.Bytes()
}

func addImprint(b *cryptobyte.Builder, sum []byte) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addAlgorithm(b, oidSHA256)
		b.AddASN1OctetString(sum)
	})
}

func addAlgorithm(b *cryptobyte.Builder, oid asn1.ObjectIdentifier) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
}

// answer is a TimeStampResp (section 2.4.2).
func (a *authority) answer(sum []byte) ([]byte, error) {
	if a.response != nil {
		return a.response, nil
	}
	if a.imprint != nil {
		sum = a.imprint
	}
	info, err := a.info(sum)
	if err != nil {
		return nil, err
	}
	attrs, err := a.attributes(info)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(attrs)
	sig, err := a.key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	if a.breakSign {
		sig[len(sig)-1] ^= 1
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(a.status)) })
		if a.status == 0 {
			a.addToken(b, info, attrs, sig)
		}
	})
	out, err := b.Bytes()
	return append(out, a.behind...), err
}

// info is a TSTInfo (section 2.4.2).
func (a *authority) info(sum []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1ObjectIdentifier(a.policy)
		addImprint(b, sum)
		b.AddASN1Int64(7)
		b.AddASN1GeneralizedTime(wacztest.Time)
		if a.nonce != nil {
			b.AddASN1BigInt(a.nonce)
		}
	})
	return b.Bytes()
}

// attributes are the signed ones, as the SET that is signed (RFC 5652
// section 5.4).
func (a *authority) attributes(info []byte) ([]byte, error) {
	ess := a.leaf
	if a.essOf != nil {
		ess = a.essOf
	}
	attribute := func(oid asn1.ObjectIdentifier, value func(*cryptobyte.Builder)) []byte {
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid)
			b.AddASN1(cbasn1.SET, value)
		})
		return b.BytesOrPanic()
	}
	sum, cert := sha256.Sum256(info), sha256.Sum256(ess.Raw)
	all := [][]byte{
		attribute(oidContentType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidTSTInfo) }),
		attribute(oidMessage, func(b *cryptobyte.Builder) { b.AddASN1OctetString(sum[:]) }),
		attribute(oidSigningCert2, func(b *cryptobyte.Builder) {
			nested(b, 3, func(b *cryptobyte.Builder) { b.AddASN1OctetString(cert[:]) })
		}),
	}
	slices.SortFunc(all, bytes.Compare)
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
		for _, x := range all {
			b.AddBytes(x)
		}
	})
	return b.Bytes()
}

// nested puts a value into n sequences.
func nested(b *cryptobyte.Builder, n int, value func(*cryptobyte.Builder)) {
	if n == 0 {
		value(b)
		return
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { nested(b, n-1, value) })
}

// addToken adds the ContentInfo with its SignedData (RFC 5652 section 5).
func (a *authority) addToken(b *cryptobyte.Builder, info, attrs, sig []byte) {
	zero := cbasn1.Tag(0).ContextSpecific().Constructed()
	signed := func(b *cryptobyte.Builder) {
		b.AddASN1Int64(3)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { addAlgorithm(b, oidSHA256) })
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidTSTInfo)
			b.AddASN1(zero, func(b *cryptobyte.Builder) { b.AddASN1OctetString(info) })
		})
		if !a.noCerts {
			b.AddASN1(zero, func(b *cryptobyte.Builder) {
				for _, c := range append([]*x509.Certificate{a.leaf}, a.extra...) {
					b.AddBytes(c.Raw)
				}
			})
		}
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { a.addSigner(b, attrs, sig) })
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidSigned)
		b.AddASN1(zero, func(b *cryptobyte.Builder) { b.AddASN1(cbasn1.SEQUENCE, signed) })
	})
}

func (a *authority) addSigner(b *cryptobyte.Builder, attrs, sig []byte) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(a.leaf.RawIssuer)
			b.AddASN1BigInt(a.leaf.SerialNumber)
		})
		addAlgorithm(b, oidSHA256)
		// The same bytes as the SET that was signed, under another tag.
		b.AddBytes(append([]byte{0xa0}, attrs[1:]...))
		addAlgorithm(b, oidECDSA)
		b.AddASN1OctetString(sig)
	})
}
