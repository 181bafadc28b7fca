package custody

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"guzheng/capture"
)

// Format names the version of an act's form.
const Format = "guzheng-custody/1"

// maxAct bounds an act and its proof, in bytes.
const maxAct = 1 << 20

// ErrAct says that an act is not in its form, not signed by a trusted key,
// does not follow the one before it or breaks the rules, that its proof does
// not hold, or that one is missing.
var ErrAct = errors.New("act of custody is not sound")

// A Kind is what was done.
type Kind string

// The kinds of acts.
const (
	Classified Kind = "classified" // retained longer, or for another reason
	Held       Kind = "held"       // laid on hold for a case
	Released   Kind = "released"   // taken off the hold of a case
	Proposed   Kind = "proposed"   // for disposal
	Approved   Kind = "approved"   // the proposal, by another person
	Withdrawn  Kind = "withdrawn"  // the proposal
	Disposed   Kind = "disposed"   // the package is to be removed; the tombstone
)

// An Act is one thing that was done with a record.
type Act struct {
	Format   string         `json:"format"`
	Record   string         `json:"record"` // evidence number
	N        int            `json:"n"`      // from 1, without gaps
	Kind     Kind           `json:"kind"`
	Time     time.Time      `json:"time"` // this machine's clock, UTC
	By       Person         `json:"by"`
	Reason   string         `json:"reason"`
	Package  capture.Digest `json:"package"`            // what it is about
	Previous string         `json:"previous,omitempty"` // SHA-256 of the act before, as stored

	Class Class      `json:"class,omitempty"` // Classified, Disposed
	Until *time.Time `json:"until,omitempty"` // Classified, Disposed: retained until then
	Case  string     `json:"case,omitempty"`  // Held, Released

	// Of an approval, withdrawal or disposal: the act it is about; and of an
	// approval whether the account is one that proposed or approved already,
	// or is not known; of a disposal whether that is so of an approval.
	Proposal    int  `json:"proposal,omitempty"`
	SameAccount bool `json:"same_account,omitempty"`
	// Persons who approved, in the tombstone.
	Approvers []Person `json:"approvers,omitempty"`

	Key       string `json:"key"`        // fingerprint, as in seals
	PublicKey []byte `json:"public_key"` // SubjectPublicKeyInfo, DER
	// Signature is over the SHA-256 value of the act's JSON form without it:
	// ECDSA P-384, ASN.1 DER.
	Signature []byte `json:"signature,omitempty"`
}

// encode is the one JSON form of an act.
func (a Act) encode() ([]byte, error) {
	b, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding act: %w", err)
	}
	return append(b, '\n'), nil
}

// signed is the digest that the signature is over.
func (a Act) signed() ([32]byte, error) {
	a.Signature = nil
	b, err := a.encode()
	return sha256.Sum256(b), err
}

// Decode reads an act and checks its form and signature. Whose key signed it
// is for the caller to compare; ErrAct is wrapped otherwise.
func Decode(b []byte) (Act, error) {
	var a Act
	if err := strict(b, &a); err != nil {
		return Act{}, fmt.Errorf("reading act: %w: %w", ErrAct, err)
	}
	canon, err := a.encode()
	if err != nil {
		return Act{}, err
	}
	if !bytes.Equal(canon, b) {
		return Act{}, fmt.Errorf("reading act: not in the form that it was written in: %w", ErrAct)
	}
	if a.Format != Format || !capture.ValidID(a.Record) || a.N < 1 {
		return Act{}, fmt.Errorf("reading act: format %q, record %q, number %d: %w", a.Format, a.Record, a.N, ErrAct)
	}
	return a, a.checkSignature()
}

func (a Act) checkSignature() error {
	sum := sha256.Sum256(a.PublicKey)
	if hex.EncodeToString(sum[:]) != a.Key {
		return fmt.Errorf("act %d of %s: key is not the one it names: %w", a.N, a.Record, ErrAct)
	}
	k, err := x509.ParsePKIXPublicKey(a.PublicKey)
	if err != nil {
		return fmt.Errorf("act %d of %s: %w: %w", a.N, a.Record, ErrAct, err)
	}
	pub, ok := k.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P384() {
		return fmt.Errorf("act %d of %s: key is not one of P-384: %w", a.N, a.Record, ErrAct)
	}
	digest, err := a.signed()
	if err != nil {
		return err
	}
	if !ecdsa.VerifyASN1(pub, digest[:], a.Signature) {
		return fmt.Errorf("act %d of %s: signature does not hold: %w", a.N, a.Record, ErrAct)
	}
	return nil
}

// strict decodes exactly one JSON value without unknown members.
func strict(b []byte, v any) error {
	if len(b) > maxAct {
		return fmt.Errorf("%d bytes, at most %d", len(b), maxAct)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("bytes after the value")
	}
	return nil
}

func sumOf(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
