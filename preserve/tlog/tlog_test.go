package tlog

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// naive is RFC 6962 section 2.1 as written there.
func naive(leaves [][]byte) [32]byte {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, leaves[0]...))
	default:
		k := 1
		for k*2 < n {
			k *= 2
		}
		l, r := naive(leaves[:k]), naive(leaves[k:])
		return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
	}
}

func TestRoot(t *testing.T) {
	// Test vectors of the certificate-transparency reference code.
	var leaves [][]byte
	for _, h := range []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"} {
		b, _ := hex.DecodeString(h)
		leaves = append(leaves, b)
	}
	want := "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
	if got := fmt.Sprintf("%x", Root(leaves)); got != want {
		t.Errorf("8 leaves: %s, want %s", got, want)
	}
	if got := fmt.Sprintf("%x", Root(nil)); got != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
		t.Errorf("no leaves: %s", got)
	}
	var many [][]byte
	for i := range 70 {
		if Root(many) != naive(many) {
			t.Errorf("%d leaves differ from the definition", i)
		}
		many = append(many, fmt.Appendf(nil, "leaf %d", i))
	}
}

// entry makes a log of n leaves in memory and the entry of leaf i.
func entry(t testing.TB, n, i int) (e Entry, signer note.Signer) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, "guzheng.local/test")
	if err != nil {
		t.Fatal(err)
	}
	if signer, err = note.NewSigner(skey); err != nil {
		t.Fatal(err)
	}
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(ix []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, x := range ix {
			out = append(out, stored[x])
		}
		return out, nil
	})
	leaf := func(k int) []byte { return fmt.Appendf(nil, `{"event":"kept","n":%d}`, k) }
	for k := range n {
		h, err := tlog.StoredHashes(int64(k), leaf(k), read)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, h...)
	}
	root, err := tlog.TreeHash(int64(n), read)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := tlog.ProveRecord(int64(n), int64(i), read)
	if err != nil {
		t.Fatal(err)
	}
	e = Entry{Origin: signer.Name(), Verifier: vkey, Index: int64(i), Leaf: leaf(i)}
	for _, h := range proof {
		e.Proof = append(e.Proof, h[:])
	}
	e.Checkpoint = sign(t, signer, signer.Name(), n, root[:])
	return e, signer
}

func sign(t testing.TB, s note.Signer, origin string, n int, root []byte) string {
	t.Helper()
	b, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", origin, n, base64.StdEncoding.EncodeToString(root))}, s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func summary(r Report) string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, strings.TrimSpace(string(f.State)+" "+f.Code))
	}
	return strings.Join(out, ", ")
}

