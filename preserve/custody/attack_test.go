package custody

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"guzheng/capture"
	"guzheng/preserve/key"
	"guzheng/preserve/tlog/ledger"
	"guzheng/storage"
)

var errStop = errors.New("stop")

// stopAt is the same books, whose process ends after a step.
func (s *shelf) stopAt(step string) Books {
	b := s.Books
	b.at = func(at string) error {
		if at == step {
			return errStop
		}
		return nil
	}
	return b
}

// there wants the package to be in the store, on hold or not.
func (s *shelf) there(t *testing.T, hold bool) {
	t.Helper()
	if obj, err := s.Store.Stat(t.Context(), pkgKey); err != nil || obj.Hold != hold {
		t.Fatalf("package: hold %v, want %v, %v", obj.Hold, hold, err)
	}
}

// approved brings a record to where its disposal can be carried out.
func (s *shelf) approved(t *testing.T) {
	t.Helper()
	s.later(t)
	_, err := s.Propose(t.Context(), s.entry, by(lin))
	want(t, err, nil)
	for _, p := range []Person{zhao, chen} {
		_, err = s.Approve(t.Context(), s.entry, by(p))
		want(t, err, nil)
	}
}

func (s *shelf) file(suffix string) string {
	return filepath.Join(s.dir, "store", filepath.FromSlash(strings.TrimSuffix(pkgKey, ".wacz")+suffix))
}

func overwrite(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := errors.Join(os.Chmod(name, 0o644), os.WriteFile(name, b, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// TestHoldVoids asks for a hold when a disposal is approved and stored and
// not carried out: the package stays.
func TestHoldVoids(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"stored", "logged"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t)
			ctx := t.Context()
			s.approved(t)
			_, err := s.stopAt(step).Dispose(ctx, s.entry, by(lin))
			want(t, err, errStop)
			_, err = s.Classify(ctx, s.entry, Permanent, by(lin))
			want(t, err, ErrRefused, "disposed of")
			s.there(t, false)
			c, err := s.Hold(ctx, s.entry, "COURT-1", by(lin))
			want(t, err, nil)
			if c.Tombstone() != nil || c.LastDisposal() == nil || !slices.Equal(c.Holds(), []string{"COURT-1"}) {
				t.Errorf("after the hold: tombstone %v, holds %v", c.Tombstone(), c.Holds())
			}
			s.there(t, true)
			_, err = s.Resume(ctx, pkgKey)
			want(t, err, nil)
			s.there(t, true)
			_, err = s.Release(ctx, s.entry, "COURT-1", by(lin))
			want(t, err, nil)
			_, err = s.Dispose(ctx, s.entry, by(lin))
			want(t, err, ErrRefused, "no disposal is proposed")
			s.there(t, false)
		})
	}
}

// TestHoldTooLate wants a hold that came between the last look and the removal
// to be told that there is nothing left to hold.
func TestHoldTooLate(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ctx := t.Context()
	s.approved(t)
	_, err := s.stopAt("logged").Dispose(ctx, s.entry, by(lin))
	want(t, err, errStop)
	late, once := s.Books, true
	late.at = func(step string) error {
		if step != "logged" || !once {
			return nil
		}
		once = false
		r, ok := s.Store.(storage.Remover)
		if !ok {
			t.Fatalf("%T removes nothing", s.Store)
		}
		return r.Remove(ctx, pkgKey)
	}
	_, err = late.Hold(ctx, s.entry, "COURT-1", by(lin))
	want(t, err, ErrRefused, "the package went by act 4")
	c, err := Read(ctx, s.Store, pkgKey, s.trust())
	want(t, err, nil)
	if c.LastDisposal() == nil || c.LastDisposal().N != 4 {
		t.Errorf("last disposal %+v", c.LastDisposal())
	}
	_, err = s.Release(ctx, s.entry, "COURT-1", by(lin))
	want(t, err, ErrRefused, "the package went by act 4")
}

// TestDisposeAgain goes on with a tombstone.
func TestDisposeAgain(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.approved(t)
	_, err := s.stopAt("logged").Dispose(t.Context(), s.entry, by(lin))
	want(t, err, errStop)
	c, err := s.Dispose(t.Context(), s.entry, by(zhao))
	want(t, err, nil)
	if _, err := s.Store.Stat(t.Context(), pkgKey); !errors.Is(err, storage.ErrNotExist) || len(c.Acts) != 4 {
		t.Errorf("%d acts, package: %v", len(c.Acts), err)
	}
}

