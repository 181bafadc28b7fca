package tsa

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"
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
	own := Report{Time: r.Time, Practice: r.Practice}
	own.checkChain(Stamp{Response: t.wrapped()}, t.token, trust)
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
	late.info.Time = at
	if _, err := buildChain(late, trust.Roots); err != nil {
		r.add(LayerChain, Unknown, "chain.expired_since", "at %s: %v", at.UTC().Format(time.RFC3339), err)
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
	if t.token, err = openCMS(raw, nil); err != nil {
		return bareToken{}, err
	}
	m := t.info.Imprint
	t.imprint = Imprint{Hash: HashOf(m.Algorithm.Algorithm), Value: m.Hash}
	if t.imprint.Hash == "" || len(m.Hash) != t.imprint.Hash.Size() {
		return bareToken{}, fmt.Errorf("reading TSTInfo: imprint of %d bytes by %s", len(m.Hash), m.Algorithm.Algorithm)
	}
	return t, nil
}

// report is what the token says of itself.
func (t bareToken) report() TokenReport {
	r := TokenReport{Imprint: t.imprint}
	r.Time, r.Serial, r.Policy = t.info.Time.UTC(), t.info.Serial.String(), t.info.Policy.String()
	r.Certificates = t.certs
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
	for range t.certs {
		i := slices.IndexFunc(t.certs, func(up *x509.Certificate) bool {
			return bytes.Equal(up.RawSubject, c.RawIssuer) && !up.Equal(c) && signed(c, up) == nil
		})
		if i < 0 {
			break
		}
		if c = t.certs[i]; c.NotAfter.Before(end) {
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
