package wacz

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strings"
	"unicode/utf8"
)

// What is wrong with a file that Open refuses.
var (
	ErrNotZip     = errors.New("no ZIP directory at the end of the file") // also: bytes behind it
	ErrForm       = errors.New("ZIP structure not in canonical form")
	ErrGap        = errors.New("bytes that belong to no entry")
	ErrOverlap    = errors.New("entries overlap")
	ErrTooMany    = errors.New("too many entries")
	ErrPath       = errors.New("unsafe path")
	ErrDuplicate  = errors.New("two entries have one path")
	ErrCaseFold   = errors.New("two paths differ in case only")
	ErrCompressed = errors.New("entry is not stored")
	ErrChecksum   = errors.New("CRC-32 does not match")
	ErrMissing    = errors.New("package has no such file")
	ErrContent    = errors.New("not as WACZ and this format say")
)

// A FileInfo is one file of a package as its ZIP directory lists it.
type FileInfo struct {
	Path  string
	Bytes int64
	CRC32 uint32
}

// A Package is an open package. Its methods may be called from several
// goroutines if the underlying reader allows.
type Package struct {
	r       io.ReaderAt
	entries []entry
	byName  map[string]int
	data    []int64 // where the bytes of each entry begin
}

// Open reads the ZIP structure of a package of the given size in bytes and
// checks every byte of it. The bytes of the files are not read.
func Open(r io.ReaderAt, size int64) (*Package, error) {
	p := &Package{r: r, byName: map[string]int{}}
	dir, err := readDirectory(r, size)
	if err != nil {
		return nil, fmt.Errorf("opening package: %w", err)
	}
	s, err := p.parseDirectory(dir)
	if err != nil {
		return nil, fmt.Errorf("opening package: %w", err)
	}
	if err := p.checkNames(); err != nil {
		return nil, fmt.Errorf("opening package: %w", err)
	}
	if err := p.checkStructure(dir, s, size); err != nil {
		return nil, fmt.Errorf("opening package: %w", err)
	}
	return p, nil
}

// directory is where the central directory lies.
type directory struct {
	bytes  []byte
	count  int
	offset int64
}

// readDirectory finds the end records, which must be the last bytes of the
// file, and reads the directory.
func readDirectory(r io.ReaderAt, size int64) (directory, error) {
	le := binary.LittleEndian
	var end [locator64Size + endSize]byte
	n := min(size, int64(len(end)))
	tail := end[int64(len(end))-n:]
	if err := readAt(r, tail, size-n); err != nil {
		return directory{}, err
	}
	e := end[locator64Size:]
	if size < endSize || le.Uint32(e) != endSignature {
		return directory{}, ErrNotZip
	}
	d := directory{count: int(le.Uint16(e[10:])), offset: int64(le.Uint32(e[16:]))}
	length := int64(le.Uint32(e[12:]))
	if le.Uint32(end[:]) == locator64Signature {
		var err error
		if d, length, err = readEnd64(r, size); err != nil {
			return directory{}, err
		}
	}
	switch {
	case d.count > maxEntries || length > maxDirectory:
		return directory{}, fmt.Errorf("%w: %d", ErrTooMany, d.count)
	case d.offset < 0 || length < 0 || d.offset > size || length > size-d.offset:
		return directory{}, fmt.Errorf("%w: directory lies outside", ErrForm)
	}
	d.bytes = make([]byte, length)
	return d, readAt(r, d.bytes, d.offset)
}

// readAt fills b. A reader may return io.EOF together with the last bytes.
func readAt(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n < len(b) {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("reading ZIP structure at byte %d: %w", off, err)
	}
	return nil
}

// readEnd64 reads the ZIP64 end record, which stands before its locator.
func readEnd64(r io.ReaderAt, size int64) (directory, int64, error) {
	le := binary.LittleEndian
	at := size - endSize - locator64Size - end64Size
	var b [end64Size]byte
	if at < 0 {
		return directory{}, 0, ErrNotZip
	}
	if err := readAt(r, b[:], at); err != nil {
		return directory{}, 0, err
	}
	count, length, offset := le.Uint64(b[32:]), le.Uint64(b[40:]), le.Uint64(b[48:])
	if count > maxEntries || length > maxDirectory {
		return directory{}, 0, fmt.Errorf("%w: %d", ErrTooMany, count)
	}
	if offset > maxFileSize {
		return directory{}, 0, fmt.Errorf("%w: directory lies outside", ErrForm)
	}
	return directory{count: int(count), offset: int64(offset)}, int64(length), nil
}

