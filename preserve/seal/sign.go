package seal

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
)

// ErrSignature is wrapped when a seal's signature, or its envelope, does not
// hold.
var ErrSignature = errors.New("signature does not hold")

// envelopeLine begins the line of the envelope. A line break is never inside
// a JSON text, so that no other line of a seal can begin so.
const envelopeLine = "\n  \"envelope\": "

// CheckSignature verifies the seal's signature over the SHA-256 value of the
// package, and that the key has the fingerprint it is named by. Every
// complaint wraps ErrSignature. Whose key it is, it cannot say.
func CheckSignature(s Seal, digest [32]byte) error {
	pub, err := publicKey(s.Signature)
	if err != nil {
		return err
	}
	if !ecdsa.VerifyASN1(pub, digest[:], s.Signature.Value) {
		return fmt.Errorf("over %x with key %s: %w", digest, s.Signature.KeyID, ErrSignature)
	}
	return nil
}

// CheckEnvelope verifies the signature around the seal. When it holds, every
// byte of the seal's JSON form is as the holder of the key wrote it. Every
// complaint wraps ErrSignature.
func CheckEnvelope(s Seal) error {
	pub, err := publicKey(s.Signature)
	if err != nil {
		return err
	}
	if len(s.Envelope) == 0 {
		return fmt.Errorf("no envelope: %w", ErrSignature)
	}
	digest, err := enclosed(s)
	if err != nil {
		return fmt.Errorf("%v: %w", err, ErrSignature)
	}
	if !ecdsa.VerifyASN1(pub, digest[:], s.Envelope) {
		return fmt.Errorf("envelope over %x with key %s: %w", digest, s.Signature.KeyID, ErrSignature)
	}
	// Of r and s anyone can make r and n-s, which holds as well: then two
	// files would be the same seal.
	if low, err := lower(s.Envelope); err != nil || !bytes.Equal(low, s.Envelope) {
		return fmt.Errorf("envelope is not in its lower form: %w", ErrSignature)
	}
	return nil
}

// Enclose returns the seal with an envelope by the given key, which MUST be
// the one that signed it.
func Enclose(s Seal, key Signer) (Seal, error) {
	if id, _ := key.Identity(); id != s.Signature.KeyID {
		return Seal{}, fmt.Errorf("enclosing seal %s: key %s, here is %s: %w", s.ID, s.Signature.KeyID, id, ErrOtherKey)
	}
	s.Envelope, s.Format = nil, s.format()
	digest, err := enclosed(s)
	if err != nil {
		return Seal{}, err
	}
	sig, err := key.Sign(digest)
	if err != nil {
		return Seal{}, fmt.Errorf("enclosing seal %s: %w", s.ID, err)
	}
	if s.Envelope, err = lower(sig); err != nil {
		return Seal{}, fmt.Errorf("enclosing seal %s: %w", s.ID, err)
	}
	if err := CheckEnvelope(s); err != nil {
		return Seal{}, fmt.Errorf("enclosing seal %s: own envelope: %w", s.ID, err)
	}
	return s, nil
}

// enclosed returns the SHA-256 value of what the envelope is over: the JSON
// form up to the envelope's line.
func enclosed(s Seal) ([32]byte, error) {
	b, err := Encode(s)
	if err != nil {
		return [32]byte{}, err
	}
	i := bytes.LastIndex(b, []byte(envelopeLine))
	if i < 0 {
		return [32]byte{}, fmt.Errorf("encoding seal %s: no line for the envelope", s.ID)
	}
	return sha256.Sum256(b[:i+1]), nil
}

// publicKey returns the key that a signature names, when it is one of ours.
func publicKey(sig Signature) (*ecdsa.PublicKey, error) {
	if sig.Algorithm != Algorithm {
		return nil, fmt.Errorf("algorithm %q, want %q: %w", sig.Algorithm, Algorithm, ErrSignature)
	}
	if sum := sha256.Sum256(sig.PublicKey); hex.EncodeToString(sum[:]) != sig.KeyID {
		return nil, fmt.Errorf("key is named %s and has fingerprint %x: %w", sig.KeyID, sum, ErrSignature)
	}
	k, err := x509.ParsePKIXPublicKey(sig.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("reading public key: %v: %w", err, ErrSignature)
	}
	pub, ok := k.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P384() {
		return nil, fmt.Errorf("public key is not P-384: %w", ErrSignature)
	}
	return pub, nil
}

// lower returns a signature (ASN.1 DER) of curve P-384 with the lower of the
// two values of s that hold.
func lower(der []byte) ([]byte, error) {
	var sig struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &sig)
	if err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("reading signature: %d bytes left over, %v", len(rest), err)
	}
	n := elliptic.P384().Params().N
	if other := new(big.Int).Sub(n, sig.S); other.Cmp(sig.S) < 0 {
		sig.S = other
	}
	out, err := asn1.Marshal(sig)
	if err != nil {
		return nil, fmt.Errorf("encoding signature: %w", err)
	}
	return out, nil
}
