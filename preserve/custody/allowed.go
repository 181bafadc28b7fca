package custody

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"guzheng/capture"
	"guzheng/preserve"
	"guzheng/preserve/seal"
	"guzheng/preserve/tlog"
	"guzheng/storage"
)

// allowed completes an act with what it rests on, or says why it cannot be
// done now.
func (b Books) allowed(ctx context.Context, c *Chain, e storage.Entry, a *Act) error {
	obj, err := b.Store.Stat(ctx, e.Package)
	if t := c.LastDisposal(); t != nil && errors.Is(err, storage.ErrNotExist) {
		return fmt.Errorf("%w: the package was disposed of on %s", ErrRefused, day(t.Time))
	}
	if err != nil {
		return err
	}
	kept, err := b.sealed(ctx, c)
	if err != nil && a.Kind == Held {
		// What is wrong with the seal is no reason to let the package go.
		kept.Package, err = b.hash(ctx, e.Package)
	}
	if err != nil {
		return err
	}
	if err := c.about(e, obj, kept.Package); err != nil {
		return err
	}
	a.Package = kept.Package
	switch a.Kind {
	case Classified:
		if err := b.classifies(a, obj, kept.Time); err != nil {
			return err
		}
	case Proposed, Disposed:
		until, class, err := b.over(c, e, obj, kept.Time)
		if err != nil {
			return err
		}
		if a.Kind == Disposed {
			a.Class, a.Until = class, &until
		}
	}
	if err := c.next(a); err != nil {
		return err
	}
	if a.Kind == Disposed {
		return b.sound(ctx, e.Package, a.Package)
	}
	return nil
}

// classifies gives a class its date, which must not be before the store's.
func (b Books) classifies(a *Act, obj storage.Object, kept time.Time) error {
	if err := a.Class.chosen(); err != nil {
		return err
	}
	until, err := b.terms().Until(a.Class, kept)
	if err != nil {
		return err
	}
	if until.Before(obj.Until) {
		return fmt.Errorf("class %s ends on %s, the record is retained until %s: %w", a.Class, day(until), day(obj.Until), storage.ErrShorten)
	}
	a.Until = &until
	return nil
}

// about wants store, catalogue and earlier acts to be about the package that
// the seal is about.
func (c *Chain) about(e storage.Entry, obj storage.Object, d capture.Digest) error {
	if obj.SHA256 != d.SHA256 || obj.Bytes != d.Bytes {
		return fmt.Errorf("the package in the store is %s, the seal is about %s: %w", obj.SHA256, d.SHA256, storage.ErrAltered)
	}
	if e.SHA256 != d.SHA256 {
		return fmt.Errorf("the catalogue has the package %s, the seal is about %s: %w", e.SHA256, d.SHA256, storage.ErrAltered)
	}
	if len(c.Acts) > 0 && c.Acts[0].Package != d {
		return fmt.Errorf("earlier acts are about %s: %w", c.Acts[0].Package.SHA256, ErrAct)
	}
	return nil
}

// over wants the retention to have passed and nobody to hold the record. It
// returns the date that has passed and the class. The store is believed where
// it retains longer, and not where it would let go earlier than what follows
// from seal and acts.
func (b Books) over(c *Chain, e storage.Entry, obj storage.Object, kept time.Time) (time.Time, Class, error) {
	class := c.Class()
	if class == "" {
		class = Sweep
		if e.Case != "" {
			class = Case
		}
	}
	if err := c.unheld(); err != nil {
		return time.Time{}, class, err
	}
	if obj.Hold {
		return time.Time{}, class, fmt.Errorf("%w: the store has it on hold, and no act says for what", ErrRefused)
	}
	until, err := b.terms().Until(class, kept)
	if err != nil {
		return time.Time{}, class, err
	}
	if acts := c.until(); acts.After(until) {
		until = acts
	}
	if obj.Until.Before(until) {
		return time.Time{}, class, fmt.Errorf("%w: the store would retain it until %s only, by its seal and class it has to be until %s; the store's date may have been altered",
			ErrRefused, day(obj.Until), day(until))
	}
	until = obj.Until.UTC()
	if !b.Now().After(until) {
		return time.Time{}, class, fmt.Errorf("%w: it is retained until %s", ErrRefused, day(until))
	}
	return until, class, nil
}

