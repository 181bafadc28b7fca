package tsa

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A TokenReport is what a bare time-stamp token says. Unlike a Stamp it has
// no request beside it, as in an evidence record (RFC 4998).
type TokenReport struct {
	Report
	Imprint Imprint
	// Until is when the first certificate on the way from the signer to the
	// last issuer that is in the token expires.
	Until time.Time
	// Signer is the signer's common name, for people.
	Signer string
}

// Token returns the token in a stamp's response: ContentInfo, as it came.
func Token(s Stamp) ([]byte, error) {
	if s.Pending() {
		return nil, fmt.Errorf("reading token: none is there: %s", s.Error)
	}
	if len(s.Response) > MaxResponse {
		return nil, fmt.Errorf("reading token: %d bytes", len(s.Response))
	}
	return splitResponse(s.Response)
}

// ReadToken tells what a token says, without a check of anything but that it
// can be read.
func ReadToken(token []byte) (TokenReport, error) {
	t, err := openToken(token)
	if err != nil {
		return TokenReport{}, err
	}
	return t.report(), nil
}

// CheckToken examines a bare token over want, without network, as of the time
// at: its chain has to be valid at its own time and still at that one. The
// zero time leaves the second out. A certificate that had expired by then is
// Unknown ("chain.expired_since"), because the token alone can no longer tell;
// one that was not valid at the token's own time is Failed. Layers are those
// of Check without nonce.
func CheckToken(token []byte, want Imprint, trust Trust, at time.Time) TokenReport {
	t, err := openToken(token)
	if err != nil {
		var r TokenReport
		r.add(LayerSignature, Failed, "token.unreadable", "%v", err)
		return r
	}
	r := t.report()
	if r.Imprint.Hash != want.Hash || !bytes.Equal(r.Imprint.Value, want.Value) {
		r.add(LayerImprint, Failed, "imprint.other", "token is about %s %x, want %s %x", r.Imprint.Hash, r.Imprint.Value, want.Hash, want.Value)
	} else {
		r.add(LayerImprint, Passed, "", "%s %x", want.Hash, want.Value)
	}
	r.checkPolicy("", trust.policies(t.signer))
	r.checkSignature(t.token)
	r.checkChainAt(t, trust, at)
	r.checkIdentity(t.token, trust)
	return r
}

// checkChainAt is checkChain at the token's own time and at a later one.
func (r *TokenReport) checkChainAt(t bareToken, trust Trust, at time.Time) {
	s := Stamp{Response: t.wrapped()}
	if t.imprint.Hash == SM3 {
		s.Response = nil // the second library knows no SM3
	}
	own := Report{Time: r.Time, Practice: r.Practice}
	if s.Response != nil || t.signer == nil {
		own.checkChain(s, t.token, trust)
	} else {
		own.checkChainOnce(t.token, trust)
	}
	r.Findings = append(r.Findings, own.Findings...)
	if at.IsZero() || own.State() == Failed {
		return
	}
	if at.After(r.Until) {
		r.add(LayerChain, Unknown, "chain.expired_since", "a certificate expired at %s, before %s", r.Until.Format(time.RFC3339), at.UTC().Format(time.RFC3339))
		return
	}
	if own.State() != Passed {
		return
	}
	late := t.token
	ts := *t.ts
	ts.Time = at
	late.ts = &ts
	if err := buildChain(late, trust.Roots); err != nil {
		r.add(LayerChain, Unknown, "chain.expired_since", "at %s: %v", at.UTC().Format(time.RFC3339), err)
	}
}

// checkChainOnce is checkChain by one library alone.
func (r *Report) checkChainOnce(t token, trust Trust) {
	roots := trust.Roots
	if r.Practice {
		roots = selfSigned(t.p7.Certificates)
	}
	var err error
	if t.signer != nil {
		err = buildChain(t, roots)
	}
	switch {
	case t.signer == nil:
		r.add(LayerChain, Failed, "chain.no_signer", "no certificate of the signer")
	case r.Time.Before(t.signer.NotBefore) || r.Time.After(t.signer.NotAfter):
		r.add(LayerChain, Failed, "chain.expired", "token of %s, certificate valid from %s to %s", r.Time.Format(time.RFC3339),
			t.signer.NotBefore.Format(time.RFC3339), t.signer.NotAfter.Format(time.RFC3339))
	case len(roots) == 0 && !r.Practice:
		r.add(LayerChain, Unknown, "chain.no_root", "no root certificate is configured")
	case err != nil:
		r.add(LayerChain, Failed, "chain.invalid", "%v", err)
	case r.Practice:
		r.add(LayerChain, Unknown, "chain.practice", "practice authority: this machine's own clock, no third party")
	default:
		r.add(LayerChain, Passed, "", "valid at %s", r.Time.Format(time.RFC3339))
	}
}

// A bareToken is a token taken apart whose imprint may be of any Hash.
type bareToken struct {
	token
	raw     []byte
	imprint Imprint
}

