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
	"time"

	"guzheng/storage"
)

// Put implements storage.Store. A file without a record that already holds
// the wanted bytes is taken in; a recorded object whose file is missing is
// put back by the same bytes and by no others. A context that ends stops Put
// between two reads of content.
func (s *Store) Put(ctx context.Context, key string, content io.Reader, want storage.Want) (storage.Object, error) {
	rec, err := s.put(ctx, key, content, want)
	if err != nil {
		return storage.Object{}, fmt.Errorf("storing %s: %w", label(key), err)
	}
	return rec.object(), nil
}

func (s *Store) put(ctx context.Context, key string, content io.Reader, want storage.Want) (record, error) {
	if err := storage.CheckKey(key); err != nil {
		return record{}, err
	}
	if want.Bytes < 0 || !isSHA256(want.SHA256) {
		return record{}, fmt.Errorf("wanted %d bytes with sha256 %q: not a length and digest", want.Bytes, want.SHA256)
	}
	writing, err := s.hold(writers)
	if err != nil {
		return record{}, err
	}
	defer writing()
	tmp, err := s.stage(ctx, content, want)
	if err != nil {
		return record{}, err
	}
	// Only the name goes; linked bytes stay. What a failure leaves here, a
	// later Open removes.
	defer s.root.Remove(tmp)
	if err := s.done("staged"); err != nil {
		return record{}, err
	}
	release, err := s.hold(stripe(key))
	if err != nil {
		return record{}, err
	}
	defer release()
	if err := ctx.Err(); err != nil {
		return record{}, err
	}
	return s.commit(ctx, record{
		Format: recordFormat, Key: key, Bytes: want.Bytes, SHA256: want.SHA256,
		Stored: s.now().UTC().Round(0), Until: want.Until.UTC().Round(0),
	}, tmp)
}

// stage writes content into a new temporary file, durable, read-only and
// read back, and returns its name. Bytes other than want leave nothing.
func (s *Store) stage(ctx context.Context, content io.Reader, want storage.Want) (string, error) {
	f, tmp, err := s.tempFile()
	if err != nil {
		return "", err
	}
	// One byte more than wanted tells a longer content without storing it.
	n, sum, err := copyHash(ctx, f, io.LimitReader(content, want.Bytes+1))
	switch {
	case err != nil:
	case n > want.Bytes:
		err = fmt.Errorf("content has more than the wanted %d bytes", want.Bytes)
	case n != want.Bytes || sum != want.SHA256:
		err = fmt.Errorf("content has %d bytes with sha256 %s, wanted %d with %s", n, sum, want.Bytes, want.SHA256)
	default:
		err = s.seal(ctx, f, want)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, s.root.Remove(tmp))
	}
	return tmp, nil
}

// seal makes the written file read-only and durable and reads it back, from
// the device where the system allows to ask for that.
func (s *Store) seal(ctx context.Context, f *os.File, want storage.Want) error {
	if err := errors.Join(f.Chmod(fileMode), f.Sync()); err != nil {
		return err
	}
	dropCache(f)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	n, sum, err := copyHash(ctx, io.Discard, f)
	if err != nil {
		return fmt.Errorf("reading back: %w", err)
	}
	if err := (record{Bytes: want.Bytes, SHA256: want.SHA256}).matches(n, sum); err != nil {
		return fmt.Errorf("reading back: %w", err)
	}
	return nil
}

// commit gives the staged file its name, or finds that the key holds the
// same bytes already. The key's lock MUST be held.
func (s *Store) commit(ctx context.Context, want record, tmp string) (record, error) {
	got, err := s.look(want.Key)
	if err != nil {
		return record{}, err
	}
	switch {
	case got.file == nil && !got.recorded:
		return want, s.create(want, tmp)
	case got.file == nil && got.rec.SHA256 == want.SHA256:
		got.rec.Until = later(got.rec.Until, want.Until)
		return got.rec, s.create(got.rec, tmp)
	case got.file == nil:
		return record{}, fmt.Errorf("%w: stored with sha256 %s, though its file is missing", storage.ErrConflict, got.rec.SHA256)
	case !got.file.Mode().IsRegular():
		return record{}, fmt.Errorf("%w: what lies there is not a regular file", storage.ErrConflict)
	}
	return s.again(ctx, got, want)
}

// create makes the object visible: intent, file, record, each durable before
// the next, so that a file is never without what it must be checked against.
func (s *Store) create(r record, tmp string) error {
	if err := s.makeDir(dirOf(r.Key)); err != nil {
		return err
	}
	if err := s.writeRecord(r, intentSuffix); err != nil {
		return err
	}
	if err := s.done("intended"); err != nil {
		return err
	}
	if err := s.place(tmp, r.Key); err != nil {
		return err
	}
	if err := s.syncDirOf(r.Key); err != nil {
		return err
	}
	if err := s.done("placed"); err != nil {
		return err
	}
	if err := s.root.Rename(r.Key+intentSuffix, r.Key+recordSuffix); err != nil {
		return err
	}
	if err := s.syncDirOf(r.Key); err != nil {
		return err
	}
	return s.done("recorded")
}

// place gives the file its name unless the name is taken. File systems
// without links get a rename, where only the key's lock keeps the name free.
func (s *Store) place(tmp, key string) error {
	err := s.link(tmp, key)
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: the file appeared meanwhile", storage.ErrConflict)
	}
	if !noLinks(err) {
		return err
	}
	if _, err := s.root.Lstat(key); err == nil {
		return fmt.Errorf("%w: the file appeared meanwhile", storage.ErrConflict)
	}
	return s.root.Rename(tmp, key)
}

// again is Put onto a file that is there: the same bytes are accepted after
// they were read, others refused.
func (s *Store) again(ctx context.Context, got found, want record) (record, error) {
	known := got.intended || got.recorded
	if known && got.rec.SHA256 != want.SHA256 {
		return record{}, fmt.Errorf("%w: stored with sha256 %s, given %s", storage.ErrConflict, got.rec.SHA256, want.SHA256)
	}
	f, err := s.root.Open(want.Key)
	if err != nil {
		return record{}, err
	}
	defer f.Close()
	n, sum, err := copyHash(ctx, io.Discard, f)
	if err != nil {
		return record{}, err
	}
	if err := want.matches(n, sum); err != nil {
		if known {
			return record{}, err
		}
		return record{}, fmt.Errorf("%w: a file without record, sha256 %s, given %s", storage.ErrConflict, sum, want.SHA256)
	}
	r := want
	if known {
		r = got.rec
		r.Until = later(r.Until, want.Until)
	}
	if got.recorded && r == got.rec {
		return r, nil
	}
	if err := errors.Join(f.Chmod(fileMode), f.Sync()); err != nil {
		return record{}, err
	}
	return r, s.settle(r)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// done tells a test that a step is finished.
func (s *Store) done(step string) error {
	if s.step == nil {
		return nil
	}
	return s.step(step)
}

// copyHash copies until the end of r or of the context, and returns length
// and SHA-256 of what was copied.
func copyHash(ctx context.Context, w io.Writer, r io.Reader) (int64, string, error) {
	h := sha256.New()
	from := readFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
	// Neither end may offer a shortcut past the buffer, where the context is
	// looked at.
	to := struct{ io.Writer }{io.MultiWriter(w, h)}
	n, err := io.CopyBuffer(to, from, make([]byte, 256<<10))
	return n, hex.EncodeToString(h.Sum(nil)), err
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
