package tsa

import (
	"crypto/x509"
	"fmt"
	"time"
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

// Layers of a stamp, in the order in which Check reports them.
// LayerRevocation is reported only when something was stored that tells, or
// Trust.Revocation is set; LayerClock only when Trust.MaxSkew is set.
const (
	LayerImprint   = "imprint"   // the token is about the digest
	LayerNonce     = "nonce"     // the token answers the stored request
	LayerPolicy    = "policy"    // it was made under the expected policy
	LayerSignature = "signature" // the certificate in the token signed it
	LayerChain     = "chain"     // that certificate led to a root at the token's time
	LayerIdentity  = "identity"  // it is the authority that was expected

	LayerRevocation = "revocation" // no certificate of the chain was revoked at the token's time

	LayerClock = "clock" // this machine's clock and the token agree
)

// A Finding is what one layer says. Code is stable and empty when there is
// nothing to explain; Detail is the machine's account, in English. A layer
// that passed may have a code, for what a reader should note all the same.
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

	// Revocation wants it shown that no certificate of the chain was revoked;
	// without, a stamp with nothing stored about that is told and passes.
	Revocation bool
}

// A Report is what a stamp says and what became of each check. Time, Serial
// and Policy are read even from a token that failed, and prove nothing then.
type Report struct {
	Time         time.Time // genTime, UTC; zero when there is no token
	Serial       string    // decimal
	Policy       string    // dotted
	Hash         Hash      // that the imprint was made with; "" is one that is not accepted
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
