package seal

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"guzheng/capture"
)

// AlgorithmSM2 is the only value of Algorithm in Seal.SM2.
const AlgorithmSM2 = "sm2-sm3"

// A MessageSigner makes SM2 signatures; key.SM2 is one.
type MessageSigner interface {
	// Identity returns the key's fingerprint (SHA-256 of the
	// SubjectPublicKeyInfo, hex) and the SubjectPublicKeyInfo, DER.
	Identity() (id string, spki []byte)
	// SignMessage returns an SM2 signature with SM3 and the usual user
	// identifier, ASN.1 DER.
	SignMessage(message []byte) ([]byte, error)
}

// statement is what an SM2 signature is over: the SM3 value of the package.
// SM2 hashes the key before the message, so that signing the package itself
// would mean to read it once more.
func statement(d capture.Digest) []byte { return []byte("sm3:" + d.SM3) }

// signSM2 adds the second signature, where a key for it is configured.
func (p Press) signSM2(s *Seal) error {
	if p.SM2 == nil {
		return nil
	}
	value, err := p.SM2.SignMessage(statement(s.Package))
	if err != nil {
		return err
	}
	s.SM2 = &Signature{Algorithm: AlgorithmSM2, Value: value}
	s.SM2.KeyID, s.SM2.PublicKey = p.SM2.Identity()
	if err := CheckSM2(*s, s.Package); err != nil {
		return fmt.Errorf("own SM2 signature: %w", err)
	}
	return nil
}

// CheckSM2 verifies the seal's SM2 signature over the SM3 value of a package,
// and that the key has the fingerprint it is named by. Every complaint wraps
// ErrSignature. Whose key it is, it cannot say.
func CheckSM2(s Seal, d capture.Digest) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("library gave up: %v: %w", p, ErrSignature)
		}
	}()
	if s.SM2 == nil {
		return fmt.Errorf("no SM2 signature: %w", ErrSignature)
	}
	if s.SM2.Algorithm != AlgorithmSM2 {
		return fmt.Errorf("algorithm %q, want %q: %w", s.SM2.Algorithm, AlgorithmSM2, ErrSignature)
	}
	if sum := sha256.Sum256(s.SM2.PublicKey); hex.EncodeToString(sum[:]) != s.SM2.KeyID {
		return fmt.Errorf("key is named %s and has fingerprint %x: %w", s.SM2.KeyID, sum, ErrSignature)
	}
	k, err := smx509.ParsePKIXPublicKey(s.SM2.PublicKey)
	if err != nil {
		return fmt.Errorf("reading public key: %v: %w", err, ErrSignature)
	}
	pub, ok := k.(*ecdsa.PublicKey)
	if !ok || pub.Curve != sm2.P256() {
		return fmt.Errorf("public key is not for SM2: %w", ErrSignature)
	}
	// One key has one fingerprint: other encodings of it are refused.
	if again, err := smx509.MarshalPKIXPublicKey(pub); err != nil || !bytes.Equal(again, s.SM2.PublicKey) {
		return fmt.Errorf("public key is not in its usual form: %w", ErrSignature)
	}
	if !sm2.VerifyASN1WithSM2(pub, nil, statement(d), s.SM2.Value) {
		return fmt.Errorf("over %s with key %s: %w", statement(d), s.SM2.KeyID, ErrSignature)
	}
	return nil
}
