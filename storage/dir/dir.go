// Package dir is the embedded store: objects as plain files below one local
// directory, with what is known of each in a record beside it.
//
// Life of an object: Put streams the bytes into a file below ~store/tmp while
// it hashes them, compares them with what the caller wants, syncs the file,
// makes it read-only and reads it back; then, holding the key's lock, it
// writes the intent (KEY~intent.json), links the file to its name, which
// fails if the name is taken, and renames the intent to the record
// (KEY~meta.json), syncing the directory after each. A process killed
// anywhere leaves either no object or a whole one; storage/README.md lists
// the states. Neither "~" file can be a key, so List never shows them. Extend
// and Hold rewrite the record; Remove, after the date and without a hold,
// goes the way of Put backwards.
//
// Trust: tamper-evident, not tamper-proof. Whoever may write the directory
// can change or remove files. Changed bytes, a missing file and a missing
// record all give ErrAltered; but someone who changes file and record
// together is caught only by the seal, and someone who removes both only by
// the log. Date and hold bind this program and nobody else: they lie in the
// record, and "has passed" is by this machine's clock.
package dir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"guzheng/storage"
	"guzheng/storage/internal/flock"
)

// The store's own directories; "~" cannot stand in a key.
const (
	ownDir   = "~store"
	tmpDir   = ownDir + "/tmp"
	lockDir  = ownDir + "/locks"
	writers  = "writers" // held shared by every Put under way
	dirMode  = 0o755
	fileMode = 0o444
)

// A Store keeps objects below one directory. It implements storage.Store.
// Several stores, also of several processes, may be open on one directory.
type Store struct {
	root *os.Root
	path string
	now  func() time.Time

	link func(from, to string) error // root.Link, unless a test replaces it
	step func(done string) error     // nil, unless a test interrupts Put
}

// Open opens the store in the directory root and creates it if need be. It
// removes what killed writers left below ~store/tmp, unless some process is
// writing at this moment; then a later Open does. now gives the date that
// new objects carry as stored.
func Open(root string, now func() time.Time) (*Store, error) {
	s, err := open(root, now)
	if err != nil {
		return nil, fmt.Errorf("opening store %s: %w", root, err)
	}
	return s, nil
}

func open(root string, now func() time.Time) (*Store, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if err := makeRoot(abs); err != nil {
		return nil, err
	}
	r, err := os.OpenRoot(abs)
	if err != nil {
		return nil, err
	}
	s := &Store{root: r, path: abs, now: now, link: r.Link}
	for _, d := range []string{tmpDir, lockDir} {
		if err := s.makeDir(d); err != nil {
			return nil, err
		}
	}
	return s, s.sweep()
}

// sweep removes the temporary files of dead writers. Living writers hold the
// writers lock, so having it alone means that there are none.
func (s *Store) sweep() error {
	f, err := s.lockFile(writers)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := flock.Try(f); errors.Is(err, flock.ErrHeld) {
		return nil
	} else if err != nil {
		return err
	}
	names, err := s.readDir(tmpDir)
	if err != nil {
		return err
	}
	for _, e := range names {
		if err := s.root.Remove(tmpDir + "/" + e.Name()); err != nil {
			return fmt.Errorf("removing what a killed writer left: %w", err)
		}
	}
	return nil
}

// Path returns the absolute name of the file in which the object's bytes lie
// or would lie, for people and for checks that must also see altered bytes:
// nothing is verified, not even that the file exists. The error is
// storage.ErrKey.
func (s *Store) Path(key string) (string, error) {
	if err := storage.CheckKey(key); err != nil {
		return "", fmt.Errorf("naming the file of %s: %w", label(key), err)
	}
	return filepath.Join(s.path, filepath.FromSlash(key)), nil
}

// Stat implements storage.Store. A file that is missing, has another length
// than recorded, or has no record gives storage.ErrAltered.
func (s *Store) Stat(_ context.Context, key string) (storage.Object, error) {
	rec, err := s.known(key)
	if err != nil {
		return storage.Object{}, fmt.Errorf("looking up %s: %w", label(key), err)
	}
	return rec.object(), nil
}

// Open implements storage.Store. It reads the file once to its end before it
// returns. Bytes that are changed in place later, while the content is open,
// are not noticed by this package.
func (s *Store) Open(ctx context.Context, key string) (storage.Content, storage.Object, error) {
	f, rec, err := s.openChecked(ctx, key)
	if err != nil {
		return nil, storage.Object{}, fmt.Errorf("opening %s: %w", label(key), err)
	}
	return f, rec.object(), nil
}

func (s *Store) openChecked(ctx context.Context, key string) (*os.File, record, error) {
	rec, err := s.known(key)
	if err != nil {
		return nil, rec, err
	}
	f, err := s.root.Open(key)
	if err != nil {
		return nil, rec, err
	}
	n, sum, err := copyHash(ctx, io.Discard, f)
	if err == nil {
		err = rec.matches(n, sum)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = f.Close() // it was only read
		return nil, rec, err
	}
	return f, rec, nil
}

// known returns the record of a sound object. Readers take no lock; what
// looks wrong without it may be a Put under way and is looked at again.
func (s *Store) known(key string) (record, error) {
	if err := storage.CheckKey(key); err != nil {
		return record{}, err
	}
	got, err := s.look(key)
	if err == nil {
		err = got.sound()
	}
	if err == nil || errors.Is(err, storage.ErrNotExist) {
		return got.rec, err
	}
	release, err := s.hold(stripe(key))
	if err != nil {
		return record{}, err
	}
	defer release()
	if got, err = s.look(key); err != nil {
		return record{}, err
	}
	return got.rec, got.sound()
}

// hold waits for the named lock, exclusively, and returns what ends it.
func (s *Store) hold(name string) (release func(), err error) {
	f, err := s.lockFile(name)
	if err != nil {
		return nil, err
	}
	if err := flock.Take(f, name != writers); err != nil {
		_ = f.Close() // nothing was written, and the lock is not held
		return nil, err
	}
	return func() { _ = f.Close() }, nil // which ends the lock, whatever it says
}

func (s *Store) lockFile(name string) (*os.File, error) {
	return s.root.OpenFile(lockDir+"/"+name, os.O_RDWR|os.O_CREATE, 0o644)
}

// stripe names the lock of a key: one of 256, so that their number is
// bounded and no lock file ever has to be removed.
func stripe(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:1])
}

// label is the key as it may stand in a message.
func label(key string) string {
	if storage.CheckKey(key) != nil {
		return strconv.Quote(key)
	}
	return key
}

// absent tells whether err says that a file, or a directory above it, is not
// there.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
