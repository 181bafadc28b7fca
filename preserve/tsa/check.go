package tsa

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/sigstore/timestamp-authority/v2/pkg/verification"
)

// A State is a finding's outcome. A check that could not be made is Unknown,
// never Passed.
type State string

// The three states; the texts are those of verify.Outcome.
const (
	Passed  State = "passed"
	Failed  State = "failed"
	Unknown State = "cannot tell"
)

// Layers of a stamp, in the order in which Check reports them. LayerClock
// is reported only when Trust.MaxSkew is set and exceeded.
const (
	LayerImprint   = "imprint"   // the token is about the digest
	LayerNonce     = "nonce"     // the token answers the stored request
	LayerPolicy    = "policy"    // it was made under the expected policy
	LayerSignature = "signature" // the certificate in the token signed it
	LayerChain     = "chain"     // that certificate led to a root at the token's time
	LayerIdentity  = "identity"  // it is the authority that was expected
	LayerClock     = "clock"     // this machine's clock and the token agree
)

// A Finding is what one layer says. Code is stable and empty when there is
// nothing to explain; Detail is the machine's account, in English.
type Finding struct {
	Layer  string
	State  State
	Code   string
	Detail string
}

// A Pin is an authority that is expected. Empty fields match anything; a Pin
// without CertificateSHA256, Issuer and Name identifies nobody.
type Pin struct {
	Policy            string // dotted
	CertificateSHA256 string // of the signer's certificate, DER, hex
	Issuer            string // common name of the issuer
	Name              string // common name of the subject
}

// Trust is what the reader brings along. The zero value trusts nobody, and
// chain and identity cannot be told.
type Trust struct {
	Roots   []*x509.Certificate // real roots; an intermediate here is accepted as one
	Pins    []Pin
	MaxSkew time.Duration // between Stamp.At and the token's time; 0: not looked at
}

// A Report is what a stamp says and what became of each check. Time, Serial
// and Policy are read even from a token that failed, and prove nothing then.
type Report struct {
	Time         time.Time // genTime, UTC; zero when there is no token
	Serial       string    // decimal
	Policy       string    // dotted
	Practice     bool      // made by the practice authority
	Certificates []*x509.Certificate
	Findings     []Finding
}

// State is Failed when any layer failed, else Unknown when any could not
// tell, else Passed.
func (r Report) State() State {
	out := Passed
	for _, f := range r.Findings {
		if f.State == Failed {
			return Failed
		}
		if f.State == Unknown {
			out = Unknown
		}
	}
	return out
}

func (r *Report) add(layer string, state State, code, detail string, args ...any) {
	if len(args) > 0 {
		detail = fmt.Sprintf(detail, args...)
	}
	r.Findings = append(r.Findings, Finding{Layer: layer, State: state, Code: code, Detail: detail})
}

var layers = [...]string{LayerImprint, LayerNonce, LayerPolicy, LayerSignature, LayerChain, LayerIdentity}

// Check examines a stamp over the SHA-256 value want, without network. It
// always reports all six layers. A pending stamp cannot be told; a response
// that cannot be read fails the signature, and the rest cannot be told.
func Check(s Stamp, want [32]byte, trust Trust) Report {
	r := Report{Practice: s.TSA == PracticeName}
	if s.Pending() {
		for _, l := range layers {
			r.add(l, Unknown, "stamp.pending", "%s", s.Error)
		}
		return r
	}
	t, err := readToken(s.Response)
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
	r.Time, r.Serial, r.Policy = t.ts.Time.UTC(), t.ts.SerialNumber.String(), t.ts.Policy.String()
	r.Certificates = t.p7.Certificates
	r.Practice = r.Practice || r.Policy == PracticePolicy || isPractice(t.signer)
	r.checkImprint(s, t.ts, want)
	r.checkRequest(s, t, trust)
	r.checkSignature(t)
	r.checkChain(s, t, trust)
	r.checkIdentity(t, trust)
	if trust.MaxSkew > 0 {
		if d := s.At.Sub(r.Time).Abs(); d > trust.MaxSkew {
			r.add(LayerClock, Unknown, "clock.skew", "this machine's clock said %s, the token %s", s.At.UTC().Format(time.RFC3339), r.Time.Format(time.RFC3339))
		}
	}
	return r
}

func isPractice(c *x509.Certificate) bool {
	return c != nil && slices.Contains(c.Subject.Organization, practiceOrganization)
}

