package wacz

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
)

// ErrBomb is wrapped when an entry claims to hold far more than a file of
// its kind can.
var ErrBomb = errors.New("entry claims to hold far more than is stored")

// Limits for packages of other programs.
const (
	maxRatio  = 200     // of a compressed entry
	freeBytes = 1 << 20 // that any entry may hold, whatever the ratio
	maxExtra  = 4096    // extra field of a local header
)

// A Loose package was made by another program: it may have compressed
// entries, data descriptors, extra fields, comments and bytes between
// entries, and nothing is known of the files in it but their names, which
// are safe and stand once. What a directory entry says and what the local
// header says must agree on the name, and no two entries share bytes.
type Loose struct {
	files  []*zip.File // without directories
	byName map[string]*zip.File
}

// OpenLoose reads the structure of a WACZ file by any program.
func OpenLoose(r io.ReaderAt, size int64) (*Loose, error) {
	z, err := zip.NewReader(r, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, fmt.Errorf("opening package: %w: %w", ErrNotZip, err)
	}
	if len(z.File) > maxEntries {
		return nil, fmt.Errorf("opening package: %w: %d", ErrTooMany, len(z.File))
	}
	p := &Loose{byName: map[string]*zip.File{}}
	names := Package{byName: map[string]int{}}
	var spans [][2]int64
	for _, f := range z.File {
		span, err := looseEntry(r, f)
		if err != nil {
			return nil, fmt.Errorf("opening package: %w", err)
		}
		spans = append(spans, span)
		if strings.HasSuffix(f.Name, "/") && f.UncompressedSize64 == 0 {
			if err := checkPath(strings.TrimSuffix(f.Name, "/")); err != nil {
				return nil, fmt.Errorf("opening package: %w", err)
			}
			continue
		}
		names.entries = append(names.entries, entry{name: f.Name})
		p.files = append(p.files, f)
		p.byName[f.Name] = f
	}
	if err := names.checkNames(); err != nil {
		return nil, fmt.Errorf("opening package: %w", err)
	}
	sort.Slice(spans, func(i, k int) bool { return spans[i][0] < spans[k][0] })
	for i := 1; i < len(spans); i++ {
		if spans[i][0] < spans[i-1][1] {
			return nil, fmt.Errorf("opening package: %w", ErrOverlap)
		}
	}
	return p, nil
}

// looseEntry looks at one entry and returns where it lies.
func looseEntry(r io.ReaderAt, f *zip.File) (span [2]int64, err error) {
	switch {
	case f.Method != zip.Store && f.Method != zip.Deflate || f.Flags&1 != 0:
		return span, fmt.Errorf("%w: %q has method %d, flags %#x", ErrCompressed, f.Name, f.Method, f.Flags)
	case f.Method == zip.Store && f.UncompressedSize64 != f.CompressedSize64:
		return span, fmt.Errorf("%w: sizes of %q", ErrForm, f.Name)
	case f.UncompressedSize64 > freeBytes && f.UncompressedSize64/maxRatio > f.CompressedSize64:
		return span, fmt.Errorf("%w: %q, %d bytes in %d", ErrBomb, f.Name, f.UncompressedSize64, f.CompressedSize64)
	case !f.Mode().IsRegular() && !f.Mode().IsDir():
		return span, fmt.Errorf("%w: %q is no file", ErrForm, f.Name)
	}
	at, err := f.DataOffset()
	if err != nil {
		return span, fmt.Errorf("%w: header of %q: %w", ErrForm, f.Name, err)
	}
	start, err := localStart(r, f.Name, at)
	return [2]int64{start, at + int64(f.CompressedSize64)}, err
}

// localStart finds the local header that ends at a place and has that name.
// The library does not say where it is, and does not compare the names.
func localStart(r io.ReaderAt, name string, at int64) (int64, error) {
	n := min(at, int64(localSize+len(name)+maxExtra))
	b := make([]byte, n)
	if err := readAt(r, b, at-n); err != nil {
		return 0, err
	}
	le := binary.LittleEndian
	for extra := 0; extra+localSize+len(name) <= len(b); extra++ {
		h := b[len(b)-localSize-len(name)-extra:]
		if le.Uint32(h) == localSignature && int(le.Uint16(h[26:])) == len(name) && int(le.Uint16(h[28:])) == extra &&
			bytes.HasPrefix(h[localSize:], []byte(name)) {
			return at - int64(localSize+len(name)+extra), nil
		}
	}
	return 0, fmt.Errorf("%w: local header of %q has another name", ErrForm, name)
}

// Paths lists the files in the order of the directory.
func (p *Loose) Paths() []string {
	out := make([]string, len(p.files))
	for i, f := range p.files {
		out[i] = f.Name
	}
	return out
}

// Has reports whether the package has a file of that path.
func (p *Loose) Has(path string) bool { return p.byName[path] != nil }

// Open reads one file; its last Read says when the CRC-32 or the length is
// not that of the directory.
func (p *Loose) Open(path string) (io.ReadCloser, error) {
	f := p.byName[path]
	if f == nil {
		return nil, fmt.Errorf("opening %q: %w", path, ErrMissing)
	}
	return f.Open()
}

// ReadFile reads a whole file of at most limit bytes.
func (p *Loose) ReadFile(path string, limit int64) ([]byte, error) {
	r, err := p.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", path, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("reading %q: longer than %d bytes", path, limit)
	}
	return b, nil
}
