package seal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"guzheng/capture"
)

// MaxSize bounds the JSON form of a seal, in bytes. A stamp has some 10 KB,
// with what was told of its certificates usually below 100 KB, and never more
// than 700 KB.
const MaxSize = 16 << 20

// Encode returns the seal's JSON form, the same bytes for the same seal.
func Encode(s Seal) ([]byte, error) {
	b, err := encode(s)
	if err != nil {
		return nil, err
	}
	// Text that is not UTF-8 is replaced by the first pass and stable after.
	var again Seal
	if err := json.Unmarshal(b, &again); err != nil {
		return nil, fmt.Errorf("encoding seal %s: %w", s.ID, err)
	}
	return encode(again)
}

func encode(s Seal) ([]byte, error) {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding seal %s: %w", s.ID, err)
	}
	if len(b) >= MaxSize {
		return nil, fmt.Errorf("encoding seal %s: %d bytes", s.ID, len(b))
	}
	return append(b, '\n'), nil
}

// Decode reads the JSON form. It accepts exactly the bytes that Encode gives
// for the result, so that no byte of a seal can change unseen by reader and
// person alike.
func Decode(b []byte) (Seal, error) {
	if len(b) > MaxSize {
		return Seal{}, fmt.Errorf("reading seal: %d bytes", len(b))
	}
	var s Seal
	if err := strict(b, &s); err != nil {
		return Seal{}, fmt.Errorf("reading seal: %w", err)
	}
	if s.Format != s.format() {
		return Seal{}, fmt.Errorf("reading seal: format %q, want %q", s.Format, s.format())
	}
	if !capture.ValidID(s.ID) {
		return Seal{}, fmt.Errorf("reading seal: order number %q", s.ID)
	}
	if !validDigest(s.Package) {
		return Seal{}, fmt.Errorf("reading seal %s: package digest is incomplete", s.ID)
	}
	canon, err := Encode(s)
	if err != nil {
		return Seal{}, fmt.Errorf("reading seal: %w", err)
	}
	if !bytes.Equal(canon, b) {
		return Seal{}, fmt.Errorf("reading seal %s: not in the form that it was written in", s.ID)
	}
	return s, nil
}

// ParseKept reads a log event about a package.
func ParseKept(leaf []byte) (Kept, error) {
	var k Kept
	if err := strict(leaf, &k); err != nil {
		return Kept{}, fmt.Errorf("reading log event: %w", err)
	}
	if k.Event != EventKept || !validDigest(k.Package) {
		return Kept{}, fmt.Errorf("reading log event: event %q or its digest", k.Event)
	}
	return k, nil
}

// strict decodes exactly one JSON value without unknown members.
func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("bytes after the value")
	}
	return nil
}

func validDigest(d capture.Digest) bool {
	for _, h := range []string{d.SHA256, d.SM3} {
		b, err := hex.DecodeString(h)
		if err != nil || hex.EncodeToString(b) != h || len(b) != 32 {
			return false
		}
	}
	return d.Bytes >= 0
}
