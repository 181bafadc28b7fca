package tlog

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// LayerWitness is the layer of CheckWitnesses: enough witnesses cosigned.
const LayerWitness = "witness"

// cosignatureAlgorithm is the signature type of Ed25519 cosignatures (C2SP
// tlog-cosignature).
const cosignatureAlgorithm = 4

// cosignatureSize is a time and an Ed25519 signature.
const cosignatureSize = 8 + ed25519.SignatureSize

// A Policy says whose cosignatures a reader wants on a checkpoint.
type Policy struct {
	Witnesses []string // verifier keys NAME+HASH+KEY of type 4 (C2SP tlog-cosignature)
	Quorum    int      // how many of them; 0 is all
}

// quorum is how many have to cosign.
func (p Policy) quorum() int {
	if p.Quorum > 0 {
		return p.Quorum
	}
	return len(p.Witnesses)
}

// Check wants every key to be one, no two the same, and no more of them to be
// asked for than there are: one key under two names would count twice, since
// a cosignature does not tell the name.
func (p Policy) Check() error {
	seen := map[string]bool{}
	for _, text := range p.Witnesses {
		v, err := NewWitness(text)
		if err != nil {
			return err
		}
		if seen[string(v.key)] {
			return fmt.Errorf("witness %s: its key is named twice", v.name)
		}
		seen[string(v.key)] = true
	}
	if p.Quorum < 0 || p.Quorum > len(p.Witnesses) {
		return fmt.Errorf("%d cosignatures of %d witnesses", p.Quorum, len(p.Witnesses))
	}
	return nil
}

// A Cosignature says that a witness had seen, at that time by its own clock,
// no larger tree of the log, and none that contradicts this one.
type Cosignature struct {
	Witness string
	Time    time.Time
}

// Cosignatures returns those on a checkpoint that are of the policy's
// witnesses. One that bears the name and hash of such a key and does not hold
// is an error.
func Cosignatures(checkpoint string, p Policy) ([]Cosignature, error) {
	if len(checkpoint) > maxCheckpoint {
		return nil, fmt.Errorf("checkpoint of %d bytes", len(checkpoint))
	}
	var keys []note.Verifier
	for _, text := range p.Witnesses {
		v, err := NewWitness(text)
		if err != nil {
			return nil, err
		}
		keys = append(keys, v)
	}
	n, err := note.Open([]byte(checkpoint), note.VerifierList(keys...))
	var none *note.UnverifiedNoteError
	if errors.As(err, &none) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("verifying cosignatures: %w", err)
	}
	var out []Cosignature
	for _, s := range n.Sigs {
		b, err := base64.StdEncoding.Strict().DecodeString(s.Base64)
		if err != nil || len(b) != 4+cosignatureSize {
			return nil, fmt.Errorf("cosignature of %s: %d bytes", s.Name, len(b))
		}
		out = append(out, Cosignature{Witness: s.Name, Time: time.Unix(int64(binary.BigEndian.Uint64(b[4:])), 0).UTC()})
	}
	return out, nil
}

// CheckWitnesses says whether enough witnesses cosigned a checkpoint. Too few
// cannot tell: the log may have had none yet.
func CheckWitnesses(checkpoint string, p Policy) Finding {
	got, err := Cosignatures(checkpoint, p)
	if err != nil {
		return Finding{LayerWitness, Failed, "witness.invalid", err.Error()}
	}
	var names []string
	for _, c := range got {
		names = append(names, c.Witness+" "+c.Time.Format(time.RFC3339))
	}
	detail := fmt.Sprintf("%d of %d witnesses, wanted %d: %s", len(got), len(p.Witnesses), p.quorum(), strings.Join(names, ", "))
	if len(got) < p.quorum() {
		return Finding{LayerWitness, Unknown, "witness.too_few", detail}
	}
	return Finding{LayerWitness, Passed, "", detail}
}

// A Witness verifies the cosignatures of one witness; it is a note.Verifier.
type Witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

// NewWitness reads the verifier key of a witness (C2SP signed-note, type 4).
func NewWitness(vkey string) (*Witness, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	hash, text, ok := strings.Cut(rest, "+")
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if !ok || err != nil || len(b) != 1+ed25519.PublicKeySize || b[0] != cosignatureAlgorithm {
		return nil, fmt.Errorf("witness key %q is not NAME+HASH+KEY of type %d", vkey, cosignatureAlgorithm)
	}
	w := &Witness{name: name, key: b[1:]}
	if w.hash = witnessHash(name, w.key); hash != fmt.Sprintf("%08x", w.hash) || !validName(name) {
		return nil, fmt.Errorf("witness key %q: its hash is %08x", vkey, w.hash)
	}
	return w, nil
}

// FormatWitness returns the verifier key of a witness.
func FormatWitness(name string, key ed25519.PublicKey) string {
	return fmt.Sprintf("%s+%08x+%s", name, witnessHash(name, key), base64.StdEncoding.EncodeToString(append([]byte{cosignatureAlgorithm}, key...)))
}

func witnessHash(name string, key ed25519.PublicKey) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"+string(rune(cosignatureAlgorithm))), key...))
	return binary.BigEndian.Uint32(sum[:])
}

func validName(name string) bool {
	return name != "" && !strings.ContainsAny(name, "+ \t\r\n") && strings.ToValidUTF8(name, "") == name
}

// Name implements note.Verifier.
func (w *Witness) Name() string { return w.name }

// KeyHash implements note.Verifier.
func (w *Witness) KeyHash() uint32 { return w.hash }

// Verify implements note.Verifier.
func (w *Witness) Verify(text, sig []byte) bool {
	if len(sig) != cosignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(sig)
	return at <= math.MaxInt64 && ed25519.Verify(w.key, CosignedMessage(text, int64(at)), sig[8:])
}

// CosignedMessage is what an Ed25519 cosignature at a time, in seconds since
// 1970, is over (C2SP tlog-cosignature).
func CosignedMessage(text []byte, at int64) []byte {
	return append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", at), text...)
}
