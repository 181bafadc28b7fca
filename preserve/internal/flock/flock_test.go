//go:build unix

package flock

import (
	"path/filepath"
	"testing"
)

func TestLock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := Try(name); ok || err != nil {
		t.Errorf("had twice: %v, %v", ok, err)
	}
	unlock()
	again, ok, err := Try(name)
	if !ok || err != nil {
		t.Fatalf("not given back: %v, %v", ok, err)
	}
	again()
	if _, err := Lock(filepath.Join(name, "x")); err == nil {
		t.Error("locked a file that cannot be")
	}
}
