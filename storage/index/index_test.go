package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guzheng/storage"
)

// TestMain lets the test binary play a process of its own, which writes
// entries into a shared file.
func TestMain(m *testing.M) {
	path := os.Getenv("GUZHENG_TEST_INDEX")
	if path == "" {
		os.Exit(m.Run())
	}
	if err := play(path, os.Getenv("GUZHENG_TEST_NAME")); err != nil {
		fmt.Println(err)
	}
}

func play(path, name string) error {
	db, err := Open(context.Background(), path)
	if err != nil {
		return err
	}
	defer db.Close()
	for i := range 20 {
		if err := db.Put(context.Background(), entry(fmt.Sprintf("%s-%d", name, i), 1)); err != nil {
			return err
		}
		if err := db.Put(context.Background(), entry("shared", i+1)); err != nil {
			return err
		}
	}
	return nil
}

func openDB(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func entry(id string, seal int) storage.Entry {
	key := "v1/" + id + ".seal.json"
	if seal > 1 {
		key = fmt.Sprintf("v1/%s.seal-%d.json", id, seal)
	}
	at := time.Date(2026, 11, 23, 8, 0, 0, 123e6, time.UTC)
	return storage.Entry{
		ID: id, Kind: "web", URL: "https://shop.example/?a=1&b='\";--", Title: "\u56fa\u8bc1 \U0001f6d2",
		Case: "case 1", Cause: "cause", Party: "party", State: "complete", Captured: at, Kept: at.Add(time.Second),
		Package: "v1/" + id + ".wacz", Seal: key, Bytes: 1 << 40, SHA256: strings.Repeat("a", 64), SM3: strings.Repeat("b", 64),
		Pending: seal == 1, Until: at.AddDate(3, 0, 0),
	}
}

func put(t *testing.T, db *DB, e storage.Entry) {
	t.Helper()
	if err := db.Put(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

func TestRoundTrip(t *testing.T) {
	// The name has what URIs treat specially.
	path := filepath.Join(t.TempDir(), "a b%41?x#y&z.db")
	db := openDB(t, path)
	e := entry("one", 1)
	put(t, db, e)
	zero := storage.Entry{ID: "zero", Seal: "zero.seal.json"}
	put(t, db, zero)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	db = openDB(t, path)
	for _, want := range []storage.Entry{e, zero} {
		got, err := db.Get(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("Get(%s) (-want +got):\n%s", want.ID, d)
		}
	}
	if _, err := db.Get(t.Context(), "two"); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("Get(two) = %v, want ErrNotExist", err)
	}
}

func TestPragmas(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "x.db"))
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "busy_timeout": "30000"} {
		var got string
		if err := db.db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", pragma, got, err, want)
		}
	}
}

func TestNewestSealStays(t *testing.T) {
	for _, order := range [][]int{{1, 2, 10}, {10, 2, 1}, {2, 10, 1}, {1, 10, 2, 10}} {
		db := openDB(t, filepath.Join(t.TempDir(), "x.db"))
		for _, seal := range order {
			put(t, db, entry("one", seal))
		}
		got, err := db.List(t.Context(), Filter{})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]storage.Entry{entry("one", 10)}, got); d != "" {
			t.Errorf("order %v (-want +got):\n%s", order, d)
		}
	}
	db := openDB(t, filepath.Join(t.TempDir(), "x.db"))
	put(t, db, entry("one", 2))
	changed := entry("one", 2)
	changed.Title, changed.Until = "changed", changed.Until.AddDate(1, 0, 0)
	put(t, db, changed)
	if got, err := db.Get(t.Context(), "one"); err != nil || got != changed {
		t.Errorf("the same seal again gives %+v, %v", got, err)
	}
}

func TestBadEntries(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "x.db"))
	for _, seal := range []string{"", "x", "x.json", "x.seal", "x.seal-1.json", "x.seal-0.json", "x.seal-02.json", "x.seal--2.json", "x.seal-9999999999.json", "x.seal.json.gz"} {
		if err := db.Put(t.Context(), storage.Entry{ID: "x", Seal: seal}); err == nil || !strings.HasPrefix(err.Error(), "indexing x: ") {
			t.Errorf("Put with seal %q = %v", seal, err)
		}
	}
	if err := db.Put(t.Context(), storage.Entry{Seal: "x.seal.json"}); err == nil {
		t.Error("Put without ID succeeded")
	}
}