func (r *Report) checkImprint(s Stamp, ts *timestamp.Timestamp, want [32]byte) {
	switch {
	case ts.HashAlgorithm != crypto.SHA256:
		r.add(LayerImprint, Failed, "imprint.hash", "token uses %s, want SHA-256", ts.HashAlgorithm)
	case !bytes.Equal(ts.HashedMessage, want[:]):
		r.add(LayerImprint, Failed, "imprint.other", "token is about %x, want %x", ts.HashedMessage, want)
	case s.Imprint != hex.EncodeToString(want[:]):
		r.add(LayerImprint, Failed, "imprint.record", "the record says %q was sent, want %x", s.Imprint, want)
	default:
		r.add(LayerImprint, Passed, "", "%x", want)
	}
}

// checkRequest compares the token with the stored request: nonce and policy.
func (r *Report) checkRequest(s Stamp, t token, trust Trust) {
	req := &timestamp.Request{}
	if len(s.Request) == 0 {
		r.add(LayerNonce, Unknown, "request.missing", "the request was not stored")
	} else if got, err := readRequest(s.Request); err != nil {
		r.add(LayerNonce, Failed, "request.unreadable", "%v", err)
	} else {
		req = got
		r.checkNonce(req, t.ts)
	}
	r.checkPolicy(req.TSAPolicyOID.String(), trust.policies(t.signer))
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

func (r *Report) checkNonce(req *timestamp.Request, ts *timestamp.Timestamp) {
	switch {
	case req.Nonce == nil:
		r.add(LayerNonce, Unknown, "nonce.not_sent", "the request has no nonce")
	case ts.Nonce == nil:
		r.add(LayerNonce, Failed, "nonce.missing", "the request has a nonce, the token none")
	case req.Nonce.Cmp(ts.Nonce) != 0:
		r.add(LayerNonce, Failed, "nonce.other", "request and token have different nonces")
	case !bytes.Equal(req.HashedMessage, ts.HashedMessage) || req.HashAlgorithm != ts.HashAlgorithm:
		r.add(LayerNonce, Failed, "request.other", "the stored request is about another digest")
	default:
		r.add(LayerNonce, Passed, "", "%s", new(big.Int).Set(ts.Nonce).Text(16))
	}
}

// readRequest parses a TimeStampReq; a panic in the library is an error.
func readRequest(der []byte) (req *timestamp.Request, err error) {
	defer func() {
		if p := recover(); p != nil {
			req, err = nil, fmt.Errorf("reading time-stamp request: library gave up: %v", p)
		}
	}()
	if len(der) > 64<<10 || !bounded(der, maxDepth) {
		return nil, fmt.Errorf("reading time-stamp request: %w", errNesting)
	}
	req, err = timestamp.ParseRequest(der)
	if err != nil {
		return nil, fmt.Errorf("reading time-stamp request: %w", err)
	}
	return req, nil
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

// checkChain builds the chain at the token's own time. Two libraries must
// agree. The practice authority's chain is never passed, whatever roots are
// given.
func (r *Report) checkChain(s Stamp, t token, trust Trust) {
	roots := trust.Roots
	if r.Practice {
		roots = selfSigned(t.p7.Certificates)
	}
	switch {
	case t.signer == nil:
		r.add(LayerChain, Failed, "chain.no_signer", "no certificate of the signer")
		return
	case t.ts.Time.Before(t.signer.NotBefore) || t.ts.Time.After(t.signer.NotAfter):
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
	err := buildChain(t, roots)
	if err == nil {
		err = secondOpinion(s.Response, roots)
	}
	switch {
	case err != nil:
		r.add(LayerChain, Failed, "chain.invalid", "%v", err)
	case r.Practice:
		r.add(LayerChain, Unknown, "chain.practice", "practice authority: this machine's own clock, no third party")
	default:
		r.add(LayerChain, Passed, "", "valid at %s", r.Time.Format(time.RFC3339))
	}
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

func buildChain(t token, roots []*x509.Certificate) error {
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		CurrentTime: t.ts.Time, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}}
	for _, c := range roots {
		opts.Roots.AddCert(c)
	}
	for _, c := range t.p7.Certificates {
		opts.Intermediates.AddCert(c)
	}
	if _, err := t.signer.Verify(opts); err != nil {
		return fmt.Errorf("building chain: %w", err)
	}
	return nil
}

// secondOpinion asks sigstore's verifier. It wants the stamped bytes and we
// have their digest only; it compares them last, so a reader that was reached
// tells that every other check (chain at the token's time, critical and sole
// purpose, end entity, purposes of intermediates) held.
func secondOpinion(response []byte, roots []*x509.Certificate) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("verifying token: library gave up: %v", p)
		}
	}()
	var reached reachedReader
	_, err = verification.VerifyTimestampResponse(response, &reached, verification.VerifyOpts{Roots: roots})
	if err == nil || reached {
		return nil
	}
	return err
}

type reachedReader bool

func (r *reachedReader) Read([]byte) (int, error) { *r = true; return 0, io.EOF }

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
