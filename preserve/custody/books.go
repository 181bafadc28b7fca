package custody

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"guzheng/preserve/seal"
	"guzheng/storage"
)

// Errors that callers branch on.
var (
	// ErrRefused says that the act is not allowed now; the text says why.
	ErrRefused = errors.New("refused")
	// ErrWord says that a name or a reason is missing or not usable.
	ErrWord = errors.New("name or reason is not usable")
	// ErrLog says that the act is stored and could not be logged: it is not
	// carried out, and Resume goes on with it.
	ErrLog = errors.New("act is stored and not yet logged")
)

// Books write the acts of custody. They hold no state: everything is in the
// store.
type Books struct {
	Store storage.Store    // required; Dispose wants a storage.Remover
	Key   seal.Signer      // required
	Log   Log              // required
	Now   func() time.Time // required
	Terms Terms            // nil is DefaultTerms
	// Trust is whom to believe beside Key and Log: those that this
	// installation used before.
	Trust Trust

	// at is called after every durable step; tests end the process there.
	at func(step string) error
}

// trust is Trust with the books' own key and log.
func (b Books) trust() Trust {
	t := Trust{Keys: slices.Clone(b.Trust.Keys), Logs: slices.Clone(b.Trust.Logs)}
	if b.Key != nil {
		id, _ := b.Key.Identity()
		t.Keys = append(t.Keys, id)
	}
	if b.Log != nil {
		t.Logs = append(t.Logs, b.Log.Verifier())
	}
	return t
}

func (b Books) terms() Terms {
	if b.Terms == nil {
		return DefaultTerms()
	}
	return b.Terms
}

// A Deed is what a person wants to do and why.
type Deed struct {
	By     Person
	Reason string
}

// Classify puts a record into a class (Sweep, Finding, Archive or Permanent)
// and extends its retention to what that demands. A class whose date lies
// before the present one gives storage.ErrShorten.
func (b Books) Classify(ctx context.Context, e storage.Entry, class Class, d Deed) (*Chain, error) {
	return b.act(ctx, e, d, Act{Kind: Classified, Class: class})
}

// Hold lays a record on hold for a case: it is retained until it is released,
// whatever its date. It ends a disposal that is proposed, and as long as the
// package is there also voids one that is not carried out.
func (b Books) Hold(ctx context.Context, e storage.Entry, caseNo string, d Deed) (*Chain, error) {
	return b.act(ctx, e, d, Act{Kind: Held, Case: caseNo})
}

// Release takes a record off the hold of a case. Holds of other cases stay.
func (b Books) Release(ctx context.Context, e storage.Entry, caseNo string, d Deed) (*Chain, error) {
	return b.act(ctx, e, d, Act{Kind: Released, Case: caseNo})
}

// Propose proposes the disposal of a record whose date has passed.
func (b Books) Propose(ctx context.Context, e storage.Entry, d Deed) (*Chain, error) {
	return b.act(ctx, e, d, Act{Kind: Proposed})
}

// Approve approves the disposal that is proposed. Neither the person who
// proposed it nor one who approved it already can.
func (b Books) Approve(ctx context.Context, e storage.Entry, d Deed) (*Chain, error) {
	return b.act(ctx, e, d, Act{Kind: Approved})
}

// Withdraw ends a proposal.
func (b Books) Withdraw(ctx context.Context, e storage.Entry, d Deed) (*Chain, error) {
	return b.act(ctx, e, d, Act{Kind: Withdrawn})
}

// Dispose removes the package of a record whose disposal two persons have
// approved, and leaves a tombstone. It goes on with one that is not carried
// out.
func (b Books) Dispose(ctx context.Context, e storage.Entry, d Deed) (*Chain, error) {
	if _, ok := b.Store.(storage.Remover); !ok {
		return nil, fmt.Errorf("disposing of %s: %w: the store removes nothing", e.ID, ErrRefused)
	}
	c, err := b.act(ctx, e, d, Act{Kind: Disposed})
	if err == nil && c.Tombstone() == nil {
		err = fmt.Errorf("disposing of %s: %w: it was laid on hold meanwhile", e.ID, ErrRefused)
	}
	return c, err
}

