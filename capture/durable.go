package capture

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// WriteFile stores b under name, as WriteStream does.
func WriteFile(name string, b []byte) error {
	return WriteStream(name, func(w io.Writer) error { _, err := w.Write(b); return err })
}

// WriteStream stores what write writes under name so that after a crash or an
// error the file is either as it was before or whole: temporary file in the
// same directory, fsync, rename, fsync of the directory. An existing file is
// replaced.
func WriteStream(name string, write func(w io.Writer) error) error {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, ".tmp-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer os.Remove(f.Name()) // fails after the rename, as it should
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return SyncDir(dir)
}

// SyncDir makes the directory's entries durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("syncing directory %s: %w", dir, err)
	}
	return nil
}

// syncFiles makes the files of a take durable, and their names, all at once:
// one after the other they would be waited for dozens of times.
func syncFiles(dir string, files []File) error {
	dirs := map[string]bool{dir: true}
	errs := make([]error, len(files))
	var wg sync.WaitGroup
	for i, f := range files {
		name := filepath.Join(dir, filepath.FromSlash(f.Path))
		dirs[filepath.Dir(name)] = true
		wg.Go(func() { errs[i] = syncFile(name) })
	}
	wg.Wait()
	for d := range dirs {
		errs = append(errs, SyncDir(d))
	}
	return errors.Join(errs...)
}

func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("syncing file: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("syncing file %s: %w", name, err)
	}
	return nil
}