func TestCheck(t *testing.T) {
	const good = "passed, passed, passed, "
	_, other, _ := note.GenerateKey(rand.Reader, "guzheng.local/test")
	for name, c := range map[string]struct {
		change  func(e *Entry, s note.Signer)
		trusted func(e Entry) []string
		want    string
	}{
		"nobody trusted": {nil, nil, good + "cannot tell key.not_pinned"},
		"trusted":        {nil, func(e Entry) []string { return []string{other, e.Verifier + "\n"} }, good + "passed"},
		"other trusted":  {nil, func(Entry) []string { return []string{other} }, good + "failed key.other"},
		"pending":        {func(e *Entry, _ note.Signer) { e.Checkpoint = "" }, nil, "cannot tell entry.pending, cannot tell entry.pending, cannot tell entry.pending, cannot tell entry.pending"},
		"other leaf":     {func(e *Entry, _ note.Signer) { e.Leaf = []byte(`{"event":"other"}`) }, nil, "passed, failed inclusion.invalid, passed, cannot tell key.not_pinned"},
		"no JSON":        {func(e *Entry, _ note.Signer) { e.Leaf = []byte("x") }, nil, "failed leaf.unreadable, failed inclusion.invalid, passed, cannot tell key.not_pinned"},
		"other place":    {func(e *Entry, _ note.Signer) { e.Index++ }, nil, "passed, failed inclusion.invalid, passed, cannot tell key.not_pinned"},
		"beyond the end": {func(e *Entry, _ note.Signer) { e.Index = 1 << 40 }, nil, "passed, failed inclusion.invalid, passed, cannot tell key.not_pinned"},
		"negative place": {func(e *Entry, _ note.Signer) { e.Index = -1 }, nil, "passed, failed inclusion.invalid, passed, cannot tell key.not_pinned"},
		"proof cut":      {func(e *Entry, _ note.Signer) { e.Proof = e.Proof[1:] }, nil, "passed, failed inclusion.invalid, passed, cannot tell key.not_pinned"},
		"proof flipped":  {func(e *Entry, _ note.Signer) { e.Proof[0][3] ^= 1 }, nil, "passed, failed inclusion.invalid, passed, cannot tell key.not_pinned"},
		"proof hash cut": {func(e *Entry, _ note.Signer) { e.Proof[0] = e.Proof[0][1:] }, nil, "passed, failed inclusion.invalid, passed, cannot tell key.not_pinned"},
		"size changed":   {func(e *Entry, _ note.Signer) { e.Checkpoint = strings.Replace(e.Checkpoint, "\n11\n", "\n12\n", 1) }, nil, "passed, passed, failed checkpoint.invalid, cannot tell key.not_pinned"},
		"key replaced":   {func(e *Entry, _ note.Signer) { e.Verifier = other }, nil, "passed, passed, failed checkpoint.invalid, cannot tell key.not_pinned"},
		"other origin":   {func(e *Entry, _ note.Signer) { e.Origin = "else" }, nil, "passed, passed, failed checkpoint.invalid, cannot tell key.not_pinned"},
		"key of another name": {func(e *Entry, s note.Signer) {
			cp, _ := ParseCheckpoint(e.Checkpoint)
			e.Origin, e.Checkpoint = "another.log", sign(t, s, "another.log", int(cp.Size), cp.Root[:])
		}, nil, "passed, passed, failed checkpoint.invalid, cannot tell key.not_pinned"},
		"foreign checkpoint": {func(e *Entry, s note.Signer) { r := naive(nil); e.Checkpoint = sign(t, s, "another.log", 11, r[:]) }, nil,
			"passed, failed inclusion.invalid, failed checkpoint.invalid, cannot tell key.not_pinned"},
		"garbage": {func(e *Entry, _ note.Signer) { e.Checkpoint = "x" }, nil, "passed, cannot tell checkpoint.unreadable, failed checkpoint.unreadable, cannot tell key.not_pinned"},
	} {
		e, s := entry(t, 11, 4)
		if c.change != nil {
			c.change(&e, s)
		}
		var trusted []string
		if c.trusted != nil {
			trusted = c.trusted(e)
		}
		if got := summary(Check(e, trusted)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

// TestFlippedBytes flips each bit of each byte of a checkpoint.
func TestFlippedBytes(t *testing.T) {
	e, _ := entry(t, 11, 4)
	for i := range e.Checkpoint {
		for bit := range 8 {
			b := []byte(e.Checkpoint)
			b[i] ^= 1 << bit
			bad := e
			bad.Checkpoint = string(b)
			if r := Check(bad, []string{e.Verifier}); r.State() != Failed {
				t.Errorf("byte %d, %q for %q: %s", i, b[i], e.Checkpoint[i], summary(r))
			}
		}
	}
}

func FuzzCheck(f *testing.F) {
	e, _ := entry(f, 5, 2)
	f.Add(e.Leaf, e.Checkpoint, e.Proof[0], int64(2))
	f.Add([]byte("{}"), "o\n1\nAAAA\n\n", []byte{}, int64(0))
	f.Fuzz(func(t *testing.T, leaf []byte, checkpoint string, hash []byte, index int64) {
		bad := e
		bad.Leaf, bad.Checkpoint, bad.Index = leaf, checkpoint, index
		bad.Proof = append([][]byte{hash}, e.Proof[1:]...)
		r := Check(bad, []string{e.Verifier})
		if len(r.Findings) != 4 {
			t.Errorf("%d findings", len(r.Findings))
		}
		if r.State() == Passed && (string(leaf) != string(e.Leaf) || index != e.Index) {
			t.Errorf("another leaf passed: %q at %d", leaf, index)
		}
	})
}

// FuzzProof makes proofs of any number of hashes, and claims of any place.
func FuzzProof(f *testing.F) {
	e, _ := entry(f, 5, 2)
	good := bytes.Join(e.Proof, nil)
	f.Add(good, int64(2))
	f.Add(good[:32], int64(4))
	f.Add([]byte{}, int64(-1))
	f.Add(append(good, good...), int64(1)<<62)
	f.Fuzz(func(t *testing.T, hashes []byte, index int64) {
		bad := e
		bad.Index, bad.Proof = index, nil
		for rest := hashes; len(rest) > 0; {
			n := min(len(rest), 32)
			bad.Proof, rest = append(bad.Proof, rest[:n]), rest[n:]
		}
		if Check(bad, []string{e.Verifier}).State() == Passed && (!bytes.Equal(hashes, good) || index != e.Index) {
			t.Errorf("another proof passed: %x at %d", hashes, index)
		}
	})
}
