package bag_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"guzheng/report/bag"
)

var day = time.Date(2026, 11, 24, 21, 50, 0, 0, time.UTC)

// write makes the sample bag.
func write(t *testing.T, target string) (bag.Summary, error) {
	t.Helper()
	w, err := bag.Create(target, day)
	if err != nil {
		return bag.Summary{}, err
	}
	for _, f := range []struct {
		name, text string
		mode       fs.FileMode
	}{
		{"data/b/two.txt", "two", 0o644}, {"README.txt", "read me", 0o644}, {"data/a.wacz", strings.Repeat("x", 1<<16), 0o644}, {"tools/run", "#!", 0o755},
	} {
		if _, err := w.Add(f.name, f.mode, strings.NewReader(f.text)); err != nil {
			t.Fatal(err)
		}
	}
	return w.Close([]bag.Field{{Name: "Source-Organization", Value: "Office\nPayload-Oxum: 1.1"}, {Name: "Contact-Name"}})
}

// entries lists a directory.
func entries(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "out")
	s, err := write(t, target)
	if err != nil {
		t.Fatal(err)
	}
	if s.Files != 2 || s.Bytes != 1<<16+3 || len(s.Digest) != 64 {
		t.Errorf("%+v", s)
	}
	if got := entries(t, dir); got != "out" {
		t.Errorf("beside the bag: %s", got)
	}
	if got := entries(t, target); got != "README.txt bag-info.txt bagit.txt data manifest-sha256.txt manifest-sha512.txt tagmanifest-sha256.txt tagmanifest-sha512.txt tools" {
		t.Error(got)
	}
	info, err := os.ReadFile(filepath.Join(target, "bag-info.txt"))
	if err != nil || string(info) != "Source-Organization: Office Payload-Oxum: 1.1\nBagging-Date: 2026-11-24\nPayload-Oxum: 65539.2\n" {
		t.Errorf("%v\n%s", err, info)
	}
	for _, name := range []string{"manifest-sha256.txt", "tagmanifest-sha256.txt", "manifest-sha512.txt", "tagmanifest-sha512.txt"} {
		tool, _, _ := strings.Cut(name[strings.Index(name, "-")+1:], ".")
		c := exec.CommandContext(t.Context(), tool+"sum", "--check", "--strict", name)
		c.Dir = target
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	if st, err := os.Stat(filepath.Join(target, "tools", "run")); err != nil || st.Mode().Perm()&0o100 == 0 {
		t.Errorf("the program cannot be run: %v", err)
	}
}

