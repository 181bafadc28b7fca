package tsa

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/emmansun/gmsm/smx509"
	"github.com/sigstore/timestamp-authority/v2/pkg/verification"
)

// checkChain builds the chain at the token's own time. Two libraries must
// agree, but for tokens of the national algorithms, which only one knows. The
// practice authority's chain is never passed, whatever roots are given.
func (r *Report) checkChain(s Stamp, t token, trust Trust) {
	roots := trust.Roots
	if r.Practice {
		roots = selfSigned(t.certs)
	}
	switch {
	case t.signer == nil:
		r.add(LayerChain, Failed, "chain.no_signer", "no certificate of the signer")
		return
	case t.info.Time.Before(t.signer.NotBefore) || t.info.Time.After(t.signer.NotAfter):
		r.add(LayerChain, Failed, "chain.expired", "token of %s, certificate valid from %s to %s", r.Time.Format(time.RFC3339),
			t.signer.NotBefore.Format(time.RFC3339), t.signer.NotAfter.Format(time.RFC3339))
		return
	case len(roots) == 0 && r.Practice:
		r.add(LayerChain, Unknown, "chain.practice", "practice authority: this machine's own clock, no third party")
		return
	case len(roots) == 0:
		r.add(LayerChain, Unknown, "chain.no_root", "no root certificate is configured")
		return
	}
	t.certs = append(t.certs, s.stored()...)
	chain, err := buildChain(t, roots)
	if err == nil && !t.national {
		err = secondOpinion(s.Response, t.certs, roots)
	}
	switch {
	case err != nil:
		r.add(LayerChain, Failed, "chain.invalid", "%v", err)
	case r.Practice:
		r.add(LayerChain, Unknown, "chain.practice", "practice authority: this machine's own clock, no third party")
	default:
		r.chainHolds(s, chain, trust)
	}
}

// chainHolds reports a chain that leads to a root, and then what is told of
// revocation.
func (r *Report) chainHolds(s Stamp, chain []*x509.Certificate, trust Trust) {
	i := len(r.Findings)
	code, detail := r.checkRevocation(s, chain, trust)
	f := Finding{Layer: LayerChain, State: Passed, Code: code, Detail: "valid at " + r.Time.Format(time.RFC3339)}
	if detail != "" {
		f.Detail += "; " + detail
	}
	r.Findings = slices.Insert(r.Findings, i, f)
}

// stored returns the certificates kept with the stamp.
func (s Stamp) stored() []*x509.Certificate {
	var out []*x509.Certificate
	for _, der := range s.Chain {
		if c, err := ParseCertificate(der); err == nil {
			out = append(out, c)
		}
	}
	return out
}

// signed reports why c was not issued by issuer.
func signed(c, issuer *x509.Certificate) error {
	if isSM2(issuer) {
		return (*smx509.Certificate)(c).CheckSignatureFrom((*smx509.Certificate)(issuer))
	}
	return c.CheckSignatureFrom(issuer)
}

func selfSigned(certs []*x509.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	for _, c := range certs {
		if c.IsCA && bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignatureFrom(c) == nil {
			out = append(out, c)
		}
	}
	return out
}

// buildChain returns the chain from the signer to one of the roots, valid for
// time stamping at the token's time.
func buildChain(t token, roots []*x509.Certificate) ([]*x509.Certificate, error) {
	if t.national || slices.ContainsFunc(roots, isSM2) {
		return buildNational(t, roots)
	}
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		CurrentTime: t.info.Time, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}}
	for _, c := range roots {
		opts.Roots.AddCert(c)
	}
	for _, c := range t.certs {
		opts.Intermediates.AddCert(c)
	}
	chains, err := t.signer.Verify(opts)
	if err != nil {
		return nil, fmt.Errorf("building chain: %w", err)
	}
	return chains[0], nil
}

// buildNational is buildChain by the library that knows SM2.
func buildNational(t token, roots []*x509.Certificate) (chain []*x509.Certificate, err error) {
	defer func() {
		if p := recover(); p != nil {
			chain, err = nil, fmt.Errorf("building chain: library gave up: %v", p)
		}
	}()
	opts := smx509.VerifyOptions{Roots: smx509.NewCertPool(), Intermediates: smx509.NewCertPool(),
		CurrentTime: t.info.Time, KeyUsages: []smx509.ExtKeyUsage{smx509.ExtKeyUsageTimeStamping}}
	for _, c := range roots {
		opts.Roots.AddCert((*smx509.Certificate)(c))
	}
	for _, c := range t.certs {
		opts.Intermediates.AddCert((*smx509.Certificate)(c))
	}
	chains, err := (*smx509.Certificate)(t.signer).Verify(opts)
	if err != nil {
		return nil, fmt.Errorf("building chain: %w", err)
	}
	for _, c := range chains[0] {
		chain = append(chain, c.ToX509())
	}
	return chain, nil
}

// isSM2 reports whether a certificate is of the national algorithms.
func isSM2(c *x509.Certificate) bool { return bytes.Contains(c.Raw, nationalArc) }

// secondOpinion asks sigstore's verifier. It wants the stamped bytes and we
// have their digest only; it compares them last, so a reader that was reached
// tells that every other check (chain at the token's time, critical and sole
// purpose, end entity, purposes of intermediates) held.
func secondOpinion(response []byte, others, roots []*x509.Certificate) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("verifying token: library gave up: %v", p)
		}
	}()
	var reached reachedReader
	_, err = verification.VerifyTimestampResponse(response, &reached, verification.VerifyOpts{Roots: roots, Intermediates: others})
	if err == nil || reached {
		return nil
	}
	return err
}

type reachedReader bool

func (r *reachedReader) Read([]byte) (int, error) { *r = true; return 0, io.EOF }
