// Package firstuse writes files that are made once and never again: keys and
// certificates of their own identity.
//
// Life of a file: written under a temporary name in the same directory with
// mode 0600, fsynced, linked to its name, directory fsynced. The link fails
// when the name exists, so of several processes exactly one wins and nothing
// is ever replaced. A crash leaves the file whole or absent, and perhaps a
// ".new-" file beside it that nobody reads.
//
// Trust: the directory's owner is trusted; whoever can write there can put
// another key in place before the first use.
package firstuse

import (
	"fmt"
	"os"
	"path/filepath"

	"guzheng/capture"
)

// Write stores b under name with mode 0600. It returns an error that wraps
// fs.ErrExist, and changes nothing, when name exists.
func Write(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("creating %s: %w", name, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Link(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("creating %s: %w", name, err)
	}
	return capture.SyncDir(filepath.Dir(name))
}
