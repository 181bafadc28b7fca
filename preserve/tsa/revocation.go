package tsa

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/emmansun/gmsm/smx509"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"
)

// Kinds of a Material.
const (
	KindOCSP   = "ocsp"   // OCSPResponse (RFC 6960)
	KindCRL    = "crl"    // CertificateList (RFC 5280 section 5)
	KindIssuer = "issuer" // certificate that the token did not hold
)

// A Material is one attempt to get what a certificate's authority says of it:
// the answer as it was, or why there is none.
type Material struct {
	Kind        string    `json:"kind"`
	URL         string    `json:"url"`         // as in the certificate
	At          time.Time `json:"at"`          // this machine's clock when the attempt ended
	Certificate string    `json:"certificate"` // SHA-256 of the certificate it is about, hex
	Data        []byte    `json:"data,omitempty"`
	Error       string    `json:"error,omitempty"`
}

// Extensions of revocation lists (RFC 5280 section 5.2).
var (
	oidIssuingPoint = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidReasonCode   = asn1.ObjectIdentifier{2, 5, 29, 21}
)

// A status is what one answer says of one certificate.
type status struct {
	revoked bool
	at      time.Time // of the revocation
	benign  bool      // for a reason under which earlier tokens stay valid
	reason  int       // CRLReason, RFC 5280 section 5.3.1
	from    time.Time // thisUpdate
	until   time.Time // nextUpdate; zero when none is told
}

// benign reports whether a reason leaves what was signed before valid: RFC
// 3161 section 4 names unspecified, affiliationChanged, superseded and
// cessationOfOperation, and wants the reason told.
func benign(reason int) bool { return reason == 0 || reason >= 3 && reason <= 5 }

// covers reports whether a status is about the time at: it was asked then or
// later, or held until then.
func (s status) covers(at time.Time) bool {
	return !s.from.Before(at) || !s.until.IsZero() && !s.until.Before(at)
}

// readStatus reads a Material about a certificate and checks who signed it.
func readStatus(m Material, cert, issuer *x509.Certificate) (s status, err error) {
	defer func() {
		if p := recover(); p != nil {
			s, err = status{}, fmt.Errorf("reading %s: library gave up: %v", m.Kind, p)
		}
	}()
	if len(m.Data) > MaxMaterial {
		return status{}, fmt.Errorf("reading %s: %d bytes", m.Kind, len(m.Data))
	}
	switch m.Kind {
	case KindOCSP:
		return readOCSP(m.Data, cert, issuer)
	case KindCRL:
		return readCRL(m.Data, cert, issuer)
	}
	return status{}, fmt.Errorf("reading revocation material: kind %q", m.Kind)
}

// readOCSP reads a response. The library checks the signatures, of response
// and responder, but not that the responder may answer (RFC 6960 section
// 4.2.2.2).
func readOCSP(der []byte, cert, issuer *x509.Certificate) (status, error) {
	r, err := ocsp.ParseResponseForCert(der, cert, issuer)
	if err != nil {
		return status{}, fmt.Errorf("reading OCSP response: %w", err)
	}
	switch r.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return status{}, fmt.Errorf("reading OCSP response: signed with %s", r.SignatureAlgorithm)
	}
	if c := r.Certificate; c != nil && !bytes.Equal(c.Raw, issuer.Raw) {
		switch {
		case !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
			return status{}, fmt.Errorf("reading OCSP response: %s may not answer", c.Subject)
		case r.ProducedAt.Before(c.NotBefore) || r.ProducedAt.After(c.NotAfter):
			return status{}, fmt.Errorf("reading OCSP response: certificate of %s was not valid at %s", c.Subject, r.ProducedAt.Format(time.RFC3339))
		}
	}
	s := status{from: r.ThisUpdate, until: r.NextUpdate}
	switch r.Status {
	case ocsp.Good:
	case ocsp.Revoked:
		// Absent and unspecified look the same here, and an absent reason
		// leaves nothing valid.
		s.revoked, s.at, s.reason = true, r.RevokedAt, r.RevocationReason
		s.benign = benign(s.reason) && s.reason != 0
	default:
		return status{}, errors.New("reading OCSP response: the responder does not know the certificate")
	}
	return s, nil
}

