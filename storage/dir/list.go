package dir

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"guzheng/storage"
)

// List implements storage.Store. An object that is not sound, also one whose
// file is missing, is yielded as an Object of which only Key is set, with
// storage.ErrAltered; the listing goes on if the caller does. Files whose
// names are no keys are passed over.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		dir := "."
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			dir = prefix[:i]
			if storage.CheckKey(dir) != nil {
				return // no key begins like this
			}
		}
		s.walk(ctx, dir, prefix, yield)
	}
}

// walk yields the objects below a directory and tells whether to go on.
func (s *Store) walk(ctx context.Context, dir, prefix string, yield func(storage.Object, error) bool) bool {
	names, err := s.names(ctx, dir)
	if err != nil {
		return yield(storage.Object{}, fmt.Errorf("listing %q: %w", prefix, err)) && ctx.Err() == nil
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			yield(storage.Object{}, fmt.Errorf("listing %q: %w", prefix, err))
			return false
		}
		key := name
		if dir != "." {
			key = dir + "/" + name
		}
		if below, ok := strings.CutSuffix(key, "/"); ok {
			if (strings.HasPrefix(key, prefix) || strings.HasPrefix(prefix, key)) && !s.walk(ctx, below, prefix, yield) {
				return false
			}
			continue
		}
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		obj, err := s.Stat(ctx, key)
		if errors.Is(err, storage.ErrNotExist) {
			continue
		}
		if err != nil {
			obj.Key = key
		}
		if !yield(obj, err) {
			return false
		}
	}
	return true
}

// names returns the last elements of the keys in a directory, with a slash
// behind those of directories: sorted like this, walking gives the order of
// whole keys ("a-b" before "a/b").
func (s *Store) names(ctx context.Context, dir string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	entries, err := s.readDir(dir)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), recordSuffix)
		if storage.CheckKey(name) != nil {
			continue
		}
		if e.IsDir() {
			name += "/"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