// openToken is readToken for a token alone and for imprints of any Hash.
func openToken(raw []byte) (t bareToken, err error) {
	defer func() {
		if p := recover(); p != nil {
			t, err = bareToken{}, fmt.Errorf("reading token: library gave up: %v", p)
		}
	}()
	if len(raw) > MaxResponse || !bounded(raw, maxDepth) {
		return bareToken{}, fmt.Errorf("reading token of %d bytes: %w", len(raw), errNesting)
	}
	if !carriesTSTInfo(raw) {
		return bareToken{}, errors.New("reading token: it does not carry a TSTInfo")
	}
	t.raw = raw
	if t.p7, err = pkcs7.Parse(raw); err != nil {
		return bareToken{}, fmt.Errorf("reading token: %w", err)
	}
	t.sigErr = verifyCMS(t.p7)
	t.signer = t.p7.GetOnlySigner()
	if t.ts, t.imprint, err = readInfo(t.p7.Content); err != nil {
		return bareToken{}, err
	}
	return t, nil
}

// readInfo reads a TSTInfo (RFC 3161 section 2.4.2). The library's own reader
// knows no SM3.
func readInfo(content []byte) (*timestamp.Timestamp, Imprint, error) {
	in := cryptobyte.String(content)
	var info, clock cryptobyte.String
	var version int64
	ts := &timestamp.Timestamp{SerialNumber: new(big.Int)}
	if !in.ReadASN1(&info, cbasn1.SEQUENCE) || !in.Empty() || !info.ReadASN1Integer(&version) || !info.ReadASN1ObjectIdentifier(&ts.Policy) {
		return nil, Imprint{}, errors.New("reading TSTInfo: version or policy is missing or out of place")
	}
	imprint, ok := readImprint(&info)
	if version != 1 || !ok {
		return nil, Imprint{}, fmt.Errorf("reading TSTInfo: version %d, or an imprint that cannot be read", version)
	}
	if !info.ReadASN1Integer(ts.SerialNumber) || !info.ReadASN1Element(&clock, cbasn1.GeneralizedTime) {
		return nil, Imprint{}, errors.New("reading TSTInfo: serial number or time is missing or out of place")
	}
	if rest, err := asn1.UnmarshalWithParams(clock, &ts.Time, "generalized"); err != nil || len(rest) > 0 {
		return nil, Imprint{}, fmt.Errorf("reading TSTInfo: time: %w", err)
	}
	var ordering bool
	if !info.SkipOptionalASN1(cbasn1.SEQUENCE) || !info.ReadOptionalASN1Boolean(&ordering, cbasn1.BOOLEAN, false) {
		return nil, Imprint{}, errors.New("reading TSTInfo: accuracy or ordering is out of place")
	}
	if info.PeekASN1Tag(cbasn1.INTEGER) {
		ts.Nonce = new(big.Int)
		if !info.ReadASN1Integer(ts.Nonce) {
			return nil, Imprint{}, errors.New("reading TSTInfo: nonce")
		}
	}
	ts.HashedMessage = imprint.Value
	return ts, imprint, nil
}

// readImprint reads a MessageImprint of one of the four hash functions.
func readImprint(info *cryptobyte.String) (Imprint, bool) {
	var imprint, alg cryptobyte.String
	var oid asn1.ObjectIdentifier
	var out Imprint
	if !info.ReadASN1(&imprint, cbasn1.SEQUENCE) || !imprint.ReadASN1(&alg, cbasn1.SEQUENCE) || !alg.ReadASN1ObjectIdentifier(&oid) ||
		!imprint.ReadASN1Bytes(&out.Value, cbasn1.OCTET_STRING) || !imprint.Empty() {
		return Imprint{}, false
	}
	out.Hash = HashOf(oid)
	return out, out.Hash != "" && len(out.Value) == out.Hash.Size()
}

// report is what the token says of itself.
func (t bareToken) report() TokenReport {
	r := TokenReport{Imprint: t.imprint}
	r.Time, r.Serial, r.Policy = t.ts.Time.UTC(), t.ts.SerialNumber.String(), t.ts.Policy.String()
	r.Certificates = t.p7.Certificates
	r.Practice = r.Policy == PracticePolicy || isPractice(t.signer)
	if t.signer != nil {
		r.Signer = t.signer.Subject.CommonName
		r.Until = t.until()
	}
	return r
}

// until follows the issuers that are in the token.
func (t bareToken) until() time.Time {
	c, end := t.signer, t.signer.NotAfter
	for range t.p7.Certificates {
		i := slices.IndexFunc(t.p7.Certificates, func(up *x509.Certificate) bool {
			return bytes.Equal(up.RawSubject, c.RawIssuer) && !up.Equal(c) && c.CheckSignatureFrom(up) == nil
		})
		if i < 0 {
			break
		}
		if c = t.p7.Certificates[i]; c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end.UTC()
}

// wrapped returns the token in a TimeStampResp that grants it, which is what
// the second library reads.
func (t bareToken) wrapped() []byte {
	der, err := asn1.Marshal(struct {
		Status struct{ Code int }
		Token  asn1.RawValue
	}{Token: asn1.RawValue{FullBytes: t.raw}})
	if err != nil {
		return nil
	}
	return der
}
