package verify_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"guzheng/preserve/wacz"
)

// A zfile is one entry of a ZIP that may be as wrong as it wants. Zero
// values mean: as FORMAT.md says.
type zfile struct {
	name  string
	data  []byte
	local string // name in the local header, when it is another one

	time, date uint16
	method     uint16
	flags      uint16 // set beside the one for UTF-8
	plain      bool   // no flag for UTF-8
	crc        uint32 // added to the right one
	declared   uint32 // length that the headers claim, instead of the right one
	extra      []byte // in both headers
	comment    string
	attributes uint32
	descriptor bool
	before     []byte // bytes between the entry before and this one
	unlisted   bool   // not in the directory
	twin       string // in the directory a second time, under this path
}

// stored is what stands in the file for the data.
func (f zfile) stored() []byte {
	if f.method != 8 {
		return f.data
	}
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression) // the level exists
	_, _ = w.Write(f.data)
	_ = w.Close()
	return b.Bytes()
}

// common is what both headers share, from the flags on.
func (f zfile) common(b []byte, name string, local bool) []byte {
	le := binary.LittleEndian
	flags, crc, size, packed := f.flags|0x0800, f.crc+crc32.ChecksumIEEE(f.data), uint32(len(f.data)), uint32(len(f.stored()))
	if f.plain {
		flags &^= 0x0800
	}
	if f.declared != 0 {
		size = f.declared
	}
	if f.descriptor {
		flags |= 8
		if local {
			crc, size, packed = 0, 0, 0
		}
	}
	b = le.AppendUint16(b, flags)
	b = le.AppendUint16(b, f.method)
	b = le.AppendUint16(b, f.time)
	b = le.AppendUint16(b, f.date)
	b = le.AppendUint32(b, crc)
	b = le.AppendUint32(b, packed)
	b = le.AppendUint32(b, size)
	b = le.AppendUint16(b, uint16(len(name)))
	return le.AppendUint16(b, uint16(len(f.extra)))
}

func (f zfile) appendLocal(b []byte) []byte {
	le := binary.LittleEndian
	name := f.name
	if f.local != "" {
		name = f.local
	}
	b = append(b, "PK\x03\x04\x14\x00"...)
	b = append(f.common(b, name, true), name...)
	b = append(append(b, f.extra...), f.stored()...)
	if f.descriptor {
		b = append(b, "PK\x07\x08"...)
		b = le.AppendUint32(b, crc32.ChecksumIEEE(f.data))
		b = le.AppendUint32(b, uint32(len(f.stored())))
		b = le.AppendUint32(b, uint32(len(f.data)))
	}
	return b
}

func (f zfile) appendCentral(b []byte, at int) []byte {
	le := binary.LittleEndian
	attributes := f.attributes
	if attributes == 0 {
		attributes = 0o100644 << 16
	}
	b = append(b, "PK\x01\x02\x2d\x03\x14\x00"...)
	b = f.common(b, f.name, false)
	b = le.AppendUint16(b, uint16(len(f.comment)))
	b = append(b, 0, 0, 0, 0)
	b = le.AppendUint32(b, attributes)
	b = le.AppendUint32(b, uint32(at))
	return append(append(append(b, f.name...), f.extra...), f.comment...)
}

// A zipped is a whole ZIP file in the making.
type zipped struct {
	files   []zfile
	order   []int // of the directory, when it is another one
	gap     []byte
	comment string
	zip64   bool // end records of 64 bits, which nothing here needs
}

