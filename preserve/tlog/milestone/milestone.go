package milestone

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"guzheng/preserve/tlog"
	"guzheng/preserve/tsa"
)

// Format names the version of a milestone's JSON form.
const Format = "guzheng-checkpoint/1"

// MaxSize bounds the JSON form, in bytes. A stamp has some 10 KB.
const MaxSize = 4 << 20

// A Milestone is a checkpoint with the stamps over it.
type Milestone struct {
	Format     string      `json:"format"`
	Verifier   string      `json:"verifier"`   // the log's key, C2SP signed-note
	Checkpoint string      `json:"checkpoint"` // signed note, C2SP tlog-checkpoint
	Made       time.Time   `json:"made"`       // this machine's clock, UTC
	Stamps     []tsa.Stamp `json:"stamps"`     // each over the SHA-256 value of the checkpoint's bytes
}

// Imprint is what the stamps are over.
func (m Milestone) Imprint() [32]byte { return sha256.Sum256([]byte(m.Checkpoint)) }

// Pending reports whether an authority has not answered yet.
func (m Milestone) Pending() bool {
	for _, st := range m.Stamps {
		if st.Pending() {
			return true
		}
	}
	return len(m.Stamps) == 0
}

// stamped reports whether any authority has answered.
func (m Milestone) stamped() bool {
	for _, st := range m.Stamps {
		if !st.Pending() {
			return true
		}
	}
	return false
}

// tried is when an authority was last asked.
func (m Milestone) tried() time.Time {
	last := m.Made
	for _, st := range m.Stamps {
		if st.At.After(last) {
			last = st.At
		}
	}
	return last
}

// Encode returns the JSON form.
func (m Milestone) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding milestone: %w", err)
	}
	if len(b) >= MaxSize {
		return nil, fmt.Errorf("encoding milestone: %d bytes", len(b))
	}
	return append(b, '\n'), nil
}

// Decode reads the JSON form and verifies the log's signature. It does not
// check the stamps: tsa.Check does, over Imprint.
func Decode(b []byte) (Milestone, tlog.Checkpoint, error) {
	var m Milestone
	if len(b) > MaxSize {
		return m, tlog.Checkpoint{}, fmt.Errorf("reading milestone: %d bytes", len(b))
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, tlog.Checkpoint{}, fmt.Errorf("reading milestone: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return m, tlog.Checkpoint{}, errors.New("reading milestone: bytes after the value")
	}
	if m.Format != Format {
		return m, tlog.Checkpoint{}, fmt.Errorf("reading milestone: format %q, want %q", m.Format, Format)
	}
	cp, err := tlog.VerifyCheckpoint(m.Checkpoint, m.Verifier)
	if err != nil {
		return m, cp, fmt.Errorf("reading milestone: %w", err)
	}
	return m, cp, nil
}

// The names of a milestone: fileName in the book, Key in the store.
const (
	keyRoot = "v1/log/"
	digits  = 15            // of a size, so that names sort by it
	suffix  = ".checkpoint" // JSON; not named so, because what ends in .json beside packages are seals
)

func stem(size int64) string { return fmt.Sprintf("%0*d", digits, size) }

// Prefix is the beginning of the keys of all milestones of a log: "v1/log/",
// the key hash out of its verifier key (C2SP signed-note), "/".
func Prefix(verifier string) (string, error) {
	fields := strings.SplitN(verifier, "+", 3)
	if len(fields) != 3 || len(fields[1]) != 8 || strings.Trim(fields[1], "0123456789abcdef") != "" {
		return "", fmt.Errorf("%q is not a verifier key", verifier)
	}
	return keyRoot + fields[1] + "/", nil
}

// key returns the key of the n-th form, from 1, of a milestone.
func key(prefix string, size int64, n int) string {
	if n <= 1 {
		return prefix + stem(size) + suffix
	}
	return prefix + stem(size) + "-" + strconv.Itoa(n) + suffix
}

// sizeOf is the inverse of key and of the names in a book; -1 is neither.
func sizeOf(name string) int64 {
	name = name[strings.LastIndexByte(name, '/')+1:]
	name, ok := strings.CutSuffix(name, suffix)
	if !ok || len(name) < digits || len(name) > digits && name[digits] != '-' {
		return -1
	}
	n, err := strconv.ParseInt(name[:digits], 10, 64)
	if err != nil || n < 0 || stem(n) != name[:digits] {
		return -1
	}
	return n
}
