package custody

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"guzheng/storage"
)

// finish logs what is not logged and makes the store as the acts want it,
// again until nobody has added an act meanwhile: who read an older chain must
// not have the last word. A tombstone is carried out only with remove.
func (b Books) finish(ctx context.Context, c *Chain, remove bool) error {
	for len(c.Acts) > 0 {
		if err := b.log(ctx, c); err != nil {
			return err
		}
		if err := b.settle(ctx, c, remove); err != nil {
			return fmt.Errorf("carrying out the custody of %s: %w", c.Record, err)
		}
		again, err := Read(ctx, b.Store, c.Package, b.trust())
		if err != nil {
			return err
		}
		had := len(c.Acts)
		if *c = *again; len(c.Acts) < had {
			return fmt.Errorf("act %d of %s is gone: %w", had, c.Record, ErrAct)
		}
		if len(c.Acts) == had {
			return nil
		}
	}
	return nil
}

// log logs what is not logged.
func (b Books) log(ctx context.Context, c *Chain) error {
	for len(c.unproved) > 0 {
		n := c.unproved[0]
		if err := b.prove(ctx, c, n); err != nil {
			return fmt.Errorf("logging act %d of %s: %w: %w", n, c.Record, ErrLog, err)
		}
		c.unproved = c.unproved[1:]
		if err := b.step("logged"); err != nil {
			return err
		}
	}
	return nil
}

// prove logs an act and stores the proof. An act that was logged before the
// process ended is found in the log.
func (b Books) prove(ctx context.Context, c *Chain, n int) error {
	leaf, err := c.leaf(n)
	if err != nil {
		return err
	}
	entry, err := b.Log.Append(ctx, leaf, 0)
	if err != nil {
		return err
	}
	raw, err := json.MarshalIndent(Proof{Format: Format, SHA256: c.sums[n-1], Log: entry}, "", "  ")
	if err != nil {
		return err
	}
	s, err := stem(c.Package)
	if err != nil {
		return err
	}
	err = b.put(ctx, proofKey(s, n), append(raw, '\n'), c.Acts[n-1].Time)
	if errors.Is(err, storage.ErrConflict) {
		// Somebody else proved it meanwhile, by a later checkpoint.
		_, err = c.proof(ctx, b.Store, n, b.trust().Logs)
	}
	return err
}

// settle asks the store for what the acts say; it may be so already. The
// package comes first, and what is wrong with one object is no reason to
// leave out the others.
func (b Books) settle(ctx context.Context, c *Chain, remove bool) error {
	if c.Tombstone() != nil && remove {
		return b.remove(ctx, c)
	}
	s, err := stem(c.Package)
	if err != nil {
		return err
	}
	errs := []error{b.settlePackage(ctx, c)}
	var others []storage.Object
	for obj, err := range b.Store.List(ctx, s+".") {
		switch {
		case obj.Key == c.Package:
		case err != nil:
			errs = append(errs, fmt.Errorf("looking at %s: %w", obj.Key, err))
		default:
			others = append(others, obj)
		}
	}
	for _, obj := range others {
		errs = append(errs, b.adjust(ctx, c, obj))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return b.step("settled")
}

// settlePackage is settle for the package, which may have been disposed of.
func (b Books) settlePackage(ctx context.Context, c *Chain) error {
	obj, err := b.Store.Stat(ctx, c.Package)
	if err == nil {
		return b.adjust(ctx, c, obj)
	}
	last := c.LastDisposal()
	if last == nil || !errors.Is(err, storage.ErrNotExist) {
		return err
	}
	if c.Tombstone() == nil {
		return fmt.Errorf("%w: the package went by act %d before it was on hold", ErrRefused, last.N)
	}
	return nil
}

// adjust extends an object and sets its hold, as the acts say.
func (b Books) adjust(ctx context.Context, c *Chain, obj storage.Object) error {
	var errs []error
	// The hold first: it is what nothing can replace. One that no act laid
	// on is not taken off for another act's sake.
	hold := len(c.Holds()) > 0
	if obj.Hold != hold && (hold || c.released()) {
		_, err := b.Store.Hold(ctx, obj.Key, hold)
		errs = append(errs, err)
	}
	if until := c.until(); obj.Until.Before(until) {
		_, err := b.Store.Extend(ctx, obj.Key, until)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// released says whether a hold was ever taken off.
func (c *Chain) released() bool {
	return slices.ContainsFunc(c.Acts, func(a Act) bool { return a.Kind == Released })
}

// remove removes the package, when it is still there and no hold came
// meanwhile. What is left of that race is a hold that comes between the last
// look and the removal: then the package is gone, and the hold is told so.
func (b Books) remove(ctx context.Context, c *Chain) error {
	again, err := Read(ctx, b.Store, c.Package, b.trust())
	if err != nil {
		return err
	}
	if len(again.Acts) > len(c.Acts) {
		return nil // finish sees it too
	}
	if _, err := b.Store.Stat(ctx, c.Package); errors.Is(err, storage.ErrNotExist) {
		return nil
	}
	r, ok := b.Store.(storage.Remover)
	if !ok {
		return fmt.Errorf("%w: the store removes nothing", ErrRefused)
	}
	if err := b.sound(ctx, c.Package, c.Tombstone().Package); err != nil {
		return err
	}
	if err := r.Remove(ctx, c.Package); err != nil && !errors.Is(err, storage.ErrNotExist) {
		return err
	}
	return b.step("removed")
}
