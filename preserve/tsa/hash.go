package tsa

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"hash"

	"github.com/emmansun/gmsm/sm3"
)

// A Hash names a hash function that an imprint may be made with. The names
// are those of settings and files.
type Hash string

// The hash functions: FIPS 180-4 and GB/T 32905-2016.
const (
	SHA256 Hash = "sha256"
	SHA384 Hash = "sha384"
	SHA512 Hash = "sha512"
	SM3    Hash = "sm3"
)

// oidSM3 is that of GM/T 0006.
var oidSM3 = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 401}

// Known reports whether the name is one of the four.
func (h Hash) Known() bool { return h.New() != nil }

// New returns the hash function, or nil when it is not one of the four.
func (h Hash) New() hash.Hash {
	switch h {
	case SHA256:
		return sha256.New()
	case SHA384:
		return sha512.New384()
	case SHA512:
		return sha512.New()
	case SM3:
		return sm3.New()
	}
	return nil
}

// Size returns the length of a value in bytes; 0 when the function is not one
// of the four.
func (h Hash) Size() int {
	if f := h.New(); f != nil {
		return f.Size()
	}
	return 0
}

// Sum returns the value of the concatenated parts. It panics when the
// function is not Known.
func (h Hash) Sum(parts ...[]byte) []byte {
	f := h.New()
	for _, p := range parts {
		f.Write(p)
	}
	return f.Sum(nil)
}

// OID returns the object identifier, or nil.
func (h Hash) OID() asn1.ObjectIdentifier {
	switch h {
	case SHA256:
		return oidSHA256
	case SHA384:
		return oidSHA384
	case SHA512:
		return oidSHA512
	case SM3:
		return oidSM3
	}
	return nil
}

// HashOf returns the hash function with an object identifier; "" when it is
// none of the four.
func HashOf(oid asn1.ObjectIdentifier) Hash {
	for _, h := range []Hash{SHA256, SHA384, SHA512, SM3} {
		if h.OID().Equal(oid) {
			return h
		}
	}
	return ""
}
