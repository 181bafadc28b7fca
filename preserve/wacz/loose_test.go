package wacz

import (
	"archive/zip"
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"testing"
)

// byOthers is a ZIP as other programs write it: compressed entries with data
// descriptors.
func byOthers(t testing.TB, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i, n := range names {
		h := &zip.FileHeader{Name: n, Method: uint16(i % 2 * 8)}
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if n[len(n)-1] != '/' {
			if _, err := io.WriteString(w, "content of "+n); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func openLoose(b []byte) (*Loose, error) { return OpenLoose(bytes.NewReader(b), int64(len(b))) }

func TestLoose(t *testing.T) {
	p, err := openLoose(byOthers(t, "archive/", "pages/pages.jsonl", "archive/data.warc.gz", "datapackage.json"))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Paths(); len(got) != 3 || got[0] != "pages/pages.jsonl" || !p.Has("archive/data.warc.gz") || p.Has("archive/") {
		t.Errorf("files %q", got)
	}
	b, err := p.ReadFile("datapackage.json", 1<<10)
	if err != nil || string(b) != "content of datapackage.json" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := p.ReadFile("datapackage.json", 5); err == nil {
		t.Error("limit ignored")
	}
	if _, err := p.Open("none"); !errors.Is(err, ErrMissing) {
		t.Errorf("absent file: %v", err)
	}
}

func TestLooseRefuses(t *testing.T) {
	patched := func(change func(b []byte, dir int)) []byte {
		b := byOthers(t, "a", "b")
		change(b, bytes.Index(b, []byte("PK\x01\x02")))
		return b
	}
	var bomb bytes.Buffer
	z := zip.NewWriter(&bomb)
	w, err := z.Create("bomb")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	link := &zip.FileHeader{Name: "link"}
	link.SetMode(0o777 | fs.ModeSymlink)
	if _, err := z.CreateHeader(link); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"sound", byOthers(t, "a/b", "c"), nil},
		{"not a ZIP", []byte("PK"), ErrNotZip},
		{"parent", byOthers(t, "../a"), ErrPath},
		{"absolute", byOthers(t, "/a"), ErrPath},
		{"backslash", byOthers(t, `a\b`), ErrPath},
		{"directory above", byOthers(t, "../"), ErrPath},
		{"duplicate", byOthers(t, "a", "a"), ErrDuplicate},
		{"case", byOthers(t, "a", "A"), ErrCaseFold},
		{"bomb", bomb.Bytes(), ErrBomb},
		{"encrypted", patched(func(b []byte, dir int) { b[dir+8] |= 1 }), ErrCompressed},
		{"unknown method", patched(func(b []byte, dir int) { b[dir+10] = 12 }), ErrCompressed},
		{"local name", patched(func(b []byte, _ int) { b[30] = 'z' }), ErrForm},
		{"symbolic link", patched(func(b []byte, dir int) { b[dir+5], b[dir+41] = 3, 0xa1 }), ErrForm},
		{"an entry inside another", nested(), ErrOverlap},
	} {
		if _, err := openLoose(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// nested is a ZIP of two entries, the second inside the first.
func nested() []byte {
	var s stamp
	inner := entry{name: "b", crc: crc32.ChecksumIEEE([]byte("x")), size: 1, offset: localSize + 1}
	content := append(localHeader(inner, s), 'x')
	outer := entry{name: "a", crc: crc32.ChecksumIEEE(content), size: int64(len(content))}
	b := append(localHeader(outer, s), content...)
	dir := append(centralHeader(outer, s), centralHeader(inner, s)...)
	return append(append(b, dir...), endRecords(2, int64(len(dir)), int64(len(b)))...)
}

func FuzzOpenLoose(f *testing.F) {
	f.Add(byOthers(f, "a/", "a/b", "datapackage.json", "datapackage-digest.json"))
	f.Add(forged("a/b", "c"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := openLoose(b)
		if err != nil {
			return
		}
		for _, name := range p.Paths() {
			if err := checkPath(name); err != nil {
				t.Fatalf("let through %v", err)
			}
			if r, err := p.Open(name); err == nil {
				_, _ = io.Copy(io.Discard, io.LimitReader(r, 1<<20))
				_ = r.Close()
			}
		}
	})
}