// readCRL reads a list of the certificate's own issuer. Lists of changes, of
// some reasons or of several issuers are not understood.
func readCRL(der []byte, cert, issuer *x509.Certificate) (status, error) {
	l, err := parseCRL(der, issuer)
	if err != nil {
		return status{}, fmt.Errorf("reading revocation list: %w", err)
	}
	if !bytes.Equal(l.RawIssuer, cert.RawIssuer) {
		return status{}, fmt.Errorf("reading revocation list: of %s, certificate of %s", l.Issuer, cert.Issuer)
	}
	for _, e := range l.Extensions {
		switch {
		case e.Id.Equal(oidIssuingPoint):
			if err := fitsPoint(e.Value, cert); err != nil {
				return status{}, fmt.Errorf("reading revocation list: %w", err)
			}
		case e.Critical:
			return status{}, fmt.Errorf("reading revocation list: critical extension %s is not known", e.Id)
		}
	}
	s := status{from: l.ThisUpdate, until: l.NextUpdate}
	for _, e := range l.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(cert.SerialNumber) != 0 {
			continue
		}
		told := slices.ContainsFunc(e.Extensions, func(x pkix.Extension) bool { return x.Id.Equal(oidReasonCode) })
		s.revoked, s.at, s.reason, s.benign = true, e.RevocationTime, e.ReasonCode, told && benign(e.ReasonCode)
		break
	}
	return s, nil
}

func parseCRL(der []byte, issuer *x509.Certificate) (*x509.RevocationList, error) {
	if isSM2(issuer) {
		l, err := smx509.ParseRevocationList(der)
		if err != nil {
			return nil, err
		}
		return l.ToX509(), l.CheckSignatureFrom((*smx509.Certificate)(issuer))
	}
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	return l, l.CheckSignatureFrom(issuer)
}

// fitsPoint reports why a list with this IssuingDistributionPoint (RFC 5280
// section 5.2.5) is not about the certificate.
func fitsPoint(der []byte, cert *x509.Certificate) error {
	in := cryptobyte.String(der)
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() {
		return errors.New("issuing distribution point is malformed")
	}
	for !seq.Empty() {
		var v cryptobyte.String
		var tag cbasn1.Tag
		if !seq.ReadAnyASN1(&v, &tag) {
			return errors.New("issuing distribution point is malformed")
		}
		switch tag & 0x1f {
		case 0: // distributionPoint
			if !slices.ContainsFunc(cert.CRLDistributionPoints, func(u string) bool { return bytes.Contains(v, []byte(u)) }) {
				return errors.New("list of another distribution point")
			}
		case 1: // onlyContainsUserCerts
			if cert.IsCA {
				return errors.New("list of end entities alone")
			}
		case 2: // onlyContainsCACerts
			if !cert.IsCA {
				return errors.New("list of authorities alone")
			}
		default:
			return errors.New("list of some reasons, of several issuers or of attributes")
		}
	}
	return nil
}

