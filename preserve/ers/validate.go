package ers

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"guzheng/preserve/tsa"
)

// Layers of a record, beside those of its tokens (package tsa).
const (
	LayerData   = "data"   // the record is about the data objects
	LayerBefore = "before" // each stamp is over what stands before it
	LayerTime   = "time"   // the stamps follow one another, each in time
)

// An Object is a data object: what a record is about.
type Object struct {
	Name string
	// Sum returns the hash value of the object's bytes.
	Sum func(h tsa.Hash) ([]byte, error)
}

// Bytes makes an Object of bytes at hand.
func Bytes(name string, b []byte) Object {
	return Object{Name: name, Sum: func(h tsa.Hash) ([]byte, error) { return h.Sum(b), nil }}
}

// A Finding is what one layer of one archive time stamp says. Chain and Stamp
// count from 1; 0 is the whole record.
type Finding struct {
	Chain, Stamp int
	tsa.Finding
}

// A Report is what became of each check of a record. The times prove nothing
// when a check failed.
type Report struct {
	First    time.Time // of the oldest stamp
	Last     time.Time // of the newest
	Until    time.Time // when the newest one's first certificate expires
	Practice bool      // a stamp was made by a practice authority
	Findings []Finding
}

// State is Failed when any layer failed, else Unknown when any could not
// tell, else Passed.
func (r Report) State() tsa.State {
	out := tsa.Passed
	for _, f := range r.Findings {
		if f.State == tsa.Failed {
			return tsa.Failed
		}
		if f.State == tsa.Unknown {
			out = tsa.Unknown
		}
	}
	return out
}

// A walk is one validation under way.
type walk struct {
	record Record
	trust  tsa.Trust
	at     time.Time
	report Report
}

func (w *walk) add(chain, stamp int, layer string, state tsa.State, code, detail string, args ...any) {
	w.report.Findings = append(w.report.Findings, Finding{chain, stamp,
		tsa.Finding{Layer: layer, State: state, Code: code, Detail: fmt.Sprintf(detail, args...)}})
}

// Validate examines the whole record as of the time at (RFC 4998 section
// 5.3): that each chain is about exactly the data objects (about the one,
// where there is one) and all chains before it, each stamp over the tokens
// before it in its chain, every token good at its own time and still when the
// next one was made, the newest at that time. The zero time leaves that last
// one out. A token whose certificate had expired by then is Unknown, never
// Passed. It works without network.
func (r Record) Validate(data []Object, trust tsa.Trust, at time.Time) Report {
	w := &walk{record: r, trust: trust, at: at}
	for i, c := range r.Chains {
		for j := range c {
			w.stamp(i, j, data)
		}
	}
	return w.report
}

// stamp examines one archive time stamp.
func (w *walk) stamp(i, j int, data []Object) {
	s := w.record.Chains[i][j]
	var alone []byte
	if j == 0 {
		alone = w.checkData(i, data)
	} else {
		alone = w.checkBefore(i, j)
	}
	next, following := w.at, w.next(i, j)
	info, err := tsa.ReadToken(s.Token)
	if err != nil {
		w.add(i+1, j+1, tsa.LayerSignature, tsa.Failed, "token.unreadable", "%v", err)
		return
	}
	if following != nil {
		if after, err := tsa.ReadToken(following.Token); err == nil {
			next = after.Time
			if after.Time.Before(info.Time) {
				w.add(i+1, j+1, LayerTime, tsa.Failed, "time.order", "stamp of %s stands before one of %s", info.Time.Format(time.RFC3339), next.Format(time.RFC3339))
			}
		}
	}
	got := tsa.CheckToken(s.Token, tsa.Imprint{Hash: s.Hash, Value: s.root(alone)}, w.trust, next)
	for _, f := range got.Findings {
		w.report.Findings = append(w.report.Findings, Finding{i + 1, j + 1, f})
	}
	if following == nil && !w.at.IsZero() && info.Time.After(w.at) {
		w.add(i+1, j+1, LayerTime, tsa.Unknown, "time.future", "stamp of %s, looked at as of %s", info.Time.Format(time.RFC3339), w.at.UTC().Format(time.RFC3339))
	}
	if i == 0 && j == 0 {
		w.report.First = got.Time
	}
	w.report.Last, w.report.Until = got.Time, got.Until
	w.report.Practice = w.report.Practice || got.Practice
}

