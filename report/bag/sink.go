package bag

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"guzheng/capture"
)

// A sink is where the files of a bag go: a directory or a ZIP file, under a
// name that nobody takes for the finished bag.
type sink interface {
	// create begins a file; the one before it is complete.
	create(name string, mode fs.FileMode) (io.Writer, error)
	// finish makes everything durable.
	finish() error
	// open gives what was written, for checking; the closer is called after.
	open() (fs.FS, io.Closer, error)
	// name gives the bag its name.
	name(target string) error
	// discard removes what was written.
	discard()
}

// reserve refuses a target that exists and returns its absolute name.
func reserve(target string) (string, error) {
	abs, err := filepath.Abs(target)
	if err != nil {
		return "", err
	}
	if _, err := os.Lstat(abs); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fs.ErrExist
		}
		return "", fmt.Errorf("%s: %w", target, err)
	}
	return abs, nil
}

// pattern is the hidden name of an unfinished bag, for os.CreateTemp.
func pattern(target string) string { return "." + filepath.Base(target) + ".partial-*" }

// folder writes a bag as a directory.
type folder struct {
	dir  string
	root *os.Root
	last *os.File
	dirs map[string]bool
}

func newFolder(target string) (*folder, error) {
	dir, err := os.MkdirTemp(filepath.Dir(target), pattern(target))
	if err != nil {
		return nil, err
	}
	f := &folder{dir: dir, dirs: map[string]bool{".": true}}
	if f.root, err = os.OpenRoot(dir); err == nil {
		err = os.Chmod(dir, 0o755) // MkdirTemp makes it private
	}
	if err != nil {
		f.discard()
		return nil, err
	}
	return f, nil
}

func (f *folder) create(name string, mode fs.FileMode) (io.Writer, error) {
	if err := f.settle(); err != nil {
		return nil, err
	}
	dir := path.Dir(name)
	if err := f.root.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for ; !f.dirs[dir]; dir = path.Dir(dir) {
		f.dirs[dir] = true
	}
	var err error
	f.last, err = f.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	return f.last, err
}

// settle makes the last file durable.
func (f *folder) settle() error {
	if f.last == nil {
		return nil
	}
	err := f.last.Sync()
	if cerr := f.last.Close(); err == nil {
		err = cerr
	}
	f.last = nil
	return err
}

func (f *folder) finish() error {
	if err := f.settle(); err != nil {
		return err
	}
	for dir := range f.dirs {
		if err := capture.SyncDir(filepath.Join(f.dir, filepath.FromSlash(dir))); err != nil {
			return err
		}
	}
	return nil
}

func (f *folder) open() (fs.FS, io.Closer, error) { return f.root.FS(), io.NopCloser(nil), nil }

func (f *folder) name(target string) error {
	if err := f.root.Close(); err != nil {
		return err
	}
	return place(f.dir, target)
}

func (f *folder) discard() {
	if f.last != nil {
		_ = f.last.Close() // what it holds is removed
	}
	if f.root != nil {
		_ = f.root.Close()
	}
	os.RemoveAll(f.dir)
}

// archive writes a bag as a ZIP file. Everything in it lies below one
// directory that has the name of the file (RFC 8493 section 4).
type archive struct {
	file *os.File
	zip  *zip.Writer
	base string
	date time.Time
}

func newArchive(target string, date time.Time) (*archive, error) {
	f, err := os.CreateTemp(filepath.Dir(target), pattern(target))
	if err != nil {
		return nil, err
	}
	base := filepath.Base(target)
	return &archive{file: f, zip: zip.NewWriter(f), date: date, base: strings.TrimSuffix(base, filepath.Ext(base))}, nil
}

// stored are the kinds of files that hold compressed data already.
var stored = []string{".wacz", ".html", ".pdf"}

func (a *archive) create(name string, mode fs.FileMode) (io.Writer, error) {
	h := &zip.FileHeader{Name: a.base + "/" + name, Method: zip.Deflate, Modified: a.date}
	for _, end := range stored {
		if strings.HasSuffix(name, end) {
			h.Method = zip.Store
		}
	}
	h.SetMode(mode)
	return a.zip.CreateHeader(h)
}

func (a *archive) finish() error {
	if err := a.zip.Close(); err != nil {
		return err
	}
	if err := a.file.Chmod(0o644); err != nil {
		return err
	}
	return a.file.Sync()
}

func (a *archive) open() (fs.FS, io.Closer, error) {
	info, err := a.file.Stat()
	if err != nil {
		return nil, nil, err
	}
	r, err := zip.NewReader(a.file, info.Size())
	if err != nil {
		return nil, nil, err
	}
	sub, err := fs.Sub(r, a.base)
	return sub, io.NopCloser(nil), err
}

func (a *archive) name(target string) error {
	if err := a.file.Close(); err != nil {
		return err
	}
	return place(a.file.Name(), target)
}

func (a *archive) discard() {
	_ = a.file.Close() // what it holds is removed
	os.Remove(a.file.Name())
}

// place gives a finished bag its name. A file is linked, which refuses a
// target that came to be in the meantime; where links cannot be made, as on
// most removable media, and for directories, that is looked for right before.
func place(from, target string) error {
	if os.Link(from, target) == nil {
		os.Remove(from)
	} else if _, err := reserve(target); err != nil {
		return err
	} else if err := os.Rename(from, target); err != nil {
		return err
	}
	return capture.SyncDir(filepath.Dir(target))
}
