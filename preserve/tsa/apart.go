package tsa

import (
	"crypto/x509"
	"time"
)

// CheckApart examines a token of another program, whose certificates may be
// kept beside it, as in signatures of WACZ files by domain owners (WACZ
// Signing 0.1.0). There is no request to compare with and no record of ours:
// it reports imprint, signature, chain and identity. The second library is
// not asked about the chain: it takes certificates out of the token alone.
func CheckApart(response []byte, want [32]byte, certs []*x509.Certificate, trust Trust) Report {
	var r Report
	t, err := readToken(response, certs)
	if err != nil {
		for _, l := range []string{LayerImprint, LayerChain, LayerIdentity} {
			r.add(l, Unknown, "token.unreadable", "%v", err)
		}
		r.add(LayerSignature, Failed, "token.unreadable", "%v", err)
		return r
	}
	r.Time, r.Serial, r.Policy = t.info.Time.UTC(), t.info.Serial.String(), t.info.Policy.String()
	r.Certificates, r.Hash = t.certs, t.info.Imprint.hash()
	r.Practice = r.Policy == PracticePolicy || isPractice(t.signer)
	r.checkImprint(Stamp{Imprint: imprintText(SHA256, want)}, t.info.Imprint, Digests{SHA256: want})
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
		if _, err := buildChain(t, trust.Roots); err != nil {
			r.add(LayerChain, Failed, "chain.invalid", "%v", err)
		} else {
			r.add(LayerChain, Passed, "", "valid at %s", r.Time.Format(time.RFC3339))
		}
	}
	r.checkIdentity(t, trust)
	return r
}
