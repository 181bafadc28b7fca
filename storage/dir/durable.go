package dir

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"syscall"
)

// tempFile creates a new file below ~store/tmp, on the same file system as
// every object, and returns it with its name.
func (s *Store) tempFile() (*os.File, string, error) {
	name := tmpDir + "/" + rand.Text()
	f, err := s.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	return f, name, err
}

// makeRoot creates a directory and those above it, each entry durable.
func makeRoot(abs string) error {
	if fi, err := os.Stat(abs); err == nil && fi.IsDir() {
		return nil
	}
	up := filepath.Dir(abs)
	if up == abs {
		return nil
	}
	if err := makeRoot(up); err != nil {
		return err
	}
	if err := os.Mkdir(abs, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := os.Open(up)
	if err != nil {
		return err
	}
	return syncClose(d)
}

// makeDir creates a directory of the store and those above it, each entry
// durable.
func (s *Store) makeDir(name string) error {
	if fi, err := s.root.Stat(name); err == nil && fi.IsDir() {
		return nil
	}
	if err := s.makeDir(path.Dir(name)); err != nil {
		return err
	}
	if err := s.root.Mkdir(name, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return s.syncDirOf(name)
}

// dirOf returns the directory of a key, "." at the top.
func dirOf(key string) string { return path.Dir(key) }

// syncDirOf makes the entries beside key durable.
func (s *Store) syncDirOf(key string) error {
	d, err := s.root.Open(dirOf(key))
	if err != nil {
		return err
	}
	return syncClose(d)
}

// syncClose syncs an open directory and closes it. Windows has no such
// operation; NTFS journals its entries by itself.
func syncClose(d *os.File) error {
	if runtime.GOOS == "windows" {
		return d.Close()
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s *Store) readDir(name string) ([]fs.DirEntry, error) {
	d, err := s.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.ReadDir(-1)
}

// noLinks tells whether err means that the file system has no hard links:
// FAT and exFAT say EPERM, network and user-space ones the others.
func noLinks(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, errors.ErrUnsupported)
}
