package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"guzheng/preserve"
	"guzheng/preserve/custody"
	"guzheng/storage"
)

// fileHas reports whether the file holds exactly b.
func fileHas(name string, b []byte) bool {
	have, err := os.ReadFile(name)
	return err == nil && bytes.Equal(have, b)
}

// copyOut copies files into a directory. An existing file is not replaced.
func copyOut(dir string, names ...string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range names {
		if err := copyFile(name, filepath.Join(dir, filepath.Base(name))); err != nil {
			return fmt.Errorf("copying to %s: %w", dir, err)
		}
	}
	return nil
}

// copyOut copies package, seal and, if there is one, sheet of a record.
func (h *home) copyOut(ctx context.Context, dir string, rec preserve.Record, sheet string) error {
	pkg, err := h.local(ctx, rec.Package.Key)
	if err != nil {
		return fmt.Errorf("copying to %s: %w", dir, err)
	}
	names := []string{pkg, filepath.Join(filepath.Dir(pkg), path.Base(rec.Seal.Key))}
	if sheet != "" {
		names = append(names, sheet)
	}
	return copyOut(dir, names...)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}

// discardEmpty removes a berth in which nothing was captured.
func (b *berth) discardEmpty() error {
	if _, err := os.Stat(b.take()); !errors.Is(err, fs.ErrNotExist) {
		return nil // something is there; resume goes on with it
	}
	return b.leave()
}

// reindex fills the index from the packages in the store, and from what
// disposals left, and calls tell for each that cannot be read.
func (h *home) reindex(ctx context.Context, tell func(key string, err error)) (n, bad int, err error) {
	there := map[string]bool{} // packages
	var acted []string         // packages with acts about them
	note := func(key string, err error) {
		if err != nil {
			tell(key, err)
			bad++
			return
		}
		n++
	}
	for o, err := range h.store.List(ctx, "v1/") {
		isPackage := strings.HasSuffix(o.Key, ".wacz")
		there[o.Key] = isPackage
		if errors.Is(err, storage.ErrAltered) {
			note(o.Key, err)
			continue
		}
		if err != nil {
			return n, bad, fmt.Errorf("listing store: %w", err)
		}
		if pkg, ok := custody.PackageOf(o.Key); ok {
			acted = append(acted, pkg)
		}
		if !isPackage {
			continue
		}
		rec, err := preserve.Read(ctx, h.store, o.Key)
		if err == nil {
			err = h.index.Put(ctx, rec.Entry)
		}
		if ctx.Err() != nil {
			return n, bad, ctx.Err()
		}
		note(o.Key, err)
	}
	for _, pkg := range acted {
		if there[pkg] {
			continue
		}
		err := h.reindexDisposed(ctx, pkg)
		if ctx.Err() != nil {
			return n, bad, ctx.Err()
		}
		note(pkg, err)
	}
	return n, bad, nil
}

// reindexDisposed makes the row of a record whose package is gone.
func (h *home) reindexDisposed(ctx context.Context, pkg string) error {
	t, err := h.custodyTrust()
	if err != nil {
		return err
	}
	e, err := custody.Remnant(ctx, h.store, pkg, t)
	if err != nil {
		return err
	}
	return h.index.Put(ctx, e)
}
