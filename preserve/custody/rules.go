package custody

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"guzheng/capture"
	"guzheng/storage"
)

// approvals are how many persons beside the one who proposed must approve a
// disposal.
const approvals = 2

// next wants an act to be one that may come now, as far as the chain tells,
// and fills in what follows from the chain. The same rules hold when an act
// is written and when it is read.
func (c *Chain) next(a *Act) error {
	if err := a.spoken(); err != nil {
		return err
	}
	if t := c.Tombstone(); t != nil && a.Kind != Held {
		return fmt.Errorf("%w: it was disposed of on %s; as long as the package is there, a hold can void that", ErrRefused, day(t.Time))
	}
	proposed, approved := c.Proposal()
	switch a.Kind {
	case Classified:
		return c.longer(a)
	case Held, Released:
		return c.holding(a)
	case Proposed:
		if proposed != nil {
			return fmt.Errorf("%w: act %d proposed it already", ErrRefused, proposed.N)
		}
		return c.unheld()
	case Approved, Withdrawn, Disposed:
		if proposed == nil {
			return fmt.Errorf("%w: no disposal is proposed", ErrRefused)
		}
		a.Proposal = proposed.N
	default:
		return fmt.Errorf("%w: there is no act of the kind %q", ErrRefused, a.Kind)
	}
	switch a.Kind {
	case Approved:
		return approves(a, proposed, approved)
	case Disposed:
		return c.disposes(a, approved)
	}
	return nil // withdrawn
}

// replay holds an act that was read against the rules.
func (c *Chain) replay(a Act) error {
	want := Act{Format: a.Format, Record: a.Record, N: a.N, Kind: a.Kind, Time: a.Time, By: a.By, Reason: a.Reason,
		Package: a.Package, Previous: a.Previous, Key: a.Key, PublicKey: a.PublicKey, Signature: a.Signature}
	switch a.Kind {
	case Classified, Disposed:
		want.Class, want.Until = a.Class, a.Until
	case Held, Released:
		want.Case = a.Case
	}
	if err := c.next(&want); err != nil {
		// Not wrapped: nobody is refused anything here.
		return fmt.Errorf("act %d (%s) breaks the rules: %v: %w", a.N, a.Kind, err, ErrAct)
	}
	have, err := a.encode()
	if err != nil {
		return err
	}
	follows, err := want.encode()
	if err != nil {
		return err
	}
	if !bytes.Equal(have, follows) {
		return fmt.Errorf("act %d (%s) does not say what follows from the acts before: %w", a.N, a.Kind, ErrAct)
	}
	return nil
}

// until is the latest date that the acts demand, zero when they demand none.
func (c *Chain) until() time.Time {
	var until time.Time
	for _, a := range c.Acts {
		if a.Until != nil && a.Until.After(until) {
			until = *a.Until
		}
	}
	return until
}

// longer wants a class that a person may choose, and no earlier date.
func (c *Chain) longer(a *Act) error {
	if err := a.Class.chosen(); err != nil {
		return err
	}
	if a.Until == nil || a.Until.Before(c.until()) {
		return fmt.Errorf("class %s: earlier acts retain it until %s: %w", a.Class, day(c.until()), storage.ErrShorten)
	}
	return nil
}

// holding wants a case to be held that is not, or released that is.
func (c *Chain) holding(a *Act) error {
	if strings.TrimSpace(a.Case) == "" {
		return fmt.Errorf("%w: a hold is for a case", ErrWord)
	}
	held := slices.Contains(c.Holds(), a.Case)
	if held == (a.Kind == Held) {
		if held {
			return fmt.Errorf("%w: it is on hold for case %s already", ErrRefused, a.Case)
		}
		return fmt.Errorf("%w: it is not on hold for case %s", ErrRefused, a.Case)
	}
	return nil
}

// unheld wants nobody to hold the record.
func (c *Chain) unheld() error {
	if holds := c.Holds(); len(holds) > 0 {
		return fmt.Errorf("%w: it is on hold for %s", ErrRefused, strings.Join(holds, ", "))
	}
	return nil
}

// approves wants a person who has no part in the disposal yet.
func approves(a, proposed *Act, approved []Act) error {
	for _, p := range append([]Act{*proposed}, approved...) {
		if a.By.same(p.By) {
			return fmt.Errorf("%w: %s has %s it already; another person has to approve", ErrRefused, a.By.Name, p.Kind)
		}
		a.SameAccount = a.SameAccount || a.By.sameAccount(p.By)
	}
	return nil
}

// disposes wants enough approvals, no hold, and a date that has passed.
func (c *Chain) disposes(a *Act, approved []Act) error {
	if err := c.unheld(); err != nil {
		return err
	}
	if len(approved) < approvals {
		return fmt.Errorf("%w: %d of %d persons have approved", ErrRefused, len(approved), approvals)
	}
	for _, p := range approved {
		a.Approvers = append(a.Approvers, p.By)
		a.SameAccount = a.SameAccount || p.SameAccount
	}
	if last := c.Class(); a.Class != last && (last != "" || a.Class != Sweep && a.Class != Case) {
		return fmt.Errorf("%w: its class is %q, not %q", ErrRefused, last, a.Class)
	}
	if a.Until == nil || a.Until.Before(c.until()) || !a.Time.After(*a.Until) {
		return fmt.Errorf("%w: the date until which it is retained has not passed", ErrRefused)
	}
	return nil
}

// day is a date as people in Beijing write it.
func day(t time.Time) string { return t.In(capture.Beijing).Format("2006-01-02") }

// name is the number of the record that a stem is of.
func name(stem string) string { return path.Base(stem) }
