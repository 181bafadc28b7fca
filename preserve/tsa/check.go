package tsa

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

var layers = [...]string{LayerImprint, LayerNonce, LayerPolicy, LayerSignature, LayerChain, LayerIdentity}

// Check is CheckDigests for what is known by its SHA-256 value alone.
func Check(s Stamp, want [32]byte, trust Trust) Report {
	return CheckDigests(s, Digests{SHA256: want}, trust)
}

// CheckDigests examines a stamp over what has the digests want, without
// network. It always reports the first six layers. A pending stamp cannot be
// told; a response that cannot be read fails the signature, and the rest
// cannot be told.
func CheckDigests(s Stamp, want Digests, trust Trust) Report {
	r := Report{Practice: s.TSA == PracticeName}
	if s.Pending() {
		for _, l := range layers {
			r.add(l, Unknown, "stamp.pending", "%s", s.Error)
		}
		return r
	}
	t, err := readToken(s.Response, nil)
	if err != nil {
		for _, l := range layers {
			if l == LayerSignature {
				r.add(l, Failed, "token.unreadable", "%v", err)
			} else {
				r.add(l, Unknown, "token.unreadable", "%v", err)
			}
		}
		return r
	}
	r.Time, r.Serial, r.Policy = t.info.Time.UTC(), t.info.Serial.String(), t.info.Policy.String()
	r.Certificates, r.Hash = t.certs, t.info.Imprint.hash()
	r.Practice = r.Practice || r.Policy == PracticePolicy || isPractice(t.signer)
	r.checkImprint(s, t.info.Imprint, want)
	r.checkRequest(s, t, trust)
	r.checkSignature(t)
	r.checkChain(s, t, trust)
	r.checkIdentity(t, trust)
	r.checkClock(s, trust)
	return r
}

func isPractice(c *x509.Certificate) bool {
	return c != nil && slices.Contains(c.Subject.Organization, practiceOrganization)
}

func (r *Report) checkImprint(s Stamp, m messageImprint, want Digests) {
	sum, known := want.of(r.Hash)
	switch {
	case r.Hash == "":
		r.add(LayerImprint, Failed, "imprint.hash", "token uses hash %s, want %s or %s", m.Algorithm.Algorithm, SHA256, SM3)
	case !known:
		r.add(LayerImprint, Unknown, "imprint.unknown", "token is about the %s value %x, and that of the data is not known here", r.Hash, m.Hash)
	case !bytes.Equal(m.Hash, sum[:]):
		r.add(LayerImprint, Failed, "imprint.other", "token is about %s %x, want %x", r.Hash, m.Hash, sum)
	case s.Imprint != imprintText(r.Hash, sum):
		r.add(LayerImprint, Failed, "imprint.record", "the record says %q was sent, want %q", s.Imprint, imprintText(r.Hash, sum))
	default:
		r.add(LayerImprint, Passed, "", "%s", imprintText(r.Hash, sum))
	}
}

// checkRequest compares the token with the stored request: nonce and policy.
func (r *Report) checkRequest(s Stamp, t token, trust Trust) {
	var req request
	if len(s.Request) == 0 {
		r.add(LayerNonce, Unknown, "request.missing", "the request was not stored")
	} else if got, err := readRequest(s.Request); err != nil {
		r.add(LayerNonce, Failed, "request.unreadable", "%v", err)
	} else {
		req = got
		r.checkNonce(req, t.info)
	}
	r.checkPolicy(req.Policy.String(), trust.policies(t.signer))
}

// checkPolicy wants the policy that was asked for and one of those pinned.
// When neither says anything, the policy is the authority's own choice
// (RFC 3161 section 2.4.1).
func (r *Report) checkPolicy(asked string, pinned []string) {
	switch {
	case asked != "" && asked != r.Policy:
		r.add(LayerPolicy, Failed, "policy.other", "token was made under %s, asked for %s", r.Policy, asked)
	case len(pinned) > 0 && !slices.Contains(pinned, r.Policy):
		r.add(LayerPolicy, Failed, "policy.not_pinned", "token was made under %s, expected %s", r.Policy, strings.Join(pinned, ", "))
	case asked == "" && len(pinned) == 0 && (r.Policy == "" || r.Policy == PracticePolicy):
		r.add(LayerPolicy, Unknown, "policy.not_asked", "token was made under %q; none was asked for and none is pinned", r.Policy)
	default:
		r.add(LayerPolicy, Passed, "", "%s", r.Policy)
	}
}

func (r *Report) checkNonce(req request, i info) {
	switch {
	case req.Nonce == nil:
		r.add(LayerNonce, Unknown, "nonce.not_sent", "the request has no nonce")
	case i.Nonce == nil:
		r.add(LayerNonce, Failed, "nonce.missing", "the request has a nonce, the token none")
	case req.Nonce.Cmp(i.Nonce) != 0:
		r.add(LayerNonce, Failed, "nonce.other", "request and token have different nonces")
	case !bytes.Equal(req.Imprint.Hash, i.Imprint.Hash) || !req.Imprint.Algorithm.Algorithm.Equal(i.Imprint.Algorithm.Algorithm):
		r.add(LayerNonce, Failed, "request.other", "the stored request is about another digest")
	default:
		r.add(LayerNonce, Passed, "", "%s", i.Nonce.Text(16))
	}
}

