package renew

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"guzheng/capture"
	"guzheng/preserve"
	"guzheng/preserve/ers"
	"guzheng/preserve/key"
	"guzheng/preserve/seal"
	"guzheng/preserve/tlog/ledger"
	"guzheng/preserve/tsa"
	"guzheng/preserve/tsa/tsatest"
	"guzheng/storage"
	"guzheng/storage/dir"
)

// A house is a store with sealed packages, a log, and a clock to turn.
type house struct {
	Renewer
	press seal.Press
	log   *ledger.Log
	home  string
	t     time.Time
	keys  []string // of packages
}

func (h *house) now() time.Time { return h.t }

func (h *house) packages() iter.Seq[string] { return slices.Values(h.keys) }

// openHouse opens the parts below home, as each process does.
func openHouse(home string, now func() time.Time) (*house, error) {
	for _, d := range []string{"keys", "store"} {
		if err := os.MkdirAll(filepath.Join(home, d), 0o755); err != nil {
			return nil, err
		}
	}
	h := &house{home: home}
	k, err := key.Open(filepath.Join(home, "keys", "seal.pem"), nil)
	if err != nil {
		return nil, err
	}
	if h.log, err = ledger.Open(context.Background(), filepath.Join(home, "log"), filepath.Join(home, "keys")); err != nil {
		return nil, err
	}
	store, err := dir.Open(filepath.Join(home, "store"), now)
	if err != nil {
		return nil, err
	}
	practice, err := tsa.OpenPractice(filepath.Join(home, "keys"), now)
	if err != nil {
		return nil, err
	}
	h.Renewer = Renewer{Store: store, Authorities: []tsa.Imprinter{practice}, Log: h.log, Now: now, Dir: filepath.Join(home, "renewals")}
	h.press = seal.Press{Key: k, Authorities: []tsa.Authority{practice}, Log: h.log, Now: now}
	for obj, err := range store.List(context.Background(), "v1/") {
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(obj.Key, ".wacz") {
			h.keys = append(h.keys, obj.Key)
		}
	}
	return h, nil
}

func newHouse(t *testing.T, home string) *house {
	t.Helper()
	begin := time.Now().UTC().Truncate(time.Second)
	var h *house
	now := func() time.Time {
		if h == nil {
			return begin
		}
		return h.t
	}
	var err error
	if h, err = openHouse(home, now); err != nil {
		t.Fatal(err)
	}
	h.t = begin
	t.Cleanup(func() {
		if err := h.log.Close(context.Background()); err != nil {
			t.Error(err)
		}
		// The log's last worker may still be putting a file away.
		for range 100 {
			if os.RemoveAll(filepath.Join(home, "log")) == nil {
				break
			}
		}
	})
	return h
}

// fill seals n packages with the given authority.
func (h *house) fill(t testing.TB, n int, a tsa.Authority) {
	t.Helper()
	h.press.Authorities = []tsa.Authority{a}
	for i := range n {
		order := capture.Order{ID: "GZ-20261123-7KQ4" + string([]byte{'A' + byte(i/26/26%26), 'A' + byte(i/26%26), 'A' + byte(i%26), 'A'}), Created: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)}
		text := fmt.Appendf(nil, "package %d", i)
		h.put(t, preserve.PackageKey(order), text)
		h.put(t, preserve.SealKey(order, 1), h.sealed(t, order.ID, text))
		h.keys = append(h.keys, preserve.PackageKey(order))
	}
}

// sealed returns a new seal of a package.
func (h *house) sealed(t testing.TB, id string, text []byte) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := capture.DigestOf(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	event, err := h.press.Event(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	s, err := h.press.Seal(t.Context(), id, name, event)
	if err != nil {
		t.Fatal(err)
	}
	b, err := seal.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (h *house) put(t testing.TB, key string, b []byte) {
	t.Helper()
	sum := sha256.Sum256(b)
	want := storage.Want{Bytes: int64(len(b)), SHA256: hex.EncodeToString(sum[:]), Until: h.t.AddDate(30, 0, 0)}
	if _, err := h.Store.Put(t.Context(), key, bytes.NewReader(b), want); err != nil {
		t.Fatal(err)
	}
}

func (h *house) run(t *testing.T, req Request) Batch {
	t.Helper()
	req.Packages = h.packages()
	if req.Due == 0 {
		req.Due = 90 * 24 * time.Hour
	}
	got, err := h.Run(t.Context(), req)
	if err != nil || len(got) != 1 {
		t.Fatalf("%d batches, %v", len(got), err)
	}
	return got[0]
}

// record reads the n-th evidence record of a package and validates it.
func (h *house) record(t *testing.T, pkg string, n int, trust tsa.Trust, want tsa.State) (ers.Record, []ers.Object) {
	t.Helper()
	b, err := readAll(t.Context(), h.Store, preserve.EvidenceKey(pkg, n), ers.MaxSize)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ers.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	f, err := h.look(t.Context(), pkg)
	if err != nil {
		t.Fatal(err)
	}
	about, foreign, err := r.About(f.objects)
	if err != nil || foreign > 0 || len(about) < 2 {
		t.Fatalf("record %d of %s is about %d objects, %d foreign, %v", n, pkg, len(about), foreign, err)
	}
	if rep := r.Validate(about, trust, h.t); rep.State() != want {
		t.Errorf("record %d of %s: %s, want %s: %+v", n, pkg, rep.State(), want, rep.Findings)
	}
	return r, about
}

// evidence counts the records of all packages.
func (h *house) evidence(t *testing.T) (n int) {
	t.Helper()
	for _, k := range h.keys {
		f, err := preserve.OpenFolder(t.Context(), h.Store, k)
		if err != nil {
			t.Fatal(err)
		}
		n += len(f.Evidence)
	}
	return n
}

// authority is one that is valid from now on for some years.
func (h *house) authority(t *testing.T, name string, years int) *tsatest.Authority {
	t.Helper()
	return tsatest.New(t, name, h.t.Add(-time.Hour), h.t.AddDate(years, 0, 0), h.now)
}
