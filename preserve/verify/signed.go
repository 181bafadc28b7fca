package verify

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"guzheng/preserve/tsa"
)

// signedData is that of WACZ Signing 0.1.0, of either form: with PublicKey it
// is anonymous, with Domain that of a domain's owner.
type signedData struct {
	Hash      string `json:"hash"`
	Created   string `json:"created"`
	Software  string `json:"software"`
	Signature string `json:"signature"` // base64 of r and s, of ASN.1 DER, or of an RSA signature

	PublicKey string `json:"publicKey"` // base64 of SubjectPublicKeyInfo, DER

	Domain        string `json:"domain"`
	DomainCert    string `json:"domainCert"`    // PEM, the signer's own first
	TimeSignature string `json:"timeSignature"` // base64 of a TimeStampResp over Signature as it stands
	TimestampCert string `json:"timestampCert"` // PEM, the authority's own first
}

// stampWindow is how long before its stamp a signature may be dated (WACZ
// Signing 0.1.0, verification, step 6).
const stampWindow = 10 * time.Minute

// maxChain bounds how many certificates are read of one PEM text.
const maxChain = 16

// foreignSignature checks the signature over the digest of datapackage.json
// as found. That it holds says nothing of whose it is.
func (v *visit) foreignSignature(s signedData, hash string) {
	const name = "foreign.signature"
	key, chain, err := s.key()
	var sig []byte
	if err == nil {
		sig, err = base64.StdEncoding.DecodeString(s.Signature)
	}
	held := false
	switch {
	case errors.Is(err, errForm):
		v.unknown(name, "foreign.form", "%v", err)
	case err != nil:
		v.fail(name, "signature.unreadable", "%v", err)
	case !strings.EqualFold(s.Hash, hash):
		v.fail(name, "signature.other", "signed is %.80q, found %s", s.Hash, hash)
	case !holds(key, s.Hash, sig):
		v.fail(name, "signature.invalid", "signature does not hold over %s", s.Hash)
	default:
		held = true
		v.pass(name, "by %q", s.Software)
	}
	if len(chain) == 0 {
		v.anonymous(s, held)
		return
	}
	at := v.foreignTime(s)
	v.foreignDomain(s, chain, at, held)
}

// errForm is wrapped when a signature is of a kind that is not known.
var errForm = errors.New("signature of an unknown form")

// key returns the signer's key and, in the domain form, the certificates.
func (s signedData) key() (crypto.PublicKey, []*x509.Certificate, error) {
	switch {
	case s.DomainCert != "":
		chain, err := parseChain(s.DomainCert)
		if err != nil {
			return nil, nil, fmt.Errorf("reading domainCert: %w", err)
		}
		return chain[0].PublicKey, chain, nil
	case s.PublicKey != "":
		der, err := base64.StdEncoding.DecodeString(s.PublicKey)
		if err != nil {
			return nil, nil, fmt.Errorf("reading publicKey: %w", err)
		}
		key, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			return nil, nil, fmt.Errorf("reading publicKey: %w", err)
		}
		return key, nil, nil
	}
	return nil, nil, fmt.Errorf("neither publicKey nor domainCert: %w", errForm)
}

func parseChain(text string) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for rest := []byte(text); len(out) < maxChain; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("no certificate")
	}
	return out, nil
}

// holds verifies a signature with SHA-256 over a text: ECDSA as browsers
// write it (r and s side by side) or as ASN.1, or RSA (PKCS #1 v1.5).
func holds(key crypto.PublicKey, text string, sig []byte) bool {
	sum := sha256.Sum256([]byte(text))
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			return false
		}
		if n := (k.Curve.Params().BitSize + 7) / 8; len(sig) == 2*n &&
			ecdsa.Verify(k, sum[:], new(big.Int).SetBytes(sig[:n]), new(big.Int).SetBytes(sig[n:])) {
			return true
		}
		return ecdsa.VerifyASN1(k, sum[:], sig)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], sig) == nil
	}
	return false
}

// anonymous says whose a signature with a bare key is.
func (v *visit) anonymous(s signedData, held bool) {
	const name = "foreign.signer"
	der, _ := base64.StdEncoding.DecodeString(s.PublicKey)
	id := fmt.Sprintf("%x", sha256.Sum256(der))
	switch {
	case !held:
		v.unknown(name, "foreign.signature", "")
	case slices.Contains(v.trust.Signers, id):
		v.pass(name, "key %s", id)
	default:
		v.unknown(name, "signer.unpinned", "key %s; whose it is must be known from elsewhere", id)
	}
	v.unknown("foreign.time", "foreign.no_time", "dated %q by the signer alone", s.Created)
}

