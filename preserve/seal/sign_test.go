package seal

import (
	"bytes"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"guzheng/preserve/key"
)

func TestCheckSignatureFails(t *testing.T) {
	p, _ := press(t)
	s, _, sum := sealed(t, p)
	other, _ := press(t)
	for name, change := range map[string]func(*Seal){
		"algorithm":    func(s *Seal) { s.Signature.Algorithm = "none" },
		"fingerprint":  func(s *Seal) { s.Signature.KeyID = strings.Repeat("0", 64) },
		"key":          func(s *Seal) { s.Signature.KeyID, s.Signature.PublicKey = other.Key.Identity() },
		"no key":       func(s *Seal) { s.Signature.PublicKey = nil },
		"value":        func(s *Seal) { s.Signature.Value = bytes.Clone(s.Signature.Value); s.Signature.Value[9] ^= 1 },
		"value absent": func(s *Seal) { s.Signature.Value = nil },
	} {
		bad := s
		change(&bad)
		if err := CheckSignature(bad, sum); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := CheckSignature(s, sha256.Sum256(nil)); !errors.Is(err, ErrSignature) {
		t.Errorf("other package: %v", err)
	}
}

// The rule of the envelope, as openssl and head follow it.
func TestEnvelopeJudged(t *testing.T) {
	p, l := press(t)
	p.Log = &outage{Appender: l, down: true}
	s, _, _ := sealed(t, p) // its error text needs escapes in JSON
	s.Log.Error = "a <b> & \"c\" \u2028\n  \"envelope\": "
	s, err := Enclose(s, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	k, ok := p.Key.(*key.Key)
	if !ok {
		t.Fatal("not a key")
	}
	dir := t.TempDir()
	for f, b := range map[string][]byte{"pub.pem": k.PublicPEM(), "envelope.der": s.Envelope, "seal.json": b} {
		if err := os.WriteFile(filepath.Join(dir, f), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "head -n -2 seal.json | openssl dgst -sha256 -verify pub.pem -signature envelope.der")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("openssl: %v\n%s", err, out)
	}
}

func TestCheckEnvelopeFails(t *testing.T) {
	p, _ := press(t)
	s, _, _ := sealed(t, p)
	other, _ := press(t)
	for name, change := range map[string]func(*Seal){
		"envelope absent":  func(s *Seal) { s.Envelope = nil },
		"envelope":         func(s *Seal) { s.Envelope = bytes.Clone(s.Envelope); s.Envelope[9] ^= 1 },
		"envelope longer":  func(s *Seal) { s.Envelope = append(bytes.Clone(s.Envelope), 0) },
		"other value of s": func(s *Seal) { s.Envelope = higher(t, s.Envelope) },
		"signature":        func(s *Seal) { s.Envelope = s.Signature.Value },
		"stamp's clock":    func(s *Seal) { s.Stamps[0].At = s.Stamps[0].At.Add(time.Second) },
		"stamp's name":     func(s *Seal) { s.Stamps[0].TSA = "https://tsa.example" },
		"stamp left out":   func(s *Seal) { s.Stamps = nil },
		"log's error":      func(s *Seal) { s.Log.Error = "none" },
		"algorithm":        func(s *Seal) { s.Signature.Algorithm = "none" },
		"key":              func(s *Seal) { s.Signature.KeyID, s.Signature.PublicKey = other.Key.Identity() },
	} {
		bad := s
		bad.Stamps = append(bad.Stamps[:0:0], s.Stamps...)
		change(&bad)
		if err := CheckEnvelope(bad); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
		// What someone altered is not signed over.
		if _, _, err := p.Complete(t.Context(), bad); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: completed, %v", name, err)
		}
	}
	if err := CheckEnvelope(s); err != nil {
		t.Errorf("the seal that was not changed: %v", err)
	}
}

// higher returns the signature with the other value of s that holds.
func higher(t *testing.T, der []byte) []byte {
	t.Helper()
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		t.Fatal(err)
	}
	sig.S.Sub(elliptic.P384().Params().N, sig.S)
	out, err := asn1.Marshal(sig)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A seal that lacks something is completed by the key that made it.
func TestOtherKey(t *testing.T) {
	p, l := press(t)
	log := &outage{Appender: l, down: true}
	p.Log = log
	s, _, _ := sealed(t, p)
	other, _ := press(t)
	if _, _, err := other.Complete(t.Context(), s); !errors.Is(err, ErrOtherKey) {
		t.Errorf("completed with another key: %v", err)
	}
	if _, err := Enclose(s, other.Key); !errors.Is(err, ErrOtherKey) {
		t.Errorf("enclosed with another key: %v", err)
	}
	log.down = false
	full, _, err := p.Complete(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, changed, err := other.Complete(t.Context(), full); changed || err != nil {
		t.Errorf("nothing to be done: %v %v", changed, err)
	}
}
