// Package key keeps the keys that sign packages: one on the curve P-384, and
// where it is ordered one for SM2 (GB/T 32918) beside it.
//
// Life of a key: Open, or OpenSM2, makes a key at first use and writes it
// once, as PKCS#8 in PEM with mode 0600, or encrypted with a passphrase by age
// (scrypt recipient, age-encryption.org/v1, armored). Later calls read it.
// From then on it is named by its fingerprint, the SHA-256 value of its
// SubjectPublicKeyInfo, everywhere.
//
// Trust: whoever reads the file (and knows the passphrase) can sign as this
// installation. The key says which installation sealed a package, not who a
// person is; the fingerprint is worth something once it was written down
// elsewhere, as on a printed sheet.
package key

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"guzheng/preserve/internal/firstuse"
)

// Errors that callers branch on.
var (
	// ErrPassphrase says that the key is encrypted and no passphrase, or a
	// wrong one, was given.
	ErrPassphrase = errors.New("key needs its passphrase")
	// ErrPlain says that a passphrase was given for a key that lies
	// unencrypted on the disk.
	ErrPlain = errors.New("key is not encrypted although a passphrase is set")
	// ErrMode says that others than the owner may read the key.
	ErrMode = errors.New("key file is readable by others")
)

// maxFile bounds what is read as a key file, in bytes.
const maxFile = 64 << 10

// workFactor is the base-2 logarithm of scrypt's N: about one second.
const workFactor = 18

// A Key signs packages. It never changes and may be used from several
// goroutines.
type Key struct {
	ID   string // SHA-256 of SPKI in lower-case hex: the fingerprint
	SPKI []byte // SubjectPublicKeyInfo, DER

	priv *ecdsa.PrivateKey
}

// Open returns the key in the file path, making it when the file does not
// exist; its directory must. With a passphrase a new key is encrypted.
// Several processes may do so at once: all get the same key. Errors wrap
// ErrPassphrase, ErrPlain or ErrMode.
func Open(path string, passphrase []byte) (*Key, error) {
	return open(path, passphrase, workFactor)
}

func open(path string, passphrase []byte, work int) (*Key, error) {
	b, err := load(path, passphrase, work, newP384)
	if err != nil {
		return nil, err
	}
	k, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("opening signing key %s: %w", path, err)
	}
	return k, nil
}

// load returns the content of a key file in PEM, after making the file with a
// fresh key (PKCS#8, DER) when there is none.
func load(path string, passphrase []byte, work int, fresh func() ([]byte, error)) ([]byte, error) {
	b, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(path, passphrase, work, fresh); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("making signing key: %w", err)
		}
		b, err = readFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening signing key: %w", err)
	}
	encrypted := bytes.HasPrefix(b, []byte(armor.Header))
	switch {
	case encrypted && len(passphrase) == 0:
		return nil, fmt.Errorf("opening signing key %s: %w", path, ErrPassphrase)
	case !encrypted && len(passphrase) > 0:
		return nil, fmt.Errorf("opening signing key %s: %w", path, ErrPlain)
	case encrypted:
		if b, err = decrypt(b, passphrase); err != nil {
			return nil, fmt.Errorf("opening signing key %s: %w", path, err)
		}
	}
	return b, nil
}

// Sign returns an ECDSA signature over a SHA-256 value, ASN.1 DER (SEC 1
// section C.8), as openssl dgst -sha256 -verify checks it.
func (k *Key) Sign(digest [32]byte) ([]byte, error) {
	sig, err := ecdsa.SignASN1(rand.Reader, k.priv, digest[:])
	if err != nil {
		return nil, fmt.Errorf("signing with key %s: %w", k.ID, err)
	}
	return sig, nil
}

// Identity returns ID and SPKI.
func (k *Key) Identity() (id string, spki []byte) { return k.ID, k.SPKI }

// Signer returns the key in the standard library's form.
func (k *Key) Signer() crypto.Signer { return k.priv }

// PublicPEM returns the public key as openssl reads it.
func (k *Key) PublicPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.SPKI})
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %o: %w", path, st.Mode().Perm(), ErrMode)
	}
	return io.ReadAll(io.LimitReader(f, maxFile))
}

func newP384() ([]byte, error) {
	priv, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(priv)
}

func create(path string, passphrase []byte, work int, fresh func() ([]byte, error)) error {
	der, err := fresh()
	if err != nil {
		return err
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if len(passphrase) > 0 {
		if b, err = encrypt(b, passphrase, work); err != nil {
			return err
		}
	}
	return firstuse.Write(path, b)
}

func encrypt(plain, passphrase []byte, work int) ([]byte, error) {
	to, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, fmt.Errorf("encrypting key: %w", err)
	}
	to.SetWorkFactor(work)
	var out bytes.Buffer
	a := armor.NewWriter(&out)
	w, err := age.Encrypt(a, to)
	if err != nil {
		return nil, fmt.Errorf("encrypting key: %w", err)
	}
	if _, err = w.Write(plain); err == nil {
		if err = w.Close(); err == nil {
			err = a.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("encrypting key: %w", err)
	}
	return out.Bytes(), nil
}

func decrypt(b, passphrase []byte) ([]byte, error) {
	id, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, fmt.Errorf("decrypting key: %w", err)
	}
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(b)), id)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, fmt.Errorf("passphrase does not fit: %w", ErrPassphrase)
	}
	if err != nil {
		return nil, fmt.Errorf("decrypting key: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxFile))
	if err != nil {
		return nil, fmt.Errorf("decrypting key: %w", err)
	}
	return plain, nil
}

// unwrap returns the one PKCS#8 private key of a PEM text.
func unwrap(b []byte) ([]byte, error) {
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" || strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New("not one PKCS#8 private key in PEM")
	}
	return block.Bytes, nil
}

func parse(b []byte) (*Key, error) {
	der, err := unwrap(b)
	if err != nil {
		return nil, err
	}
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	priv, ok := k.(*ecdsa.PrivateKey)
	if !ok || priv.Curve != elliptic.P384() {
		return nil, errors.New("not a P-384 key")
	}
	spki, err := x509.MarshalPKIXPublicKey(priv.Public())
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(spki)
	return &Key{ID: hex.EncodeToString(sum[:]), SPKI: spki, priv: priv}, nil
}