// TestForeignKey wants acts of another key to be no acts: neither to take a
// record off its hold nor to dispose of it.
func TestForeignKey(t *testing.T) {
	t.Parallel()
	k, err := key.Open(filepath.Join(t.TempDir(), "other.pem"), nil)
	want(t, err, nil)
	t.Run("release", func(t *testing.T) {
		s := newShelf(t)
		c, err := s.Hold(t.Context(), s.entry, "C-1", by(lin))
		want(t, err, nil)
		evil := s.Books
		evil.Key = k
		want(t, evil.store(t.Context(), c, Act{Kind: Released, Time: s.now, By: zhao, Reason: "r", Case: "C-1", Package: c.Acts[0].Package}), nil)
		_, err = s.Resume(t.Context(), pkgKey)
		want(t, err, ErrAct, "not a key of this installation")
		s.there(t, true)
		// A key of this installation from before is one.
		s.Trust.Keys = []string{k.ID}
		_, err = s.Resume(t.Context(), pkgKey)
		want(t, err, nil)
		s.there(t, false)
	})
	t.Run("tombstone", func(t *testing.T) {
		s := newShelf(t)
		s.later(t)
		evil := s.Books
		evil.Key = k
		until := s.now.Add(-time.Second)
		want(t, evil.store(t.Context(), &Chain{Record: record, Package: pkgKey},
			Act{Kind: Disposed, Time: s.now, By: lin, Reason: "r", Until: &until, Package: digest([]byte("a package"))}), nil)
		_, err := s.Resume(t.Context(), pkgKey)
		want(t, err, ErrAct)
		_, err = s.Hold(t.Context(), s.entry, "COURT-1", by(lin))
		want(t, err, ErrAct)
		s.there(t, false)
	})
}

// TestRules writes acts with the right key that break the rules, and wants
// the chain refused before anything of it is carried out.
func TestRules(t *testing.T) {
	t.Parallel()
	pkg := digest([]byte("a package"))
	past := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	proposed := []Act{{Kind: Proposed, By: lin}}
	one := append(slices.Clone(proposed), Act{Kind: Approved, By: zhao, Proposal: 1, SameAccount: true})
	two := append(slices.Clone(one), Act{Kind: Approved, By: chen, Proposal: 1})
	tomb := func(by ...Person) Act {
		return Act{Kind: Disposed, By: lin, Proposal: 1, Class: Sweep, Until: &past, SameAccount: true, Approvers: by}
	}
	future := past.AddDate(100, 0, 0)
	early := tomb(zhao, chen)
	early.Until = &future
	for name, c := range map[string]struct {
		acts  []Act
		sound bool
	}{
		"sound":                       {append(slices.Clone(two), tomb(zhao, chen)), true},
		"tombstone alone":             {[]Act{{Kind: Disposed, By: lin, Class: Sweep, Until: &past}}, false},
		"one approval":                {append(slices.Clone(one), tomb(zhao)), false},
		"one approval twice":          {append(slices.Clone(one), Act{Kind: Approved, By: zhao, Proposal: 1, SameAccount: true}), false},
		"approved by who proposed":    {append(slices.Clone(proposed), Act{Kind: Approved, By: lin, Proposal: 1, SameAccount: true}), false},
		"account kept back":           {append(slices.Clone(proposed), Act{Kind: Approved, By: zhao, Proposal: 1}), false},
		"other approvers":             {append(slices.Clone(two), tomb(zhao, lin)), false},
		"other proposal":              {append(slices.Clone(proposed), Act{Kind: Approved, By: zhao, Proposal: 2, SameAccount: true}), false},
		"before the date":             {append(slices.Clone(two), early), false},
		"no licence":                  {[]Act{{Kind: Proposed, By: Person{Name: "x"}}}, false},
		"on hold":                     {[]Act{{Kind: Held, By: lin, Case: "C"}, {Kind: Proposed, By: lin}}, false},
		"released without a hold":     {[]Act{{Kind: Released, By: lin, Case: "C"}}, false},
		"released after disposal":     {append(slices.Clone(two), tomb(zhao, chen), Act{Kind: Released, By: lin, Case: "C"}), false},
		"case of what is no hold":     {[]Act{{Kind: Proposed, By: lin, Case: "C"}}, false},
		"retained for a shorter time": {[]Act{{Kind: Classified, By: lin, Class: Permanent, Until: &future}, {Kind: Classified, By: lin, Class: Finding, Until: &past}}, false},
		"class of captures":           {[]Act{{Kind: Classified, By: lin, Class: Case, Until: &future}}, false},
		"no kind":                     {[]Act{{Kind: "burnt", By: lin}}, false},
		"no reason":                   {[]Act{{Kind: Held, By: lin, Case: "C", Reason: " "}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t)
			s.later(t)
			chain := &Chain{Record: record, Package: pkgKey}
			for _, a := range c.acts {
				a.Time, a.Package = s.now, pkg
				if a.Reason == "" {
					a.Reason = "r"
				}
				want(t, s.store(t.Context(), chain, a), nil)
			}
			_, err := s.Resume(t.Context(), pkgKey)
			if c.sound {
				want(t, err, nil)
				return
			}
			want(t, err, ErrAct)
			s.there(t, false)
		})
	}
}

