package custody

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"guzheng/storage"
)

// maxActs bounds the acts of one record.
const maxActs = 10_000

// Trust is whose acts and proofs count. It comes from elsewhere than the
// store. The zero value believes nobody.
type Trust struct {
	Keys []string // fingerprints of signing keys: SHA-256 of the SubjectPublicKeyInfo, hex
	Logs []string // verifier keys of logs (C2SP signed-note)
}

// A Chain is everything that was done with a record, and what follows.
type Chain struct {
	Record  string
	Package string // key of the package
	Acts    []Act

	unproved []int    // numbers of acts that are stored and not known to be logged
	sums     []string // of the acts as stored
}

// Class is the last one that the record was put into, empty when it is in
// that of its capture.
func (c *Chain) Class() Class {
	var out Class
	for _, a := range c.Acts {
		if a.Kind == Classified {
			out = a.Class
		}
	}
	return out
}

// Holds are the cases that the record is held for, sorted.
func (c *Chain) Holds() []string {
	on := map[string]bool{}
	for _, a := range c.Acts {
		switch a.Kind {
		case Held:
			on[a.Case] = true
		case Released:
			delete(on, a.Case)
		}
	}
	out := make([]string, 0, len(on))
	for name := range on {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Proposal is the disposal that is proposed and neither withdrawn nor
// carried out, with its approvals; nil when there is none. A hold that came
// after it ends it.
func (c *Chain) Proposal() (proposed *Act, approvals []Act) {
	for i, a := range c.Acts {
		switch a.Kind {
		case Proposed:
			proposed, approvals = &c.Acts[i], nil
		case Approved:
			approvals = append(approvals, a)
		case Withdrawn, Held, Classified, Disposed:
			proposed, approvals = nil, nil
		}
	}
	return proposed, approvals
}

// Tombstone is the act by which the record is disposed of, or nil. A hold
// that came after it voids it.
func (c *Chain) Tombstone() *Act {
	if n := len(c.Acts); n > 0 && c.Acts[n-1].Kind == Disposed {
		return &c.Acts[n-1]
	}
	return nil
}

// LastDisposal is the last act of kind Disposed, void or not; nil when there
// is none. When the package is gone, it went by this one.
func (c *Chain) LastDisposal() *Act {
	for i := len(c.Acts) - 1; i >= 0; i-- {
		if c.Acts[i].Kind == Disposed {
			return &c.Acts[i]
		}
	}
	return nil
}

// Unlogged are the numbers of acts that are not known to be in the log.
func (c *Chain) Unlogged() []int { return slices.Clone(c.unproved) }

// stem is the beginning of the keys of everything about a package.
func stem(pkg string) (string, error) {
	s, ok := strings.CutSuffix(pkg, packageSuffix)
	if !ok {
		return "", fmt.Errorf("%q is not the key of a package", pkg)
	}
	return s, nil
}

// Names of objects.
const (
	packageSuffix = ".wacz"
	actMark       = ".custody-"
)

func actKey(stem string, n int) string   { return stem + actMark + strconv.Itoa(n) + ".json" }
func proofKey(stem string, n int) string { return stem + actMark + strconv.Itoa(n) + ".log.json" }

// PackageOf is the key of the package that an object with this key is an act
// about, if it is the first act about it.
func PackageOf(key string) (pkg string, ok bool) {
	s, ok := strings.CutSuffix(key, actMark+"1.json")
	return s + packageSuffix, ok
}

// Read reads the acts of a record out of its store and checks that each is
// sound, signed by a trusted key, about this record, follows the one before
// and keeps the rules, and that every proof holds; ErrAct is wrapped
// otherwise. It returns an empty chain when nothing was done with it. That
// acts were cut off the end it cannot see; ReadLogged can.
func Read(ctx context.Context, store storage.Store, pkg string, trust Trust) (*Chain, error) {
	c, err := read(ctx, store, pkg, trust)
	if err != nil {
		return nil, fmt.Errorf("reading the custody of %s: %w", path.Base(pkg), err)
	}
	return c, nil
}

func read(ctx context.Context, store storage.Store, pkg string, trust Trust) (*Chain, error) {
	s, err := stem(pkg)
	if err != nil {
		return nil, err
	}
	c := &Chain{Record: path.Base(s), Package: pkg}
	there := map[string]bool{}
	for obj, err := range store.List(ctx, s+actMark) {
		if err != nil {
			return nil, err
		}
		if there[obj.Key] = true; len(there) > 2*maxActs {
			return nil, fmt.Errorf("more than %d acts: %w", maxActs, ErrAct)
		}
	}
	for n := 1; there[actKey(s, n)]; n++ {
		if err := c.add(ctx, store, actKey(s, n), trust.Keys); err != nil {
			return nil, err
		}
		delete(there, actKey(s, n))
		if !there[proofKey(s, n)] {
			c.unproved = append(c.unproved, n)
			continue
		}
		if _, err := c.proof(ctx, store, n, trust.Logs); err != nil {
			return nil, err
		}
		delete(there, proofKey(s, n))
	}
	for key := range there {
		return nil, fmt.Errorf("%s is there without what comes before it: %w", path.Base(key), ErrAct)
	}
	return c, nil
}

// add reads the act under a key and enters it.
func (c *Chain) add(ctx context.Context, store storage.Store, key string, keys []string) error {
	b, err := load(ctx, store, key)
	if err != nil {
		return err
	}
	a, err := Decode(b)
	if err != nil {
		return err
	}
	if !slices.Contains(keys, a.Key) {
		return fmt.Errorf("act %d is signed by %s, which is not a key of this installation: %w", a.N, a.Key, ErrAct)
	}
	if err := c.follows(a); err != nil {
		return err
	}
	c.Acts, c.sums = append(c.Acts, a), append(c.sums, sumOf(b))
	return nil
}

// follows wants an act to be the next one of this record, by its place and by
// the rules.
func (c *Chain) follows(a Act) error {
	n := len(c.Acts)
	previous := ""
	if n > 0 {
		previous = c.sums[n-1]
	}
	switch {
	case a.Record != c.Record || a.N != n+1 || a.Previous != previous:
		return fmt.Errorf("act %d of %s stands as act %d of %s: %w", a.N, a.Record, n+1, c.Record, ErrAct)
	case n > 0 && a.Package != c.Acts[0].Package:
		return fmt.Errorf("act %d is about another package: %w", a.N, ErrAct)
	}
	return c.replay(a)
}

// load reads a small object.
func load(ctx context.Context, store storage.Store, key string) ([]byte, error) {
	content, _, err := store.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(content, maxAct+1))
	if err := errors.Join(err, content.Close()); err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	return b, nil
}
