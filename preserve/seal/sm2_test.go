package seal

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"guzheng/preserve/key"
)

// A package signed twice: each signature is checked by openssl alone.
func TestSM2Judged(t *testing.T) {
	p, _ := press(t)
	dir := t.TempDir()
	second, err := key.OpenSM2(filepath.Join(dir, "sm2.pem"), nil)
	if err != nil {
		t.Fatal(err)
	}
	p.SM2 = second
	s, pkg, sum := sealed(t, p)
	if s.Format != Format2 || s.SM2 == nil {
		t.Fatalf("format %s, %+v", s.Format, s.SM2)
	}
	b, err := Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = Decode(b); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(CheckSignature(s, sum), CheckEnvelope(s), CheckSM2(s, s.Package)); err != nil {
		t.Error(err)
	}
	for name, b := range map[string][]byte{"seal.json": b, "package": read(t, pkg)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", `
jq -r .signature_sm2.public_key seal.json | base64 -d | openssl pkey -pubin -inform DER -out sm2.pub
jq -r .signature_sm2.value seal.json | base64 -d > sm2.sig
printf 'sm3:%s' "$(openssl dgst -sm3 -r package | cut -d' ' -f1)" > sm2.message
openssl dgst -sm3 -verify sm2.pub -sigopt distid:1234567812345678 -signature sm2.sig sm2.message`)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("openssl: %v\n%s", err, out)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCheckSM2Fails(t *testing.T) {
	p, _ := press(t)
	dir := t.TempDir()
	second, err := key.OpenSM2(filepath.Join(dir, "a.pem"), nil)
	if err != nil {
		t.Fatal(err)
	}
	other, err := key.OpenSM2(filepath.Join(dir, "b.pem"), nil)
	if err != nil {
		t.Fatal(err)
	}
	p.SM2 = second
	s, _, _ := sealed(t, p)
	for name, change := range map[string]func(*Seal){
		"absent":      func(s *Seal) { s.SM2 = nil },
		"algorithm":   func(s *Seal) { s.SM2.Algorithm = Algorithm },
		"fingerprint": func(s *Seal) { s.SM2.KeyID = strings.Repeat("0", 64) },
		"other key":   func(s *Seal) { s.SM2.KeyID, s.SM2.PublicKey = other.Identity() },
		"P-384 key":   func(s *Seal) { s.SM2.KeyID, s.SM2.PublicKey = s.Signature.KeyID, s.Signature.PublicKey },
		"no key":      func(s *Seal) { s.SM2.PublicKey = nil },
		"value":       func(s *Seal) { s.SM2.Value = bytes.Clone(s.SM2.Value); s.SM2.Value[9] ^= 1 },
		"no value":    func(s *Seal) { s.SM2.Value = nil },
		"package":     func(s *Seal) { s.Package.SM3 = strings.Repeat("0", 64) },
	} {
		bad := s
		sig := *s.SM2
		bad.SM2 = &sig
		change(&bad)
		if err := CheckSM2(bad, bad.Package); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
		if err := CheckEnvelope(bad); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: the envelope holds: %v", name, err)
		}
	}
	if err := CheckSM2(s, s.Package); err != nil {
		t.Error(err)
	}
}
