package tsa

import (
	"context"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
)

// An Authority stamps digests. Remote and Practice are the two there are.
type Authority interface {
	// Name is the value of Stamp.TSA for stamps of this authority.
	Name() string
	// Stamp asks for a time stamp over a SHA-256 value. What goes wrong is
	// in the result's Error, so that the attempt is never lost.
	Stamp(ctx context.Context, imprint [32]byte) Stamp
}

// Ask has an authority stamp whichever of the digests it is configured for.
// One that knows SHA-256 alone is asked for that.
func Ask(ctx context.Context, a Authority, d Digests) Stamp {
	if both, ok := a.(interface {
		StampDigests(ctx context.Context, d Digests) Stamp
	}); ok {
		return both.StampDigests(ctx, d)
	}
	return a.Stamp(ctx, d.SHA256)
}

// begin starts a Stamp and its request.
func begin(name string, h Hash, d Digests, policy string) (Stamp, error) {
	s := Stamp{TSA: name}
	sum, ok := d.of(h)
	if !ok {
		return s, ErrNoSM3
	}
	s.Imprint = imprintText(h, sum)
	der, err := newRequest(messageImprint{Hash: sum[:],
		Algorithm: pkix.AlgorithmIdentifier{Algorithm: h.OID(), Parameters: asn1.NullRawValue}}, policy)
	s.Request = der
	return s, err
}

var errNoClock = errors.New("authority was made without a clock")