// Resume goes on with acts of a record that were stored and not logged or
// not carried out, disposals too. Before, it compares the acts with the log.
func (b Books) Resume(ctx context.Context, pkg string) (*Chain, error) {
	c, err := ReadLogged(ctx, b.Store, pkg, b.trust(), b.Log)
	if err != nil {
		return nil, err
	}
	return c, b.finish(ctx, c, true)
}

// act does one thing: check, sign, store, log, carry out.
func (b Books) act(ctx context.Context, e storage.Entry, d Deed, a Act) (*Chain, error) {
	a.By, a.Reason = d.By, d.Reason
	if err := a.spoken(); err != nil {
		return nil, fmt.Errorf("%s %s: %w", a.Kind, e.ID, err)
	}
	c, err := b.read(ctx, e.Package, a.Kind)
	if err != nil {
		return nil, err
	}
	if c.Record != e.ID {
		return nil, fmt.Errorf("%s %s: package is of %s: %w", a.Kind, e.ID, c.Record, ErrAct)
	}
	if a.Kind == Disposed && c.Tombstone() != nil {
		if _, err := b.Store.Stat(ctx, e.Package); err == nil {
			return c, b.finish(ctx, c, true)
		}
	}
	if err := b.finish(ctx, c, false); err != nil {
		return nil, err
	}
	a.Time = b.Now().UTC()
	if err := b.allowed(ctx, c, e, &a); err != nil {
		return nil, fmt.Errorf("%s %s: %w", a.Kind, e.ID, err)
	}
	if err := b.store(ctx, c, a); err != nil {
		return nil, fmt.Errorf("%s %s: %w", a.Kind, e.ID, err)
	}
	return c, b.finish(ctx, c, a.Kind == Disposed)
}

// read reads the chain and compares it with the log: a hold that was cut off
// must not be overlooked. A further hold does no harm to a chain of which
// something is missing, and is not kept waiting for the log.
func (b Books) read(ctx context.Context, pkg string, kind Kind) (*Chain, error) {
	if kind == Held {
		return Read(ctx, b.Store, pkg, b.trust())
	}
	return ReadLogged(ctx, b.Store, pkg, b.trust(), b.Log)
}

// store signs an act as the next one and stores it.
func (b Books) store(ctx context.Context, c *Chain, a Act) error {
	a.Format, a.Record, a.N = Format, c.Record, len(c.Acts)+1
	if a.N > maxActs {
		return fmt.Errorf("%w: there are %d acts already", ErrRefused, maxActs)
	}
	if n := len(c.sums); n > 0 {
		a.Previous = c.sums[n-1]
	}
	a.Key, a.PublicKey = b.Key.Identity()
	digest, err := a.signed()
	if err != nil {
		return err
	}
	if a.Signature, err = b.Key.Sign(digest); err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	raw, err := a.encode()
	if err != nil {
		return err
	}
	if _, err := Decode(raw); err != nil {
		return fmt.Errorf("own act: %w", err)
	}
	s, err := stem(c.Package)
	if err != nil {
		return err
	}
	if err := b.put(ctx, actKey(s, a.N), raw, a.Time); err != nil {
		return err
	}
	c.Acts, c.sums, c.unproved = append(c.Acts, a), append(c.sums, sumOf(raw)), append(c.unproved, a.N)
	return b.step("stored")
}

func (b Books) step(name string) error {
	if b.at == nil {
		return nil
	}
	return b.at(name)
}

// put stores a small object for as long as an archive keeps things.
func (b Books) put(ctx context.Context, key string, raw []byte, now time.Time) error {
	until, err := DefaultTerms().Until(Permanent, now)
	if err != nil {
		return err
	}
	_, err = b.Store.Put(ctx, key, bytes.NewReader(raw), storage.Want{Bytes: int64(len(raw)), SHA256: sumOf(raw), Until: until})
	if err != nil {
		return fmt.Errorf("storing %s: %w", path.Base(key), err)
	}
	return nil
}