// TestProof wants proofs that do not hold to be noticed.
func TestProof(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	other, err := ledger.Open(context.Background(), filepath.Join(t.TempDir(), "log"), t.TempDir())
	want(t, err, nil)
	t.Cleanup(func() { want(t, other.Close(context.Background()), nil) })
	for name, forge := range map[string]func(s *shelf, c *Chain) []byte{
		"nothing": func(*shelf, *Chain) []byte { return []byte("{}") },
		"another log": func(_ *shelf, c *Chain) []byte {
			leaf, err := c.leaf(1)
			want(t, err, nil)
			e, err := other.Append(ctx, leaf, 0)
			want(t, err, nil)
			b, err := json.Marshal(Proof{Format: Format, SHA256: c.sums[0], Log: e})
			want(t, err, nil)
			return b
		},
		"no inclusion": func(s *shelf, c *Chain) []byte {
			leaf, err := c.leaf(1)
			want(t, err, nil)
			e, err := s.log.Append(ctx, []byte(`{"event":"other"}`), 0)
			want(t, err, nil)
			e.Leaf = leaf
			b, err := json.Marshal(Proof{Format: Format, SHA256: c.sums[0], Log: e})
			want(t, err, nil)
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t)
			_, err := s.stopAt("stored").Hold(t.Context(), s.entry, "C-1", by(lin))
			want(t, err, errStop)
			c, err := Read(t.Context(), s.Store, pkgKey, s.trust())
			want(t, err, nil)
			if !slices.Equal(c.Unlogged(), []int{1}) {
				t.Errorf("unlogged %v", c.Unlogged())
			}
			want(t, s.put(t.Context(), strings.TrimSuffix(pkgKey, ".wacz")+".custody-1.log.json", forge(s, c), s.now), nil)
			_, err = s.Resume(t.Context(), pkgKey)
			want(t, err, ErrAct, "proof of act 1")
			s.there(t, false)
		})
	}
}

// TestCut takes acts off the end of a chain, and wants the log to miss them.
func TestCut(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ctx := t.Context()
	s.later(t)
	_, err := s.Hold(ctx, s.entry, "C-1", by(lin))
	want(t, err, nil)
	dir := filepath.Join(s.dir, "store", filepath.Dir(pkgKey))
	forget(t, dir, ".custody-1.json")
	forget(t, dir, ".custody-1.log.json")
	_, err = s.Store.Hold(ctx, pkgKey, false)
	want(t, err, nil)
	c, err := Read(ctx, s.Store, pkgKey, s.trust())
	want(t, err, nil)
	if len(c.Acts) != 0 {
		t.Fatal("nothing was cut off")
	}
	_, err = ReadLogged(ctx, s.Store, pkgKey, s.trust(), s.log)
	want(t, err, ErrAct, "the log has act 1 (held")
	_, err = s.Resume(ctx, pkgKey)
	want(t, err, ErrAct, "the log has act 1")
	_, err = s.Propose(ctx, s.entry, by(lin))
	want(t, err, ErrAct, "the log has act 1")
	_, err = s.Classify(ctx, s.entry, Permanent, by(lin))
	want(t, err, ErrAct, "the log has act 1")
	// Another act in its place is not the one that was logged.
	_, err = s.Hold(ctx, s.entry, "C-2", by(lin))
	want(t, err, nil)
	_, err = s.Resume(ctx, pkgKey)
	want(t, err, ErrAct, "the log has act 1 (held")
}

// TestStoreHold wants a hold that the store has, and no act laid on, to stay.
func TestStoreHold(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ctx := t.Context()
	_, err := s.Store.Hold(ctx, pkgKey, true)
	want(t, err, nil)
	_, err = s.Classify(ctx, s.entry, Finding, by(lin))
	want(t, err, nil)
	s.there(t, true)
	s.later(t)
	_, err = s.Propose(ctx, s.entry, by(lin))
	want(t, err, ErrRefused, "no act says for what")
}

