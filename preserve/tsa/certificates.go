package tsa

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"time"

	"guzheng/capture"
)

// Object identifiers of RFC 5280 section 4.2.1.12.
var (
	oidExtKeyUsage  = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidTimeStamping = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
)

// Validity of the practice certificates.
const (
	practiceBack  = time.Hour
	practiceYears = 20
)

// practicePEM makes a root and a leaf with a P-256 key each and returns leaf
// key, leaf and root. The root's key is not kept: it has signed all it ever
// will.
func practicePEM(now time.Time) ([]byte, error) {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	root := &x509.Certificate{
		SerialNumber: serial(), Subject: practiceSubject("Guzheng PRACTICE root (not a trust anchor)"),
		NotBefore: now.Add(-practiceBack).UTC(), NotAfter: now.AddDate(practiceYears, 0, 0).UTC(),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	if root, err = x509.ParseCertificate(rootDER); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	eku, err := asn1.Marshal([]asn1.ObjectIdentifier{oidTimeStamping})
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: serial(), Subject: practiceSubject("Guzheng PRACTICE time stamps (no evidential value)"),
		NotBefore: root.NotBefore, NotAfter: root.NotAfter, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature,
		// RFC 3161 section 2.3: critical and the only purpose. The ExtKeyUsage
		// field would write it without the critical mark.
		ExtraExtensions: []pkix.Extension{{Id: oidExtKeyUsage, Critical: true, Value: eku}},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, block := range []*pem.Block{{Type: "PRIVATE KEY", Bytes: keyDER}, {Type: "CERTIFICATE", Bytes: leafDER}, {Type: "CERTIFICATE", Bytes: rootDER}} {
		if err := pem.Encode(&b, block); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

func practiceSubject(name string) pkix.Name {
	return pkix.Name{Organization: []string{practiceOrganization}, CommonName: name}
}

// serial returns a positive random number of 127 bits.
func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never returns an error
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}

var errPracticeFile = errors.New("not a key, a leaf and a root certificate")

func parsePractice(b []byte) (*Practice, error) {
	var blocks [3]*pem.Block
	for i, typ := range []string{"PRIVATE KEY", "CERTIFICATE", "CERTIFICATE"} {
		blocks[i], b = pem.Decode(b)
		if blocks[i] == nil || blocks[i].Type != typ {
			return nil, errPracticeFile
		}
	}
	k, err := x509.ParsePKCS8PrivateKey(blocks[0].Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading key: %w", err)
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errPracticeFile
	}
	leaf, err := x509.ParseCertificate(blocks[1].Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading leaf: %w", err)
	}
	root, err := x509.ParseCertificate(blocks[2].Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading root: %w", err)
	}
	if !key.PublicKey.Equal(leaf.PublicKey) {
		return nil, errPracticeFile
	}
	return &Practice{key: key, leaf: leaf, root: root}, nil
}

// publishRoot puts the root beside the key for tools that want a CAfile.
func (p *Practice) publishRoot(name string) error {
	want := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.root.Raw})
	if have, err := os.ReadFile(name); err == nil && bytes.Equal(have, want) {
		return nil
	}
	if err := capture.WriteFile(name, want); err != nil {
		return fmt.Errorf("publishing practice root: %w", err)
	}
	return nil
}
