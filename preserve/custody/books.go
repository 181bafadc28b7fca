package custody

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"guzheng/capture"
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

// approvals are how many persons beside the one who proposed must approve a
// disposal.
const approvals = 2

// Books write the acts of custody. They hold no state: everything is in the
// store.
type Books struct {
	Store storage.Store    // required; Dispose wants a storage.Remover
	Key   seal.Signer      // required
	Log   seal.Appender    // required
	Now   func() time.Time // required
	Terms Terms            // nil is DefaultTerms

	// at is called after every durable step; tests end the process there.
	at func(step string) error
}

// A Deed is what a person wants to do and why.
type Deed struct {
	By     Person
	Reason string
}

func (d Deed) check() error {
	if strings.TrimSpace(d.By.Name) == "" || strings.TrimSpace(d.Reason) == "" {
		return fmt.Errorf("%w: a name and a reason are needed", ErrWord)
	}
	return words(d.By.Name, d.By.Licence, d.By.Account, d.Reason)
}

// words wants texts that can stand in a document.
func words(texts ...string) error {
	for _, t := range texts {
		if len(t) > maxWord || !utf8.ValidString(t) || strings.ContainsFunc(t, unicode.IsControl) {
			return fmt.Errorf("%w: %.40q", ErrWord, t)
		}
	}
	return nil
}

// Classify puts a record into a class and extends its retention to what that
// demands. A class whose date lies before the present one gives
// storage.ErrShorten.
func (b Books) Classify(ctx context.Context, e storage.Entry, class Class, d Deed) (*Chain, error) {
	terms := b.Terms
	if terms == nil {
		terms = DefaultTerms()
	}
	until, err := terms.Until(class, e.Kept)
	if err != nil {
		return nil, fmt.Errorf("classifying %s: %w", e.ID, err)
	}
	return b.act(ctx, e, d, Act{Kind: Classified, Class: class, Until: &until})
}

// Hold lays a record on hold for a case: it is retained until it is released,
// whatever its date.
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
// approved, and leaves a tombstone.
func (b Books) Dispose(ctx context.Context, e storage.Entry, d Deed) (*Chain, error) {
	if _, ok := b.Store.(storage.Remover); !ok {
		return nil, fmt.Errorf("disposing of %s: %w: the store removes nothing", e.ID, ErrRefused)
	}
	return b.act(ctx, e, d, Act{Kind: Disposed})
}

// Resume goes on with acts of a record that were stored and not logged or
// not carried out.
func (b Books) Resume(ctx context.Context, pkg string) (*Chain, error) {
	c, err := Read(ctx, b.Store, pkg)
	if err != nil {
		return nil, err
	}
	return c, b.finish(ctx, c)
}

// act does one thing: check, sign, store, log, carry out.
func (b Books) act(ctx context.Context, e storage.Entry, d Deed, a Act) (*Chain, error) {
	if err := errors.Join(d.check(), words(a.Case)); err != nil {
		return nil, fmt.Errorf("%s %s: %w", a.Kind, e.ID, err)
	}
	c, err := Read(ctx, b.Store, e.Package)
	if err != nil {
		return nil, err
	}
	if err := b.finish(ctx, c); err != nil {
		return nil, err
	}
	if c.Record != e.ID {
		return nil, fmt.Errorf("%s %s: package is of %s: %w", a.Kind, e.ID, c.Record, ErrAct)
	}
	a.By, a.Reason = d.By, d.Reason
	if err := b.allowed(ctx, c, e, &a); err != nil {
		return nil, fmt.Errorf("%s %s: %w", a.Kind, e.ID, err)
	}
	if err := b.store(ctx, c, a); err != nil {
		return nil, fmt.Errorf("%s %s: %w", a.Kind, e.ID, err)
	}
	return c, b.finish(ctx, c)
}

// store signs an act as the next one and stores it.
func (b Books) store(ctx context.Context, c *Chain, a Act) error {
	a.Format, a.Record, a.N, a.Time = Format, c.Record, len(c.Acts)+1, b.Now().UTC()
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

// finish logs what is not logged, and makes the store as the acts want it.
func (b Books) finish(ctx context.Context, c *Chain) error {
	if len(c.Acts) == 0 {
		return nil
	}
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
	if err := b.settle(ctx, c); err != nil {
		return fmt.Errorf("carrying out the custody of %s: %w", c.Record, err)
	}
	return nil
}

// prove logs an act and stores the proof. An act that was logged before the
// process ended is found in the log.
func (b Books) prove(ctx context.Context, c *Chain, n int) error {
	a := c.Acts[n-1]
	leaf, err := json.Marshal(Leaf{Event: EventName, Kind: a.Kind, Time: a.Time, SHA256: c.sums[n-1]})
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
	err = b.put(ctx, proofKey(s, n), append(raw, '\n'), a.Time)
	if errors.Is(err, storage.ErrConflict) {
		// Somebody else proved it meanwhile, by a later checkpoint.
		_, err = c.proof(ctx, b.Store, n)
	}
	return err
}

// settle asks the store for what the acts say; it may be so already.
func (b Books) settle(ctx context.Context, c *Chain) error {
	s, err := stem(c.Package)
	if err != nil {
		return err
	}
	if c.Tombstone() != nil {
		return b.remove(ctx, c)
	}
	var until time.Time
	for _, a := range c.Acts {
		if a.Until != nil && a.Until.After(until) {
			until = *a.Until
		}
	}
	hold := len(c.Holds()) > 0
	var keys []storage.Object
	for obj, err := range b.Store.List(ctx, s+".") {
		if err != nil {
			return err
		}
		keys = append(keys, obj)
	}
	for _, obj := range keys {
		if obj.Until.Before(until) {
			if _, err := b.Store.Extend(ctx, obj.Key, until); err != nil {
				return err
			}
		}
		if obj.Hold != hold {
			if _, err := b.Store.Hold(ctx, obj.Key, hold); err != nil {
				return err
			}
		}
	}
	return b.step("settled")
}

// remove removes the package, when it is still there.
func (b Books) remove(ctx context.Context, c *Chain) error {
	if _, err := b.Store.Stat(ctx, c.Package); errors.Is(err, storage.ErrNotExist) {
		return nil
	}
	r, ok := b.Store.(storage.Remover)
	if !ok {
		return fmt.Errorf("%w: the store removes nothing", ErrRefused)
	}
	if err := r.Remove(ctx, c.Package); err != nil && !errors.Is(err, storage.ErrNotExist) {
		return err
	}
	return b.step("removed")
}

// digestOf is what the acts are about: the package as the catalogue knows it,
// which has to be the one in the store and in the acts before.
func (c *Chain) digestOf(e storage.Entry, obj storage.Object) (capture.Digest, error) {
	d := capture.Digest{Bytes: e.Bytes, SHA256: e.SHA256, SM3: e.SM3}
	if obj.SHA256 != d.SHA256 || obj.Bytes != d.Bytes {
		return d, fmt.Errorf("the package in the store is %s, in the catalogue %s: %w", obj.SHA256, d.SHA256, storage.ErrAltered)
	}
	if len(c.Acts) > 0 && c.Acts[0].Package != d {
		return d, fmt.Errorf("earlier acts are about %s: %w", c.Acts[0].Package.SHA256, ErrAct)
	}
	return d, nil
}
