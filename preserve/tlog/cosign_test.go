package tlog

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// cosigned adds a witness's line to a checkpoint.
func cosigned(t testing.TB, checkpoint, name string, at uint64) (text, vkey string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWitness(FormatWitness(name, pub))
	if err != nil {
		t.Fatal(err)
	}
	body, _, _ := strings.Cut(checkpoint, "\n\n")
	sig := binary.BigEndian.AppendUint32(nil, w.KeyHash())
	sig = binary.BigEndian.AppendUint64(sig, at)
	sig = append(sig, ed25519.Sign(key, CosignedMessage([]byte(body+"\n"), int64(at)))...)
	return checkpoint + fmt.Sprintf("— %s %s\n", name, base64.StdEncoding.EncodeToString(sig)), FormatWitness(name, pub)
}

func TestCheckWitnesses(t *testing.T) {
	e, _ := entry(t, 11, 4)
	one, a := cosigned(t, e.Checkpoint, "a.example", 1_000)
	both, b := cosigned(t, one, "b.example", 2_000)
	_, c := cosigned(t, e.Checkpoint, "c.example", 3_000)
	_, otherA := cosigned(t, e.Checkpoint, "a.example", 1_000)
	far, d := cosigned(t, e.Checkpoint, "d.example", 1<<63)
	flipped := []byte(both)
	flipped[strings.Index(both, "a.example")+30] ^= 4
	for name, w := range map[string]struct {
		text  string
		p     Policy
		state State
	}{
		"all":              {both, Policy{[]string{a, b}, 0}, Passed},
		"two of three":     {both, Policy{[]string{a, b, c}, 2}, Passed},
		"three of three":   {both, Policy{[]string{a, b, c}, 0}, Unknown},
		"one of two":       {one, Policy{[]string{a, b}, 1}, Passed},
		"none there":       {e.Checkpoint, Policy{[]string{a, b}, 1}, Unknown},
		"another key":      {both, Policy{[]string{otherA}, 1}, Unknown},
		"changed":          {string(flipped), Policy{[]string{a, b}, 1}, Failed},
		"beyond time":      {far, Policy{[]string{d}, 1}, Failed},
		"text changed":     {strings.Replace(both, "\n11\n", "\n12\n", 1), Policy{[]string{a, b}, 1}, Failed},
		"key that is none": {both, Policy{[]string{"x"}, 1}, Failed},
	} {
		if f := CheckWitnesses(w.text, w.p); f.State != w.state {
			t.Errorf("%s: %+v", name, f)
		}
	}
	// A reader who knows no witness still checks the log's own signature.
	e.Checkpoint = both
	if r := Check(e, []string{e.Verifier}); r.State() != Passed {
		t.Errorf("with cosignatures: %s", summary(r))
	}
}

func TestPolicyCheck(t *testing.T) {
	_, a := cosigned(t, "x\n\n", "a.example", 1)
	_, b := cosigned(t, "x\n\n", "b.example", 1)
	w, err := NewWitness(a)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		p  Policy
		ok bool
	}{
		"none":          {Policy{}, true},
		"two":           {Policy{[]string{a, b}, 1}, true},
		"twice":         {Policy{[]string{a, a}, 1}, false},
		"another name":  {Policy{[]string{a, FormatWitness("c.example", w.key)}, 1}, false},
		"too many":      {Policy{[]string{a, b}, 3}, false},
		"negative":      {Policy{[]string{a, b}, -1}, false},
		"a log's key":   {Policy{[]string{strings.Replace(a, "+B", "+A", 1)}, 1}, false},
		"another hash":  {Policy{[]string{strings.Replace(a, "a.example+", "b.example+", 1)}, 1}, false},
		"name with +":   {Policy{[]string{FormatWitness("a b", w.key)}, 1}, false},
		"nothing in it": {Policy{[]string{""}, 0}, false},
	} {
		if err := c.p.Check(); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCosignatures(f *testing.F) {
	e, _ := entry(f, 5, 2)
	text, vkey := cosigned(f, e.Checkpoint, "a.example", 1)
	f.Add(text)
	f.Fuzz(func(t *testing.T, msg string) {
		got, err := Cosignatures(msg, Policy{Witnesses: []string{vkey}})
		if err == nil && len(got) > 0 && !strings.HasPrefix(msg, strings.SplitAfter(text, "\n\n")[0]) {
			t.Errorf("another text bears a cosignature: %q", msg)
		}
	})
}