// foreignTime checks the stamp over the signature. It returns its time when
// the stamp is sound, whoever made it, and the zero time otherwise.
func (v *visit) foreignTime(s signedData) time.Time {
	const name, authority = "foreign.time", "foreign.authority"
	if s.TimeSignature == "" {
		v.unknown(name, "foreign.no_time", "dated %q by the signer alone", s.Created)
		v.unknown(authority, "foreign.no_time", "")
		return time.Time{}
	}
	response, err := base64.StdEncoding.DecodeString(s.TimeSignature)
	var certs []*x509.Certificate
	if err == nil && s.TimestampCert != "" {
		certs, err = parseChain(s.TimestampCert)
	}
	if err != nil {
		v.fail(name, "token.unreadable", "%v", err)
		v.unknown(authority, "token.unreadable", "")
		return time.Time{}
	}
	r := tsa.CheckApart(response, sha256.Sum256([]byte(s.Signature)), certs, v.trust.TSA)
	sound := v.foreignToken(r, s.Created)
	v.foreignAuthority(r, sound)
	if !sound {
		return time.Time{}
	}
	return r.Time
}

// foreignToken says whether the stamp is over the signature, and near the
// date that the signer gave it.
func (v *visit) foreignToken(r tsa.Report, created string) bool {
	const name = "foreign.time"
	for _, f := range r.Findings {
		if (f.Layer == tsa.LayerImprint || f.Layer == tsa.LayerSignature) && f.State == tsa.Failed {
			v.fail(name, f.Code, "%s", f.Detail)
			return false
		}
	}
	at, err := time.Parse(time.RFC3339Nano, created)
	// Authorities round down to the second.
	if d := r.Time.Sub(at.Truncate(time.Second)); err != nil || d < 0 || d > stampWindow {
		v.fail(name, "foreign.time_apart", "dated %q, stamped %s", created, r.Time.Format(time.RFC3339))
		return false
	}
	v.pass(name, "%s", r.Time.Format(time.RFC3339))
	return true
}

// foreignAuthority says whose the stamp is. A root or an authority that the
// reader does not know is no failure.
func (v *visit) foreignAuthority(r tsa.Report, sound bool) {
	const name = "foreign.authority"
	if !sound {
		v.unknown(name, "foreign.time", "")
		return
	}
	for _, f := range r.Findings {
		switch {
		case f.Layer != tsa.LayerChain && f.Layer != tsa.LayerIdentity, f.State == tsa.Passed:
		case f.Code == "chain.expired":
			v.fail(name, f.Code, "%s", f.Detail)
			return
		default:
			v.unknown(name, "foreign.untrusted", "%s", f.Detail)
			return
		}
	}
	v.pass(name, "root and authority are trusted")
}

// foreignDomain says whose a signature with a domain's certificate is, at the
// time of the stamp: such certificates expire within weeks.
func (v *visit) foreignDomain(s signedData, chain []*x509.Certificate, at time.Time, held bool) {
	const name = "foreign.signer"
	switch {
	case !held:
		v.unknown(name, "foreign.signature", "")
		return
	case chain[0].Subject.CommonName != s.Domain && chain[0].VerifyHostname(s.Domain) != nil:
		v.fail(name, "foreign.domain_other", "signed for %q, certificate is for %q %q", s.Domain, chain[0].Subject.CommonName, chain[0].DNSNames)
		return
	case at.IsZero():
		v.unknown(name, "foreign.time", "when it was signed is not known")
		return
	case at.Before(chain[0].NotBefore) || at.After(chain[0].NotAfter):
		v.fail(name, "chain.expired", "stamped %s, certificate valid from %s to %s", at.Format(time.RFC3339),
			chain[0].NotBefore.Format(time.RFC3339), chain[0].NotAfter.Format(time.RFC3339))
		return
	case len(v.trust.Domains) == 0:
		v.unknown(name, "foreign.untrusted", "no root for domains is configured; the certificate is for %q", s.Domain)
		return
	}
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: at}
	for _, c := range v.trust.Domains {
		opts.Roots.AddCert(c)
	}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(opts); err != nil {
		v.unknown(name, "foreign.untrusted", "%v", err)
		return
	}
	v.pass(name, "owner of %s at %s", s.Domain, at.Format(time.RFC3339))
}
