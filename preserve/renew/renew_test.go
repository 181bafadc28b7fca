package renew

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"guzheng/preserve"
	"guzheng/preserve/ers"
	"guzheng/preserve/tlog"
	"guzheng/preserve/tsa"
	"guzheng/preserve/tsa/tsatest"
)

// TestDecades lets three packages live through the certificates of three
// authorities and two hash functions.
func TestDecades(t *testing.T) {
	h := newHouse(t, t.TempDir())
	short, long, longest := h.authority(t, "short", 2), h.authority(t, "long", 6), h.authority(t, "longest", 30)
	trust := tsatest.Both(short, long, longest)
	h.fill(t, 3, short)

	h.Authorities = []tsa.Imprinter{long}
	if b := h.run(t, Request{}); b.ID != "" || b.Looked != 3 || h.evidence(t) != 0 {
		t.Errorf("nothing is due: %+v", b)
	}
	h.t = h.t.AddDate(2, -1, 0) // a month before the seals' certificate expires
	b := h.run(t, Request{})
	if b.Records != 3 || b.Kinds[KindInitial] != 3 || len(b.Tokens) != 1 || !b.Whole() {
		t.Errorf("%+v", b)
	}
	if r := tlog.Check(b.Log, []string{h.log.Verifier()}); r.State() != tlog.Passed {
		t.Errorf("%+v", r)
	}
	var event Renewed
	if err := json.Unmarshal(b.Log.Leaf, &event); err != nil || event.Records != 3 || event.Batch != b.ID || event.Roots[0].Root != b.Tokens[0].Root {
		t.Errorf("event %s, %v", b.Log.Leaf, err)
	}
	if bytes.Contains(b.Log.Leaf, []byte("GZ-")) || bytes.Contains(b.Log.Leaf, []byte("example")) {
		t.Errorf("the log's event says too much: %s", b.Log.Leaf)
	}
	if b = h.run(t, Request{}); b.ID != "" {
		t.Errorf("renewed what is not due: %+v", b)
	}

	h.Authorities = []tsa.Imprinter{longest}
	h.t = h.t.AddDate(4, 0, 0)
	if b = h.run(t, Request{}); b.Kinds[KindRenewal] != 3 || b.Tokens[0].Records != 3 {
		t.Errorf("%+v", b)
	}
	// One token had made all three: one leaf renews them.
	if r, _ := h.record(t, h.keys[2], 2, trust, tsa.Passed); r.Last().Tree != nil {
		t.Errorf("a tree of %d lists for one leaf", len(r.Last().Tree))
	}
	for _, hash := range []tsa.Hash{tsa.SHA512, tsa.SM3} {
		h.t = h.t.AddDate(3, 0, 0)
		if b = h.run(t, Request{Hash: hash}); b.Kinds[KindRehash] != 3 || b.Tokens[0].Hash != hash {
			t.Errorf("%+v", b)
		}
	}
	if b = h.run(t, Request{Hash: tsa.SM3}); b.ID != "" {
		t.Errorf("changed to the same hash function: %+v", b)
	}
	if b = h.run(t, Request{All: true}); b.Kinds[KindRenewal] != 3 {
		t.Errorf("%+v", b)
	}
	for _, k := range h.keys {
		var last = 5
		for n := 1; n <= last; n++ {
			state := tsa.Passed
			if n == 1 {
				state = tsa.Unknown // its certificate has expired since
			}
			h.record(t, k, n, trust, state)
		}
		older, _ := h.record(t, k, last-1, trust, tsa.Passed)
		if r, _ := h.record(t, k, last, trust, tsa.Passed); len(r.Chains) != 3 || !r.Extends(older) || len(r.Chains[2]) != 2 {
			t.Errorf("%s: %d chains", k, len(r.Chains))
		}
	}
	if n := h.evidence(t); n != 15 {
		t.Errorf("%d records", n)
	}
	accounts, err := filepath.Glob(filepath.Join(h.Dir, "*.json"))
	if err != nil || len(accounts) != 5 {
		t.Errorf("accounts %v, %v", accounts, err)
	}
}

// TestAuthorities has two authorities, of which one fails for a time.
func TestAuthorities(t *testing.T) {
	h := newHouse(t, t.TempDir())
	one, two := h.authority(t, "one", 10), h.authority(t, "two", 10)
	trust := tsatest.Both(one, two)
	h.fill(t, 2, one)
	h.Authorities = []tsa.Imprinter{one, two}
	one.Down = true
	b := h.run(t, Request{All: true})
	if b.Whole() || b.Records != 2 || b.Tokens[0].Error == "" || b.Tokens[1].Error != "" {
		t.Errorf("%+v", b)
	}
	two.Down = true
	_, err := h.Run(t.Context(), Request{Packages: h.packages(), All: true})
	if !errors.Is(err, ErrNoToken) || h.evidence(t) != 2 {
		t.Errorf("%v, %d records", err, h.evidence(t))
	}
	one.Down, two.Down = false, false
	if b = h.run(t, Request{All: true}); !b.Whole() || b.Records != 4 || b.Kinds[KindRenewal] != 4 {
		t.Errorf("%+v", b)
	}
	if b = h.run(t, Request{All: true, Hash: tsa.SHA384}); b.Records != 4 || b.Kinds[KindRehash] != 4 {
		t.Errorf("%+v", b)
	}
	f, err := h.look(t.Context(), h.keys[0])
	if err != nil || len(f.heads) != 2 {
		t.Fatalf("%d heads, %v", len(f.heads), err)
	}
	for _, head := range f.heads {
		h.record(t, h.keys[0], head.number, trust, tsa.Passed)
	}
	survey, err := h.Survey(t.Context(), Request{Packages: h.packages(), Hash: tsa.SM3}, nil)
	if err != nil || survey.Packages != 2 || survey.Kinds[KindRehash] != 2 || h.evidence(t) != 10 {
		t.Errorf("%+v, %v, %d records", survey, err, h.evidence(t))
	}
}