func (z zipped) bytes() []byte {
	le := binary.LittleEndian
	var b, dir []byte
	var at []int
	for _, f := range z.files {
		b = append(b, f.before...)
		at = append(at, len(b))
		b = f.appendLocal(b)
	}
	order := z.order
	for i := range z.files {
		if z.order == nil {
			order = append(order, i)
		}
	}
	n := 0
	for _, i := range order {
		f := z.files[i]
		if !f.unlisted {
			dir, n = f.appendCentral(dir, at[i]), n+1
		}
		if f.twin != "" {
			f.name = f.twin
			dir, n = f.appendCentral(dir, at[i]), n+1
		}
	}
	b = append(b, z.gap...)
	start := len(b)
	b = append(b, dir...)
	if z.zip64 {
		end := len(b)
		b = le.AppendUint64(append(b, "PK\x06\x06"...), 44)
		b = append(b, 0x2d, 3, 0x2d, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		for _, x := range []int{n, n, len(dir), start} {
			b = le.AppendUint64(b, uint64(x))
		}
		b = le.AppendUint64(append(b, "PK\x06\x07\x00\x00\x00\x00"...), uint64(end))
		b = le.AppendUint32(b, 1)
	}
	b = append(b, "PK\x05\x06\x00\x00\x00\x00"...)
	b = le.AppendUint16(le.AppendUint16(b, uint16(n)), uint16(n))
	b = le.AppendUint32(le.AppendUint32(b, uint32(len(dir))), uint32(start))
	return append(le.AppendUint16(b, uint16(len(z.comment))), z.comment...)
}

// unzipped takes a sound package apart.
func unzipped(t testing.TB, pkg []byte) zipped {
	t.Helper()
	p, err := wacz.Open(bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	var z zipped
	for _, f := range p.Files() {
		b, err := p.ReadFile(f.Path, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		z.files = append(z.files, zfile{name: f.Path, data: b, time: le.Uint16(pkg[10:]), date: le.Uint16(pkg[12:])})
	}
	return z
}

// at returns the entry of that path.
func (z *zipped) at(path string) *zfile {
	for i := range z.files {
		if z.files[i].name == path {
			return &z.files[i]
		}
	}
	panic("verify_test: no entry " + path)
}

// What is zipped is a package again, byte by byte.
func TestZipped(t *testing.T) {
	pkg := read(t, newHouse(t).build(t, nil))
	if got := unzipped(t, pkg).bytes(); !bytes.Equal(got, pkg) {
		t.Errorf("%d bytes, package has %d", len(got), len(pkg))
	}
}

const domPath = "evidence/dom.html"

// entry changes the entry dom.html.
func entry(change func(f *zfile)) func(*zipped) {
	return func(z *zipped) { change(z.at(domPath)) }
}

func named(name string) func(*zipped) { return entry(func(f *zfile) { f.name = name }) }

// zipSamples are ZIP files in a form that a package must not have. All were
// sealed as they are, so that nothing else is wrong with them.
func zipSamples(data []byte) map[string]sample {
	out := map[string]sample{}
	for name, s := range map[string]struct {
		about, want string
		change      func(*zipped)
	}{
		"zip-absolute":      {"an absolute path", "zip.path", named("/etc/guzheng")},
		"zip-drive":         {"a path with a drive letter", "zip.path", named("C:/dom.html")},
		"zip-dots":          {"a path with a dot segment inside", "zip.path", named("evidence/../evidence/dom.html")},
		"zip-control":       {"a path with a line break", "zip.path", named("evidence/dom\n.html")},
		"zip-latin":         {"a path that is not UTF-8", "zip.path", named("evidence/caf\xe9.html")},
		"zip-file-and-dir":  {"a path that is a file and a directory", "zip.path", named("evidence/take.json/x")},
		"zip-directory":     {"an entry for a directory", "zip.path", func(z *zipped) { z.files = append(z.files, zfile{name: "evidence/"}) }},
		"zip-bomb":          {"an entry of 8 KB that says it holds 4 GB", "zip.compressed", entry(func(f *zfile) { f.data, f.method, f.declared = make([]byte, 8<<20), 8, 0xfffffff0 })},
		"zip-declared":      {"a stored entry that says it is longer than the file", "zip.overlap", entry(func(f *zfile) { f.declared = 0x7ffffff0 })},
		"zip-deflated":      {"an entry that is compressed", "zip.compressed", entry(func(f *zfile) { f.method = 8 })},
		"zip-descriptor":    {"an entry with a data descriptor", "zip.form", entry(func(f *zfile) { f.descriptor = true })},
		"zip-encrypted":     {"an entry marked as encrypted", "zip.form", entry(func(f *zfile) { f.flags = 1 })},
		"zip-no-utf8":       {"an entry without the flag for UTF-8", "zip.form", entry(func(f *zfile) { f.plain = true })},
		"zip-extra":         {"an entry with an extra field (extended time stamp)", "zip.form", entry(func(f *zfile) { f.extra = []byte("UT\x05\x00\x01\x00\x00\x00\x00") })},
		"zip-entry-comment": {"an entry with a comment", "zip.form", entry(func(f *zfile) { f.comment = "x" })},
		"zip-symlink":       {"an entry that is a symbolic link", "zip.form", entry(func(f *zfile) { f.attributes = 0o120777 << 16 })},
		"zip-mode":          {"an entry that is executable", "zip.form", entry(func(f *zfile) { f.attributes = 0o100755 << 16 })},
		"zip-time":          {"an entry with another time", "zip.form", entry(func(f *zfile) { f.time++ })},
		"zip-crc":           {"an entry with a wrong CRC-32", "zip.checksum", entry(func(f *zfile) { f.crc = 1 })},
		"zip-local-name":    {"a local header with another path than the directory", "zip.form", entry(func(f *zfile) { f.local = "evidence/dim.html" })},
		"zip-overlap":       {"two directory entries over the same bytes", "zip.overlap", entry(func(f *zfile) { f.twin = "evidence/dom.htm" })},
		"zip-gap":           {"bytes between two entries", "zip.gap", entry(func(f *zfile) { f.before = []byte("hidden") })},
		"zip-hidden":        {"an entry that the directory does not list", "zip.gap", entry(func(f *zfile) { f.unlisted = true })},
		"zip-gap-directory": {"bytes between the last entry and the directory", "zip.gap", func(z *zipped) { z.gap = []byte("hidden") }},
		"zip-comment":       {"a comment at the end", "zip.end", func(z *zipped) { z.comment = "x" }},
		"zip-order":         {"a directory in another order than the entries", "zip.gap", func(z *zipped) { z.order = append([]int{1, 0}, upTo(2, len(z.files))...) }},
		"zip-zip64":         {"end records of 64 bits that are not needed", "zip.gap", func(z *zipped) { z.zip64 = true }},
	} {
		out[name] = sample{about: s.about, want: s.want, warc: data, pack: func(t *testing.T, _ *house, pkg []byte) []byte {
			z := unzipped(t, pkg)
			s.change(&z)
			return z.bytes()
		}}
	}
	return out
}

func upTo(from, to int) []int {
	var out []int
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}
