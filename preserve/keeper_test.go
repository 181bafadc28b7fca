package preserve

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guzheng/capture"
	"guzheng/preserve/seal"
	"guzheng/preserve/tlog"
	"guzheng/preserve/tlog/ledger"
	"guzheng/preserve/tsa"
	"guzheng/preserve/wacz"
	"guzheng/storage"
)

func TestKeep(t *testing.T) {
	t.Parallel()
	home, berth := spool(t)
	k, log := open(t, home)
	r, err := k.Keep(t.Context(), berth)
	if err != nil {
		t.Fatal(err)
	}
	// 22 November 23:30 UTC is the 23rd in Beijing.
	const stem = "v1/2026/11/23/" + testID + "/" + testID
	if got := objects(t, k.Store); !cmp.Equal(got, []string{stem + ".seal.json", stem + ".wacz"}) {
		t.Errorf("store holds %v", got)
	}
	e := r.Entry
	if e.ID != testID || e.Title != title || e.Case != "C-1" || e.State != "complete" || e.Package != stem+".wacz" || e.Seal != stem+".seal.json" ||
		e.Pending || e.SHA256 != r.Package.SHA256 || e.Kept.IsZero() || !e.Until.Equal(e.Kept.AddDate(3, 0, 0)) {
		t.Errorf("entry %+v", e)
	}
	if err := r.consistent(); err != nil {
		t.Error(err)
	}
	checkPackage(t, k.Store, r, log)
	again, err := k.Keep(t.Context(), berth)
	if err != nil || !cmp.Equal(again, r) {
		t.Errorf("kept again: %v\n%s", err, cmp.Diff(r, again))
	}
	// The same record comes out of the store alone.
	back, err := Read(t.Context(), k.Store, r.Package.Key)
	if err != nil || !cmp.Equal(back, r) {
		t.Errorf("read back: %v\n%s", err, cmp.Diff(r, back))
	}
}

// checkPackage opens the stored package and checks what the keeper put in.
func checkPackage(t *testing.T, s storage.Store, r Record, log *ledger.Log) {
	t.Helper()
	c, obj, err := s.Open(t.Context(), r.Package.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p, err := wacz.Open(c, obj.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Datapackage()
	if err != nil || d.MainPageURL != pageURL || d.Title != title || d.Software != "guzheng 0.1" {
		t.Errorf("datapackage %+v %v", d, err)
	}
	var raw wacz.Raw
	var stamps []tsa.Stamp
	for name, v := range map[string]any{wacz.RawPath: &raw, wacz.RawStampsPath: &stamps} {
		b, err := p.ReadFile(name, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, v); err != nil {
			t.Fatal(err)
		}
	}
	root, err := sumOf(raw.Root)
	if err != nil || root != raw.TreeRoot() || len(raw.Files) != len(r.Take.Files)+1 {
		t.Errorf("raw %+v %v", raw, err)
	}
	if len(stamps) != 1 || tsa.Check(stamps[0], root, tsa.Trust{}).State() == tsa.Failed {
		t.Errorf("raw stamps %+v", stamps)
	}
	sum, _ := sumOf(r.Package.SHA256)
	if rep := tsa.Check(r.SealValue.Stamps[0], sum, tsa.Trust{}); rep.State() == tsa.Failed {
		t.Errorf("stamp %+v", rep)
	}
	if rep := tlog.Check(r.SealValue.Log, []string{log.Verifier()}); rep.State() != tlog.Passed {
		t.Errorf("log %+v", rep)
	}
}

func TestChangedFile(t *testing.T) {
	t.Parallel()
	_, probe := spool(t)
	take, err := capture.ReadTake(filepath.Join(probe, takeDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range take.Files {
		for _, after := range []string{"", rawFile, stampsFile} {
			home, berth := spool(t)
			k, log := open(t, home)
			if after != "" {
				k.at = func(p string) error {
					if p == afterPrefix+after {
						return errCrash
					}
					return nil
				}
				if _, err := k.Keep(t.Context(), berth); !errors.Is(err, errCrash) {
					t.Fatal(err)
				}
				k.at = nil
			}
			name := filepath.Join(berth, takeDir, filepath.FromSlash(f.Path))
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)/2] ^= 1
			if err := os.WriteFile(name, b, 0o644); err != nil {
				t.Fatal(err)
			}
			_, err = k.Keep(t.Context(), berth)
			// A changed journal may name the file that it contradicts.
			if !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), f.Path) && f.Kind != capture.FileJournal {
				t.Errorf("%s changed after %q: %v", f.Path, after, err)
			}
			if _, err := os.Stat(filepath.Join(berth, rawFile)); after == "" && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: the root over changed files was written down: %v", f.Path, err)
			}
			if n, _ := log.Size(t.Context()); n != 0 || len(objects(t, k.Store)) != 0 {
				t.Errorf("%s: something was kept", f.Path)
			}
			if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, b) {
				t.Errorf("%s: the changed file is gone: %v", f.Path, err)
			}
		}
	}
}

