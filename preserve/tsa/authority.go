package tsa

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/digitorus/timestamp"
)

// An Authority stamps digests. Remote and Practice are the two there are.
type Authority interface {
	// Name is the value of Stamp.TSA for stamps of this authority.
	Name() string
	// Stamp asks for a time stamp over a SHA-256 value. What goes wrong is
	// in the result's Error, so that the attempt is never lost.
	Stamp(ctx context.Context, imprint [32]byte) Stamp
}

// nonceBytes is the number of random bytes in a request's nonce.
const nonceBytes = 16

// newRequest returns a TimeStampReq over imprint with a fresh nonce and
// certReq set (RFC 3161 section 2.4.1). Policy may be empty.
func newRequest(imprint [32]byte, policy string) ([]byte, error) {
	req := timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: imprint[:], Certificates: true}
	if policy != "" {
		oid, err := parseOID(policy)
		if err != nil {
			return nil, err
		}
		req.TSAPolicyOID = oid
	}
	b := make([]byte, nonceBytes)
	_, _ = rand.Read(b) // never returns an error
	b[0] = b[0]&0x7f | 0x40
	req.Nonce = new(big.Int).SetBytes(b)
	der, err := req.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encoding time-stamp request: %w", err)
	}
	return der, nil
}

// parseOID reads a dotted object identifier.
func parseOID(s string) (asn1.ObjectIdentifier, error) {
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

// fail ends an attempt without a usable response.
func (s Stamp) fail(now time.Time, err error) Stamp {
	s.At = now.UTC()
	s.Error = strings.ToValidUTF8(err.Error(), "?")
	return s
}

// arrived checks what came back before it is relied on: well formed, granted,
// about the imprint that was sent, with the nonce that was sent, signed.
func (s Stamp) arrived(now time.Time, imprint [32]byte) Stamp {
	s.At = now.UTC()
	r := Check(s, imprint, Trust{})
	for _, f := range r.Findings {
		if f.State == Failed {
			return s.fail(now, fmt.Errorf("answer refused: %s: %s", f.Code, f.Detail))
		}
	}
	return s
}

// begin starts a Stamp and its request.
func begin(name string, imprint [32]byte, policy string) (Stamp, error) {
	s := Stamp{TSA: name, Imprint: hex.EncodeToString(imprint[:])}
	der, err := newRequest(imprint, policy)
	s.Request = der
	return s, err
}

var errNoClock = errors.New("authority was made without a clock")
