package tsa

import (
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// nonceBytes is the number of random bytes in a request's nonce.
const nonceBytes = 16

// Imprint hashes (RFC 5754 section 2.2, GB/T 33560-2017).
var (
	oidSHA256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA384 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidSHA512 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
)

// The structures of RFC 3161 are declared here because no library knows SM3
// as their hash. Tests compare them with digitorus/timestamp and openssl.

// messageImprint is MessageImprint, section 2.4.1.
type messageImprint struct {
	Algorithm pkix.AlgorithmIdentifier
	Hash      []byte
}

// request is TimeStampReq, section 2.4.1.
type request struct {
	Version    int
	Imprint    messageImprint
	Policy     asn1.ObjectIdentifier `asn1:"optional"`
	Nonce      *big.Int              `asn1:"optional"`
	CertReq    bool                  `asn1:"optional"`
	Extensions []pkix.Extension      `asn1:"tag:0,optional"`
}

// info is TSTInfo, section 2.4.2.
type info struct {
	Version    int
	Policy     asn1.ObjectIdentifier
	Imprint    messageImprint
	Serial     *big.Int
	Time       time.Time        `asn1:"generalized"`
	Accuracy   accuracy         `asn1:"optional"`
	Ordering   bool             `asn1:"optional"`
	Nonce      *big.Int         `asn1:"optional"`
	TSA        asn1.RawValue    `asn1:"tag:0,optional"`
	Extensions []pkix.Extension `asn1:"tag:1,optional"`
}

// accuracy is Accuracy, section 2.4.2.
type accuracy struct {
	Seconds int `asn1:"optional"`
	Millis  int `asn1:"tag:0,optional"`
	Micros  int `asn1:"tag:1,optional"`
}

// hash names the imprint's function; "" is none of those accepted.
func (m messageImprint) hash() Hash {
	switch {
	case m.Algorithm.Algorithm.Equal(oidSHA256):
		return SHA256
	case m.Algorithm.Algorithm.Equal(oidSM3):
		return SM3
	}
	return ""
}

// newRequest returns a TimeStampReq with a fresh nonce and certReq set
// (RFC 3161 section 2.4.1). Policy may be empty.
func newRequest(imprint messageImprint, policy string) ([]byte, error) {
	req := request{Version: 1, CertReq: true, Imprint: imprint}
	if policy != "" {
		var err error
		if req.Policy, err = ParsePolicy(policy); err != nil {
			return nil, err
		}
	}
	b := make([]byte, nonceBytes)
	_, _ = rand.Read(b) // never returns an error
	b[0] = b[0]&0x7f | 0x40
	req.Nonce = new(big.Int).SetBytes(b)
	der, err := asn1.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("encoding time-stamp request: %w", err)
	}
	return der, nil
}

// readRequest parses a TimeStampReq.
func readRequest(der []byte) (request, error) {
	var req request
	if len(der) > 64<<10 || !bounded(der, maxDepth) {
		return req, fmt.Errorf("reading time-stamp request: %w", errNesting)
	}
	if rest, err := asn1.Unmarshal(der, &req); err != nil || len(rest) > 0 {
		return req, fmt.Errorf("reading time-stamp request: %d bytes left over, %v", len(rest), err)
	}
	return req, nil
}

// readInfo parses a TSTInfo. An extension that is critical and unknown makes
// the token say something that we do not understand (RFC 5280 section 4.2).
func readInfo(der []byte) (info, error) {
	var i info
	rest, err := asn1.Unmarshal(der, &i)
	switch {
	case err != nil:
		return info{}, fmt.Errorf("reading TSTInfo: %w", err)
	case len(rest) > 0:
		return info{}, errors.New("reading TSTInfo: not one DER value")
	case i.Version != 1:
		return info{}, fmt.Errorf("reading TSTInfo: version %d", i.Version)
	case i.Serial == nil || i.Time.IsZero() || len(i.Imprint.Hash) == 0:
		return info{}, errors.New("reading TSTInfo: field missing")
	}
	for _, e := range i.Extensions {
		if e.Critical {
			return info{}, fmt.Errorf("reading TSTInfo: critical extension %s is not known", e.Id)
		}
	}
	return i, nil
}

// ParsePolicy reads the dotted object identifier of a policy.
func ParsePolicy(s string) (asn1.ObjectIdentifier, error) {
	parts := strings.Split(s, ".")
	if len(parts) < 2 {
		return nil, fmt.Errorf("policy %q is not an object identifier", s)
	}
	var oid asn1.ObjectIdentifier
	for _, p := range parts {
		n, err := strconv.ParseInt(p, 10, 32)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("policy %q is not an object identifier", s)
		}
		oid = append(oid, int(n))
	}
	return oid, nil
}