// A file that changes while Keep runs, after it was compared and before it is
// packaged, is noticed too.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	_, probe := spool(t)
	take, err := capture.ReadTake(filepath.Join(probe, takeDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range take.Files {
		home, berth := spool(t)
		k, log := open(t, home)
		k.at = func(p string) error {
			if p != beforePrefix+packageFile {
				return nil
			}
			name := filepath.Join(berth, takeDir, filepath.FromSlash(f.Path))
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 1
			return os.WriteFile(name, b, 0o644)
		}
		if _, err := k.Keep(t.Context(), berth); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), f.Path) {
			t.Errorf("%s changed: %v", f.Path, err)
		}
		if n, _ := log.Size(t.Context()); n != 0 || len(objects(t, k.Store)) != 0 {
			t.Errorf("%s: something was kept", f.Path)
		}
	}
}

// A package that changes between its packaging and its sealing is not sealed.
func TestChangedPackage(t *testing.T) {
	t.Parallel()
	for _, point := range []string{beforePrefix + eventFile, afterPrefix + eventFile} {
		home, berth := spool(t)
		k, log := open(t, home)
		k.at = func(p string) error {
			if p != point {
				return nil
			}
			b, err := os.ReadFile(filepath.Join(berth, packageFile))
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 1
			return os.WriteFile(filepath.Join(berth, packageFile), b, 0o644)
		}
		if _, err := k.Keep(t.Context(), berth); !errors.Is(err, seal.ErrOther) {
			t.Errorf("package changed %s: %v", point, err)
		}
		if n, _ := log.Size(t.Context()); n != 0 || len(objects(t, k.Store)) != 0 {
			t.Errorf("package changed %s: something was kept", point)
		}
	}
}

