package seal

import (
	"guzheng/capture"
	"guzheng/preserve/tlog"
	"guzheng/preserve/tsa"
)

// Versions of the seal's JSON form. A seal has the lowest that knows all of
// its members, so that what older readers can read they still read.
const (
	Format  = "guzheng-seal/1"
	Format2 = "guzheng-seal/2" // with an SM2 signature, or chains and revocation material of stamps
)

// A Seal lies beside a package and is never inside it. Its parts stand on
// their own: each proves something about the package digest and can be
// checked with stock tools. The envelope is around all of them.
type Seal struct {
	Format    string         `json:"format"`
	ID        string         `json:"id"`
	Package   capture.Digest `json:"package"`
	Signature Signature      `json:"signature"`
	SM2       *Signature     `json:"signature_sm2,omitempty"` // beside Signature, where ordered
	Stamps    []tsa.Stamp    `json:"stamps"`
	Log       tlog.Entry     `json:"log"`

	// Envelope is an ECDSA signature (ASN.1 DER, the lower of the two values
	// of s) by the key of Signature over the SHA-256 value of the seal's JSON
	// form up to the line that this member stands on. It MUST be the last
	// member.
	Envelope []byte `json:"envelope"`
}

// A Signature is an ECDSA signature with curve P-384 and SHA-256 over the
// bytes of the package, as openssl dgst -sha256 -verify checks it; or an SM2
// signature over the SM3 value of the package, see CheckSM2.
type Signature struct {
	Algorithm string `json:"algorithm"`  // Algorithm or AlgorithmSM2
	KeyID     string `json:"key_id"`     // SHA-256 of PublicKey, hex: the key's fingerprint
	PublicKey []byte `json:"public_key"` // SubjectPublicKeyInfo, DER
	Value     []byte `json:"value"`      // ASN.1 DER
}

// format is the version that the seal's members need.
func (s Seal) format() string {
	if s.SM2 != nil {
		return Format2
	}
	for _, st := range s.Stamps {
		if len(st.Chain) > 0 || len(st.Revocation) > 0 {
			return Format2
		}
	}
	return Format
}

// Pending reports whether a stamp or the log entry is still missing.
func (s Seal) Pending() bool {
	for _, st := range s.Stamps {
		if st.Pending() {
			return true
		}
	}
	return s.Log.Pending()
}