// TestNewSeal begins a new record when a fuller seal has come: it is about
// everything beside the package.
func TestNewSeal(t *testing.T) {
	h := newHouse(t, t.TempDir())
	a := h.authority(t, "one", 10)
	h.fill(t, 1, a)
	h.Authorities = []tsa.Imprinter{a}
	h.run(t, Request{All: true})
	stem := strings.TrimSuffix(h.keys[0], ".wacz")
	// The same bytes again are nothing new.
	first, err := readAll(t.Context(), h.Store, stem+".seal.json", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	h.put(t, stem+".seal-2.json", first)
	if b := h.run(t, Request{All: true}); b.Kinds[KindRenewal] != 1 || !b.Whole() {
		t.Errorf("%+v", b)
	}
	h.put(t, stem+".seal-3.json", h.sealed(t, filepath.Base(stem), []byte("package 0")))
	if b := h.run(t, Request{All: true}); b.Kinds[KindInitial] != 1 {
		t.Errorf("%+v", b)
	}
	// Package, two seals, two older records.
	if _, about := h.record(t, h.keys[0], 3, a.Trust(), tsa.Passed); len(about) != 5 {
		t.Errorf("about %d objects", len(about))
	}
}

// TestBroken puts what does not hold beside packages.
func TestBroken(t *testing.T) {
	h := newHouse(t, t.TempDir())
	a := h.authority(t, "one", 10)
	h.fill(t, 3, a)
	h.Authorities = []tsa.Imprinter{a}
	h.run(t, Request{All: true})
	foreign, err := readAll(t.Context(), h.Store, preserve.EvidenceKey(h.keys[0], 1), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	h.put(t, preserve.EvidenceKey(h.keys[1], 2), foreign)
	h.put(t, preserve.EvidenceKey(h.keys[2], 2), []byte("no record"))
	b := h.run(t, Request{All: true})
	if len(b.Problems) != 2 || b.Records != 3 || b.Kinds[KindRenewal] != 3 || b.Whole() {
		t.Errorf("%+v", b)
	}
	h.record(t, h.keys[1], 3, a.Trust(), tsa.Passed)
	// One that was put together of two: it begins well.
	mine, _ := h.record(t, h.keys[0], 1, a.Trust(), tsa.Passed)
	other, _ := h.record(t, h.keys[1], 3, a.Trust(), tsa.Passed)
	mixed, err := ers.Record{Chains: []ers.Chain{append(mine.Chains[0][:1:1], other.Chains[0][0])}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	h.put(t, preserve.EvidenceKey(h.keys[0], 7), mixed)
	if b = h.run(t, Request{All: true}); len(b.Problems) != 3 || b.Records != 3 || b.Kinds[KindRenewal] != 3 {
		t.Errorf("%+v", b)
	}
	h.record(t, h.keys[0], 8, a.Trust(), tsa.Passed)

	// A package that is not what was sealed is left alone.
	store := filepath.Join(h.home, "store", filepath.FromSlash(h.keys[0]))
	if err := os.Chmod(store, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(store, []byte("another 0"), 0o600); err != nil {
		t.Fatal(err)
	}
	b = h.run(t, Request{Hash: tsa.SHA512})
	if b.Kinds[KindRehash] != 2 || b.Packages != 2 {
		t.Errorf("%+v", b)
	}
}

// TestLate goes on with a batch only after the certificate has expired: no
// record is made that could not be good.
func TestLate(t *testing.T) {
	h := newHouse(t, t.TempDir())
	short, long := h.authority(t, "short", 2), h.authority(t, "long", 20)
	h.fill(t, 1, short)
	h.Authorities = []tsa.Imprinter{short}
	h.run(t, Request{All: true})
	h.Authorities = []tsa.Imprinter{short, long}
	h.at = func(p string) error {
		if p == "before token-1-sha256.json" {
			return errCrash
		}
		return nil
	}
	if _, err := h.Run(t.Context(), Request{Packages: h.packages(), All: true}); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	h.at = nil
	h.t = h.t.AddDate(3, 0, 0)
	got, err := h.Run(t.Context(), Request{Packages: h.packages(), Due: time.Hour})
	if err != nil || len(got) != 2 || len(got[0].Problems) != 1 || got[0].Records != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
}
