package ers_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"guzheng/preserve/ers"
	"guzheng/preserve/tsa"
)

// FuzzParse reads foreign bytes: it complains in one way, and what it accepts
// it writes again as it was and can be validated.
func FuzzParse(f *testing.F) {
	data := objects()
	records, trust, c := life(f, data, 1, 4)
	for _, r := range records {
		der, err := r.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ers.Parse(b)
		if err != nil {
			if !errors.Is(err, ers.ErrForm) {
				t.Fatal(err)
			}
			return
		}
		again, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if s, err := ers.Parse(again); err != nil || len(s.Chains) != len(r.Chains) {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		about, _, err := r.About(data)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Validate(about, trust, c.t); got.State() == tsa.Passed && !bytes.Contains(b, records[0].Last().Token[:40]) {
			t.Fatalf("passes: %+v", got)
		}
		r.Renewal()
		r.Validate(nil, tsa.Trust{}, time.Time{})
	})
}

// FuzzToken reads a foreign token.
func FuzzToken(f *testing.F) {
	records, trust, c := life(f, objects(), 0, 1)
	for _, r := range records[2:5] {
		f.Add(r.Last().Token)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := tsa.ReadToken(b)
		r := tsa.CheckToken(b, info.Imprint, trust, c.t)
		if err != nil && r.State() != tsa.Failed {
			t.Fatalf("cannot be read and is %s", r.State())
		}
	})
}
