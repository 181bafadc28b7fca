package ordeal

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
	"math/big"
	"net"
	"time"
)

type tlsConfig = tls.Config

// The years in which certificates end. They are fixed, so that the package needs no
// clock.
const (
	past   = 2020
	future = 2120
)

// An identity is a key with the certificate that it made for itself.
type identity struct {
	certificate tls.Certificate
	key         string // see Server.TrustedKey
}

// newIdentity makes a key and a certificate for name, a host or an IP
// address, that begins in 2019.
func newIdentity(name string, ends int) (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, fmt.Errorf("making a key: %w", err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(int64(ends)),
		Subject:      pkix.Name{CommonName: name, Organization: []string{"Ordeal, fictitious"}},
		NotBefore:    time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(ends, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		c.IPAddresses = []net.IP{ip}
	} else {
		c.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return identity{}, fmt.Errorf("making a certificate for %s: %w", name, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return identity{}, fmt.Errorf("reading the certificate for %s: %w", name, err)
	}
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return identity{
		certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
		key:         base64.StdEncoding.EncodeToString(sum[:]),
	}, nil
}

// config offers the protocols in order (RFC 7301).
func (i identity) config(protocols ...string) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{i.certificate}, NextProtos: protocols, MinVersion: tls.VersionTLS12}
}
