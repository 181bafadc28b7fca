package preserve

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"guzheng/capture"
	"guzheng/storage"
)

func TestEvidenceKey(t *testing.T) {
	pkg := PackageKey(testOrder())
	for n, want := range map[int]string{1: ".evidence.ers", 2: ".evidence-2.ers", 31: ".evidence-31.ers"} {
		key := EvidenceKey(pkg, n)
		if key != strings.TrimSuffix(pkg, ".wacz")+want || evidenceNumber(pkg, key) != n || storage.CheckKey(key) != nil {
			t.Errorf("record %d: %s, read as %d", n, key, evidenceNumber(pkg, key))
		}
	}
	for _, key := range []string{pkg, pkg + ".evidence.ers", EvidenceKey(pkg, 2) + "x", strings.TrimSuffix(pkg, ".wacz") + ".evidence-1.ers",
		strings.TrimSuffix(pkg, ".wacz") + ".evidence-02.ers", "v1/" + EvidenceKey(pkg, 1), SealKey(testOrder(), 2)} {
		if n := evidenceNumber(pkg, key); n != 0 {
			t.Errorf("%s is read as %d", key, n)
		}
	}
}

// TestOpenFolder lists what lies beside a package, by number and not by name.
func TestOpenFolder(t *testing.T) {
	home, berth := spool(t)
	k, _ := open(t, home)
	r, err := k.Keep(t.Context(), berth)
	if err != nil {
		t.Fatal(err)
	}
	pkg := r.Package.Key
	put := func(key string) {
		t.Helper()
		d, err := capture.DigestOf(strings.NewReader(key))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Store.Put(t.Context(), key, bytes.NewReader([]byte(key)), storage.Want{Bytes: d.Bytes, SHA256: d.SHA256}); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{EvidenceKey(pkg, 10), EvidenceKey(pkg, 2), SealKey(testOrder(), 2), EvidenceKey(pkg, 1), pkg + ".note"} {
		put(key)
	}
	f, err := OpenFolder(t.Context(), k.Store, pkg)
	if err != nil || f.Package.Key != pkg || len(f.Seals) != 2 || len(f.Evidence) != 3 ||
		f.Seals[1].Number != 2 || f.Evidence[1].Number != 2 || f.Evidence[2].Key != EvidenceKey(pkg, 10) {
		t.Errorf("%+v, %v", f, err)
	}
	for _, key := range []string{"v1/none.wacz", SealKey(testOrder(), 1)} {
		if _, err := OpenFolder(t.Context(), k.Store, key); err == nil {
			t.Errorf("%s has a folder", key)
		}
	}
	if _, err := OpenFolder(t.Context(), k.Store, "v1/none.wacz"); !errors.Is(err, storage.ErrNotExist) {
		t.Error(err)
	}
}
