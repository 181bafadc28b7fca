package dir

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"guzheng/storage"
)

// The files beside an object. An intent says that the object may be there,
// the record that it is.
const (
	intentSuffix = "~intent.json"
	recordSuffix = "~meta.json"
	recordFormat = "guzheng-object/1"
	recordLimit  = 64 << 10
)

// A record is the JSON file beside an object.
type record struct {
	Format string    `json:"format"`
	Key    string    `json:"key"`
	Bytes  int64     `json:"bytes"`
	SHA256 string    `json:"sha256"`
	Stored time.Time `json:"stored"`
	Until  time.Time `json:"until"`
	Hold   bool      `json:"hold,omitempty"`
}

func (r record) object() storage.Object {
	return storage.Object{
		Key: r.Key, Bytes: r.Bytes, SHA256: r.SHA256,
		Stored: r.Stored, Until: r.Until, Hold: r.Hold, Lock: storage.LockHash,
	}
}

// matches compares the record with bytes that were just read.
func (r record) matches(n int64, sum string) error {
	if n != r.Bytes || sum != r.SHA256 {
		return fmt.Errorf("%w: stored %d bytes with sha256 %s, found %d with %s",
			storage.ErrAltered, r.Bytes, r.SHA256, n, sum)
	}
	return nil
}

// parseRecord reads a record and checks that it is complete and speaks of
// key. Anything else gives storage.ErrAltered.
func parseRecord(b []byte, key string) (record, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, fmt.Errorf("%w: reading its record: %w", storage.ErrAltered, err)
	}
	switch {
	case r.Format != recordFormat:
		return record{}, fmt.Errorf("%w: its record has the format %q, want %q", storage.ErrAltered, r.Format, recordFormat)
	case r.Key != key:
		return record{}, fmt.Errorf("%w: its record speaks of %q", storage.ErrAltered, r.Key)
	case r.Bytes < 0 || !isSHA256(r.SHA256):
		return record{}, fmt.Errorf("%w: its record has no length and digest", storage.ErrAltered)
	}
	return r, nil
}

// isSHA256 tells whether s is 64 lower-case hexadecimal digits.
func isSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && hex.EncodeToString(b) == s
}

// found is what lies under a key at one moment.
type found struct {
	rec      record
	intended bool        // there is an intent and no record
	recorded bool        // there is a record
	file     fs.FileInfo // nil when there is no file
}

// sound returns nil when f is an object, as far as can be seen without
// reading it.
func (f found) sound() error {
	known := f.intended || f.recorded
	switch {
	case f.file == nil && f.recorded:
		return fmt.Errorf("%w: its file is missing", storage.ErrAltered)
	case f.file == nil, f.file.IsDir() && !known:
		return storage.ErrNotExist
	case !f.file.Mode().IsRegular():
		return fmt.Errorf("%w: it is not a regular file", storage.ErrAltered)
	case !known:
		return fmt.Errorf("%w: there is no record of its digest", storage.ErrAltered)
	case f.file.Size() != f.rec.Bytes:
		return fmt.Errorf("%w: stored %d bytes, found %d", storage.ErrAltered, f.rec.Bytes, f.file.Size())
	}
	return nil
}

// look reads the record or else the intent of a key, then its file's entry.
// It is exact while the key's lock is held.
func (s *Store) look(key string) (found, error) {
	var f found
	var err error
	f.rec, err = s.readRecord(key, recordSuffix)
	f.recorded = err == nil
	if absent(err) {
		f.rec, err = s.readRecord(key, intentSuffix)
		f.intended = err == nil
	}
	if err != nil && !absent(err) {
		return found{}, err
	}
	f.file, err = s.root.Lstat(key)
	if err != nil && !absent(err) {
		return found{}, err
	}
	if err != nil {
		f.file = nil
	}
	return f, nil
}

func (s *Store) readRecord(key, suffix string) (record, error) {
	f, err := s.root.Open(key + suffix)
	if err != nil {
		return record{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, recordLimit))
	if err != nil {
		return record{}, err
	}
	return parseRecord(b, key)
}

// writeRecord replaces the record or intent of r.Key at once and durably.
func (s *Store) writeRecord(r record, suffix string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding its record: %w", err)
	}
	f, tmp, err := s.tempFile()
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err := errors.Join(err, f.Chmod(fileMode), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, s.root.Remove(tmp))
	}
	if err := s.root.Rename(tmp, r.Key+suffix); err != nil {
		return errors.Join(err, s.root.Remove(tmp))
	}
	return s.syncDirOf(r.Key)
}

// settle writes the record of an object whose file is in place, and drops
// the intent that an interrupted Put may have left.
func (s *Store) settle(r record) error {
	if err := s.writeRecord(r, recordSuffix); err != nil {
		return err
	}
	if err := s.root.Remove(r.Key + intentSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