// Due says until when a record was retained whose time is over and that
// nobody holds; else ErrRefused is wrapped, with the reason. It needs neither
// Key nor Log, but then Trust.
func (b Books) Due(ctx context.Context, e storage.Entry) (time.Time, error) {
	until, err := b.due(ctx, e)
	if err != nil {
		return until, fmt.Errorf("looking whether %s is due: %w", e.ID, err)
	}
	return until, nil
}

func (b Books) due(ctx context.Context, e storage.Entry) (time.Time, error) {
	c, err := Read(ctx, b.Store, e.Package, b.trust())
	if err != nil {
		return time.Time{}, err
	}
	obj, err := b.Store.Stat(ctx, e.Package)
	if t := c.LastDisposal(); t != nil && errors.Is(err, storage.ErrNotExist) {
		return time.Time{}, fmt.Errorf("%w: the package was disposed of on %s", ErrRefused, day(t.Time))
	}
	if err != nil {
		return time.Time{}, err
	}
	kept, err := b.sealed(ctx, c)
	if err != nil {
		return time.Time{}, err
	}
	until, _, err := b.over(c, e, obj, kept.Time)
	return until, err
}

// sealed reads the newest seal of a record and returns its event: the digest
// of the package and when it was kept. What is altered in it gives
// storage.ErrAltered.
func (b Books) sealed(ctx context.Context, c *Chain) (seal.Kept, error) {
	return sealed(ctx, b.Store, c.Package, b.trust())
}

func sealed(ctx context.Context, store storage.Store, pkg string, trust Trust) (seal.Kept, error) {
	s, err := stem(pkg)
	if err != nil {
		return seal.Kept{}, err
	}
	_, v, err := preserve.NewestSeal(ctx, store, pkg)
	if err != nil {
		return seal.Kept{}, err
	}
	bad := func(err error) (seal.Kept, error) {
		return seal.Kept{}, fmt.Errorf("the seal of %s: %w: %w", name(s), storage.ErrAltered, err)
	}
	// The envelope is around everything, the event too.
	if err := seal.CheckEnvelope(v); err != nil {
		return bad(err)
	}
	sum, err := hex.DecodeString(v.Package.SHA256)
	if err != nil || len(sum) != len([32]byte{}) {
		return bad(fmt.Errorf("digest %q: %w", v.Package.SHA256, seal.ErrOther))
	}
	if err := seal.CheckSignature(v, [32]byte(sum)); err != nil {
		return bad(err)
	}
	kept, err := seal.ParseKept(v.Log.Leaf)
	if err != nil {
		return bad(err)
	}
	switch {
	case v.ID != name(s) || kept.Package != v.Package || kept.Key != v.Signature.KeyID:
		return bad(fmt.Errorf("of %s, about %s: %w", v.ID, kept.Package.SHA256, seal.ErrOther))
	case !slices.Contains(trust.Keys, v.Signature.KeyID):
		return bad(fmt.Errorf("key %s is not one of this installation: %w", v.Signature.KeyID, seal.ErrOtherKey))
	case !v.Log.Pending() && tlog.Check(v.Log, trust.Logs).State() != tlog.Passed:
		return bad(errors.New("its log entry does not hold"))
	}
	return kept, nil
}

// hash reads a package to its end.
func (b Books) hash(ctx context.Context, pkg string) (capture.Digest, error) {
	content, _, err := b.Store.Open(ctx, pkg)
	if err != nil {
		return capture.Digest{}, err
	}
	d, err := capture.DigestOf(content)
	if err := errors.Join(err, content.Close()); err != nil {
		return capture.Digest{}, fmt.Errorf("hashing %s: %w", pkg, err)
	}
	return d, nil
}

// sound wants the package to be, byte for byte, what was sealed.
func (b Books) sound(ctx context.Context, pkg string, want capture.Digest) error {
	d, err := b.hash(ctx, pkg)
	if err != nil {
		return err
	}
	if d != want {
		return fmt.Errorf("the package is %s, the seal is about %s: %w", d.SHA256, want.SHA256, storage.ErrAltered)
	}
	return nil
}
