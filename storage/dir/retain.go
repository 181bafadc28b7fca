package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"guzheng/storage"
)

// Extend implements storage.Store. Nothing but the record changes.
func (s *Store) Extend(_ context.Context, key string, until time.Time) (storage.Object, error) {
	rec, err := s.amend(key, func(r *record) error {
		if until.Before(r.Until) {
			return fmt.Errorf("%w: from %s to %s", storage.ErrShorten,
				r.Until.Format(time.RFC3339), until.UTC().Format(time.RFC3339))
		}
		r.Until = until.UTC().Round(0)
		return nil
	})
	if err != nil {
		return storage.Object{}, fmt.Errorf("extending retention of %s: %w", label(key), err)
	}
	return rec.object(), nil
}

// Hold implements storage.Store. The hold stands in the record: it keeps
// Remove from removing, and nobody else.
func (s *Store) Hold(_ context.Context, key string, on bool) (storage.Object, error) {
	rec, err := s.amend(key, func(r *record) error { r.Hold = on; return nil })
	if err != nil {
		return storage.Object{}, fmt.Errorf("setting the hold of %s: %w", label(key), err)
	}
	return rec.object(), nil
}

// amend rewrites the record of a sound object, alone.
func (s *Store) amend(key string, change func(*record) error) (record, error) {
	if err := storage.CheckKey(key); err != nil {
		return record{}, err
	}
	release, err := s.hold(stripe(key))
	if err != nil {
		return record{}, err
	}
	defer release()
	got, err := s.look(key)
	if err != nil {
		return record{}, err
	}
	if err := got.sound(); err != nil {
		return record{}, err
	}
	if err := change(&got.rec); err != nil {
		return record{}, err
	}
	return got.rec, s.settle(got.rec)
}

// Remove implements storage.Remover by the clock that Open was given. All
// bytes are read once more, and those of an altered object stay.
func (s *Store) Remove(ctx context.Context, key string) error {
	if err := s.remove(ctx, key); err != nil {
		return fmt.Errorf("removing %s: %w", label(key), err)
	}
	return nil
}

// remove takes the steps of create backwards, so that whatever a crash
// leaves is a state that Put can leave too: the record becomes an intent (the
// object is there), the file goes (it is not), the intent goes.
func (s *Store) remove(ctx context.Context, key string) error {
	if err := storage.CheckKey(key); err != nil {
		return err
	}
	release, err := s.hold(stripe(key))
	if err != nil {
		return err
	}
	defer release()
	got, err := s.removable(ctx, key)
	if err != nil {
		return err
	}
	if got.recorded {
		if err := errors.Join(s.root.Rename(key+recordSuffix, key+intentSuffix), s.syncDirOf(key)); err != nil {
			return err
		}
	}
	if err := s.done("disowned"); err != nil {
		return err
	}
	if err := errors.Join(s.root.Remove(key), s.syncDirOf(key)); err != nil {
		return err
	}
	if err := s.done("removed"); err != nil {
		return err
	}
	if err := s.root.Remove(key + intentSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.syncDirOf(key)
}

// removable wants an object to be sound to its last byte, past its date and
// not on hold. The caller holds the key's lock.
func (s *Store) removable(ctx context.Context, key string) (found, error) {
	got, err := s.look(key)
	if err != nil {
		return found{}, err
	}
	if err := got.sound(); err != nil {
		return found{}, err
	}
	switch {
	case got.rec.Hold:
		return found{}, fmt.Errorf("%w: a legal hold is on it", storage.ErrRetained)
	case s.now().Before(got.rec.Until):
		return found{}, fmt.Errorf("%w until %s", storage.ErrRetained, got.rec.Until.Format(time.RFC3339))
	}
	f, err := s.root.Open(key)
	if err != nil {
		return found{}, err
	}
	n, sum, err := copyHash(ctx, io.Discard, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return found{}, err
	}
	return got, got.rec.matches(n, sum)
}
