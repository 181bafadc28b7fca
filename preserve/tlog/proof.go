package tlog

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Limits of proofs that are read.
const (
	maxProofText = maxCheckpoint + 128<<10 // bytes of a proof with its checkpoint
	maxTreeProof = 63                      // hashes (C2SP tlog-witness)
)

// proofHeader is the first line of a C2SP tlog-proof.
const proofHeader = "c2sp.org/tlog-proof@v1"

// FormatProof returns the entry in C2SP tlog-proof form, which is read by
// programs that know nothing of ours. The event stands in the extra line,
// because without it nobody could compute the leaf's hash; extra data is not
// authenticated, but it is checked by being hashed.
func FormatProof(e Entry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", proofHeader)
	if len(e.Leaf) > 0 {
		fmt.Fprintf(&b, "extra %s\n", base64.StdEncoding.EncodeToString(e.Leaf))
	}
	fmt.Fprintf(&b, "index %d\n", e.Index)
	writeHashes(&b, e.Proof)
	b.WriteString("\n" + e.Checkpoint)
	return b.String()
}

// ParseProof reads a C2SP tlog-proof. Origin is the checkpoint's; Verifier,
// which the form does not carry, is empty. Nothing is verified: set Verifier
// to the key that is expected and call Check.
func ParseProof(text string) (Entry, error) {
	e, err := parseProof(text)
	if err != nil {
		return Entry{}, fmt.Errorf("reading tlog-proof: %w", err)
	}
	return e, nil
}

func parseProof(text string) (Entry, error) {
	head, checkpoint, ok := strings.Cut(text, "\n\n")
	if !ok || len(text) > maxProofText {
		return Entry{}, fmt.Errorf("%d bytes without a checkpoint in them", len(text))
	}
	lines := strings.Split(head, "\n")
	if lines[0] != proofHeader {
		return Entry{}, fmt.Errorf("first line is %.40q", lines[0])
	}
	lines = lines[1:]
	e := Entry{Checkpoint: checkpoint}
	var err error
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		if e.Leaf, err = base64.StdEncoding.Strict().DecodeString(lines[0][len("extra "):]); err != nil {
			return Entry{}, fmt.Errorf("extra line: %w", err)
		}
		lines = lines[1:]
	}
	if len(lines) == 0 {
		return Entry{}, errors.New("no index line")
	}
	if e.Index, err = parseNumber("index", lines[0]); err != nil {
		return Entry{}, err
	}
	if e.Proof, err = parseHashes(lines[1:], maxProof); err != nil {
		return Entry{}, err
	}
	cp, err := ParseCheckpoint(checkpoint)
	if err != nil {
		return Entry{}, err
	}
	e.Origin = cp.Origin
	return e, nil
}

// A Consistency says that the tree of a checkpoint is the tree of Old events
// with others behind them. Its text form is the body of add-checkpoint (C2SP
// tlog-witness): a line "old N", the hashes, an empty line, the checkpoint.
type Consistency struct {
	Old        int64
	Proof      [][]byte // RFC 6962 section 2.1.2
	Checkpoint string   // of the newer tree; a signed note, or its text alone
}

// Format returns the text form.
func (c Consistency) Format() string {
	var b strings.Builder
	fmt.Fprintf(&b, "old %d\n", c.Old)
	writeHashes(&b, c.Proof)
	b.WriteString("\n" + c.Checkpoint)
	return b.String()
}

// ParseConsistency reads the text form. Nothing is verified.
func ParseConsistency(text string) (Consistency, error) {
	c, err := parseConsistency(text)
	if err != nil {
		return Consistency{}, fmt.Errorf("reading consistency proof: %w", err)
	}
	return c, nil
}

func parseConsistency(text string) (Consistency, error) {
	head, checkpoint, ok := strings.Cut(text, "\n\n")
	if !ok || len(text) > maxProofText {
		return Consistency{}, fmt.Errorf("%d bytes without a checkpoint in them", len(text))
	}
	lines := strings.Split(head, "\n")
	c := Consistency{Checkpoint: checkpoint}
	var err error
	if c.Old, err = parseNumber("old", lines[0]); err != nil {
		return Consistency{}, err
	}
	if c.Proof, err = parseHashes(lines[1:], maxTreeProof); err != nil {
		return Consistency{}, err
	}
	if _, err := ParseCheckpoint(checkpoint); err != nil {
		return Consistency{}, err
	}
	return c, nil
}

// Check verifies that the tree of Old events had the given root. It does NOT
// verify the checkpoint's signatures; VerifyCheckpoint does.
func (c Consistency) Check(oldRoot [32]byte) error {
	cp, err := ParseCheckpoint(c.Checkpoint)
	if err != nil {
		return err
	}
	if err := checkConsistency(c.Old, oldRoot, cp, c.Proof); err != nil {
		return fmt.Errorf("tree of %d events as the beginning of one of %d: %w", c.Old, cp.Size, err)
	}
	return nil
}

func checkConsistency(old int64, oldRoot [32]byte, cp Checkpoint, hashes [][]byte) error {
	switch {
	case old < 0 || old > cp.Size:
		return errors.New("the newer tree is the smaller one")
	case len(hashes) > maxTreeProof:
		return fmt.Errorf("proof of %d hashes", len(hashes))
	case old == 0 && len(hashes) > 0:
		return errors.New("a tree without events needs no proof")
	case old == 0 && oldRoot != Root(nil):
		return errors.New("a tree without events has another root")
	case old == 0:
		return nil
	}
	proof := make(tlog.TreeProof, len(hashes))
	for i, h := range hashes {
		if len(h) != tlog.HashSize {
			return fmt.Errorf("proof hash of %d bytes", len(h))
		}
		proof[i] = tlog.Hash(h)
	}
	return tlog.CheckTree(proof, cp.Size, cp.Root, old, oldRoot)
}

// FormatCheckpoint returns the text of a checkpoint with the empty line
// behind it: a note without signatures.
func FormatCheckpoint(cp Checkpoint) string {
	return fmt.Sprintf("%s\n%d\n%s\n\n", cp.Origin, cp.Size, base64.StdEncoding.EncodeToString(cp.Root[:]))
}

func writeHashes(b *strings.Builder, hashes [][]byte) {
	for _, h := range hashes {
		b.WriteString(base64.StdEncoding.EncodeToString(h) + "\n")
	}
}

func parseHashes(lines []string, most int) ([][]byte, error) {
	if len(lines) > most {
		return nil, fmt.Errorf("proof of %d hashes", len(lines))
	}
	var out [][]byte
	for _, line := range lines {
		h, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(h) != tlog.HashSize {
			return nil, fmt.Errorf("proof line %.60q is not a hash", line)
		}
		out = append(out, h)
	}
	return out, nil
}

// parseNumber reads a line NAME N, N without leading zeroes.
func parseNumber(name, line string) (int64, error) {
	text, ok := strings.CutPrefix(line, name+" ")
	n, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, fmt.Errorf("line %.40q, want %q and a number", line, name)
	}
	return n, nil
}
