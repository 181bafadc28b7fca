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

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxDepth bounds the nesting of a token; real ones stay below 20.
const maxDepth = 64

// Attributes of a token's signer (RFC 5035 section 3, RFC 5652 section 11).
var (
	oidTSTInfo              = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidContentType          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidSigningCertificate   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	oidSigningCertificateV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidSHA256               = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA384               = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidSHA512               = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
)

var errNesting = errors.New("not definite-length DER of reasonable depth")

// A token is a response taken apart. Its signature may be wrong: sigErr says.
type token struct {
	ts     *timestamp.Timestamp
	p7     *pkcs7.PKCS7
	signer *x509.Certificate // nil when there is not exactly one signer with its certificate
	sigErr error
}

// readToken takes a TimeStampResp apart. It refuses what is not exactly one
// DER value without trailing bytes. The CMS library is not written for
// hostile input, so nesting is bounded first and a panic becomes an error.
func readToken(der []byte) (t token, err error) {
	defer func() {
		if p := recover(); p != nil {
			t, err = token{}, fmt.Errorf("reading token: library gave up: %v", p)
		}
	}()
	if len(der) > MaxResponse {
		return token{}, fmt.Errorf("reading token: %d bytes", len(der))
	}
	raw, err := splitResponse(der)
	if err != nil {
		return token{}, err
	}
	if t.p7, err = pkcs7.Parse(raw); err != nil {
		return token{}, fmt.Errorf("reading token: %w", err)
	}
	// timestamp.ParseResponse verifies the signature while it parses and
	// then gives no content; the content is wanted either way, to say which
	// layer failed. Without certificates it does not verify.
	t.sigErr = verifyCMS(t.p7)
	t.signer = t.p7.GetOnlySigner()
	if t.ts, err = parseInfo(t.p7.Content); err != nil {
		return token{}, err
	}
	return t, nil
}

// splitResponse checks the status of a TimeStampResp (RFC 3161 section
// 2.4.2) and returns the token's bytes.
func splitResponse(der []byte) ([]byte, error) {
	if !bounded(der, maxDepth) {
		return nil, fmt.Errorf("reading time-stamp response: %w", errNesting)
	}
	in := cryptobyte.String(der)
	var resp, status, raw cryptobyte.String
	if !in.ReadASN1(&resp, cbasn1.SEQUENCE) || !in.Empty() || !resp.ReadASN1(&status, cbasn1.SEQUENCE) {
		return nil, errors.New("reading time-stamp response: not one TimeStampResp")
	}
	var code int64
	if !status.ReadASN1Integer(&code) {
		return nil, errors.New("reading time-stamp response: no status")
	}
	if code != 0 && code != 1 {
		_, err := timestamp.ParseResponse(der)
		return nil, &Refusal{Status: int(code), Detail: fmt.Sprint(err)}
	}
	if !resp.ReadASN1Element(&raw, cbasn1.SEQUENCE) || !resp.Empty() {
		return nil, errors.New("reading time-stamp response: granted without exactly one token")
	}
	if !carriesTSTInfo(raw) {
		return nil, errors.New("reading time-stamp response: token does not carry a TSTInfo")
	}
	return raw, nil
}

// carriesTSTInfo reports whether a CMS SignedData has the content type of a
// time-stamp token (RFC 3161 section 2.4.2), which the library leaves
// unlooked at.
func carriesTSTInfo(raw cryptobyte.String) bool {
	var info, content, signed, encap cryptobyte.String
	var oid asn1.ObjectIdentifier
	return raw.ReadASN1(&info, cbasn1.SEQUENCE) && info.SkipASN1(cbasn1.OBJECT_IDENTIFIER) &&
		info.ReadASN1(&content, cbasn1.Tag(0).ContextSpecific().Constructed()) && info.Empty() &&
		content.ReadASN1(&signed, cbasn1.SEQUENCE) && content.Empty() &&
		signed.SkipASN1(cbasn1.INTEGER) && signed.SkipASN1(cbasn1.SET) &&
		signed.ReadASN1(&encap, cbasn1.SEQUENCE) && encap.ReadASN1ObjectIdentifier(&oid) && oid.Equal(oidTSTInfo)
}

