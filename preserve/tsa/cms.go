package tsa

import (
	"bytes"
	"crypto/sha1" // ESSCertID of RFC 2634 names the certificate by SHA-1; never used for the imprint
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
	"slices"

	"github.com/digitorus/pkcs7"
	sm "github.com/emmansun/gmsm/pkcs7"
	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/smx509"
)

// Attributes of a token's signer (RFC 5035 section 3, RFC 5652 section 11).
var (
	oidTSTInfo              = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidContentType          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidSigningCertificate   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	oidSigningCertificateV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
)

// nationalArc begins the encoding of every object identifier below
// 1.2.156.10197, that of the national algorithms (GB/T 33560-2017).
var nationalArc = []byte{0x2a, 0x81, 0x1c, 0xcf, 0x55}

// A cms is the SignedData of a token (RFC 5652 section 5) as the library that
// knows its algorithms reads it.
type cms struct {
	content  []byte
	certs    []*x509.Certificate
	signer   *x509.Certificate     // nil when there is not exactly one signer with its certificate
	digest   asn1.ObjectIdentifier // the signer's
	national bool                  // of the national algorithms: read by gmsm
	p7       interface {
		Verify() error
		UnmarshalSignedAttribute(oid asn1.ObjectIdentifier, out any) error
	}
}

// readCMS reads a SignedData. One with an algorithm of the national arc goes
// to gmsm, every other to the library that sigstore and moby use. Beside are
// further certificates, of which the signer's may be one; tokens of the
// national algorithms bring their own.
func readCMS(raw []byte, beside []*x509.Certificate) (cms, error) {
	if bytes.Contains(raw, nationalArc) {
		return readNational(raw)
	}
	p7, err := pkcs7.Parse(raw)
	if err != nil {
		return cms{}, err
	}
	for _, c := range beside {
		if !slices.ContainsFunc(p7.Certificates, c.Equal) {
			p7.Certificates = append(p7.Certificates, c)
		}
	}
	c := cms{content: p7.Content, certs: p7.Certificates, signer: p7.GetOnlySigner(), p7: p7}
	if len(p7.Signers) == 1 {
		c.digest = p7.Signers[0].DigestAlgorithm.Algorithm
	}
	return c, nil
}

func readNational(raw []byte) (cms, error) {
	p7, err := sm.Parse(raw)
	if err != nil {
		return cms{}, err
	}
	c := cms{content: p7.Content, p7: p7, national: true}
	for _, x := range p7.Certificates {
		c.certs = append(c.certs, x.ToX509())
	}
	if s := p7.GetOnlySigner(); s != nil {
		c.signer = s.ToX509()
	}
	if len(p7.Signers) == 1 {
		c.digest = p7.Signers[0].DigestAlgorithm.Algorithm
		// Both names of the signature are in use; the library knows one.
		if alg := &p7.Signers[0].DigestEncryptionAlgorithm; alg.Algorithm.Equal(sm.OIDDigestAlgorithmSM2SM3) {
			alg.Algorithm = sm.OIDDigestEncryptionAlgorithmSM2
		}
	}
	return c, nil
}

// verify checks the one signature and the attributes that bind it: content
// type, message digest, signing certificate. Old says that the certificate is
// named by SHA-1 alone.
func (c cms) verify() (old bool, err error) {
	if c.signer == nil {
		return false, errors.New("not exactly one signer with its certificate")
	}
	if hashByOID(c.digest) == nil {
		return false, fmt.Errorf("digest algorithm %s is not accepted", c.digest)
	}
	if err := c.p7.Verify(); err != nil {
		return false, err
	}
	var ct asn1.ObjectIdentifier
	if err := c.p7.UnmarshalSignedAttribute(oidContentType, &ct); err != nil {
		return false, fmt.Errorf("content type attribute: %w", err)
	}
	if !ct.Equal(oidTSTInfo) {
		return false, fmt.Errorf("content type is %s, want %s", ct, oidTSTInfo)
	}
	return c.verifyESS()
}

// essCertID is ESSCertID or ESSCertIDv2 without the issuer, which the hash
// covers (RFC 5035 sections 4 and 5).
type essCertID struct {
	Algorithm essAlgorithm `asn1:"optional"`
	Hash      []byte
	Issuer    asn1.RawValue `asn1:"optional"`
}

type essAlgorithm struct {
	Algorithm  asn1.ObjectIdentifier
	Parameters asn1.RawValue `asn1:"optional"`
}

// verifyESS checks that the signed attributes name the signer's certificate,
// so that another certificate for the same key cannot be put in its place.
// Of signingCertificateV2 (RFC 5035) and the older signingCertificate
// (RFC 2634, by SHA-1) one must be there, and each that is there must hold
// (RFC 5816 section 2.2.1). The older one alone is accepted and told: to
// misuse it takes a second certificate of the same authority whose SHA-1
// value is that of the first, and finding that is not within reach today.
func (c cms) verifyESS() (old bool, err error) {
	found := 0
	for _, a := range []struct {
		oid asn1.ObjectIdentifier
		h   hash.Hash
	}{{oidSigningCertificate, sha1.New()}, {oidSigningCertificateV2, sha256.New()}} {
		var attr struct {
			Certs    []essCertID
			Policies asn1.RawValue `asn1:"optional"`
		}
		err := c.p7.UnmarshalSignedAttribute(a.oid, &attr)
		var raw asn1.RawValue
		if err != nil && c.p7.UnmarshalSignedAttribute(a.oid, &raw) != nil {
			continue // not there
		}
		if err != nil {
			return false, fmt.Errorf("signing certificate attribute: %w", err)
		}
		old = a.oid.Equal(oidSigningCertificate)
		if err := names(attr.Certs, c.signer, a.h, old); err != nil {
			return false, err
		}
		found++
	}
	if found == 0 {
		return false, errors.New("signing certificate attribute: there is none")
	}
	return old, nil
}

// names reports why the first of the certificates is not the given one; the
// others are those above it in the chain and may be missing.
func names(certs []essCertID, signer *x509.Certificate, h hash.Hash, old bool) error {
	if len(certs) == 0 {
		return errors.New("signing certificate attribute names no certificate")
	}
	if alg := certs[0].Algorithm.Algorithm; len(alg) > 0 {
		if h = hashByOID(alg); h == nil || old {
			return fmt.Errorf("signing certificate attribute uses hash %s", alg)
		}
	}
	h.Write(signer.Raw)
	if !bytes.Equal(h.Sum(nil), certs[0].Hash) {
		return errors.New("signing certificate attribute names another certificate")
	}
	return nil
}

// hashByOID returns a function that signatures and names of certificates may
// use; nil for any other, SHA-1 among them.
func hashByOID(oid asn1.ObjectIdentifier) hash.Hash {
	switch {
	case oid.Equal(oidSHA256):
		return sha256.New()
	case oid.Equal(oidSHA384):
		return sha512.New384()
	case oid.Equal(oidSHA512):
		return sha512.New()
	case oid.Equal(oidSM3):
		return sm3.New()
	}
	return nil
}

// ParseCertificate reads a certificate (X.509, DER), also one with an SM2 key
// (GB/T 20518), which the standard library refuses.
func ParseCertificate(der []byte) (c *x509.Certificate, err error) {
	defer func() {
		if p := recover(); p != nil {
			c, err = nil, fmt.Errorf("reading certificate: library gave up: %v", p)
		}
	}()
	if c, err = x509.ParseCertificate(der); err == nil || !bytes.Contains(der, nationalArc) {
		return c, err
	}
	x, err := smx509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return x.ToX509(), nil
}
