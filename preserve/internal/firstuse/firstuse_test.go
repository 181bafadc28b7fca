package firstuse

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "key")
	if err := Write(name, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := Write(name, []byte("second")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a key was replaced: %v", err)
	}
	b, err := os.ReadFile(name)
	st, serr := os.Stat(name)
	if err != nil || serr != nil || string(b) != "first" || st.Mode().Perm() != 0o600 {
		t.Errorf("%q, %v, %v %v", b, st.Mode(), err, serr)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
