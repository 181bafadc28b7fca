package corpus

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"time"
)

// identity is the certificate that all hosts show, and the authority made for
// it. Both keys live as long as the server.
type identity struct {
	leaf tls.Certificate
	pool *x509.CertPool
	spki string
}

// newIdentity makes an authority and a certificate for the addresses, both
// good for a day around now.
func newIdentity(ips []net.IP, now time.Time) (*identity, error) {
	wrap := func(err error) error { return fmt.Errorf("making the corpus's certificate: %w", err) }
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, wrap(err)
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, wrap(err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Corpus Root"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Corpus"},
		NotBefore: root.NotBefore, NotAfter: root.NotAfter, IPAddresses: ips,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	if err != nil {
		return nil, wrap(err)
	}
	if root, err = x509.ParseCertificate(rootDER); err != nil {
		return nil, wrap(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, leafKey.Public(), rootKey)
	if err != nil {
		return nil, wrap(err)
	}
	if leaf, err = x509.ParseCertificate(leafDER); err != nil {
		return nil, wrap(err)
	}
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	id := &identity{
		leaf: tls.Certificate{Certificate: [][]byte{leafDER, rootDER}, PrivateKey: leafKey, Leaf: leaf},
		pool: x509.NewCertPool(),
		spki: base64.StdEncoding.EncodeToString(sum[:]),
	}
	id.pool.AddCert(root)
	return id, nil
}

// quiet drops what the HTTP server says of visitors that went away.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
