package capture

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/emmansun/gmsm/sm3"
)

// Digest is what identifies a sequence of bytes: its length and its
// SHA-256 (FIPS 180-4) and SM3 (GB/T 32905-2016) values in lower-case hex.
type Digest struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	SM3    string `json:"sm3"`
}

// A Hasher computes a Digest in one pass. It is an io.Writer that never
// fails.
type Hasher struct {
	n   int64
	sha hash.Hash
	sm  hash.Hash
}

// NewHasher returns a Hasher that has seen no bytes.
func NewHasher() *Hasher { return &Hasher{sha: sha256.New(), sm: sm3.New()} }

// Write adds p to both hashes.
func (h *Hasher) Write(p []byte) (int, error) {
	h.sha.Write(p)
	h.sm.Write(p)
	h.n += int64(len(p))
	return len(p), nil
}

// Digest returns the value over everything written so far.
func (h *Hasher) Digest() Digest {
	return Digest{
		Bytes:  h.n,
		SHA256: hex.EncodeToString(h.sha.Sum(nil)),
		SM3:    hex.EncodeToString(h.sm.Sum(nil)),
	}
}

// DigestOf reads r to its end.
func DigestOf(r io.Reader) (Digest, error) {
	h := NewHasher()
	if _, err := io.Copy(h, r); err != nil {
		return Digest{}, fmt.Errorf("hashing: %w", err)
	}
	return h.Digest(), nil
}

// FileSHA256 returns the SHA-256 value of a file, in hex, or nothing when it
// cannot be read: for programs, of which only one value is told.
func FileSHA256(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}
