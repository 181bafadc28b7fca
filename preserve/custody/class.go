package custody

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Class is a reason to retain a record for a number of years. Later
// classes are never shorter than earlier ones.
type Class string

// The classes, by what they rest on.
const (
	// Sweep is a visit without a finding. Three years: longer than the two
	// within which an offence can be punished (Administrative Penalty Law
	// art. 36), and as long as a platform keeps its own data (E-commerce
	// Law art. 31).
	Sweep Class = "sweep"
	// Finding is a visit with a finding about food or health, which can be
	// punished for five years (Administrative Penalty Law art. 36).
	Finding Class = "finding"
	// Case is the class of what was captured for a case, which is also on
	// hold for it. Nothing is put into it later: Hold is for that.
	Case Class = "case"
	// Archive is evidence of a closed case, in a file kept for 30 years.
	Archive Class = "archive"
	// Permanent is evidence in a file that is kept for good. The date is a
	// hundred years ahead, since stores want one.
	Permanent Class = "permanent"
)

// ErrClass says that there is no such class, or that a record cannot be put
// into it.
var ErrClass = errors.New("no such class of retention")

// chosen wants a class that a person may put a record into.
func (c Class) chosen() error {
	if !slices.Contains([]Class{Sweep, Finding, Archive, Permanent}, c) {
		return fmt.Errorf("%w: %q", ErrClass, c)
	}
	return nil
}

// Terms are how many days a record of each class is retained after it was
// kept. The law sets the least; a bureau may keep things longer.
type Terms map[Class]int

// DefaultTerms are the least terms, leap days included.
func DefaultTerms() Terms {
	return Terms{Sweep: 3*365 + 1, Finding: 5*365 + 2, Case: 30*365 + 8, Archive: 30*365 + 8, Permanent: 100*365 + 25}
}

// Until is the date until which a record of the class has to be retained.
func (t Terms) Until(c Class, kept time.Time) (time.Time, error) {
	days, ok := t[c]
	if !ok || days <= 0 {
		return time.Time{}, fmt.Errorf("%w: %q", ErrClass, c)
	}
	return kept.UTC().AddDate(0, 0, days).Truncate(time.Second), nil
}