// A Refusal is an authority's answer that it does not stamp.
type Refusal struct {
	Status int // PKIStatus, RFC 3161 section 2.4.2
	Detail string
}

// Error says that and why the authority refused.
func (r *Refusal) Error() string {
	return fmt.Sprintf("authority refused, status %d: %s", r.Status, r.Detail)
}

// bounded reports whether b is a run of DER values with definite lengths
// nested at most depth deep. Octet strings are not entered.
func bounded(b []byte, depth int) bool {
	in := cryptobyte.String(b)
	for !in.Empty() {
		var body cryptobyte.String
		var tag cbasn1.Tag
		if depth == 0 || !in.ReadAnyASN1(&body, &tag) {
			return false
		}
		if tag&0x20 != 0 && !bounded(body, depth-1) {
			return false
		}
	}
	return true
}

// parseInfo reads a TSTInfo by wrapping it in a token without certificates,
// which is the only form the library reads without checking a signature.
func parseInfo(content []byte) (*timestamp.Timestamp, error) {
	var v asn1.RawValue
	if rest, err := asn1.Unmarshal(content, &v); err != nil || len(rest) > 0 {
		return nil, errors.New("reading TSTInfo: not one DER value")
	}
	sd, err := pkcs7.NewSignedData(content)
	if err != nil {
		return nil, fmt.Errorf("reading TSTInfo: %w", err)
	}
	der, err := sd.Finish()
	if err != nil {
		return nil, fmt.Errorf("reading TSTInfo: %w", err)
	}
	ts, err := timestamp.Parse(der)
	if err != nil {
		return nil, fmt.Errorf("reading TSTInfo: %w", err)
	}
	if ts.HashAlgorithm == 0 || ts.SerialNumber == nil || ts.Time.IsZero() {
		return nil, errors.New("reading TSTInfo: field missing")
	}
	return ts, nil
}

// verifyCMS checks the one signature of a token and the attributes that bind
// it: content type, message digest, signing certificate.
func verifyCMS(p7 *pkcs7.PKCS7) error {
	signer := p7.GetOnlySigner()
	if signer == nil {
		return errors.New("not exactly one signer with its certificate")
	}
	if err := p7.Verify(); err != nil {
		return err
	}
	var ct asn1.ObjectIdentifier
	if err := p7.UnmarshalSignedAttribute(oidContentType, &ct); err != nil {
		return fmt.Errorf("content type attribute: %w", err)
	}
	if !ct.Equal(oidTSTInfo) {
		return fmt.Errorf("content type is %s, want %s", ct, oidTSTInfo)
	}
	return verifyESS(p7, signer)
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
func verifyESS(p7 *pkcs7.PKCS7, signer *x509.Certificate) error {
	var attr struct {
		Certs    []essCertID
		Policies asn1.RawValue `asn1:"optional"`
	}
	h := sha256.New()
	err := p7.UnmarshalSignedAttribute(oidSigningCertificateV2, &attr)
	if err != nil {
		h = sha1.New()
		err = p7.UnmarshalSignedAttribute(oidSigningCertificate, &attr)
	}
	if err != nil {
		return fmt.Errorf("signing certificate attribute: %w", err)
	}
	if len(attr.Certs) == 0 {
		return errors.New("signing certificate attribute names no certificate")
	}
	if alg := attr.Certs[0].Algorithm.Algorithm; len(alg) > 0 {
		if h = hashByOID(alg); h == nil {
			return fmt.Errorf("signing certificate attribute uses hash %s", alg)
		}
	}
	h.Write(signer.Raw)
	if !bytes.Equal(h.Sum(nil), attr.Certs[0].Hash) {
		return errors.New("signing certificate attribute names another certificate")
	}
	return nil
}

func hashByOID(oid asn1.ObjectIdentifier) hash.Hash {
	switch {
	case oid.Equal(oidSHA256):
		return sha256.New()
	case oid.Equal(oidSHA384):
		return sha512.New384()
	case oid.Equal(oidSHA512):
		return sha512.New()
	}
	return nil
}
