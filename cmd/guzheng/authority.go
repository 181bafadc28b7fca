package main

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"time"

	"guzheng/capture"
	"guzheng/preserve/tsa"
)

// check says what is wrong with the settings of an authority, before a page
// is visited and not after.
func (t tsaConfig) check() error {
	if !strings.HasPrefix(t.URL, "http://") && !strings.HasPrefix(t.URL, "https://") {
		return fmt.Errorf("url %q is not http or https", t.URL)
	}
	if _, err := tsa.ParsePolicy(t.Policy); t.Policy != "" && err != nil {
		return err
	}
	if sum, err := hex.DecodeString(fingerprint(t.Certificate)); err != nil || len(sum) != 32 && t.Certificate != "" {
		return fmt.Errorf("certificate %q is no SHA-256 value in hex", t.Certificate)
	}
	if _, err := tsa.ParseHash(t.Hash); err != nil {
		return err
	}
	if t.TimeoutSeconds < 0 {
		return fmt.Errorf("timeout_seconds %d is negative", t.TimeoutSeconds)
	}
	if t.Roots == "" {
		return nil
	}
	_, err := readRoots(t.Roots)
	return err
}

// fingerprint takes the colons off the form that openssl x509 prints.
func fingerprint(s string) string { return strings.ToLower(strings.ReplaceAll(s, ":", "")) }

// trust is what the settings say of this authority.
func (t tsaConfig) trust() (tsa.Trust, error) {
	var out tsa.Trust
	if t.Roots != "" {
		var err error
		if out.Roots, err = readRoots(t.Roots); err != nil {
			return out, err
		}
	}
	if t.Certificate != "" || t.Issuer != "" || t.Name != "" {
		out.Pins = append(out.Pins, tsa.Pin{Policy: t.Policy, CertificateSHA256: fingerprint(t.Certificate), Issuer: t.Issuer, Name: t.Name})
	}
	return out, nil
}

// remote makes the authority. What comes back from it is held against its own
// settings alone: another configured authority in its place is a stranger.
func (t tsaConfig) remote() (tsa.Authority, error) {
	trust, err := t.trust()
	if err != nil {
		return nil, err
	}
	hash, err := tsa.ParseHash(t.Hash)
	if err != nil {
		return nil, err
	}
	r := tsa.Remote{URL: t.URL, Now: capture.Now, Policy: t.Policy, Hash: hash,
		Timeout: time.Duration(t.TimeoutSeconds) * time.Second, Trust: trust}
	if !t.NoRevocation {
		r.Revocation = &tsa.Fetcher{Now: capture.Now, Private: t.AllowPrivate}
	}
	return r, nil
}

func readRoots(name string) ([]*x509.Certificate, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fail(exitUsage, "", "reading time-stamp roots: %w", err)
	}
	var out []*x509.Certificate
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		c, err := tsa.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fail(exitUsage, "", "reading time-stamp roots %s: %w", name, err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, fail(exitUsage, "", "reading time-stamp roots %s: no certificate in it", name)
	}
	return out, nil
}
