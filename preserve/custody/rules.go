package custody

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"guzheng/capture"
	"guzheng/storage"
)

// allowed completes an act with what it rests on, or says why it cannot be
// done now.
func (b Books) allowed(ctx context.Context, c *Chain, e storage.Entry, a *Act) error {
	if t := c.Tombstone(); t != nil {
		return fmt.Errorf("%w: the package was disposed of on %s", ErrRefused, day(t.Time))
	}
	obj, err := b.Store.Stat(ctx, e.Package)
	if err != nil {
		return err
	}
	if a.Package, err = c.digestOf(e, obj); err != nil {
		return err
	}
	proposed, approved := c.Proposal()
	switch a.Kind {
	case Classified:
		if a.Until.Before(obj.Until) {
			return fmt.Errorf("class %s ends on %s, the record is retained until %s: %w", a.Class, day(*a.Until), day(obj.Until), storage.ErrShorten)
		}
		return nil
	case Held, Released:
		return c.holding(a)
	case Proposed:
		if proposed != nil {
			return fmt.Errorf("%w: act %d proposed it already", ErrRefused, proposed.N)
		}
		return b.over(c, obj)
	}
	if proposed == nil {
		return fmt.Errorf("%w: no disposal is proposed", ErrRefused)
	}
	a.Proposal = proposed.N
	switch a.Kind {
	case Approved:
		return approves(a, proposed, approved)
	case Disposed:
		return b.disposes(c, obj, a, approved)
	}
	return nil // withdrawn
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

// over wants the retention to have passed and nobody to hold the record.
func (b Books) over(c *Chain, obj storage.Object) error {
	if holds := c.Holds(); len(holds) > 0 || obj.Hold {
		return fmt.Errorf("%w: it is on hold for %s", ErrRefused, strings.Join(holds, ", "))
	}
	if now := b.Now(); !now.After(obj.Until) {
		return fmt.Errorf("%w: it is retained until %s", ErrRefused, day(obj.Until))
	}
	return nil
}

// approves wants a person who has no part in the disposal yet.
func approves(a, proposed *Act, approved []Act) error {
	for _, p := range append([]Act{*proposed}, approved...) {
		if a.By.same(p.By) {
			return fmt.Errorf("%w: %s has %s it already; another person has to approve", ErrRefused, a.By.Name, p.Kind)
		}
		if a.By.Account != "" && a.By.Account == p.By.Account {
			a.SameAccount = true
		}
	}
	return nil
}

func (b Books) disposes(c *Chain, obj storage.Object, a *Act, approved []Act) error {
	if err := b.over(c, obj); err != nil {
		return err
	}
	if len(approved) < approvals {
		return fmt.Errorf("%w: %d of %d persons have approved", ErrRefused, len(approved), approvals)
	}
	for _, p := range approved {
		a.Approvers = append(a.Approvers, p.By)
		a.SameAccount = a.SameAccount || p.SameAccount
	}
	until := obj.Until.UTC()
	a.Class, a.Until = c.Class(), &until
	return nil
}

// day is a date as people in Beijing write it.
func day(t time.Time) string { return t.In(capture.Beijing).Format("2006-01-02") }
