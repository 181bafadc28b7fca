package wacz

import (
	"archive/zip"
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"time"
)

// forge makes a ZIP of the entries as given.
func forge(entries []entry, content func(i int) []byte) []byte {
	var b, central []byte
	s := stampOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	for i, e := range entries {
		c := content(i)
		e.crc, e.size, e.offset = crc32.ChecksumIEEE(c), int64(len(c)), int64(len(b))
		b = append(b, localHeader(e, s)...)
		b = append(b, c...)
		central = append(central, centralHeader(e, s)...)
	}
	end := endRecords(len(entries), int64(len(central)), int64(len(b)))
	return append(append(b, central...), end...)
}

func forged(names ...string) []byte {
	var es []entry
	for _, n := range names {
		es = append(es, entry{name: n})
	}
	return forge(es, func(i int) []byte { return []byte(names[i]) })
}

func open(b []byte) error {
	_, err := Open(bytes.NewReader(b), int64(len(b)))
	return err
}

func TestOpenRefuses(t *testing.T) {
	ok := forged("a/b", "c")
	patch := func(at int, to ...byte) []byte {
		b := bytes.Clone(ok)
		if at < 0 {
			at += len(b)
		}
		copy(b[at:], to)
		return b
	}
	dir := bytes.Index(ok, []byte("PK\x01\x02"))
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"sound", ok, nil},
		{"no files", forged(), nil},
		{"empty", nil, ErrNotZip},
		{"trailing", append(bytes.Clone(ok), 'x'), ErrNotZip},
		{"prepended", append([]byte("x"), ok...), ErrForm},
		{"parent", forged("../etc/passwd"), ErrPath},
		{"inner parent", forged("a/../../b"), ErrPath},
		{"absolute", forged("/etc/passwd"), ErrPath},
		{"drive", forged("C:/x"), ErrPath},
		{"backslash", forged(`a\..\b`), ErrPath},
		{"directory", forged("a/"), ErrPath},
		{"nameless", forged(""), ErrPath},
		{"dot", forged("."), ErrPath},
		{"control", forged("a\nb"), ErrPath},
		{"not utf-8", forged("a\xff"), ErrPath},
		{"long", forged(strings.Repeat("a", 2000)), ErrPath},
		{"file and directory", forged("a", "a/b"), ErrPath},
		{"duplicate", forged("a", "a"), ErrDuplicate},
		{"case", forged("a/x", "A/x"), ErrCaseFold},
		{"compressed", patch(dir+10, 8), ErrCompressed},
		{"comment", patch(-2, 1), ErrForm},
		{"count", patch(-12, 9), ErrForm},
		{"overlap", patch(dir+42, 0), nil},
		{"second overlaps", patch(dir+46+3+42, 0), ErrOverlap},
		{"gap", patch(dir+46+3+42, 0xff), ErrGap},
		{"size", patch(dir+24, 0xff), ErrOverlap},
		{"local name", patch(30, 'z'), ErrForm},
		{"directory offset", patch(-6, 1), ErrForm},
	} {
		if err := open(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	many := endRecords(maxEntries+1, 0, 0)
	if err := open(many); !errors.Is(err, ErrTooMany) {
		t.Errorf("too many: got %v", err)
	}
}

// sparse is a ZIP with files of many gigabytes of zeros.
type sparse struct {
	chunks map[int64][]byte
	size   int64
}

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	for at, c := range s.chunks {
		for i := range p {
			if k := off + int64(i) - at; k >= 0 && k < int64(len(c)) {
				p[i] = c[k]
			}
		}
	}
	if off+int64(len(p)) > s.size {
		return int(s.size - off), io.EOF
	}
	return len(p), nil
}

func TestLargeFiles(t *testing.T) {
	s := stampOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	f := sparse{chunks: map[int64][]byte{}}
	var central []byte
	for i, size := range []int64{5 << 30, 1, max32 - 1, max32, 7} {
		e := entry{name: string(rune('a' + i)), size: size, offset: f.size}
		h := localHeader(e, s)
		f.chunks[f.size] = h
		f.size += int64(len(h)) + size
		central = append(central, centralHeader(e, s)...)
	}
	end := append(bytes.Clone(central), endRecords(5, int64(len(central)), f.size)...)
	f.chunks[f.size] = end
	f.size += int64(len(end))
	p, err := Open(f, f.size)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(f, f.size)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range p.Files() {
		want := z.File[i]
		at, err := want.DataOffset()
		if err != nil || got.Bytes != int64(want.UncompressedSize64) || p.data[i] != at {
			t.Errorf("%s: %d bytes at %d; archive/zip says %d at %d, %v", got.Path, got.Bytes, p.data[i], want.UncompressedSize64, at, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(forged("a/b", "c"))
	f.Add(forged())
	f.Add(forged("datapackage.json", "datapackage-digest.json", "archive/data.warc.gz"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		// What is accepted is what we would have written.
		if len(p.entries) > 0 {
			at := p.data[0]
			s := stamp{time: uint16(b[10]) | uint16(b[11])<<8, date: uint16(b[12]) | uint16(b[13])<<8}
			if at != int64(len(localHeader(p.entries[0], s))) {
				t.Fatalf("first file begins at %d", at)
			}
		}
		z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil || len(z.File) != len(p.entries) {
			t.Fatalf("archive/zip sees %v, we %d entries", err, len(p.entries))
		}
		for i, e := range p.entries {
			r, err := p.Open(e.name)
			if err != nil || z.File[i].Name != e.name {
				t.Fatalf("%q: %v, archive/zip calls it %q", e.name, err, z.File[i].Name)
			}
			_, _ = io.Copy(io.Discard, r)
		}
		_, _ = p.Datapackage()
		_, _ = p.Digest()
	})
}
