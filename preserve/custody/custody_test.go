package custody

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"guzheng/capture"
	"guzheng/preserve/key"
	"guzheng/preserve/seal"
	"guzheng/preserve/tlog"
	"guzheng/preserve/tlog/ledger"
	"guzheng/preserve/tsa"
	"guzheng/storage"
	"guzheng/storage/dir"
)

const (
	record  = "GZ-20261123-7KQ4M2XD"
	pkgKey  = "v1/2026/11/23/" + record + "/" + record + ".wacz"
	sealKey = "v1/2026/11/23/" + record + "/" + record + ".seal.json"
)

var (
	lin  = Person{Name: "林", Licence: "浙1001", Account: "inspector"}
	zhao = Person{Name: "赵", Licence: "浙1002", Account: "inspector"}
	chen = Person{Name: "陈", Licence: "浙1003", Account: "archive"}
)

// A shelf is a home with one record, and a clock that can be moved.
type shelf struct {
	Books
	entry storage.Entry
	log   *ledger.Log
	now   time.Time
	dir   string
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{dir: t.TempDir(), now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}
	s.open(t)
	content := []byte("a package")
	d := digest(content)
	until, err := DefaultTerms().Until(Sweep, s.now)
	if err != nil {
		t.Fatal(err)
	}
	for key, b := range map[string][]byte{pkgKey: content, sealKey: s.seal(t, content)} {
		g := digest(b)
		if _, err := s.Store.Put(t.Context(), key, bytes.NewReader(b), storage.Want{Bytes: g.Bytes, SHA256: g.SHA256, Until: until}); err != nil {
			t.Fatal(err)
		}
	}
	s.entry = storage.Entry{ID: record, Package: pkgKey, Seal: sealKey, Kept: s.now, Bytes: d.Bytes, SHA256: d.SHA256, SM3: d.SM3}
	return s
}