func TestList(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "x.db"))
	for i, id := range []string{"c", "a", "b", "d"} {
		e := entry(id, 1+i%2)
		e.Captured = e.Captured.Add(time.Duration(i/2) * time.Hour)
		if id == "b" || id == "a" {
			e.Case = "case 2"
		}
		put(t, db, e)
	}
	check := func(f Filter, want ...string) {
		t.Helper()
		entries, err := db.List(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.ID)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("List(%+v) (-want +got):\n%s", f, d)
		}
	}
	check(Filter{}, "d", "b", "c", "a")
	check(Filter{Limit: 3}, "d", "b", "c")
	check(Filter{Pending: true}, "b", "c")
	check(Filter{Case: "case 2"}, "b", "a")
	check(Filter{Case: "case 2", Pending: true}, "b")
	check(Filter{Case: "case 2", Pending: true, Limit: 5}, "b")
	check(Filter{Case: "' OR 1=1 --"})
	if err := db.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(Filter{})
	put(t, db, entry("c", 1))
	check(Filter{}, "c")
}

func TestProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out [4]strings.Builder
	var running [4]*exec.Cmd
	for i := range running {
		c := exec.CommandContext(t.Context(), exe)
		c.Env = append(os.Environ(), "GUZHENG_TEST_INDEX="+path, fmt.Sprintf("GUZHENG_TEST_NAME=p%d", i))
		c.Stdout, c.Stderr = &out[i], &out[i]
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		running[i] = c
	}
	for i, c := range running {
		if err := c.Wait(); err != nil || out[i].Len() > 0 {
			t.Errorf("process %d: %v %s", i, err, out[i].String())
		}
	}
	all81(t, openDB(t, path))
}

func TestGoroutines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			if err := play(path, fmt.Sprintf("p%d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	all81(t, openDB(t, path))
}

// all81 checks what four players leave: 20 entries each and a shared one.
func all81(t *testing.T, db *DB) {
	t.Helper()
	entries, err := db.List(t.Context(), Filter{})
	if err != nil || len(entries) != 81 {
		t.Errorf("%d entries, %v; want 81", len(entries), err)
	}
	if e, err := db.Get(t.Context(), "shared"); err != nil || e != entry("shared", 20) {
		t.Errorf("shared entry has seal %s, %v", e.Seal, err)
	}
}

func TestDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := openDB(t, path)
	for i := range 50 {
		put(t, db, entry(fmt.Sprint(i), 1))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, harm := range map[string]func([]byte) []byte{
		"text":        func([]byte) []byte { return []byte(strings.Repeat("this is no database\n", 300)) },
		"header gone": func(b []byte) []byte { copy(b, make([]byte, 100)); return b },
		"cut":         func(b []byte) []byte { return b[:len(b)/3] },
		"pages gone":  func(b []byte) []byte { clear(b[4096:]); return b },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.db")
			if err := os.WriteFile(path, harm(slices.Clone(whole)), 0o644); err != nil {
				t.Fatal(err)
			}
			db, err := Open(t.Context(), path)
			if err == nil {
				_, err = db.List(t.Context(), Filter{})
				db.Close()
			}
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "guzheng index rebuild") {
				t.Fatalf("%v, want ErrDamaged", err)
			}
			aside, err := SetAside(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(aside); err != nil {
				t.Error(err)
			}
			put(t, openDB(t, path), entry("one", 1))
			if second, err := SetAside(path); err != nil || second == aside {
				t.Errorf("second SetAside = %s, %v", second, err)
			}
		})
	}
}

func TestNewer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := openDB(t, path)
	if _, err := db.db.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, $2)`, 999, true); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path); !errors.Is(err, ErrNewer) {
		t.Errorf("Open = %v, want ErrNewer", err)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(t.Context(), filepath.Join(dir, "none", "x.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open without directory = %v", err)
	}
	if _, err := Open(t.Context(), dir); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("Open of a directory = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, filepath.Join(dir, "x.db")); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with an ended context = %v", err)
	}
}
