package tsa

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/digitorus/pkcs7"
)

// CheckApart examines a token of another program, whose certificates may be
// kept beside it, as in signatures of WACZ files by domain owners (WACZ
// Signing 0.1.0). There is no request to compare with and no record of ours:
// it reports imprint, signature, chain and identity. The second library is
// not asked about the chain: it takes certificates out of the token alone.
func CheckApart(response []byte, want [32]byte, certs []*x509.Certificate, trust Trust) Report {
	var r Report
	t, err := readApart(response, certs)
	if err != nil {
		for _, l := range []string{LayerImprint, LayerChain, LayerIdentity} {
			r.add(l, Unknown, "token.unreadable", "%v", err)
		}
		r.add(LayerSignature, Failed, "token.unreadable", "%v", err)
		return r
	}
	r.Time, r.Serial, r.Policy = t.ts.Time.UTC(), t.ts.SerialNumber.String(), t.ts.Policy.String()
	r.Certificates = t.p7.Certificates
	r.Practice = r.Policy == PracticePolicy || isPractice(t.signer)
	r.checkImprint(Stamp{Imprint: fmt.Sprintf("%x", want)}, t.ts, want)
	r.checkSignature(t)
	switch {
	case t.signer == nil:
		r.add(LayerChain, Failed, "chain.no_signer", "no certificate of the signer")
	case r.Time.Before(t.signer.NotBefore) || r.Time.After(t.signer.NotAfter):
		r.add(LayerChain, Failed, "chain.expired", "token of %s, certificate valid from %s to %s", r.Time.Format(time.RFC3339),
			t.signer.NotBefore.Format(time.RFC3339), t.signer.NotAfter.Format(time.RFC3339))
	case r.Practice:
		r.add(LayerChain, Unknown, "chain.practice", "practice authority: some machine's own clock, no third party")
	case len(trust.Roots) == 0:
		r.add(LayerChain, Unknown, "chain.no_root", "no root certificate is configured")
	default:
		if err := buildChain(t, trust.Roots); err != nil {
			r.add(LayerChain, Failed, "chain.invalid", "%v", err)
		} else {
			r.add(LayerChain, Passed, "", "valid at %s", r.Time.Format(time.RFC3339))
		}
	}
	r.checkIdentity(t, trust)
	return r
}

// readApart is readToken with further certificates.
func readApart(der []byte, certs []*x509.Certificate) (t token, err error) {
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
	for _, c := range certs {
		known := false
		for _, have := range t.p7.Certificates {
			known = known || have.Equal(c)
		}
		if !known {
			t.p7.Certificates = append(t.p7.Certificates, c)
		}
	}
	t.sigErr = verifyCMS(t.p7)
	t.signer = t.p7.GetOnlySigner()
	t.ts, err = parseInfo(t.p7.Content)
	return t, err
}
