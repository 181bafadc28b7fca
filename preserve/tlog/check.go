package tlog

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A State is a finding's outcome. A check that could not be made is Unknown,
// never Passed.
type State string

// The three states; the texts are those of verify.Outcome.
const (
	Passed  State = "passed"
	Failed  State = "failed"
	Unknown State = "cannot tell"
)

// Layers of an entry, in the order in which Check reports them.
const (
	LayerLeaf       = "leaf"       // the event is a JSON object of permitted size
	LayerInclusion  = "inclusion"  // the proof leads from the event to the checkpoint's root
	LayerCheckpoint = "checkpoint" // the named key signed the checkpoint
	LayerKey        = "key"        // that key is one the reader trusts
)

// A Finding is what one layer says. Code is stable and empty when there is
// nothing to explain; Detail is the machine's account, in English.
type Finding struct {
	Layer  string
	State  State
	Code   string
	Detail string
}

// A Report is what became of each check of an entry. Size and Root are the
// checkpoint's, and prove nothing unless it passed.
type Report struct {
	Origin   string
	Size     int64    // leaves of the tree that the checkpoint covers
	Root     [32]byte // its root
	Findings []Finding
}

// State is Failed when any layer failed, else Unknown when any could not
// tell, else Passed.
func (r Report) State() State {
	out := Passed
	for _, f := range r.Findings {
		if f.State == Failed {
			return Failed
		}
		if f.State == Unknown {
			out = Unknown
		}
	}
	return out
}

func (r *Report) add(layer string, state State, code, detail string, args ...any) {
	r.Findings = append(r.Findings, Finding{Layer: layer, State: state, Code: code, Detail: fmt.Sprintf(detail, args...)})
}

// Limits of what is read.
const (
	MaxLeaf       = 1<<16 - 1 // bytes of an event (C2SP tlog-tiles)
	maxProof      = 64        // hashes: a tree of 2^63 leaves needs 63
	maxCheckpoint = 64 << 10
)

// Check examines an entry, without network. Trusted holds verifier keys in
// C2SP signed-note form that the reader knows from elsewhere; when it is
// empty the layer "key" cannot be told. It always reports all four layers.
func Check(e Entry, trusted []string) Report {
	r := Report{Origin: e.Origin}
	if e.Pending() {
		for _, l := range []string{LayerLeaf, LayerInclusion, LayerCheckpoint, LayerKey} {
			r.add(l, Unknown, "entry.pending", "%s", e.Error)
		}
		return r
	}
	if err := checkLeaf(e.Leaf); err != nil {
		r.add(LayerLeaf, Failed, "leaf.unreadable", "%v", err)
	} else {
		r.add(LayerLeaf, Passed, "", "%d bytes", len(e.Leaf))
	}
	cp, err := ParseCheckpoint(e.Checkpoint)
	if err != nil {
		r.add(LayerInclusion, Unknown, "checkpoint.unreadable", "%v", err)
		r.add(LayerCheckpoint, Failed, "checkpoint.unreadable", "%v", err)
		r.checkKey(e, trusted)
		return r
	}
	r.Size, r.Root = cp.Size, cp.Root
	if err := checkInclusion(e, cp); err != nil {
		r.add(LayerInclusion, Failed, "inclusion.invalid", "%v", err)
	} else {
		r.add(LayerInclusion, Passed, "", "leaf %d of %d", e.Index, cp.Size)
	}
	if err := checkSignature(e, cp); err != nil {
		r.add(LayerCheckpoint, Failed, "checkpoint.invalid", "%v", err)
	} else {
		r.add(LayerCheckpoint, Passed, "", "signed by %s", e.Verifier)
	}
	r.checkKey(e, trusted)
	return r
}

func checkLeaf(leaf []byte) error {
	if len(leaf) == 0 || len(leaf) > MaxLeaf {
		return fmt.Errorf("event of %d bytes", len(leaf))
	}
	if !json.Valid(leaf) || bytes.TrimLeft(leaf, " \t\r\n")[0] != '{' {
		return errors.New("event is not a JSON object")
	}
	return nil
}

