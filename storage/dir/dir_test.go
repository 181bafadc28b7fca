package dir

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guzheng/storage"
	"guzheng/storage/storetest"
)

var (
	stored = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	until  = stored.AddDate(3, 0, 0)
)

func clock() time.Time { return stored }

func openStore(t testing.TB, root string) *Store {
	t.Helper()
	s, err := Open(root, clock)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func wantOf(content string) storage.Want {
	sum := sha256.Sum256([]byte(content))
	return storage.Want{Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), Until: until}
}

func putIn(ctx context.Context, s *Store, key, content string) (storage.Object, error) {
	return s.Put(ctx, key, strings.NewReader(content), wantOf(content))
}

var huge = flag.Int64("huge", 192, "length of the suite's largest object, in `megabytes`")

// suite tells the suite of this driver; without links, of file systems that
// have none.
func suite(links bool) storetest.Driver {
	now := stored
	d := storetest.Driver{
		Open: func(t *testing.T) storage.Store {
			s, err := Open(t.TempDir(), func() time.Time { return now })
			if err != nil {
				t.Fatal(err)
			}
			if !links {
				s.link = func(from, to string) error {
					return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.EPERM}
				}
			}
			return s
		},
		Soon: func() time.Time { return now.Add(time.Second) },
		Alter: func(t *testing.T, s storage.Store, key string) {
			t.Helper()
			d, ok := s.(*Store)
			if !ok {
				t.Fatalf("%T", s)
			}
			file, err := d.Path(key)
			if err != nil {
				t.Fatal(err)
			}
			change(t, file, func(b []byte) []byte { b[0] ^= 1; return b })
		},
		Pass: func(_ *testing.T, date time.Time) {
			if now.Before(date) {
				now = date
			}
		},
	}
	if links && !testing.Short() {
		d.Huge, d.Memory = *huge<<20, 128<<20
	}
	return d
}

func TestConformance(t *testing.T) { storetest.Run(t, suite(true)) }

func TestConformanceWithoutLinks(t *testing.T) { storetest.Run(t, suite(false)) }