// TestStoreDate sets the store's date back, and wants it not to be believed.
func TestStoreDate(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(s *shelf){
		"sweep": func(*shelf) {},
		"case":  func(s *shelf) { s.entry.Case = "C-1" },
		"class": func(s *shelf) {
			_, err := s.Classify(t.Context(), s.entry, Finding, by(lin))
			want(t, err, nil)
			// Below the terms of today; the acts still demand it.
			s.Terms = DefaultTerms()
			s.Terms[Finding] = 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t)
			prepare(s)
			obj, err := s.Store.Stat(t.Context(), pkgKey)
			want(t, err, nil)
			meta, err := os.ReadFile(s.file(".wacz~meta.json"))
			want(t, err, nil)
			overwrite(t, s.file(".wacz~meta.json"), bytes.Replace(meta, []byte(obj.Until.Format("2006-01-02")), []byte("2026-11-25"), 1))
			s.open(t)
			if obj, err = s.Store.Stat(t.Context(), pkgKey); err != nil || obj.Until.Year() != 2026 {
				t.Fatalf("nothing was altered: %v, %v", obj.Until, err)
			}
			s.now = s.now.AddDate(0, 0, 2)
			if name != "class" { // an act sets the date right again
				_, err = s.Due(t.Context(), s.entry)
				want(t, err, ErrRefused, "may have been altered")
				_, err = s.Propose(t.Context(), s.entry, by(lin))
				want(t, err, ErrRefused, "may have been altered")
				return
			}
			_, err = s.Due(t.Context(), s.entry)
			want(t, err, ErrRefused, "may have been altered")
			_, err = s.Propose(t.Context(), s.entry, by(lin))
			want(t, err, ErrRefused, "retained until 2031")
		})
	}
}

// TestDue wants records to be due whose time is over, and no others.
func TestDue(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ctx := t.Context()
	_, err := s.Due(ctx, s.entry)
	want(t, err, ErrRefused, "retained until")
	s.later(t)
	b := Books{Store: s.Store, Now: s.Now, Trust: s.trust()} // neither key nor log
	_, err = b.Due(ctx, s.entry)
	want(t, err, nil)
	_, err = s.stopAt("logged").Hold(ctx, s.entry, "C-1", by(lin)) // not yet in the store
	want(t, err, errStop)
	s.there(t, false)
	_, err = b.Due(ctx, s.entry)
	want(t, err, ErrRefused, "on hold for C-1")
}

// TestAlteredPackage wants evidence that was altered not to be disposed of.
func TestAlteredPackage(t *testing.T) {
	t.Parallel()
	for name, alter := range map[string]func(t *testing.T, s *shelf){
		"bytes":            func(t *testing.T, s *shelf) { overwrite(t, s.file(".wacz"), []byte("A PACKAGE")) },
		"bytes and digest": func(t *testing.T, s *shelf) { replace(t, filepath.Dir(s.file("")), ".wacz", "a package", "A PACKAGE") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t)
			s.approved(t)
			alter(t, s)
			_, err := s.Dispose(t.Context(), s.entry, by(lin))
			want(t, err, storage.ErrAltered)
			c, err := Read(t.Context(), s.Store, pkgKey, s.trust())
			want(t, err, nil)
			if c.Tombstone() != nil {
				t.Error("there is a tombstone")
			}
			s.there(t, false)
		})
		t.Run(name+" after the tombstone", func(t *testing.T) {
			s := newShelf(t)
			s.approved(t)
			_, err := s.stopAt("logged").Dispose(t.Context(), s.entry, by(lin))
			want(t, err, errStop)
			alter(t, s)
			_, err = s.Resume(t.Context(), pkgKey)
			want(t, err, storage.ErrAltered)
			s.there(t, false)
		})
	}
}

// TestCatalogue wants the digest in the acts to be the seal's.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	e := s.entry
	e.SM3 = strings.Repeat("0", 64)
	c, err := s.Hold(t.Context(), e, "C-1", by(lin))
	want(t, err, nil)
	if c.Acts[0].Package != digest([]byte("a package")) {
		t.Errorf("the act is about %+v", c.Acts[0].Package)
	}
}

// TestAlteredSeal wants a hold to reach the package whatever became of the
// seal beside it, and nothing else to rest on such a seal.
func TestAlteredSeal(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ctx := t.Context()
	overwrite(t, s.file(".seal.json"), []byte("{}"))
	_, err := s.Hold(ctx, s.entry, "C-1", by(lin))
	want(t, err, storage.ErrAltered)
	s.there(t, true)
	_, err = s.Release(ctx, s.entry, "C-1", by(lin))
	want(t, err, storage.ErrAltered)
	s.there(t, true)
}