func (r *Report) checkKey(e Entry, trusted []string) {
	switch {
	case len(trusted) == 0:
		r.add(LayerKey, Unknown, "key.not_pinned", "no log key is pinned; the entry names %s", e.Verifier)
	case slices.ContainsFunc(trusted, func(k string) bool { return strings.TrimSpace(k) == e.Verifier }):
		r.add(LayerKey, Passed, "", "%s", e.Verifier)
	default:
		r.add(LayerKey, Failed, "key.other", "%s is none of the %d pinned log keys", e.Verifier, len(trusted))
	}
}

// A Checkpoint is the text of a C2SP tlog-checkpoint.
type Checkpoint struct {
	Origin string
	Size   int64    // leaves of the tree
	Root   [32]byte // RFC 6962 tree hash
}

// ParseCheckpoint reads the text of a signed note. It does NOT verify the
// signatures; Check does.
func ParseCheckpoint(msg string) (Checkpoint, error) {
	if len(msg) > maxCheckpoint {
		return Checkpoint{}, fmt.Errorf("checkpoint of %d bytes", len(msg))
	}
	text, _, ok := strings.Cut(msg, "\n\n")
	lines := strings.Split(text, "\n")
	if !ok || len(lines) < 3 || lines[0] == "" {
		return Checkpoint{}, errors.New("checkpoint has no origin, size and root")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return Checkpoint{}, fmt.Errorf("checkpoint has tree size %q", lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Checkpoint{}, fmt.Errorf("checkpoint has root %q", lines[2])
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: [32]byte(root)}, nil
}

func checkInclusion(e Entry, cp Checkpoint) error {
	if len(e.Proof) > maxProof {
		return fmt.Errorf("proof of %d hashes", len(e.Proof))
	}
	if e.Index < 0 || e.Index >= cp.Size {
		return fmt.Errorf("leaf %d of %d", e.Index, cp.Size)
	}
	proof := make(tlog.RecordProof, len(e.Proof))
	for i, h := range e.Proof {
		if len(h) != tlog.HashSize {
			return fmt.Errorf("proof hash of %d bytes", len(h))
		}
		proof[i] = tlog.Hash(h)
	}
	if err := tlog.CheckRecord(proof, cp.Size, cp.Root, e.Index, tlog.RecordHash(e.Leaf)); err != nil {
		return fmt.Errorf("leaf %d of %d: %w", e.Index, cp.Size, err)
	}
	return nil
}

// checkSignature verifies the note under the key that the entry names.
func checkSignature(e Entry, cp Checkpoint) error {
	if cp.Origin != e.Origin {
		return fmt.Errorf("entry is of log %q, checkpoint of %q", e.Origin, cp.Origin)
	}
	_, err := VerifyCheckpoint(e.Checkpoint, e.Verifier)
	return err
}

// VerifyCheckpoint reads a checkpoint and verifies that the log with the
// given verifier key signed it.
func VerifyCheckpoint(msg, verifier string) (Checkpoint, error) {
	cp, err := ParseCheckpoint(msg)
	if err != nil {
		return Checkpoint{}, err
	}
	v, err := note.NewVerifier(verifier)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("reading verifier key %q: %w", verifier, err)
	}
	if v.Name() != cp.Origin {
		return Checkpoint{}, fmt.Errorf("checkpoint is of log %q, key of %q", cp.Origin, v.Name())
	}
	if _, err := note.Open([]byte(msg), note.VerifierList(v)); err != nil {
		return Checkpoint{}, fmt.Errorf("verifying checkpoint: %w", err)
	}
	return cp, checkSpelling(msg)
}

// checkSpelling wants the base64 of every signature line to be the only one
// for its bytes. Package note ignores the unused bits of the last character,
// so that a flipped bit there would go unseen.
func checkSpelling(msg string) error {
	_, signatures, _ := strings.Cut(msg, "\n\n")
	for line := range strings.Lines(signatures) {
		line = strings.TrimSuffix(line, "\n")
		if _, err := base64.StdEncoding.Strict().DecodeString(line[strings.LastIndexByte(line, ' ')+1:]); err != nil {
			return fmt.Errorf("verifying checkpoint: signature line %q: %w", line, err)
		}
	}
	return nil
}
