// Package flock takes advisory locks on open files, so that processes that
// share a store take turns.
//
// Life of a lock: Take waits until the lock is free and returns; it ends
// when the file is closed, also when the process is killed. Two open files
// exclude each other even inside one process.
//
// Trust: the locks bind only processes that ask for them.
package flock

import "errors"

// ErrHeld says that another open file holds the lock.
var ErrHeld = errors.New("lock is held by another")
