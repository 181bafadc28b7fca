package tlog

import (
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

func TestProofForm(t *testing.T) {
	e, _ := entry(t, 11, 4)
	text := FormatProof(e)
	lines := strings.Split(text, "\n")
	// C2SP tlog-proof: header, extra, index, hashes, empty line, checkpoint.
	if lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "extra ") || lines[2] != "index 4" || lines[3+len(e.Proof)] != "" {
		t.Errorf("form:\n%s", text)
	}
	again, err := ParseProof(text)
	if err != nil {
		t.Fatal(err)
	}
	again.Verifier = e.Verifier
	if r := Check(again, []string{e.Verifier}); r.State() != Passed || FormatProof(again) != text {
		t.Errorf("read back: %s\n%s", summary(r), FormatProof(again))
	}
	e.Leaf = nil
	if again, err = ParseProof(FormatProof(e)); err != nil || again.Leaf != nil || again.Index != 4 {
		t.Errorf("without extra: %+v, %v", again, err)
	}
	for name, bad := range map[string]string{
		"header":          strings.Replace(text, "@v1", "@v2", 1),
		"leading zero":    strings.Replace(text, "index 4", "index 04", 1),
		"negative":        strings.Replace(text, "index 4", "index -4", 1),
		"sign":            strings.Replace(text, "index 4", "index +4", 1),
		"no index":        strings.Replace(text, "index 4\n", "", 1),
		"no checkpoint":   strings.Split(text, "\n\n")[0] + "\n\n",
		"short hash":      strings.Replace(text, "index 4\n", "index 4\nAAAA\n", 1),
		"loose base64":    strings.Replace(text, "extra ", "extra =", 1),
		"too many hashes": strings.Replace(text, "index 4\n", "index 4\n"+strings.Repeat(lines[3]+"\n", 64), 1),
		"nothing":         "",
	} {
		if _, err := ParseProof(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// small returns the proof that n of m leaves are the beginning, and the root
// over the n.
func small(t testing.TB, n, m int) (Consistency, [32]byte) {
	t.Helper()
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(ix []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, x := range ix {
			out = append(out, stored[x])
		}
		return out, nil
	})
	var leaves [][]byte
	for k := range m {
		leaves = append(leaves, []byte{byte(k)})
		h, err := tlog.StoredHashes(int64(k), leaves[k], read)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, h...)
	}
	c := Consistency{Old: int64(n), Checkpoint: FormatCheckpoint(Checkpoint{Origin: "a.log", Size: int64(m), Root: Root(leaves)})}
	if n > 0 {
		proof, err := tlog.ProveTree(int64(m), int64(n), read)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range proof {
			c.Proof = append(c.Proof, h[:])
		}
	}
	return c, Root(leaves[:n])
}

func TestConsistency(t *testing.T) {
	for m := range 20 {
		for n := range m + 1 {
			c, root := small(t, n, m)
			again, err := ParseConsistency(c.Format())
			if err != nil {
				t.Fatal(err)
			}
			if err := again.Check(root); err != nil || again.Format() != c.Format() {
				t.Errorf("%d of %d: %v", n, m, err)
			}
			root[0] ^= 1
			if again.Check(root) == nil {
				t.Errorf("%d of %d: another root passed", n, m)
			}
		}
	}
	c, root := small(t, 5, 11)
	for name, change := range map[string]func(c *Consistency){
		"another size": func(c *Consistency) { c.Old = 6 },
		"larger":       func(c *Consistency) { c.Old = 12 },
		"negative":     func(c *Consistency) { c.Old = -1 },
		"none":         func(c *Consistency) { c.Old = 0 },
		"proof cut":    func(c *Consistency) { c.Proof = c.Proof[1:] },
		"hash cut":     func(c *Consistency) { c.Proof = append([][]byte{{1}}, c.Proof[1:]...) },
		"no note":      func(c *Consistency) { c.Checkpoint = "x" },
	} {
		bad := c
		change(&bad)
		if bad.Check(root) == nil {
			t.Errorf("%s: passed", name)
		}
	}
	for _, bad := range []string{"", "old 1\n\n", "old 01\n\na\n1\n", "new 1\n\n" + c.Checkpoint, "old 1\nx\n\n" + c.Checkpoint} {
		if _, err := ParseConsistency(bad); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}

func FuzzParseProof(f *testing.F) {
	e, _ := entry(f, 5, 2)
	f.Add(FormatProof(e))
	f.Add(proofHeader + "\nindex 0\n\no\n1\nAAAA\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseProof(text)
		if err == nil && FormatProof(e) != text {
			t.Errorf("%q reads as %q", text, FormatProof(e))
		}
	})
}

func FuzzParseConsistency(f *testing.F) {
	c, root := small(f, 3, 7)
	f.Add(c.Format())
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseConsistency(text)
		if err != nil {
			return
		}
		if got.Format() != text {
			t.Errorf("%q reads as %q", text, got.Format())
		}
		_ = got.Check(root)
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	e, _ := entry(f, 5, 2)
	f.Add(e.Checkpoint)
	f.Fuzz(func(t *testing.T, msg string) {
		cp, err := ParseCheckpoint(msg)
		if err == nil && !strings.HasPrefix(msg, strings.TrimSuffix(FormatCheckpoint(cp), "\n")) {
			t.Errorf("%q reads as %+v", msg, cp)
		}
	})
}