func (r *Report) checkSignature(t token) {
	switch {
	case t.sigErr != nil:
		r.add(LayerSignature, Failed, "signature.invalid", "%v", t.sigErr)
	case t.signer == nil:
		r.add(LayerSignature, Failed, "signature.signer", "no certificate of the signer")
	default:
		if err := checkPurpose(t.signer); err != nil {
			r.add(LayerSignature, Failed, "signature.purpose", "%v", err)
			return
		}
		if t.oldESS {
			r.add(LayerSignature, Passed, "signature.old-ess", "signed by %s, named by SHA-1 alone (RFC 2634)", t.signer.Subject)
			return
		}
		r.add(LayerSignature, Passed, "", "signed by %s", t.signer.Subject)
	}
}

// checkPurpose wants an end-entity certificate whose only extended key
// usage, marked critical, is time stamping (RFC 3161 section 2.3).
func checkPurpose(c *x509.Certificate) error {
	if c.IsCA {
		return fmt.Errorf("%s is a certification authority", c.Subject)
	}
	if len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageTimeStamping || len(c.UnknownExtKeyUsage) > 0 {
		return fmt.Errorf("%s is not for time stamping alone", c.Subject)
	}
	for _, e := range c.Extensions {
		if e.Id.Equal(oidExtKeyUsage) && e.Critical {
			return nil
		}
	}
	return fmt.Errorf("%s: extended key usage is not critical", c.Subject)
}

// checkClock compares the token's time with this machine's at its arrival.
// Which of the two clocks is wrong the stamp cannot say, so that it does not
// fail: the token is as good as its authority either way.
func (r *Report) checkClock(s Stamp, trust Trust) {
	if trust.MaxSkew <= 0 {
		return
	}
	d := s.At.Sub(r.Time).Abs()
	if d > trust.MaxSkew {
		r.add(LayerClock, Unknown, "clock.skew", "this machine's clock said %s, the token %s: more than %s apart",
			s.At.UTC().Format(time.RFC3339), r.Time.Format(time.RFC3339), trust.MaxSkew)
		return
	}
	r.add(LayerClock, Passed, "", "%s apart, at most %s expected", d.Truncate(time.Millisecond), trust.MaxSkew)
}

func (r *Report) checkIdentity(t token, trust Trust) {
	pins := slices.DeleteFunc(slices.Clone(trust.Pins), Pin.nameless)
	if len(pins) == 0 || t.signer == nil {
		r.add(LayerIdentity, Unknown, "identity.not_pinned", "no authority is pinned")
		return
	}
	sum := sha256.Sum256(t.signer.Raw)
	for _, p := range pins {
		if p.fits(r.Policy, t.signer) {
			r.add(LayerIdentity, Passed, "", "%s", t.signer.Subject)
			return
		}
	}
	r.add(LayerIdentity, Failed, "identity.other", "signed by %s, certificate %x: not one of the %d pinned", t.signer.Subject, sum, len(pins))
}

// expects reports whether nobody is pinned or one of the pins names the
// signer.
func (t Trust) expects(signer *x509.Certificate) bool {
	pinned := false
	for _, p := range t.Pins {
		if !p.nameless() && p.names(signer) {
			return true
		}
		pinned = pinned || !p.nameless()
	}
	return !pinned
}

// policies returns the policies that are pinned for the authority with this
// certificate, with those of pins that name a policy only; none when any will
// do. For an authority that no pin names these are the policies of all pins.
func (t Trust) policies(signer *x509.Certificate) []string {
	var anyone, own, others []string
	known, free := false, false
	for _, p := range t.Pins {
		switch {
		case p.nameless():
			anyone = append(anyone, p.Policy)
		case signer != nil && p.names(signer):
			known, free = true, free || p.Policy == ""
			own = append(own, p.Policy)
		default:
			others = append(others, p.Policy)
		}
	}
	switch {
	case !known:
		own = others
	case free:
		own = nil
	}
	return slices.DeleteFunc(append(anyone, own...), func(p string) bool { return p == "" })
}

// nameless reports whether the pin identifies nobody.
func (p Pin) nameless() bool { return p.CertificateSHA256 == "" && p.Issuer == "" && p.Name == "" }

// names reports whether everything the pin says about the certificate is so.
func (p Pin) names(c *x509.Certificate) bool {
	sum := sha256.Sum256(c.Raw)
	same := func(want, have string) bool { return want == "" || want == have }
	return same(strings.ToLower(p.CertificateSHA256), hex.EncodeToString(sum[:])) &&
		same(p.Issuer, c.Issuer.CommonName) && same(p.Name, c.Subject.CommonName)
}

// fits reports whether everything the pin names is so.
func (p Pin) fits(policy string, c *x509.Certificate) bool {
	return (p.Policy == "" || p.Policy == policy) && p.names(c)
}