func TestZip(t *testing.T) {
	dir := t.TempDir()
	var packed [2][]byte
	for i := range packed {
		sub := filepath.Join(dir, []string{"a", "b"}[i])
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := write(t, filepath.Join(sub, "case.zip")); err != nil {
			t.Fatal(err)
		}
		if got := entries(t, sub); got != "case.zip" {
			t.Errorf("beside the bag: %s", got)
		}
		var err error
		if packed[i], err = os.ReadFile(filepath.Join(sub, "case.zip")); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(packed[0], packed[1]) {
		t.Error("the same files on the same day give other bytes")
	}
	r, err := zip.NewReader(bytes.NewReader(packed[0]), int64(len(packed[0])))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.File {
		if !strings.HasPrefix(f.Name, "case/") {
			t.Errorf("%s lies beside the bag", f.Name)
		}
		if f.Method == zip.Store != strings.HasSuffix(f.Name, ".wacz") {
			t.Errorf("%s has method %d", f.Name, f.Method)
		}
	}
}

// TestNothingHalf wants an existing target untouched, and nothing left of a
// bag that was not completed.
func TestNothingHalf(t *testing.T) {
	for _, name := range []string{"out", "out.zip"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			target := filepath.Join(dir, name)
			if err := os.Mkdir(target, 0o755); err != nil {
				t.Fatal(err)
			}
			if _, err := write(t, target); !errors.Is(err, fs.ErrExist) {
				t.Errorf("an existing target: %v", err)
			}
			if err := os.Remove(target); err != nil {
				t.Fatal(err)
			}
			w, err := bag.Create(target, day)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Add("data/x", 0o644, io.MultiReader(strings.NewReader("x"), broken{})); !errors.Is(err, errBroken) {
				t.Error(err)
			}
			w.Discard()
			if got := entries(t, dir); got != "" {
				t.Errorf("left: %s", got)
			}
			// Somebody else was faster.
			if w, err = bag.Create(target, day); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(target, []byte("theirs"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Close(nil); !errors.Is(err, fs.ErrExist) {
				t.Errorf("a target that came to be: %v", err)
			}
			if b, err := os.ReadFile(target); err != nil || string(b) != "theirs" || entries(t, dir) != name {
				t.Errorf("%q, %v, beside it: %s", b, err, entries(t, dir))
			}
		})
	}
}

var errBroken = errors.New("disk is broken")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func TestNames(t *testing.T) {
	w, err := bag.Create(filepath.Join(t.TempDir(), "out"), day)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Discard()
	for _, name := range []string{"", "/a", "../a", "data/../a", "a//b", "a b", "a\nb", "说明.txt", ".hidden", "a/", "C:a", `a\b`} {
		if _, err := w.Add(name, 0o644, strings.NewReader("")); !errors.Is(err, bag.ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, pair := range [][2]string{{"data/A", "data/a"}, {"data/b", "data/B"}, {"data/c", "data/c"}} {
		if _, err := w.Add(pair[0], 0o644, strings.NewReader("")); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Add(pair[1], 0o644, strings.NewReader("")); !errors.Is(err, bag.ErrName) {
			t.Errorf("%s beside %s: %v", pair[1], pair[0], err)
		}
	}
}

// TestCheckNotices changes one thing at a time.
func TestCheckNotices(t *testing.T) {
	target := filepath.Join(t.TempDir(), "out")
	if _, err := write(t, target); err != nil {
		t.Fatal(err)
	}
	sound := func() fstest.MapFS {
		m := fstest.MapFS{}
		err := fs.WalkDir(os.DirFS(target), ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(filepath.Join(target, name))
			m[name] = &fstest.MapFile{Data: b, Mode: 0o644}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if _, err := bag.Check(sound()); err != nil {
		t.Fatal(err)
	}
	for name := range sound() {
		m := sound()
		m[name].Data[0] ^= 1
		if _, err := bag.Check(m); err == nil {
			t.Errorf("%s: a flipped bit was not noticed", name)
		}
		m = sound()
		delete(m, name)
		if _, err := bag.Check(m); err == nil {
			t.Errorf("%s: its absence was not noticed", name)
		}
	}
	for _, name := range []string{"data/more", "more", "tagmanifest-md5.txt"} {
		m := sound()
		m[name] = &fstest.MapFile{Data: []byte("x"), Mode: 0o644}
		if _, err := bag.Check(m); !errors.Is(err, bag.ErrInvalid) {
			t.Errorf("%s: not noticed: %v", name, err)
		}
	}
}

// FuzzCheck gives the checker other people's manifests.
func FuzzCheck(f *testing.F) {
	f.Add("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  data/a\n", "Payload-Oxum: 3.1\n")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, manifest, info string) {
		m := fstest.MapFS{
			"bagit.txt":    {Data: []byte("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")},
			"bag-info.txt": {Data: []byte(info)}, "data/a": {Data: []byte("abc")},
			"manifest-sha256.txt": {Data: []byte(manifest)}, "manifest-sha512.txt": {Data: []byte(manifest)},
			"tagmanifest-sha256.txt": {Data: []byte(manifest)}, "tagmanifest-sha512.txt": {Data: []byte(manifest)},
		}
		// The tag files are in no manifest, or the payload is in a tag
		// manifest: no text makes such a bag valid.
		if _, err := bag.Check(m); err == nil {
			t.Error("accepted")
		}
	})
}