// about is the name of a certificate in Material.Certificate.
func about(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// checkRevocation reads what was stored about the chain, as of the token's
// time. It returns what is to be told with the chain when nothing was stored,
// which is no failure: many authorities cannot be reached from where evidence
// is taken.
func (r *Report) checkRevocation(s Stamp, chain []*x509.Certificate, trust Trust) (code, detail string) {
	if len(chain) < 2 {
		return "", ""
	}
	worst, missing, signer := survey(s.Revocation, chain, r.Time)
	absent := Finding{Layer: LayerRevocation, State: Unknown, Code: "revocation.absent", Detail: "nothing stored tells whether it was revoked" + missing}
	switch {
	case !signer && severity(worst) < severity(absent) && !trust.Revocation:
		return absent.Code, absent.Detail
	case missing != "" && trust.Revocation && severity(worst) < severity(absent):
		worst = absent
	case missing != "" && worst.Code == "":
		worst.Code = "revocation.incomplete"
		worst.Detail += missing
	}
	r.add(LayerRevocation, worst.State, worst.Code, "%s", worst.Detail)
	return "", ""
}

// survey returns the worst that is told of a chain, what nothing is told of,
// and whether anything is told of the signer.
func survey(ms []Material, chain []*x509.Certificate, at time.Time) (worst Finding, missing string, signer bool) {
	for i, c := range chain[:len(chain)-1] {
		f := judge(ms, c, chain[i+1], at)
		signer = signer || i == 0 && f.State != ""
		switch {
		case f.State == "":
			missing += "; " + f.Detail
		case worst.State == "" || severity(f) > severity(worst):
			worst = f
		}
	}
	return worst, missing, signer
}

func severity(f Finding) int {
	switch {
	case f.State == Failed:
		return 3
	case f.State == Unknown:
		return 2
	case f.Code != "":
		return 1
	}
	return 0
}

// judge looks for what the materials say of one certificate at a time. A
// revocation outweighs any other answer. State is empty when there is none.
func judge(ms []Material, cert, issuer *x509.Certificate, at time.Time) Finding {
	out := Finding{Detail: "no answer about " + cert.Subject.String()}
	id := about(cert)
	for _, m := range ms {
		if m.Certificate != id || m.Kind == KindIssuer {
			continue
		}
		if m.Error != "" {
			if out.State == "" {
				out.Detail = fmt.Sprintf("no answer about %s: %s", cert.Subject, m.Error)
			}
			continue
		}
		st, err := readStatus(m, cert, issuer)
		f := st.finding(cert, m.Kind, at)
		if err != nil {
			f = Finding{State: Unknown, Code: "revocation.invalid", Detail: err.Error()}
		}
		if out.State == "" || f.outweighs(out) {
			out = f
		}
	}
	return out
}

// outweighs: a revocation counts most, then a good answer, then none that can
// be used.
func (f Finding) outweighs(other Finding) bool {
	rank := func(f Finding) int {
		switch f.Code {
		case "revocation.before":
			return 4
		case "revocation.compromised":
			return 3
		case "revocation.later":
			return 2
		case "":
			return 1
		}
		return 0
	}
	return rank(f) > rank(other)
}

func (s status) finding(cert *x509.Certificate, kind string, at time.Time) Finding {
	say := func(state State, code, detail string, args ...any) Finding {
		return Finding{State: state, Code: code, Detail: fmt.Sprintf(detail, args...)}
	}
	switch {
	case s.revoked && !s.at.After(at):
		return say(Failed, "revocation.before", "%s was revoked at %s (reason %d), before the token of %s", cert.Subject,
			s.at.UTC().Format(time.RFC3339), s.reason, at.Format(time.RFC3339))
	case s.revoked && !s.benign:
		return say(Unknown, "revocation.compromised", "%s was revoked at %s (reason %d), after the token of %s, for a reason or without one under which RFC 3161 section 4 trusts no token",
			cert.Subject, s.at.UTC().Format(time.RFC3339), s.reason, at.Format(time.RFC3339))
	case s.revoked:
		return say(Passed, "revocation.later", "%s was revoked at %s (reason %d), after the token of %s", cert.Subject,
			s.at.UTC().Format(time.RFC3339), s.reason, at.Format(time.RFC3339))
	case !s.covers(at):
		return say(Unknown, "revocation.stale", "what the %s says of %s ends at %s, before the token of %s", kind, cert.Subject,
			s.until.UTC().Format(time.RFC3339), at.Format(time.RFC3339))
	}
	return say(Passed, "", "%s was not revoked, %s of %s", cert.Subject, kind, s.from.UTC().Format(time.RFC3339))
}
