package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"guzheng/preserve/tsa"
)

func TestAuthoritySettings(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	roots, none := filepath.Join(dir, "roots.pem"), filepath.Join(dir, "none.pem")
	for name, b := range map[string][]byte{roots: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), none: []byte("text")} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pin := strings.Repeat("AB:", 31) + "AB"
	good := tsaConfig{URL: "https://tsa.example/", Hash: "sm3", Policy: "1.2.3", Roots: roots, Certificate: pin, Issuer: "I", Name: "N", TimeoutSeconds: 3}
	for name, c := range map[string]struct {
		change func(*tsaConfig)
		says   string
	}{
		"good":            {func(*tsaConfig) {}, ""},
		"address alone":   {func(c *tsaConfig) { *c = tsaConfig{URL: c.URL} }, ""},
		"no http":         {func(c *tsaConfig) { c.URL = "ftp://tsa.example/" }, "not http"},
		"hash":            {func(c *tsaConfig) { c.Hash = "sha1" }, "imprint hash"},
		"policy":          {func(c *tsaConfig) { c.Policy = "one" }, "object identifier"},
		"certificate":     {func(c *tsaConfig) { c.Certificate = "AB:CD" }, "SHA-256"},
		"time":            {func(c *tsaConfig) { c.TimeoutSeconds = -1 }, "negative"},
		"roots missing":   {func(c *tsaConfig) { c.Roots = filepath.Join(dir, "absent") }, "no such file"},
		"roots are none":  {func(c *tsaConfig) { c.Roots = none }, "no certificate"},
		"an address only": {func(c *tsaConfig) { c.URL = "tsa.example" }, "not http"},
	} {
		s := good
		c.change(&s)
		err := s.check()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	a, err := good.remote()
	if err != nil {
		t.Fatal(err)
	}
	r, ok := a.(tsa.Remote)
	if !ok || r.Hash != tsa.SM3 || len(r.Trust.Roots) != 1 || len(r.Trust.Pins) != 1 || r.Revocation == nil || r.Revocation.Private {
		t.Errorf("%+v", a)
	}
	if got := r.Trust.Pins[0].CertificateSHA256; got != strings.Repeat("ab", 32) {
		t.Errorf("fingerprint %s", got)
	}
	good.NoRevocation = true
	if a, err := good.remote(); err != nil || a.(tsa.Remote).Revocation != nil {
		t.Errorf("%+v, %v", a, err)
	}
}
