package verify

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"guzheng/preserve/tlog"
	"guzheng/preserve/tsa"
)

// TrustFormat names the version of the trust file's form.
const TrustFormat = "guzheng-trust/1"

// Trust is whom the reader believes. It comes from elsewhere than the
// package. The zero value believes nobody: who signed, stamped and logged
// can then not be told.
type Trust struct {
	Signers []string // fingerprints: SHA-256 of the SubjectPublicKeyInfo, hex
	Logs    []string // verifier keys of logs (C2SP signed-note)
	TSA     tsa.Trust

	// Domains are roots of certificates for domains, by which packages of
	// other programs are signed. They count for nothing else.
	Domains []*x509.Certificate

	// Witnesses are those whose cosignatures are wanted on the log's
	// checkpoints; without any, nobody asks for them.
	Witnesses tlog.Policy

	// Lenient makes a signer, a log or an authority that is not named here
	// one that cannot be told, where it would otherwise fail. It is for
	// looking at packages of strangers; a trust file never sets it.
	Lenient bool
}

// trustFile is the JSON form of Trust.
type trustFile struct {
	Format  string   `json:"format"`
	Signers []string `json:"signers"`
	Logs    []string `json:"logs"`

	Witnesses struct {
		Keys   []string `json:"keys"`
		Quorum int      `json:"quorum"`
	} `json:"witnesses,omitzero"`
	TSA struct {
		Roots             []string   `json:"roots"`
		Pins              []trustPin `json:"pins"`
		MaxSkewSeconds    int64      `json:"max_skew_seconds"`
		RequireRevocation bool       `json:"require_revocation,omitempty"`
	} `json:"tsa"`
	Domains struct {
		Roots []string `json:"roots"`
	} `json:"domains,omitzero"`
}

// trustPin is the JSON form of tsa.Pin.
type trustPin struct {
	Policy            string `json:"policy"`
	CertificateSHA256 string `json:"certificate_sha256"`
	Issuer            string `json:"issuer"`
	Name              string `json:"name"`
}

// LoadTrust reads a trust file:
//
//	{
//	  "format": "guzheng-trust/1",
//	  "signers": ["<fingerprint>"],
//	  "logs": ["<name>+<hash>+<key>"],
//	  "witnesses": {"keys": ["<name>+<hash>+<key>"], "quorum": 1},
//	  "tsa": {
//	    "roots": ["root.pem", "-----BEGIN CERTIFICATE-----\n…"],
//	    "pins": [{"policy": "1.2.3", "certificate_sha256": "…", "issuer": "…", "name": "…"}],
//	    "max_skew_seconds": 600,
//	    "require_revocation": false
//	  },
//	  "domains": {"roots": ["domains.pem"]}
//	}
//
// Every member but format may be missing. A root is a PEM text or the path of
// a PEM file, relative to the trust file. Unknown members are refused, so
// that a misspelt one is not taken for no trust.
func LoadTrust(path string) (Trust, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Trust{}, fmt.Errorf("reading trust: %w", err)
	}
	t, err := parseTrust(b, filepath.Dir(path))
	if err != nil {
		return Trust{}, fmt.Errorf("reading trust %s: %w", path, err)
	}
	return t, nil
}

// ParseTrust reads the text of a trust file, for readers without a file
// system: every root in it is a PEM text.
func ParseTrust(b []byte) (Trust, error) {
	t, err := parseTrust(b, "")
	if err != nil {
		return Trust{}, fmt.Errorf("reading trust: %w", err)
	}
	return t, nil
}

func parseTrust(b []byte, dir string) (Trust, error) {
	var f trustFile
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return Trust{}, err
	}
	if f.Format != TrustFormat {
		return Trust{}, fmt.Errorf("format %q, want %q", f.Format, TrustFormat)
	}
	if f.TSA.MaxSkewSeconds < 0 {
		return Trust{}, errors.New("max_skew_seconds is negative")
	}
	t := Trust{Logs: f.Logs, TSA: tsa.Trust{MaxSkew: time.Duration(f.TSA.MaxSkewSeconds) * time.Second, Revocation: f.TSA.RequireRevocation}}
	t.Witnesses = tlog.Policy{Witnesses: f.Witnesses.Keys, Quorum: f.Witnesses.Quorum}
	if err := t.Witnesses.Check(); err != nil {
		return Trust{}, err
	}
	for _, s := range f.Signers {
		sum, err := hex.DecodeString(s)
		if err != nil || len(sum) != 32 {
			return Trust{}, fmt.Errorf("signer %q is no SHA-256 value in hex", s)
		}
		t.Signers = append(t.Signers, hex.EncodeToString(sum))
	}
	for _, p := range f.TSA.Pins {
		t.TSA.Pins = append(t.TSA.Pins, tsa.Pin{Policy: p.Policy, CertificateSHA256: p.CertificateSHA256, Issuer: p.Issuer, Name: p.Name})
	}
	for _, r := range f.TSA.Roots {
		certs, err := loadRoot(r, dir)
		if err != nil {
			return Trust{}, err
		}
		t.TSA.Roots = append(t.TSA.Roots, certs...)
	}
	for _, r := range f.Domains.Roots {
		certs, err := loadRoot(r, dir)
		if err != nil {
			return Trust{}, err
		}
		t.Domains = append(t.Domains, certs...)
	}
	return t, nil
}

// loadRoot reads the certificates of a PEM text or file.
func loadRoot(root, dir string) ([]*x509.Certificate, error) {
	text := []byte(root)
	if !strings.Contains(root, "-----BEGIN") {
		if dir == "" {
			return nil, fmt.Errorf("reading root %.40q: not a PEM text", root)
		}
		name := root
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		var err error
		if text, err = os.ReadFile(name); err != nil {
			return nil, fmt.Errorf("reading root: %w", err)
		}
	}
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := tsa.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading root: %w", err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("reading root %.40q: no certificate", root)
	}
	return certs, nil
}

// Encode returns the text of a trust file that ParseTrust reads as t. Roots
// stand in it as PEM texts. Lenient is in no trust file.
func (t Trust) Encode() ([]byte, error) {
	f := trustFile{Format: TrustFormat, Signers: append([]string{}, t.Signers...), Logs: append([]string{}, t.Logs...)}
	f.TSA.Roots = []string{}
	for _, c := range t.TSA.Roots {
		f.TSA.Roots = append(f.TSA.Roots, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
	}
	f.TSA.Pins = []trustPin{}
	for _, p := range t.TSA.Pins {
		f.TSA.Pins = append(f.TSA.Pins, trustPin{Policy: p.Policy, CertificateSHA256: p.CertificateSHA256, Issuer: p.Issuer, Name: p.Name})
	}
	f.TSA.MaxSkewSeconds, f.TSA.RequireRevocation = int64(t.TSA.MaxSkew/time.Second), t.TSA.Revocation
	f.Witnesses.Keys, f.Witnesses.Quorum = t.Witnesses.Witnesses, t.Witnesses.Quorum
	for _, c := range t.Domains {
		f.Domains.Roots = append(f.Domains.Roots, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding trust: %w", err)
	}
	return append(b, '\n'), nil
}
