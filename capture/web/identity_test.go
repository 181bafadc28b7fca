package web

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"guzheng/capture"
)

// What a file with a client certificate may look like, and what is said of
// one that cannot be used.
func TestParseIdentity(t *testing.T) {
	a := newAuthority(t)
	h := a.holder(t, capture.Now().Add(time.Hour))
	cert, root, key := pemOf("CERTIFICATE", h.cert.Raw), pemOf("CERTIFICATE", a.cert.Raw), pemOf("PRIVATE KEY", h.der)
	sec1, err := x509.MarshalECPrivateKey(h.key)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKCS8PrivateKey(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	old := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: sec1})
	for name, c := range map[string]struct {
		parts [][]byte
		want  error
		chain int
	}{
		"chain, then key":     {[][]byte{cert, root, key}, nil, 2},
		"key first":           {[][]byte{key, cert}, nil, 1},
		"root first":          {[][]byte{root, cert, key}, nil, 2},
		"SEC 1 with its kind": {[][]byte{cert, pemOf("EC PARAMETERS", []byte{6, 0}), pemOf("EC PRIVATE KEY", sec1)}, nil, 1},
		"text around":         {[][]byte{[]byte("Bag Attributes\n    friendlyName: x\n"), cert, []byte("Key Attributes: <No Attributes>\n"), key}, nil, 1},
		"empty":               {nil, errNoCertificate, 0},
		"no certificate":      {[][]byte{key}, errNoCertificate, 0},
		"no key":              {[][]byte{cert, root}, errNoKey, 0},
		"encrypted, PKCS #8":  {[][]byte{cert, pemOf("ENCRYPTED PRIVATE KEY", h.der)}, errEncryptedKey, 0},
		"encrypted, PKCS #1":  {[][]byte{cert, old}, errEncryptedKey, 0},
		"another key":         {[][]byte{cert, root, pemOf("PRIVATE KEY", other)}, errOtherKey, 0},
		"two keys":            {[][]byte{cert, key, pemOf("PRIVATE KEY", other)}, errManyKeys, 0},
	} {
		id, err := parseIdentity(slices.Concat(c.parts...))
		if !errors.Is(err, c.want) || err == nil && (c.want != nil || len(id.Certificate) != c.chain || !bytes.Equal(id.Certificate[0], h.cert.Raw)) {
			t.Errorf("%s: %v, chain of %d", name, err, len(id.Certificate))
		}
	}
	for name, text := range map[string][]byte{"broken key": slices.Concat(cert, pemOf("PRIVATE KEY", h.der[:40])), "broken certificate": slices.Concat(pemOf("CERTIFICATE", h.cert.Raw[:40]), key)} {
		if _, err := parseIdentity(text); err == nil {
			t.Errorf("%s: no complaint", name)
		}
	}
}

// The usual kinds of keys are read.
func TestParseIdentityKinds(t *testing.T) {
	a := newAuthority(t)
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, e, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edDER, err := x509.MarshalPKCS8PrivateKey(e)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		public any
		key    []byte
	}{
		"RSA":     {r.Public(), pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(r))},
		"Ed25519": {public, pemOf("PRIVATE KEY", edDER)},
	} {
		about := &x509.Certificate{SerialNumber: a.cert.SerialNumber, Subject: pkix.Name{CommonName: name}}
		der, err := x509.CreateCertificate(rand.Reader, about, a.cert, c.public, a.key)
		if err != nil {
			t.Fatal(err)
		}
		if id, err := parseIdentity(slices.Concat(pemOf("CERTIFICATE", der), c.key)); err != nil || id.Leaf.Subject.CommonName != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An order names the certificate, the subject and the one place it is for, and
// a file that has changed since is not used.
func TestOrderedIdentity(t *testing.T) {
	a := newAuthority(t)
	h := a.holder(t, capture.Now().Add(time.Hour))
	for address, want := range map[string]string{
		"https://Shop.example/x":        "shop.example:443",
		"https://shop.example:8443/":    "shop.example:8443",
		"https://[::1]/":                "[::1]:443",
		"https://\u5e97.example/":       "xn--hxt.example:443",
		"http://shop.example/":          "",
		"ftp://name:secret@shop.test/x": "",
	} {
		c, err := ClientCertificate(h.file, address)
		if (err == nil) != (want != "") || err == nil && (c.Host != want || c.Subject != "CN=Inspector Zhang" || len(c.SHA256) != 64) {
			t.Errorf("%s: %+v, %v", address, c, err)
		}
		if err != nil && (!errors.Is(err, capture.ErrOrder) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: %v", address, err)
		}
	}
	o := certified(t, order("https://shop.example/"), h)
	if id, err := orderedIdentity(o); err != nil || id == nil {
		t.Errorf("as ordered: %v", err)
	}
	if err := os.Rename(a.holder(t, capture.Now().Add(time.Hour)).file, h.file); err != nil {
		t.Fatal(err)
	}
	if _, err := orderedIdentity(o); !errors.Is(err, capture.ErrOrder) {
		t.Errorf("another certificate: %v", err)
	}
	o.ClientCertificate.File = filepath.Join(t.TempDir(), "absent.pem")
	if _, err := orderedIdentity(o); !errors.Is(err, capture.ErrOrder) {
		t.Errorf("no file: %v", err)
	}
}

func FuzzParseIdentity(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := parseIdentity(b); err == nil && (id.Leaf == nil || id.PrivateKey == nil || !bytes.Equal(id.Certificate[0], id.Leaf.Raw)) {
			t.Errorf("a certificate that is none: %+v", id)
		}
	})
}
