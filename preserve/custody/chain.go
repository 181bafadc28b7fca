package custody

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"guzheng/capture"
	"guzheng/storage"
)

// maxActs bounds the acts of one record.
const maxActs = 10_000

// A Chain is everything that was done with a record, and what follows.
type Chain struct {
	Record  string
	Package string         // key of the package
	Digest  capture.Digest // of the package, by its seal
	Kept    time.Time
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

// Tombstone is the act by which the record was disposed of, or nil.
func (c *Chain) Tombstone() *Act {
	if n := len(c.Acts); n > 0 && c.Acts[n-1].Kind == Disposed {
		return &c.Acts[n-1]
	}
	return nil
}

// Unlogged are the numbers of acts that are not known to be in the log.
func (c *Chain) Unlogged() []int { return slices.Clone(c.unproved) }

// stem is the beginning of the keys of everything about a package.
func stem(pkg string) (string, error) {
	s, ok := strings.CutSuffix(pkg, ".wacz")
	if !ok {
		return "", fmt.Errorf("%q is not the key of a package", pkg)
	}
	return s, nil
}

func actKey(stem string, n int) string   { return stem + ".custody-" + strconv.Itoa(n) + ".json" }
func proofKey(stem string, n int) string { return stem + ".custody-" + strconv.Itoa(n) + ".log.json" }

// Read reads the acts of a record out of its store and checks that each is
// sound, about this record, and follows the one before. It returns an empty
// chain when nothing was done with it.
func Read(ctx context.Context, store storage.Store, pkg string) (*Chain, error) {
	c, err := read(ctx, store, pkg)
	if err != nil {
		return nil, fmt.Errorf("reading the custody of %s: %w", path.Base(pkg), err)
	}
	return c, nil
}

func read(ctx context.Context, store storage.Store, pkg string) (*Chain, error) {
	s, err := stem(pkg)
	if err != nil {
		return nil, err
	}
	c := &Chain{Record: path.Base(s), Package: pkg}
	there := map[string]bool{}
	for obj, err := range store.List(ctx, s+".custody-") {
		if err != nil {
			return nil, err
		}
		if there[obj.Key] = true; len(there) > 2*maxActs {
			return nil, fmt.Errorf("more than %d acts: %w", maxActs, ErrAct)
		}
	}
	for n := 1; there[actKey(s, n)]; n++ {
		if err := c.add(ctx, store, actKey(s, n)); err != nil {
			return nil, err
		}
		delete(there, actKey(s, n))
		if !there[proofKey(s, n)] {
			c.unproved = append(c.unproved, n)
		}
		delete(there, proofKey(s, n))
	}
	for key := range there {
		return nil, fmt.Errorf("%s is there without what comes before it: %w", path.Base(key), ErrAct)
	}
	return c, nil
}

// add reads the act under a key and enters it.
func (c *Chain) add(ctx context.Context, store storage.Store, key string) error {
	b, err := load(ctx, store, key)
	if err != nil {
		return err
	}
	a, err := Decode(b)
	if err != nil {
		return err
	}
	if err := c.follows(a); err != nil {
		return err
	}
	c.Acts, c.sums = append(c.Acts, a), append(c.sums, sumOf(b))
	return nil
}

// follows wants an act to be the next one of this record.
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
	case c.Tombstone() != nil:
		return fmt.Errorf("act %d comes after the disposal: %w", a.N, ErrAct)
	}
	return nil
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

// proof reads the proof of an act and wants it to be about that act.
func (c *Chain) proof(ctx context.Context, store storage.Store, n int) (Proof, error) {
	s, err := stem(c.Package)
	if err != nil {
		return Proof{}, err
	}
	b, err := load(ctx, store, proofKey(s, n))
	if err != nil {
		return Proof{}, err
	}
	var p Proof
	if err := strict(b, &p); err != nil {
		return Proof{}, fmt.Errorf("reading the proof of act %d: %w: %w", n, ErrAct, err)
	}
	var leaf Leaf
	if err := json.Unmarshal(p.Log.Leaf, &leaf); err != nil || p.Format != Format || p.SHA256 != c.sums[n-1] || leaf.SHA256 != p.SHA256 {
		return Proof{}, fmt.Errorf("the proof of act %d is about another: %w", n, ErrAct)
	}
	return p, nil
}
