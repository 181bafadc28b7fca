package key

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

// An SM2 key signs packages by the national algorithms (GB/T 32918.2 with
// SM3), beside a Key and never instead of it. It never changes and may be
// used from several goroutines.
type SM2 struct {
	ID   string // SHA-256 of SPKI in lower-case hex: the fingerprint
	SPKI []byte // SubjectPublicKeyInfo, DER

	priv *sm2.PrivateKey
}

// OpenSM2 returns the key in the file path as Open does.
func OpenSM2(path string, passphrase []byte) (*SM2, error) {
	return openSM2(path, passphrase, workFactor)
}

func openSM2(path string, passphrase []byte, work int) (*SM2, error) {
	b, err := load(path, passphrase, work, newSM2)
	if err != nil {
		return nil, err
	}
	k, err := parseSM2(b)
	if err != nil {
		return nil, fmt.Errorf("opening signing key %s: %w", path, err)
	}
	return k, nil
}

func newSM2() ([]byte, error) {
	priv, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return smx509.MarshalPKCS8PrivateKey(priv)
}

func parseSM2(b []byte) (*SM2, error) {
	der, err := unwrap(b)
	if err != nil {
		return nil, err
	}
	k, err := smx509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	priv, ok := k.(*sm2.PrivateKey)
	if !ok {
		return nil, errors.New("not an SM2 key")
	}
	spki, err := smx509.MarshalPKIXPublicKey(priv.Public())
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(spki)
	return &SM2{ID: hex.EncodeToString(sum[:]), SPKI: spki, priv: priv}, nil
}

// SignMessage returns a signature over a message with the user identifier
// 1234567812345678 (GM/T 0009), ASN.1 DER, as openssl dgst -sm3 -verify
// -sigopt distid:1234567812345678 checks it.
func (k *SM2) SignMessage(message []byte) ([]byte, error) {
	sig, err := k.priv.SignWithSM2(rand.Reader, nil, message)
	if err != nil {
		return nil, fmt.Errorf("signing with key %s: %w", k.ID, err)
	}
	return sig, nil
}

// Identity returns ID and SPKI.
func (k *SM2) Identity() (id string, spki []byte) { return k.ID, k.SPKI }

// PublicPEM returns the public key as openssl reads it.
func (k *SM2) PublicPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.SPKI})
}
