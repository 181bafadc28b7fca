//go:build unix

// Package flock lets processes that share a directory take turns.
//
// Life of a turn: Lock opens the named file, which is made when missing and
// never removed, and waits for an advisory lock (flock(2)) on it; unlock, or
// the end of the process, gives it back. Two turns exclude each other even
// inside one process.
//
// Trust: it binds only processes that ask.
package flock

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Lock waits for the turn.
func Lock(name string) (unlock func(), err error) {
	unlock, _, err = lock(name, syscall.LOCK_EX)
	return unlock, err
}

// Try takes the turn unless another has it; then ok is false.
func Try(name string) (unlock func(), ok bool, err error) {
	return lock(name, syscall.LOCK_EX|syscall.LOCK_NB)
}

func lock(name string, how int) (unlock func(), ok bool, err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("locking: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, false, f.Close()
	}
	if err != nil {
		_ = f.Close() // nothing was written through it
		return nil, false, fmt.Errorf("locking %s: %w", name, err)
	}
	return func() { _ = f.Close() }, true, nil
}