// seal seals a package as a press does.
func (s *shelf) seal(t *testing.T, content []byte) []byte {
	t.Helper()
	file := filepath.Join(s.dir, "package")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	stamps, err := tsa.OpenPractice(filepath.Join(s.dir, "keys"), s.Now)
	if err != nil {
		t.Fatal(err)
	}
	p := seal.Press{Key: s.Key, Authorities: []tsa.Authority{stamps}, Log: s.Log, Now: s.Now}
	event, err := p.Event(t.Context(), digest(content))
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.Seal(t.Context(), record, file, event)
	if err != nil {
		t.Fatal(err)
	}
	b, err := seal.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// open opens what is in the directory, as a new process does.
func (s *shelf) open(t *testing.T) {
	t.Helper()
	keys := filepath.Join(s.dir, "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	k, err := key.Open(filepath.Join(keys, "seal.pem"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.log == nil {
		if s.log, err = ledger.Open(context.Background(), filepath.Join(s.dir, "log"), keys); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.log.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	clock := func() time.Time { return s.now }
	store, err := dir.Open(filepath.Join(s.dir, "store"), clock)
	if err != nil {
		t.Fatal(err)
	}
	s.Books = Books{Store: store, Key: k, Log: s.log, Now: clock}
}

func digest(b []byte) capture.Digest {
	d, err := capture.DigestOf(bytes.NewReader(b))
	if err != nil {
		panic(err)
	}
	return d
}

func by(p Person) Deed { return Deed{By: p, Reason: "期满"} }

// later moves the clock behind the retention of the record.
func (s *shelf) later(t *testing.T) {
	t.Helper()
	obj, err := s.Store.Stat(t.Context(), pkgKey)
	if err != nil {
		t.Fatal(err)
	}
	s.now = obj.Until.Add(time.Second)
}

func want(t *testing.T, err, target error, words ...string) {
	t.Helper()
	if target == nil {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want %v", err, target)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

// TestDisposal goes the whole way, and wants every shorter one refused.
func TestDisposal(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ctx := t.Context()
	_, err := s.Propose(ctx, s.entry, by(lin))
	want(t, err, ErrRefused, "retained until")
	s.later(t)
	_, err = s.Dispose(ctx, s.entry, by(lin))
	want(t, err, ErrRefused, "no disposal is proposed")
	_, err = s.Approve(ctx, s.entry, by(zhao))
	want(t, err, ErrRefused, "no disposal is proposed")
	_, err = s.Propose(ctx, s.entry, by(lin))
	want(t, err, nil)
	_, err = s.Propose(ctx, s.entry, by(zhao))
	want(t, err, ErrRefused, "already")
	_, err = s.Approve(ctx, s.entry, by(lin))
	want(t, err, ErrRefused, "another person")
	c, err := s.Approve(ctx, s.entry, by(zhao))
	want(t, err, nil)
	if !c.Acts[1].SameAccount {
		t.Error("an approval under the account that proposed does not say so")
	}
	_, err = s.Dispose(ctx, s.entry, by(lin))
	want(t, err, ErrRefused, "1 of 2")
	_, err = s.Approve(ctx, s.entry, by(Person{Name: "other", Licence: zhao.Licence}))
	want(t, err, ErrRefused, "another person")
	_, err = s.Approve(ctx, s.entry, by(chen))
	want(t, err, nil)
	c, err = s.Dispose(ctx, s.entry, by(lin))
	want(t, err, nil)
	tomb := c.Tombstone()
	if tomb == nil || tomb.Package != digest([]byte("a package")) || !slices.Equal(tomb.Approvers, []Person{zhao, chen}) || !tomb.SameAccount {
		t.Fatalf("tombstone %+v", tomb)
	}
	if _, err := s.Store.Stat(ctx, pkgKey); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("package after disposal: %v", err)
	}
	if _, err := s.Store.Stat(ctx, sealKey); err != nil {
		t.Errorf("seal after disposal: %v", err)
	}
	_, err = s.Hold(ctx, s.entry, "C-1", by(lin))
	want(t, err, ErrRefused, "disposed of")
	// The log knows of it, and of everything before, and of no name.
	for n := range c.Acts {
		p, err := c.proof(ctx, s.Store, n+1, s.trust().Logs)
		if err != nil {
			t.Fatal(err)
		}
		if r := tlog.Check(p.Log, []string{s.log.Verifier()}); r.State() != tlog.Passed {
			t.Errorf("proof of act %d: %+v", n+1, r)
		}
		if strings.Contains(string(p.Log.Leaf), "林") || strings.Contains(string(p.Log.Leaf), record) {
			t.Errorf("the log says too much: %s", p.Log.Leaf)
		}
	}
}

// TestHold wants a hold to outlive the date, and to end a proposal.
func TestHold(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ctx := t.Context()
	s.later(t)
	for _, f := range []func() (*Chain, error){
		func() (*Chain, error) { return s.Propose(ctx, s.entry, by(lin)) },
		func() (*Chain, error) { return s.Approve(ctx, s.entry, by(zhao)) },
		func() (*Chain, error) { return s.Approve(ctx, s.entry, by(chen)) },
		func() (*Chain, error) { return s.Hold(ctx, s.entry, "C-1", by(lin)) },
		func() (*Chain, error) { return s.Hold(ctx, s.entry, "C-2", by(lin)) },
	} {
		if _, err := f(); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{pkgKey, sealKey} {
		if obj, err := s.Store.Stat(ctx, key); err != nil || !obj.Hold {
			t.Errorf("%s under hold: %+v, %v", key, obj, err)
		}
	}
	_, err := s.Dispose(ctx, s.entry, by(lin))
	want(t, err, ErrRefused, "on hold for C-1, C-2")
	_, err = s.Propose(ctx, s.entry, by(lin))
	want(t, err, ErrRefused, "C-1, C-2")
	_, err = s.Hold(ctx, s.entry, "C-1", by(lin))
	want(t, err, ErrRefused, "already")
	_, err = s.Release(ctx, s.entry, "C-3", by(lin))
	want(t, err, ErrRefused, "not on hold")
	_, err = s.Release(ctx, s.entry, "C-1", by(lin))
	want(t, err, nil)
	if obj, err := s.Store.Stat(ctx, pkgKey); err != nil || !obj.Hold {
		t.Errorf("released of one of two holds: %+v, %v", obj, err)
	}
	c, err := s.Release(ctx, s.entry, "C-2", by(lin))
	want(t, err, nil)
	if obj, err := s.Store.Stat(ctx, pkgKey); err != nil || obj.Hold || len(c.Holds()) > 0 {
		t.Errorf("released of both: %+v, %v", obj, err)
	}
	_, err = s.Propose(ctx, s.entry, by(lin))
	want(t, err, nil)
}

// TestClassify wants retention to be extended and never shortened.
func TestClassify(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ctx := t.Context()
	c, err := s.Classify(ctx, s.entry, Finding, by(lin))
	want(t, err, nil)
	five := s.entry.Kept.AddDate(5, 0, 0)
	for _, key := range []string{pkgKey, sealKey} {
		if obj, err := s.Store.Stat(ctx, key); err != nil || obj.Until.Before(five.Add(-24*time.Hour)) {
			t.Errorf("%s is retained until %v, %v", key, obj.Until, err)
		}
	}
	if c.Class() != Finding {
		t.Errorf("class %q", c.Class())
	}
	_, err = s.Classify(ctx, s.entry, Sweep, by(lin))
	want(t, err, storage.ErrShorten, "sweep")
	_, err = s.Classify(ctx, s.entry, "for ever", by(lin))
	want(t, err, ErrClass)
	for _, d := range []Deed{{By: lin}, {Reason: "x"}, {By: Person{Name: "a\nb"}, Reason: "x"}, {By: lin, Reason: strings.Repeat("x", maxWord+1)}, {By: lin, Reason: "\xff"}} {
		_, err = s.Classify(ctx, s.entry, Archive, d)
		want(t, err, ErrWord)
	}
}

// TestOtherPackage wants acts to be about the package that is there.
func TestOtherPackage(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	e := s.entry
	e.SHA256 = strings.Repeat("0", 64)
	_, err := s.Hold(t.Context(), e, "C-1", by(lin))
	want(t, err, storage.ErrAltered)
	e = s.entry
	e.ID = "GZ-20261123-7KQ4M2XE"
	_, err = s.Hold(t.Context(), e, "C-1", by(lin))
	want(t, err, ErrAct)
}

// TestStopped ends every kind of act after every durable step, and wants
// Resume to bring it to its end, with one event each in the log.
func TestStopped(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	for _, step := range []string{"stored", "logged", "settled", "removed"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t)
			ctx := t.Context()
			s.later(t)
			for _, f := range []func() (*Chain, error){
				func() (*Chain, error) { return s.Hold(ctx, s.entry, "C-1", by(lin)) },
				func() (*Chain, error) { return s.Release(ctx, s.entry, "C-1", by(lin)) },
				func() (*Chain, error) { return s.Propose(ctx, s.entry, by(lin)) },
				func() (*Chain, error) { return s.Approve(ctx, s.entry, by(zhao)) },
				func() (*Chain, error) { return s.Approve(ctx, s.entry, by(chen)) },
				func() (*Chain, error) { return s.Dispose(ctx, s.entry, by(lin)) },
			} {
				stored, stopped := false, false
				s.at = func(at string) error {
					// What is finished before the act itself is not meant.
					stored = stored || at == "stored"
					if at != step || !stored || stopped {
						return nil
					}
					stopped = true
					return stop
				}
				if _, err := f(); err != nil && !errors.Is(err, stop) {
					t.Fatal(err)
				}
				s.open(t)
				if _, err := s.Resume(ctx, pkgKey); err != nil {
					t.Fatal(err)
				}
			}
			c, err := Read(ctx, s.Store, pkgKey, s.trust())
			want(t, err, nil)
			if c.Tombstone() == nil || len(c.Acts) != 6 || len(c.Unlogged()) > 0 {
				t.Errorf("%d acts, %v not logged", len(c.Acts), c.Unlogged())
			}
			if _, err := s.Store.Stat(ctx, pkgKey); !errors.Is(err, storage.ErrNotExist) {
				t.Errorf("package after disposal: %v", err)
			}
			if n, err := s.log.Size(ctx); err != nil || n != 7 { // the seal's too
				t.Errorf("%d events in the log, %v", n, err)
			}
		})
	}
}

// A deaf log takes nothing.
type deaf struct{ *ledger.Log }

func (deaf) Append(context.Context, []byte, uint64) (tlog.Entry, error) {
	return tlog.Entry{}, errors.New("no log")
}
func (deaf) Size(context.Context) (uint64, error) { return 0, errors.New("no log") }

// TestNoLog wants nothing to be carried out that is not logged.
func TestNoLog(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ctx := t.Context()
	log := s.Log
	s.Log = deaf{s.log}
	_, err := s.Hold(ctx, s.entry, "C-1", by(lin))
	want(t, err, ErrLog)
	if obj, err := s.Store.Stat(ctx, pkgKey); err != nil || obj.Hold {
		t.Errorf("held without being logged: %+v, %v", obj, err)
	}
	_, err = s.Release(ctx, s.entry, "C-1", by(lin))
	want(t, err, ErrLog)
	s.Log = log
	c, err := s.Resume(ctx, pkgKey)
	want(t, err, nil)
	if obj, err := s.Store.Stat(ctx, pkgKey); err != nil || !obj.Hold || len(c.Acts) != 1 {
		t.Errorf("after the log came back: %+v, %d acts, %v", obj, len(c.Acts), err)
	}
}

// TestAltered wants a chain that somebody wrote into to be refused.
func TestAltered(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, dir string){
		"act gone":    func(t *testing.T, d string) { forget(t, d, ".custody-1.json") },
		"byte":        func(t *testing.T, d string) { replace(t, d, ".custody-2.json", "C-2", "C-3") },
		"proof moved": func(t *testing.T, d string) { forget(t, d, ".custody-2.json") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t)
			for _, c := range []string{"C-1", "C-2"} {
				if _, err := s.Hold(t.Context(), s.entry, c, by(lin)); err != nil {
					t.Fatal(err)
				}
			}
			change(t, filepath.Join(s.dir, "store", filepath.Dir(pkgKey)))
			s.open(t)
			if _, err := Read(t.Context(), s.Store, pkgKey, s.trust()); !errors.Is(err, ErrAct) {
				t.Errorf("Read = %v, want ErrAct", err)
			}
		})
	}
}

