package tsa

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"guzheng/capture"
)

// A Stamp is one attempt to have a digest time-stamped: what was asked, what
// came back, or why nothing did. It is stored as it is, so that the exchange
// can be checked again with other tools.
type Stamp struct {
	TSA      string    `json:"tsa"`                // URL, or "practice"
	At       time.Time `json:"at"`                 // this machine's clock when the attempt ended
	Imprint  string    `json:"imprint"`            // value sent, hex: SHA-256, or SM3 after "sm3:"
	Request  []byte    `json:"request,omitempty"`  // TimeStampReq, DER (RFC 3161 section 2.4.1)
	Response []byte    `json:"response,omitempty"` // TimeStampResp, DER (section 2.4.2)
	Error    string    `json:"error,omitempty"`    // why there is no usable response

	// Chain holds the certificates from the signer's to a root that was
	// configured when the stamp was made, X.509, DER. It helps to build a
	// chain later and makes nobody trusted.
	Chain [][]byte `json:"chain,omitempty"`
	// Revocation is what was told of those certificates when the stamp was
	// made.
	Revocation []Material `json:"revocation,omitempty"`
}

// Pending reports whether the attempt has to be made again.
func (s Stamp) Pending() bool { return s.Error != "" || len(s.Response) == 0 }

// ParseHash reads the name of a function that seals are stamped with: SHA256,
// which empty is too, or SM3.
func ParseHash(name string) (Hash, error) {
	switch h := Hash(name); h {
	case "":
		return SHA256, nil
	case SHA256, SM3:
		return h, nil
	}
	return "", fmt.Errorf("imprint hash %q is neither %s nor %s", name, SHA256, SM3)
}

// Digests are the values of what is stamped. An authority gets the one that
// it is asked with, so that a stamp does not rest on the other function.
type Digests struct {
	SHA256 [32]byte
	SM3    [32]byte // zero when it is not known
}

// DigestsOf reads the two values of a digest.
func DigestsOf(d capture.Digest) (Digests, error) {
	var out Digests
	for _, v := range []struct {
		to  []byte
		hex string
	}{{out.SHA256[:], d.SHA256}, {out.SM3[:], d.SM3}} {
		b, err := hex.DecodeString(v.hex)
		if err != nil || len(b) != 32 {
			return Digests{}, fmt.Errorf("%q is not a value of 32 bytes in hex", v.hex)
		}
		copy(v.to, b)
	}
	return out, nil
}

// ErrNoSM3 says that an authority is to stamp an SM3 value and the caller has
// none.
var ErrNoSM3 = errors.New("no SM3 value of what is to be stamped")

// of returns the value by one function; ok is false when it is not known.
func (d Digests) of(h Hash) (sum [32]byte, ok bool) {
	if h == SM3 {
		return d.SM3, d.SM3 != [32]byte{}
	}
	return d.SHA256, true
}

// imprintText is the form of Stamp.Imprint.
func imprintText(h Hash, sum [32]byte) string {
	if h == SM3 {
		return string(SM3) + ":" + hex.EncodeToString(sum[:])
	}
	return hex.EncodeToString(sum[:])
}

// fail ends an attempt without a usable response.
func (s Stamp) fail(now time.Time, err error) Stamp {
	s.At = now.UTC()
	s.Error = strings.ToValidUTF8(err.Error(), "?")
	return s
}

// arrived checks what came back before it is relied on: well formed, granted,
// about the imprint that was sent, with the nonce that was sent, signed, and
// as far as trust goes by the authority that was asked. What is refused stays
// in Response, beside the reason.
func (s Stamp) arrived(now time.Time, d Digests, trust Trust) Stamp {
	s.At = now.UTC()
	for _, f := range CheckDigests(s, d, trust).Findings {
		if f.State == Failed {
			return s.fail(now, fmt.Errorf("answer refused: %s: %s", f.Code, f.Detail))
		}
	}
	return s
}