// parseDirectory reads name, checksum, size and place of every entry and the
// time stamp that all share.
func (p *Package) parseDirectory(d directory) (stamp, error) {
	le := binary.LittleEndian
	var s stamp
	b := d.bytes
	for len(b) > 0 {
		if len(b) < centralSize || le.Uint32(b) != centralSignature {
			return s, fmt.Errorf("%w: directory entry %d", ErrForm, len(p.entries)+1)
		}
		name, extra, comment := int(le.Uint16(b[28:])), int(le.Uint16(b[30:])), int(le.Uint16(b[32:]))
		if len(b) < centralSize+name+extra+comment {
			return s, fmt.Errorf("%w: directory entry %d", ErrForm, len(p.entries)+1)
		}
		e := entry{name: string(b[centralSize : centralSize+name]), crc: le.Uint32(b[16:]),
			size: int64(le.Uint32(b[24:])), offset: int64(le.Uint32(b[42:]))}
		if le.Uint16(b[10:]) != 0 {
			return s, fmt.Errorf("%w: %q", ErrCompressed, e.name)
		}
		wide(&e, b[centralSize+name:centralSize+name+extra])
		if e.size < 0 || e.offset < 0 || e.size > maxFileSize || e.offset > maxFileSize {
			return s, fmt.Errorf("%w: size of %q", ErrForm, e.name)
		}
		s = stamp{time: le.Uint16(b[12:]), date: le.Uint16(b[14:])}
		p.entries = append(p.entries, e)
		if len(p.entries) > maxEntries {
			return s, ErrTooMany
		}
		b = b[centralSize+name+extra+comment:]
	}
	if len(p.entries) != d.count {
		return s, fmt.Errorf("%w: %d entries, directory says %d", ErrForm, len(p.entries), d.count)
	}
	return s, nil
}

// wide reads the 64-bit extra field. That it is in its place is found out by
// comparing with the canonical form.
func wide(e *entry, extra []byte) {
	le := binary.LittleEndian
	if len(extra) < 4 || le.Uint16(extra) != extra64 {
		return
	}
	extra = extra[4:]
	if e.size == max32 && len(extra) >= 16 {
		e.size = int64(le.Uint64(extra))
		extra = extra[16:]
	}
	if e.offset == max32 && len(extra) >= 8 {
		e.offset = int64(le.Uint64(extra))
	}
}

// checkNames refuses paths that are unsafe on some system or can be
// confused.
func (p *Package) checkNames() error {
	folded := map[string]string{}
	for i, e := range p.entries {
		if err := checkPath(e.name); err != nil {
			return err
		}
		if _, dup := p.byName[e.name]; dup {
			return fmt.Errorf("%w: %q", ErrDuplicate, e.name)
		}
		p.byName[e.name] = i
		f := strings.ToLower(e.name)
		if other, dup := folded[f]; dup {
			return fmt.Errorf("%w: %q, %q", ErrCaseFold, other, e.name)
		}
		folded[f] = e.name
	}
	for _, e := range p.entries {
		for dir := e.name; ; {
			i := strings.LastIndexByte(dir, '/')
			if i < 0 {
				break
			}
			dir = dir[:i]
			if _, file := folded[strings.ToLower(dir)]; file {
				return fmt.Errorf("%w: %q is a file and a directory", ErrPath, dir)
			}
		}
	}
	return nil
}

// checkPath allows relative slash paths of printable UTF-8 without dot
// segments, backslashes and colons.
func checkPath(name string) error {
	bad := len(name) > maxNameBytes || name == "." || !fs.ValidPath(name) || strings.ContainsAny(name, `\:`) || !utf8.ValidString(name)
	for _, c := range name {
		bad = bad || c < 0x20 || c == 0x7f
	}
	if bad {
		return fmt.Errorf("%w: %q", ErrPath, name)
	}
	return nil
}