// TestOtherHistory wants an act that is signed but does not rest on the act
// before it to be refused.
func TestOtherHistory(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ctx := t.Context()
	c, err := s.Hold(ctx, s.entry, "C-1", by(lin))
	want(t, err, nil)
	c.sums[0] = strings.Repeat("0", 64)
	want(t, s.store(ctx, c, Act{Kind: Held, By: lin, Reason: "r", Case: "C-2", Package: c.Acts[0].Package}), nil)
	_, err = Read(ctx, s.Store, pkgKey, s.trust())
	want(t, err, ErrAct, "stands as act 2")
}

func forget(t *testing.T, dir, suffix string) {
	t.Helper()
	for _, more := range []string{"", "~meta.json"} {
		if err := os.Remove(filepath.Join(dir, record+suffix+more)); err != nil {
			t.Fatal(err)
		}
	}
}

// replace changes an object and the store's record of it alike.
func replace(t *testing.T, dir, suffix, from, to string) {
	t.Helper()
	name := filepath.Join(dir, record+suffix)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	old := digest(b)
	b = bytes.ReplaceAll(b, []byte(from), []byte(to))
	meta, err := os.ReadFile(name + "~meta.json")
	if err != nil {
		t.Fatal(err)
	}
	meta = bytes.ReplaceAll(meta, []byte(old.SHA256), []byte(digest(b).SHA256))
	for n, c := range map[string][]byte{name: b, name + "~meta.json": meta} {
		if err := errors.Join(os.Chmod(n, 0o644), os.WriteFile(n, c, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTwoWriters lets two act at once: one of them is told, and the chain is
// sound.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ctx := t.Context()
	a, err := Read(ctx, s.Store, pkgKey, s.trust())
	want(t, err, nil)
	b, err := Read(ctx, s.Store, pkgKey, s.trust())
	want(t, err, nil)
	act := Act{Kind: Held, Time: s.now, By: lin, Reason: "r", Case: "C-1", Package: digest([]byte("a package"))}
	want(t, s.store(ctx, a, act), nil)
	act.Case = "C-2"
	want(t, s.store(ctx, b, act), storage.ErrConflict)
	c, err := s.Resume(ctx, pkgKey)
	want(t, err, nil)
	if !slices.Equal(c.Holds(), []string{"C-1"}) {
		t.Errorf("holds %v", c.Holds())
	}
}

func FuzzDecode(f *testing.F) {
	k, err := key.Open(filepath.Join(f.TempDir(), "k.pem"), nil)
	if err != nil {
		f.Fatal(err)
	}
	a := Act{Format: Format, Record: record, N: 1, Kind: Held, By: lin, Reason: "r", Case: "C"}
	a.Key, a.PublicKey = k.Identity()
	d, err := a.signed()
	if err != nil {
		f.Fatal(err)
	}
	if a.Signature, err = k.Sign(d); err != nil {
		f.Fatal(err)
	}
	b, err := a.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format":"guzheng-custody/1"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrAct) {
				t.Errorf("error %v does not wrap ErrAct", err)
			}
			return
		}
		again, err := got.encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("decodes to %s, %v", again, err)
		}
	})
}
