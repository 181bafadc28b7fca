package tsa

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/digitorus/timestamp"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxDepth bounds the nesting of a token; real ones stay below 20.
const maxDepth = 64

var errNesting = errors.New("not definite-length DER of reasonable depth")

// A token is a response taken apart. Its signature may be wrong: sigErr says.
type token struct {
	cms
	info   info
	sigErr error
	oldESS bool // the signer's certificate is named by SHA-1 alone
}

// readToken takes a TimeStampResp apart, with further certificates that were
// kept beside it. It refuses what is not exactly one DER value without
// trailing bytes. The CMS libraries are not written for hostile input, so
// nesting is bounded first and a panic becomes an error.
func readToken(der []byte, beside []*x509.Certificate) (t token, err error) {
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
	return openCMS(raw, beside)
}

// openCMS takes a token apart, with further certificates that were kept
// beside it.
func openCMS(raw []byte, beside []*x509.Certificate) (t token, err error) {
	if t.cms, err = readCMS(raw, beside); err != nil {
		return token{}, fmt.Errorf("reading token: %w", err)
	}
	// The content is wanted even under a wrong signature, to say which layer
	// failed.
	t.oldESS, t.sigErr = t.verify()
	if t.info, err = readInfo(t.content); err != nil {
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
