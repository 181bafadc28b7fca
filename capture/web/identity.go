package web

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/idna"

	"guzheng/capture"
)

// mostIdentity bounds a file with a client certificate, in bytes: a chain and
// its key have less than 20 KB.
const mostIdentity = 1 << 20

// ClientCertificate describes the client certificate in file for an order of
// the https address: its digest, its subject and the one host and port that it
// may be presented to. The private key is read to see that it is there, that
// it is not encrypted and that it fits, and is let go of again. What cannot be
// used wraps capture.ErrOrder.
func ClientCertificate(file, address string) (capture.ClientCertificate, error) {
	c, _, err := readIdentity(file, address)
	return c, err
}

// orderedIdentity loads the client certificate of an order, if it names one,
// and holds it against what the order says. Certificate and key are in memory
// only: no file of the take has the key.
func orderedIdentity(o capture.Order) (*tls.Certificate, error) {
	want := o.ClientCertificate
	if want == nil {
		return nil, nil
	}
	got, id, err := readIdentity(want.File, o.URL)
	if err != nil {
		return nil, err
	}
	if got.SHA256 != want.SHA256 || got.Host != want.Host {
		return nil, fmt.Errorf("client certificate %s: it is %s for %s, the order says %s for %s: %w",
			want.File, got.SHA256, got.Host, want.SHA256, want.Host, capture.ErrOrder)
	}
	return &id, nil
}

func readIdentity(file, address string) (c capture.ClientCertificate, id tls.Certificate, err error) {
	c.File = file
	if c.Host, err = presentedTo(address); err != nil {
		return c, id, err
	}
	if id, err = loadIdentity(file); err != nil {
		return c, id, err
	}
	sum := sha256.Sum256(id.Leaf.Raw)
	c.SHA256, c.Subject = hex.EncodeToString(sum[:]), id.Leaf.Subject.String()
	return c, id, nil
}

// presentedTo returns the host:port of an https address as the browser asks
// the guard for it.
func presentedTo(address string) (string, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return "", fmt.Errorf("client certificate for an address that cannot be read: %w", capture.ErrOrder)
	case u.Scheme != "https":
		return "", fmt.Errorf("client certificate for %q, which is no https address: %w", u.Redacted(), capture.ErrOrder)
	}
	host := hostKey(u.Hostname())
	if net.ParseIP(host) == nil {
		if host, err = idna.Lookup.ToASCII(host); err != nil {
			return "", fmt.Errorf("client certificate for host %q: %w: %w", u.Hostname(), err, capture.ErrOrder)
		}
	}
	return net.JoinHostPort(host, portOf(u)), nil
}

func loadIdentity(file string) (tls.Certificate, error) {
	f, err := os.Open(file)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading client certificate: %w: %w", err, capture.ErrOrder)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mostIdentity+1))
	if err == nil && len(b) > mostIdentity {
		err = fmt.Errorf("it has more than %d bytes", mostIdentity)
	}
	var id tls.Certificate
	if err == nil {
		id, err = parseIdentity(b)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading client certificate %s: %w: %w", file, err, capture.ErrOrder)
	}
	return id, nil
}

// Complaints about a file with a client certificate.
var (
	errNoCertificate = errors.New("no certificate in it (PEM, BEGIN CERTIFICATE)")
	errNoKey         = errors.New("no private key in it (PEM, BEGIN PRIVATE KEY)")
	errManyKeys      = errors.New("more than one private key in it")
	errEncryptedKey  = errors.New("its private key is encrypted; openssl pkey writes it without a passphrase")
	errOtherKey      = errors.New("its private key belongs to none of its certificates")
)

// parseIdentity reads certificates and one private key in PEM (RFC 7468), in
// any order; text around them is passed over. The certificate of the key
// becomes the first of the chain. No complaint quotes the file.
func parseIdentity(text []byte) (tls.Certificate, error) {
	var chain []*x509.Certificate
	var key crypto.PrivateKey
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		switch {
		case block.Type == "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return tls.Certificate{}, fmt.Errorf("certificate %d in it: %w", len(chain)+1, err)
			}
			chain = append(chain, c)
		case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
		case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return tls.Certificate{}, errEncryptedKey
		case key != nil:
			return tls.Certificate{}, errManyKeys
		default:
			var err error
			if key, err = parseKey(block.Bytes); err != nil {
				return tls.Certificate{}, err
			}
		}
	}
	switch {
	case len(chain) == 0:
		return tls.Certificate{}, errNoCertificate
	case key == nil:
		return tls.Certificate{}, errNoKey
	}
	return joined(chain, key)
}

// parseKey reads PKCS #8, PKCS #1 and SEC 1. Why the parsers complain is left
// out: they quote what they read.
func parseKey(der []byte) (crypto.PrivateKey, error) {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	return nil, errors.New("its private key is none of RSA, ECDSA and Ed25519 in PKCS #8, PKCS #1 or SEC 1")
}

// joined puts the certificate of the key in front of the others.
func joined(chain []*x509.Certificate, key crypto.PrivateKey) (tls.Certificate, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return tls.Certificate{}, errors.New("its private key cannot sign")
	}
	public, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return tls.Certificate{}, errors.New("its private key is of an unknown kind")
	}
	id := tls.Certificate{PrivateKey: key}
	for _, c := range chain {
		if id.Leaf == nil && bytes.Equal(c.RawSubjectPublicKeyInfo, public) {
			id.Leaf = c
			id.Certificate = append([][]byte{c.Raw}, id.Certificate...)
			continue
		}
		id.Certificate = append(id.Certificate, c.Raw)
	}
	if id.Leaf == nil {
		return tls.Certificate{}, errOtherKey
	}
	return id, nil
}