// TestForeignSeal wants the time in a seal of another key not to count.
func TestForeignSeal(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	k, err := key.Open(filepath.Join(t.TempDir(), "other.pem"), nil)
	want(t, err, nil)
	mine := s.Key
	s.Key, s.now = k, s.now.AddDate(-10, 0, 0)
	b := s.seal(t, []byte("a package"))
	s.Key, s.now = mine, s.now.AddDate(10, 0, 0)
	want(t, s.put(t.Context(), strings.TrimSuffix(pkgKey, ".wacz")+".seal-2.json", b, s.now), nil)
	s.later(t)
	_, err = s.Propose(t.Context(), s.entry, by(lin))
	want(t, err, storage.ErrAltered, "not one of this installation")
}

// TestMeanwhile lets another person act while an act is being carried out.
func TestMeanwhile(t *testing.T) {
	t.Parallel()
	t.Run("release and hold", func(t *testing.T) {
		s := newShelf(t)
		ctx := t.Context()
		_, err := s.Hold(ctx, s.entry, "C-1", by(lin))
		want(t, err, nil)
		slow, once := s.Books, true
		slow.at = func(step string) error {
			if step == "logged" && once {
				once = false
				_, err := s.Hold(ctx, s.entry, "C-2", by(zhao))
				return err
			}
			return nil
		}
		c, err := slow.Release(ctx, s.entry, "C-1", by(lin))
		want(t, err, nil)
		if !slices.Equal(c.Holds(), []string{"C-2"}) {
			t.Errorf("holds %v", c.Holds())
		}
		s.there(t, true)
	})
	t.Run("disposal and hold", func(t *testing.T) {
		s := newShelf(t)
		ctx := t.Context()
		s.approved(t)
		slow, once := s.Books, true
		slow.at = func(step string) error {
			if step == "logged" && once {
				once = false
				_, err := s.Hold(ctx, s.entry, "COURT-1", by(zhao))
				return err
			}
			return nil
		}
		_, err := slow.Dispose(ctx, s.entry, by(lin))
		want(t, err, ErrRefused, "on hold meanwhile")
		s.there(t, true)
	})
}

// TestPersons wants two texts that a person reads as one to be one person,
// and what cannot be seen to be refused.
func TestPersons(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ctx := t.Context()
	s.later(t)
	_, err := s.Propose(ctx, s.entry, by(Person{Name: "林"}))
	want(t, err, ErrWord, "licence")
	_, err = s.Propose(ctx, s.entry, by(Person{Name: "林", Licence: "浙A1001"}))
	want(t, err, nil)
	for _, p := range []Person{
		{Name: "林\u200b", Licence: "浙1002"}, {Name: "林", Licence: "浙1002\u2060"}, {Name: "林\u202e", Licence: "浙1002"},
		{Name: "林\u034f", Licence: "浙1002"}, {Name: "林", Licence: "浙1002\ufe0f"}, {Name: "林"},
	} {
		_, err = s.Approve(ctx, s.entry, by(p))
		want(t, err, ErrWord)
	}
	for _, licence := range []string{"浙 A1001", "浙Ａ１００１", "浙\u3000a1001", "浙A-1001"} {
		_, err = s.Approve(ctx, s.entry, by(Person{Name: "other", Licence: licence}))
		want(t, err, ErrRefused, "another person")
	}
	c, err := s.Approve(ctx, s.entry, by(Person{Name: "林", Licence: "浙1002", Account: "a"}))
	want(t, err, nil)
	if !c.Acts[1].SameAccount {
		t.Error("an account that is not known counts as another one")
	}
}

// TestRemnant makes the catalogue's row again from what disposal leaves.
func TestRemnant(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ctx := t.Context()
	_, err := Remnant(ctx, s.Store, pkgKey, s.trust())
	want(t, err, storage.ErrNotExist)
	kept := s.now
	s.approved(t)
	c, err := s.Dispose(ctx, s.entry, by(lin))
	want(t, err, nil)
	e, err := Remnant(ctx, s.Store, pkgKey, s.trust())
	want(t, err, nil)
	d := digest([]byte("a package"))
	if e.ID != record || e.State != StateDisposed || !e.Kept.Equal(kept) || e.Seal != sealKey || !e.Until.Equal(*c.Tombstone().Until) ||
		(capture.Digest{Bytes: e.Bytes, SHA256: e.SHA256, SM3: e.SM3}) != d {
		t.Errorf("%+v", e)
	}
	if pkg, ok := PackageOf(strings.TrimSuffix(pkgKey, ".wacz") + ".custody-1.json"); !ok || pkg != pkgKey {
		t.Errorf("the package of its first act is %q, %v", pkg, ok)
	}
}