// A seal that was altered in the spool is not stored.
func TestChangedSeal(t *testing.T) {
	t.Parallel()
	home, berth := spool(t)
	k, _ := open(t, home)
	k.at = func(p string) error {
		if p == afterPrefix+sealFile {
			return errCrash
		}
		return nil
	}
	if _, err := k.Keep(t.Context(), berth); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	k.at = nil
	name := filepath.Join(berth, sealFile)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	altered := bytes.Replace(b, []byte(`"tsa": "practice"`), []byte(`"tsa": "official"`), 1)
	if bytes.Equal(altered, b) {
		t.Fatal("nothing was altered")
	}
	if err := os.WriteFile(name, altered, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Keep(t.Context(), berth); !errors.Is(err, seal.ErrSignature) || len(objects(t, k.Store)) != 0 {
		t.Errorf("altered seal: %v", err)
	}
}

func TestChangedTake(t *testing.T) {
	t.Parallel()
	home, berth := spool(t)
	k, _ := open(t, home)
	k.at = func(p string) error {
		if p == afterPrefix+rawFile {
			return errCrash
		}
		return nil
	}
	if _, err := k.Keep(t.Context(), berth); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	k.at = nil
	name := filepath.Join(berth, takeDir, capture.TakeFile)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, bytes.Replace(b, []byte("complete"), []byte("partial"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Keep(t.Context(), berth); !errors.Is(err, ErrChanged) {
		t.Errorf("take.json changed after it was stamped: %v", err)
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	home, berth := spool(t)
	k, _ := open(t, home)
	if _, err := k.Keep(t.Context(), home); err == nil {
		t.Error("a directory outside the spool")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.Keep(ctx, berth); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	other := testOrder()
	other.Party = "somebody else"
	b, err := other.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(berth, orderFile), b, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Keep(t.Context(), berth); !errors.Is(err, ErrChanged) {
		t.Errorf("another order beside the take: %v", err)
	}
	if b, err = testOrder().Encode(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(berth, orderFile), b, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(berth, takeDir, capture.TakeFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Keep(t.Context(), berth); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an open take: %v", err)
	}
}

// TestFailedTake keeps a take in which nothing was captured.
func TestFailedTake(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	berth := filepath.Join(home, "spool", testID)
	if err := os.MkdirAll(berth, 0o755); err != nil {
		t.Fatal(err)
	}
	b, _ := testOrder().Encode()
	if err := os.WriteFile(filepath.Join(berth, orderFile), b, 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := capture.OpenDir(filepath.Join(berth, takeDir), testOrder(), time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Close(capture.Failed, []capture.Reason{{Code: "navigation.failed"}}); err != nil {
		t.Fatal(err)
	}
	k, _ := open(t, home)
	r, err := k.Keep(t.Context(), berth)
	if err != nil || r.Entry.State != "failed" || r.Entry.URL != testOrder().URL {
		t.Fatalf("%+v %v", r.Entry, err)
	}
	if back, err := Read(t.Context(), k.Store, r.Package.Key); err != nil || !cmp.Equal(back, r) {
		t.Errorf("read back: %v", err)
	}
}

// outage is an authority that can be switched off.
type outage struct {
	tsa.Authority
	down bool
}

func (o *outage) Stamp(ctx context.Context, imprint [32]byte) tsa.Stamp {
	if o.down {
		return tsa.Stamp{TSA: o.Name(), At: time.Now().UTC(), Imprint: hex.EncodeToString(imprint[:]), Error: "no answer"}
	}
	return o.Authority.Stamp(ctx, imprint)
}

func TestComplete(t *testing.T) {
	t.Parallel()
	home, berth := spool(t)
	k, log := open(t, home)
	out := &outage{Authority: k.Press.Authorities[0], down: true}
	k.Press.Authorities = []tsa.Authority{out}
	r, err := k.Keep(t.Context(), berth)
	if err != nil || !r.Entry.Pending {
		t.Fatalf("pending %v, %v", r.Entry.Pending, err)
	}
	if e, changed, err := k.Complete(t.Context(), r.Entry); err != nil || changed || e != r.Entry {
		t.Errorf("still down: %v %v", changed, err)
	}
	out.down = false
	e, changed, err := k.Complete(t.Context(), r.Entry)
	if err != nil || !changed || e.Pending || !strings.HasSuffix(e.Seal, ".seal-2.json") {
		t.Fatalf("%+v %v %v", e, changed, err)
	}
	// The former seal stays, the newest is read, and a stale entry is
	// brought up to date without a third.
	c, _, err := k.Store.Open(t.Context(), r.Seal.Key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	c.Close()
	if first, derr := seal.Decode(b); err != nil || derr != nil || !first.Pending() {
		t.Errorf("first seal: %v %v", err, derr)
	}
	back, err := Read(t.Context(), k.Store, r.Package.Key)
	if err != nil || back.Seal.Key != e.Seal || back.SealValue.Pending() || !cmp.Equal(back.Entry, e) {
		t.Errorf("read back: %v\n%s", err, cmp.Diff(e, back.Entry))
	}
	if !cmp.Equal(back.SealValue.Log, r.SealValue.Log) || !back.Seal.Until.Equal(back.Package.Until) {
		t.Error("completing changed what was there, or the seal is kept shorter than the package")
	}
	if again, changed, err := k.Complete(t.Context(), r.Entry); err != nil || !changed || again != e {
		t.Errorf("stale entry: %+v %v %v", again, changed, err)
	}
	if got := objects(t, k.Store); len(got) != 3 {
		t.Errorf("store holds %v", got)
	}
	if n, err := log.Size(t.Context()); err != nil || n != 1 {
		t.Errorf("%d events, %v", n, err)
	}
	wrong := r.Entry
	wrong.SHA256 = strings.Repeat("0", 64)
	if _, _, err := k.Complete(t.Context(), wrong); !errors.Is(err, seal.ErrOther) {
		t.Errorf("entry of another package: %v", err)
	}
}