// checkStructure walks through the file and compares every byte that is not
// a file's content with its canonical form.
func (p *Package) checkStructure(d directory, s stamp, size int64) error {
	var at int64
	var central []byte
	for _, e := range p.entries {
		switch {
		case e.offset > at:
			return fmt.Errorf("%w: %d bytes before %q", ErrGap, e.offset-at, e.name)
		case e.offset < at:
			return fmt.Errorf("%w: %q", ErrOverlap, e.name)
		}
		want := localHeader(e, s)
		got := make([]byte, len(want))
		if e.size > size-at-int64(len(want)) {
			return fmt.Errorf("%w: %q reaches beyond the file", ErrOverlap, e.name)
		}
		if err := readAt(p.r, got, at); err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%w: header of %q", ErrForm, e.name)
		}
		p.data = append(p.data, at+int64(len(want)))
		at += int64(len(want)) + e.size
		central = append(central, centralHeader(e, s)...)
	}
	end := endRecords(len(p.entries), int64(len(central)), at)
	switch {
	case d.offset > at:
		return fmt.Errorf("%w: %d bytes before the directory", ErrGap, d.offset-at)
	case d.offset < at:
		return fmt.Errorf("%w: directory", ErrOverlap)
	case !bytes.Equal(central, d.bytes):
		return fmt.Errorf("%w: directory", ErrForm)
	case at+int64(len(central)+len(end)) != size:
		return fmt.Errorf("%w: at the end", ErrGap)
	}
	got := make([]byte, len(end))
	if err := readAt(p.r, got, size-int64(len(end))); err != nil {
		return err
	}
	if !bytes.Equal(got, end) {
		return fmt.Errorf("%w: end of directory", ErrForm)
	}
	return nil
}

// Files lists the files in the order of the package.
func (p *Package) Files() []FileInfo {
	out := make([]FileInfo, len(p.entries))
	for i, e := range p.entries {
		out[i] = FileInfo{Path: e.name, Bytes: e.size, CRC32: e.crc}
	}
	return out
}

// Has reports whether the package has a file of that path.
func (p *Package) Has(path string) bool { _, ok := p.byName[path]; return ok }

// Open reads one file. Its last Read returns ErrChecksum when the bytes do
// not have the CRC-32 of the directory. A path that is not there gives
// ErrMissing.
func (p *Package) Open(path string) (io.ReadCloser, error) {
	i, ok := p.byName[path]
	if !ok {
		return nil, fmt.Errorf("opening %q: %w", path, ErrMissing)
	}
	e := p.entries[i]
	return &fileReader{r: io.NewSectionReader(p.r, p.data[i], e.size), e: e}, nil
}

// fileReader checks the CRC-32 at the end of the file.
type fileReader struct {
	r   io.Reader
	e   entry
	n   int64
	crc uint32
}

func (f *fileReader) Read(b []byte) (int, error) {
	n, err := f.r.Read(b)
	f.n += int64(n)
	f.crc = crc32.Update(f.crc, crc32.IEEETable, b[:n])
	if err == io.EOF {
		switch {
		case f.n != f.e.size:
			return n, fmt.Errorf("reading %q: %w", f.e.name, io.ErrUnexpectedEOF)
		case f.crc != f.e.crc:
			return n, fmt.Errorf("reading %q: %w", f.e.name, ErrChecksum)
		}
	}
	return n, err
}

func (f *fileReader) Close() error { return nil }

// ReadFile reads a whole file of at most limit bytes.
func (p *Package) ReadFile(path string, limit int64) ([]byte, error) {
	r, err := p.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("reading %q: longer than %d bytes", path, limit)
	}
	return b, nil
}

// maxJSON is how long datapackage.json may be, in bytes.
const maxJSON = 64 << 20

// Datapackage reads datapackage.json.
func (p *Package) Datapackage() (Datapackage, error) {
	var d Datapackage
	b, err := p.ReadFile(DatapackagePath, maxJSON)
	if err != nil {
		return d, err
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return d, fmt.Errorf("reading %s: %w: %w", DatapackagePath, ErrContent, err)
	}
	return d, nil
}

// Digest reads datapackage-digest.json, in the bytes that Write gives it and
// no others.
func (p *Package) Digest() (DigestFile, error) {
	var d DigestFile
	b, err := p.ReadFile(DigestPath, 1<<20)
	if err != nil {
		return d, err
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return d, fmt.Errorf("reading %s: %w: %w", DigestPath, ErrContent, err)
	}
	// The signature does not cover this file, so its form is fixed instead.
	if canon, err := encodeJSON(d); err != nil || !bytes.Equal(canon, b) {
		return d, fmt.Errorf("reading %s: %w: not in canonical form", DigestPath, ErrContent)
	}
	return d, nil
}