// files lists the store's files but for locks, with their modes.
func files(t testing.TB, root string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		rel, _ := filepath.Rel(root, name)
		if !strings.HasPrefix(rel, lockDir) {
			got[filepath.ToSlash(rel)] = info.Mode().String()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestLayout(t *testing.T) {
	root := filepath.Join(t.TempDir(), "new", "store")
	s := openStore(t, root)
	o, err := putIn(t.Context(), s, "v1/x.wacz", "content")
	if err != nil {
		t.Fatal(err)
	}
	want := storage.Object{
		Key: "v1/x.wacz", Bytes: 7, SHA256: wantOf("content").SHA256,
		Stored: stored, Until: until, Lock: storage.LockHash,
	}
	if d := cmp.Diff(want, o); d != "" {
		t.Errorf("Put (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]string{"v1/x.wacz": "-r--r--r--", "v1/x.wacz~meta.json": "-r--r--r--"}, files(t, root)); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	name, err := s.Path("v1/x.wacz")
	if err != nil || name != filepath.Join(root, "v1", "x.wacz") {
		t.Errorf("Path = %q, %v", name, err)
	}
	if _, err := s.Path("../x"); !errors.Is(err, storage.ErrKey) {
		t.Errorf("Path(../x) = %v, want ErrKey", err)
	}
}

// change rewrites a read-only file in place.
func change(t *testing.T, name string, edit func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, edit(b), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestAlteredIsNoticed(t *testing.T) {
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	for name, c := range map[string]struct {
		alter func(t *testing.T, name string)
		stat  bool // Stat notices without reading
	}{
		"flipped byte":   {func(t *testing.T, n string) { change(t, n, flip) }, false},
		"cut":            {func(t *testing.T, n string) { change(t, n, func(b []byte) []byte { return b[:3] }) }, true},
		"longer":         {func(t *testing.T, n string) { change(t, n, func(b []byte) []byte { return append(b, 0) }) }, true},
		"emptied":        {func(t *testing.T, n string) { change(t, n, func([]byte) []byte { return nil }) }, true},
		"removed":        {func(t *testing.T, n string) { os.Remove(n) }, true},
		"record removed": {func(t *testing.T, n string) { os.Remove(n + recordSuffix) }, true},
		"record emptied": {func(t *testing.T, n string) { change(t, n+recordSuffix, func([]byte) []byte { return nil }) }, true},
		"record of another": {func(t *testing.T, n string) {
			change(t, n+recordSuffix, func(b []byte) []byte { return bytes.Replace(b, []byte("a/k"), []byte("a/l"), 1) })
		}, true},
		"other digest in record": {func(t *testing.T, n string) {
			change(t, n+recordSuffix, func(b []byte) []byte {
				return bytes.Replace(b, []byte(wantOf("content").SHA256), []byte(wantOf("changed").SHA256), 1)
			})
		}, false},
		"replaced by a link": {func(t *testing.T, n string) {
			if err := errors.Join(os.Rename(n, n+".away"), os.Symlink("k.away", n)); err != nil {
				t.Fatal(err)
			}
		}, true},
		"replaced by a directory": {func(t *testing.T, n string) {
			if err := errors.Join(os.Remove(n), os.Mkdir(n, 0o755)); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, t.TempDir())
			if _, err := putIn(t.Context(), s, "a/k", "content"); err != nil {
				t.Fatal(err)
			}
			file, _ := s.Path("a/k")
			c.alter(t, file)
			content, _, err := s.Open(t.Context(), "a/k")
			if !errors.Is(err, storage.ErrAltered) || content != nil {
				t.Errorf("Open = %v, %v, want ErrAltered", content, err)
			}
			_, err = s.Stat(t.Context(), "a/k")
			if c.stat != errors.Is(err, storage.ErrAltered) {
				t.Errorf("Stat = %v", err)
			}
			if !c.stat {
				return
			}
			altered := 0
			for o, err := range s.List(t.Context(), "a/k") {
				if o.Key == "a/k" && errors.Is(err, storage.ErrAltered) {
					altered++
				}
			}
			if altered != 1 && name != "replaced by a directory" {
				t.Errorf("List reports it %d times, want once", altered)
			}
		})
	}
}

// TestAlteredStays checks that a retry neither hides an alteration nor lets
// other bytes take the place of what was removed.
func TestAlteredStays(t *testing.T) {
	s := openStore(t, t.TempDir())
	if _, err := putIn(t.Context(), s, "k", "content"); err != nil {
		t.Fatal(err)
	}
	file, _ := s.Path("k")
	change(t, file, func(b []byte) []byte { b[0] ^= 1; return b })
	if _, err := putIn(t.Context(), s, "k", "content"); !errors.Is(err, storage.ErrAltered) {
		t.Errorf("Put onto altered bytes = %v, want ErrAltered", err)
	}
	if _, err := putIn(t.Context(), s, "k", "bontent"); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("Put of the altered bytes = %v, want ErrConflict", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := putIn(t.Context(), s, "k", "changed"); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("Put of others in place of a removed file = %v, want ErrConflict", err)
	}
	if _, err := putIn(t.Context(), s, "k", "content"); err != nil {
		t.Errorf("Put of the removed bytes = %v", err)
	}
	if c, _, err := s.Open(t.Context(), "k"); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
}

func TestListGoesOnAfterAltered(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	for _, k := range []string{"a", "b", "c"} {
		if _, err := putIn(t.Context(), s, k, k); err != nil {
			t.Fatal(err)
		}
	}
	os.Remove(filepath.Join(root, "b"))
	os.WriteFile(filepath.Join(root, "a name that is no key"), nil, 0o644)
	var got []string
	for o, err := range s.List(t.Context(), "") {
		if err != nil {
			o.Key += " altered"
		}
		got = append(got, o.Key)
	}
	if d := cmp.Diff([]string{"a", "b altered", "c"}, got); d != "" {
		t.Errorf("List (-want +got):\n%s", d)
	}
}

// TestStaysInside checks that a link planted in the store leads nowhere.
func TestStaysInside(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	s := openStore(t, root)
	if err := os.Symlink(outside, filepath.Join(root, "a")); err != nil {
		t.Fatal(err)
	}
	if _, err := putIn(t.Context(), s, "a/k", "content"); err == nil {
		t.Error("Put through a link out of the store succeeded")
	}
	if left := files(t, outside); len(left) > 0 {
		t.Errorf("Put wrote outside the store: %v", left)
	}
}

func TestKeyBelowObject(t *testing.T) {
	s := openStore(t, t.TempDir())
	for _, k := range []string{"a", "b/c"} {
		if _, err := putIn(t.Context(), s, k, "content"); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []string{"a/k", "b"} {
		if _, err := putIn(t.Context(), s, k, "content"); err == nil || !strings.HasPrefix(err.Error(), "storing "+k+": ") {
			t.Errorf("Put(%s) = %v, want a refusal that names the key", k, err)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	root := f.TempDir()
	if _, err := putIn(context.Background(), openStore(f, root), "k", "content"); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(root, "k"+recordSuffix))
	if err != nil {
		f.Fatal(err)
	}
	if _, err := parseRecord(good, "k"); err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"format":"guzheng-object/1","key":"k","bytes":-1}`))
	f.Add([]byte(`{"format":"guzheng-object/1","key":"k","until":"x"}`))
	f.Add([]byte("null"))
	f.Add(slices.Concat(good, good))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b, "k")
		if err != nil {
			if !errors.Is(err, storage.ErrAltered) {
				t.Errorf("%v, want ErrAltered", err)
			}
			return
		}
		if r.Key != "k" || r.Bytes < 0 || len(r.SHA256) != 64 {
			t.Errorf("accepted %+v", r)
		}
	})
}