// next returns the stamp that was made after one, in its chain or the next.
func (w *walk) next(i, j int) *ArchiveTimeStamp {
	switch {
	case j+1 < len(w.record.Chains[i]):
		return &w.record.Chains[i][j+1]
	case i+1 < len(w.record.Chains):
		return &w.record.Chains[i+1][0]
	}
	return nil
}

// checkData compares the first list of a chain with the data objects. It
// returns the value that stands for a single object.
func (w *walk) checkData(i int, data []Object) []byte {
	s := w.record.Chains[i][0]
	values := make([][]byte, 0, len(data))
	for _, d := range data {
		v, err := d.Sum(s.Hash)
		if err != nil {
			w.add(i+1, 1, LayerData, tsa.Unknown, "data.unreadable", "%s: %v", d.Name, err)
			return nil
		}
		values = append(values, v)
	}
	bound, err := w.record.bind(s.Hash, values, i)
	if err != nil || len(bound) == 0 {
		w.add(i+1, 1, LayerData, tsa.Failed, "data.none", "%d data objects, %v", len(data), err)
		return nil
	}
	if s.Tree == nil {
		if len(bound) > 1 {
			w.add(i+1, 1, LayerData, tsa.Failed, "data.missing", "a single hash value for %d data objects", len(bound))
		} else {
			w.add(i+1, 1, LayerData, tsa.Passed, "", "%s, alone", data[0].Name)
		}
		return bound[0]
	}
	for k, v := range bound {
		if !holds(s.Tree[0], v) {
			w.add(i+1, 1, LayerData, tsa.Failed, "data.missing", "%s is not what was stamped", data[k].Name)
			return bound[0]
		}
	}
	// Of a group nothing but its objects may stand there (section 4.3); of
	// one object, its neighbours do.
	if len(bound) > 1 && len(s.Tree[0]) != len(bound) {
		w.add(i+1, 1, LayerData, tsa.Failed, "data.other", "%d hash values for %d data objects", len(s.Tree[0]), len(bound))
		return bound[0]
	}
	w.add(i+1, 1, LayerData, tsa.Passed, "", "%d data objects", len(bound))
	return bound[0]
}

// checkBefore wants the token before a stamp to be in its first list. It
// returns the value of that token.
func (w *walk) checkBefore(i, j int) []byte {
	c := w.record.Chains[i]
	s := c[j]
	if s.Hash != c[0].Hash {
		w.add(i+1, j+1, LayerBefore, tsa.Failed, "chain.hash", "%s in a chain of %s", s.Hash, c[0].Hash)
	}
	before := s.Hash.Sum(c[j-1].Token)
	if s.Tree != nil && !holds(s.Tree[0], before) {
		w.add(i+1, j+1, LayerBefore, tsa.Failed, "chain.broken", "the token before is not what was stamped")
		return before
	}
	// Without a tree the token's imprint tells.
	w.add(i+1, j+1, LayerBefore, tsa.Passed, "", "over stamp %d", j)
	return before
}

func holds(list [][]byte, v []byte) bool {
	return slices.ContainsFunc(list, func(w []byte) bool { return bytes.Equal(v, w) })
}

// About returns those of the objects that the record's first stamp names, of
// several with the same bytes the first, and how many of its values are of
// none of them. Neighbours in the tree count
// among these when the record is about a single object.
func (r Record) About(objects []Object) (about []Object, foreign int, err error) {
	s := r.Chains[0][0]
	list := [][]byte{}
	if s.Tree != nil {
		list = s.Tree[0]
	} else if info, err := tsa.ReadToken(s.Token); err == nil {
		list = append(list, info.Imprint.Value)
	}
	left := len(list)
	var found [][]byte
	for _, o := range objects {
		v, err := o.Sum(s.Hash)
		if err != nil {
			return nil, 0, fmt.Errorf("hashing %s: %w", o.Name, err)
		}
		if holds(list, v) && !holds(found, v) {
			found = append(found, v)
			about = append(about, o)
			left--
		}
	}
	return about, max(left, 0), nil
}
