package flock

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// Take locks f, shared or exclusive, and waits for it.
func Take(f *os.File, exclusive bool) error {
	var flags uint32
	if exclusive {
		flags = windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	return lockFile(f, flags)
}

// Try locks f exclusively or returns ErrHeld at once.
func Try(f *os.File) error {
	err := lockFile(f, windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return fmt.Errorf("locking %s: %w", f.Name(), ErrHeld)
	}
	return err
}

func lockFile(f *os.File, flags uint32) error {
	if err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{}); err != nil {
		return fmt.Errorf("locking %s: %w", f.Name(), err)
	}
	return nil
}
