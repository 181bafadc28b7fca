package storetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guzheng/storage"
)

func remover(t *testing.T, s storage.Store) storage.Remover {
	t.Helper()
	r, ok := s.(storage.Remover)
	if !ok {
		t.Fatalf("%T is no storage.Remover", s)
	}
	return r
}

func retention(t *testing.T, s storage.Store) {
	put(t, s, "k", "content")
	extended := until.Add(24 * time.Hour)
	for _, step := range []struct {
		to   time.Time
		want error
	}{
		{until.Add(-time.Second), storage.ErrShorten},
		{until, nil},
		{extended, nil},
		{until, storage.ErrShorten},
		{time.Time{}, storage.ErrShorten},
	} {
		o, err := s.Extend(t.Context(), "k", step.to)
		if !errors.Is(err, step.want) {
			t.Errorf("Extend(%v) = %v, want %v", step.to, err, step.want)
		}
		if err == nil && !o.Until.Equal(step.to) {
			t.Errorf("Extend(%v) gives %v", step.to, o.Until)
		}
	}
	if o := holds(t, s, "k", "content"); !o.Until.Equal(extended) {
		t.Errorf("until = %v, want %v", o.Until, extended)
	}
}

func hold(t *testing.T, s storage.Store) {
	before := put(t, s, "k", "content")
	if before.Hold {
		t.Error("a new object is on hold")
	}
	for _, on := range []bool{false, true, true} {
		o, err := s.Hold(t.Context(), "k", on)
		if err != nil || o.Hold != on {
			t.Fatalf("Hold(%v) = %+v, %v", on, o, err)
		}
		want := before
		want.Hold = on
		if d := cmp.Diff(want, holds(t, s, "k", "content")); d != "" {
			t.Errorf("Hold(%v) changed more (-want +got):\n%s", on, d)
		}
	}
	// What is put again or extended stays on hold.
	if o, err := s.Extend(t.Context(), "k", until.Add(time.Hour)); err != nil || !o.Hold {
		t.Errorf("Extend of an object on hold = %+v, %v", o, err)
	}
	if o := put(t, s, "k", "content"); !o.Hold {
		t.Error("Put of the same bytes took the hold off")
	}
	if _, err := s.Put(t.Context(), "k", strings.NewReader("changed"), want("changed")); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("Put of others = %v, want ErrConflict", err)
	}
	if o, err := s.Hold(t.Context(), "k", false); err != nil || o.Hold {
		t.Errorf("Hold(false) = %+v, %v", o, err)
	}
}

func removeLocked(t *testing.T, s storage.Store) {
	before := put(t, s, "a/k", "content")
	if err := remover(t, s).Remove(t.Context(), "a/k"); !errors.Is(err, storage.ErrRetained) {
		t.Errorf("Remove = %v, want ErrRetained", err)
	}
	if d := cmp.Diff(before, holds(t, s, "a/k", "content")); d != "" {
		t.Errorf("a refused Remove changed the object (-before +after):\n%s", d)
	}
}

// putUntil stores an object that may be removed soon.
func (d Driver) putUntil(t *testing.T, s storage.Store, key string) time.Time {
	t.Helper()
	w := want("content")
	w.Until = d.Soon()
	if _, err := s.Put(t.Context(), key, strings.NewReader("content"), w); err != nil {
		t.Fatal(err)
	}
	return w.Until
}

func (d Driver) holdOutlives(t *testing.T, s storage.Store) {
	date := d.putUntil(t, s, "k")
	if _, err := s.Hold(t.Context(), "k", true); err != nil {
		t.Fatal(err)
	}
	d.Pass(t, date)
	if err := remover(t, s).Remove(t.Context(), "k"); !errors.Is(err, storage.ErrRetained) {
		t.Errorf("Remove after the date, under a hold = %v, want ErrRetained", err)
	}
	holds(t, s, "k", "content")
	if _, err := s.Hold(t.Context(), "k", false); err != nil {
		t.Fatal(err)
	}
	if err := remover(t, s).Remove(t.Context(), "k"); err != nil {
		t.Errorf("Remove after the hold = %v", err)
	}
	nothing(t, s, "k")
}

func (d Driver) removeExpired(t *testing.T, s storage.Store) {
	put(t, s, "a/j", "content")
	date := d.putUntil(t, s, "a/k")
	later := d.putUntil(t, s, "a/l")
	if _, err := s.Extend(t.Context(), "a/l", later.Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := remover(t, s).Remove(t.Context(), "a/k"); !errors.Is(err, storage.ErrRetained) {
		t.Errorf("Remove before the date = %v, want ErrRetained", err)
	}
	d.Pass(t, date)
	d.Pass(t, later)
	if err := remover(t, s).Remove(t.Context(), "a/k"); err != nil {
		t.Errorf("Remove after the date = %v", err)
	}
	if err := remover(t, s).Remove(t.Context(), "a/k"); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("Remove again = %v, want ErrNotExist", err)
	}
	if err := remover(t, s).Remove(t.Context(), "a/l"); !errors.Is(err, storage.ErrRetained) {
		t.Errorf("Remove of what was extended = %v, want ErrRetained", err)
	}
	if d := cmp.Diff([]string{"a/j", "a/l"}, keys(t, s, "")); d != "" {
		t.Errorf("left (-want +got):\n%s", d)
	}
}

func (d Driver) removeAltered(t *testing.T, s storage.Store) {
	if d.Alter == nil {
		t.Skip("this driver's test cannot alter an object behind its back")
	}
	date := d.putUntil(t, s, "k")
	d.Alter(t, s, "k")
	d.Pass(t, date)
	if err := remover(t, s).Remove(t.Context(), "k"); !errors.Is(err, storage.ErrAltered) {
		t.Errorf("Remove of an altered object = %v, want ErrAltered", err)
	}
	if _, err := s.Stat(t.Context(), "k"); err != nil {
		t.Errorf("after it: %v", err)
	}
}
