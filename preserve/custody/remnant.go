package custody

import (
	"context"
	"fmt"

	"guzheng/preserve"
	"guzheng/storage"
)

// StateDisposed is the catalogue's state of a record without its package.
const StateDisposed = "disposed"

// Remnant makes the catalogue's row of a record that was disposed of, from
// its seal and its acts: what page it was of stood in the package alone. A
// record without a package and without a tombstone gives
// storage.ErrNotExist.
func Remnant(ctx context.Context, store storage.Store, pkg string, trust Trust) (storage.Entry, error) {
	c, err := Read(ctx, store, pkg, trust)
	if err != nil {
		return storage.Entry{}, err
	}
	t := c.LastDisposal()
	if t == nil {
		return storage.Entry{}, fmt.Errorf("%s has neither a package nor a tombstone: %w", c.Record, storage.ErrNotExist)
	}
	kept, err := sealed(ctx, store, pkg, trust)
	if err != nil {
		return storage.Entry{}, err
	}
	obj, s, err := preserve.NewestSeal(ctx, store, pkg)
	if err != nil {
		return storage.Entry{}, err
	}
	if kept.Package != t.Package {
		return storage.Entry{}, fmt.Errorf("the tombstone of %s is about %s, the seal about %s: %w", c.Record, t.Package.SHA256, kept.Package.SHA256, ErrAct)
	}
	return storage.Entry{ID: c.Record, State: StateDisposed, Captured: kept.Time, Kept: kept.Time, Package: pkg, Seal: obj.Key,
		Bytes: kept.Package.Bytes, SHA256: kept.Package.SHA256, SM3: kept.Package.SM3, Pending: s.Pending(), Until: *t.Until}, nil
}
