package export_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guzheng/capture"
	"guzheng/preserve/seal"
	"guzheng/preserve/verify"
	"guzheng/report/export"
	"guzheng/report/words"
	"guzheng/storage"
	"guzheng/storage/dir"
)

const vectors = "../../preserve/testdata/vectors/"

var day = time.Date(2026, 11, 24, 23, 0, 0, 0, capture.Beijing)

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A desk is an exporter over a store that holds one record, made from a
// vector.
type desk struct {
	export.Exporter
	entry storage.Entry
	store *dir.Store
}

func newDesk(t *testing.T, vector string) desk {
	t.Helper()
	store, err := dir.Open(filepath.Join(t.TempDir(), "store"), func() time.Time { return day })
	if err != nil {
		t.Fatal(err)
	}
	sealed := read(t, vectors+vector+".seal.json")
	s, err := seal.Decode(sealed)
	if err != nil {
		t.Fatal(err)
	}
	stem := "v1/2026/05/04/" + s.ID + "/" + s.ID
	for key, b := range map[string][]byte{stem + ".wacz": read(t, vectors+vector+".wacz"), stem + ".seal.json": sealed, stem + ".ers": []byte("an evidence record")} {
		d, err := capture.DigestOf(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Put(t.Context(), key, bytes.NewReader(b), storage.Want{Bytes: d.Bytes, SHA256: d.SHA256, Until: day}); err != nil {
			t.Fatal(err)
		}
	}
	w, err := words.New("zh-CN")
	if err != nil {
		t.Fatal(err)
	}
	trust, err := verify.LoadTrust(vectors + "trust.json")
	if err != nil {
		t.Fatal(err)
	}
	return desk{Exporter: export.Exporter{Store: store, Words: w, Trust: trust, Date: day, Organization: "交城县市场监督管理局", Software: "guzheng/test",
		Raw: store.Path, Tools: tools(t), Sheet: func(context.Context, storage.Entry, verify.Verdict) ([]byte, error) { return []byte("%PDF-"), nil }},
		entry: storage.Entry{ID: s.ID, URL: "https://shop.example/\nx", Captured: day, Package: stem + ".wacz", Seal: stem + ".seal.json"}, store: store}
}

// tools is a directory with a page and a verifier that says how it was called.
func tools(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"verify.html": "<!doctype html>", "guzheng-verify-linux-amd64": "#!/bin/sh\ntest \"$1\" = --trust && test -e \"$2\" && test -e \"$3\" && echo called\n", "other": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// files lists what lies in a directory, in order.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, err = filepath.Rel(dir, name)
			out = append(out, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

const id = "GZ-20260504-TEST0001"

func TestFiles(t *testing.T) {
	d := newDesk(t, "good")
	target := filepath.Join(t.TempDir(), "out")
	s, err := d.Export(t.Context(), []storage.Entry{d.entry, d.entry}, target)
	if err != nil {
		t.Fatal(err)
	}
	if s.Records != 1 || len(s.Broken) != 0 || s.Tools != 2 || s.Files != 24 {
		t.Errorf("%+v", s)
	}
	want := strings.Fields(`README.txt bag-info.txt bagit.txt`)
	for _, name := range strings.Fields(`ID.ers ID.pdf ID.seal.json ID.wacz envelope.sig log/checkpoint.note log/checkpoint.sig log/checkpoint.txt
		log/key.pem log/leaf.json log/proof.txt log/verifier.txt package.sig public-key.pem stamps/package-1.pem stamps/package-1.tsq stamps/package-1.tsr
		stamps/raw-1.pem stamps/raw-1.tsq stamps/raw-1.tsr stamps/raw-root.txt verdict.json`) {
		want = append(want, "data/"+id+"/"+strings.Replace(name, "ID", id, 1))
	}
	want = append(want, strings.Fields(`data/trust/roots.pem data/trust/trust.json manifest-sha256.txt manifest-sha512.txt tagmanifest-sha256.txt
		tagmanifest-sha512.txt verifiers/guzheng-verify-linux-amd64 verify.html`)...)
	if diff := cmp.Diff(want, files(t, target)); diff != "" {
		t.Error(diff)
	}
	info := string(read(t, filepath.Join(target, "bag-info.txt")))
	for _, line := range []string{"Source-Organization: 交城县市场监督管理局\n", "Bagging-Date: 2026-11-24\n", "External-Identifier: " + id + "\n", "Bag-Software-Agent: guzheng/test\n"} {
		if !strings.Contains(info, line) {
			t.Errorf("no %q in %s", line, info)
		}
	}
	var v struct{ Outcome verify.Outcome }
	if err := json.Unmarshal(read(t, filepath.Join(target, "data", id, "verdict.json")), &v); err != nil || v.Outcome != verify.Passed {
		t.Errorf("%+v %v", v, err)
	}
}

// commands are the lines of a README that a reader types.
func commands(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if c, ok := strings.CutPrefix(line, "    "); ok {
			b.WriteString(c)
		}
	}
	return b.String()
}

// sh runs commands as they are printed, in an export.
func sh(t *testing.T, dir, script string) (string, error) {
	t.Helper()
	for _, tool := range []string{"unzip", "jq", "openssl", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skipf("left out: %v", err)
		}
	}
	c := exec.CommandContext(t.Context(), "sh", "-eu")
	c.Dir, c.Stdin = dir, strings.NewReader(script)
	c.Env = append(os.Environ(), "LC_ALL=C")
	out, err := c.CombinedOutput()
	return string(out), err
}

// TestCommands types every command of the README, unpacked by unzip, with
// tools that know nothing of ours; and then with one byte of each file of the
// record changed, of which some command must complain.
func TestCommands(t *testing.T) {
	for vector, lang := range map[string]string{"good": "zh-CN", "good-practice": "en"} {
		t.Run(vector, func(t *testing.T) {
			d := newDesk(t, vector)
			var err error
			if d.Words, err = words.New(lang); err != nil {
				t.Fatal(err)
			}
			where := t.TempDir()
			if _, err := d.Export(t.Context(), []storage.Entry{d.entry}, filepath.Join(where, "case.zip")); err != nil {
				t.Fatal(err)
			}
			if out, err := sh(t, where, "unzip -qq case.zip"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			where = filepath.Join(where, "case")
			script := commands(string(read(t, filepath.Join(where, "README.txt"))))
			out, err := sh(t, where, script)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for want, n := range map[string]int{"Verified OK": 2, "Verification: OK": 2, "Signature Verified Successfully": 1, "called": 1} {
				if strings.Count(out, want) != n {
					t.Errorf("%q: %d times, want %d in\n%s", want, strings.Count(out, want), n, out)
				}
			}
			if vector == "good" {
				flips(t, where, script)
			}
		})
	}
}

// flips leaves the manifests out, so that the tools have to notice it in what
// they check.
func flips(t *testing.T, where, script string) {
	t.Helper()
	script = regexp.MustCompile(`(?m)^sha256sum --check.*\n`).ReplaceAllString(script, "")
	for _, name := range []string{".wacz", "package.sig", "envelope.sig", "log/leaf.json", "log/checkpoint.note", "log/checkpoint.sig", "stamps/package-1.tsr", "stamps/raw-1.tsr", "stamps/raw-root.txt", ".seal.json"} {
		if strings.HasPrefix(name, ".") {
			name = id + name
		}
		name = filepath.Join(where, "data", id, name)
		sound := read(t, name)
		b := bytes.Clone(sound)
		at := len(b) / 2
		if filepath.Ext(name) == ".tsr" {
			at = len(b) / 10 // in what is signed; the middle is a certificate that a reader has from elsewhere
		}
		if i := bytes.Index(b, []byte(`"sha256":"`)); filepath.Base(name) == "leaf.json" && i > 0 {
			at = i + 20
		}
		b[at] ^= 1
		for _, b := range [][]byte{b, sound} {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := sh(t, where, script); (err == nil) != bytes.Equal(b, sound) {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
	}
}

// TestSameBytes exports twice, with a store that was filled anew.
func TestSameBytes(t *testing.T) {
	var packed [2][]byte
	for i := range packed {
		d := newDesk(t, "good")
		target := filepath.Join(t.TempDir(), "case.zip")
		if _, err := d.Export(t.Context(), []storage.Entry{d.entry}, target); err != nil {
			t.Fatal(err)
		}
		packed[i] = read(t, target)
	}
	if !bytes.Equal(packed[0], packed[1]) {
		t.Error("the same record on the same day gives other bytes")
	}
}

// TestBroken wants a broken record to be refused, and to be named where it is
// wanted all the same.
func TestBroken(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, d desk){
		"package": func(t *testing.T, d desk) { damage(t, d, d.entry.Package, false) },
		"seal":    func(t *testing.T, d desk) { damage(t, d, d.entry.Seal, false) },
		"cut":     func(t *testing.T, d desk) { damage(t, d, d.entry.Package, true) },
		"trust":   func(*testing.T, desk) {},
		"index":   func(*testing.T, desk) {},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, "good")
			harm(t, d)
			id := id
			switch name {
			case "trust":
				d.Trust.Signers = []string{strings.Repeat("0", 64)}
			case "index":
				id = "GZ-20260504-TEST0002"
				d.entry.ID = id
			}
			dir := t.TempDir()
			target := filepath.Join(dir, "out")
			if _, err := d.Export(t.Context(), []storage.Entry{d.entry}, target); !errors.Is(err, export.ErrBroken) {
				t.Fatalf("not refused: %v", err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left %v, %v", left, err)
			}
			d.Broken = true
			s, err := d.Export(t.Context(), []storage.Entry{d.entry}, target)
			if err != nil || !slices.Equal(s.Broken, []string{id}) {
				t.Fatalf("%+v, %v", s, err)
			}
			text := string(read(t, filepath.Join(target, "README.txt")))
			if !strings.Contains(text, "不得作为完好的证据使用") || !strings.Contains(text, "   * ") {
				t.Error(text)
			}
			if _, err := os.Stat(filepath.Join(target, "data", id, id+".pdf")); err == nil {
				t.Error("a sheet of a broken record was printed")
			}
			// The bag itself is sound: it holds what there was.
			if out, err := sh(t, target, "sha256sum --check --quiet manifest-sha256.txt tagmanifest-sha256.txt"); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			if raw, err := d.store.Path(d.entry.Package); err != nil || !bytes.Equal(read(t, raw), read(t, filepath.Join(target, "data", id, path.Base(d.entry.Package)))) {
				t.Error("the package is not copied as it is")
			}
		})
	}
}

// damage flips a bit in the middle of an object, or cuts it there.
func damage(t *testing.T, d desk, key string, cut bool) {
	t.Helper()
	name, err := d.store.Path(key)
	if err != nil {
		t.Fatal(err)
	}
	b := read(t, name)
	b[len(b)/2] ^= 1
	if cut {
		b = b[:len(b)/2]
	}
	if err := errors.Join(os.Chmod(name, 0o600), os.WriteFile(name, b, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestRefusals(t *testing.T) {
	d := newDesk(t, "good")
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Export(ctx, []storage.Entry{d.entry}, filepath.Join(dir, "a")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := d.Export(t.Context(), []storage.Entry{d.entry}, dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("existing target: %v", err)
	}
	other := d.entry
	other.Package = "v1/2026/05/04/none/none.wacz"
	if _, err := d.Export(t.Context(), []storage.Entry{other}, filepath.Join(dir, "b")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no package: %v", err)
	}
	other.ID = "../x"
	if _, err := d.Export(t.Context(), []storage.Entry{other}, filepath.Join(dir, "c")); err == nil {
		t.Error("a number that is none was accepted")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
