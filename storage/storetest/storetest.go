// Package storetest is the suite that every driver of storage.Store passes.
//
// Life of a run: a driver's test calls Run with a Driver, whose Open gives
// an empty store; each case opens its own. A driver that talks to a server
// also calls Faults, with stores that reach it through a Line.
//
// Trust: the suite shows that a driver keeps the contract while nothing
// interferes, and Faults that a bad line loses and doubles nothing. What
// happens when a driver is killed, or when somebody changes its bytes behind
// its back, each driver tests by itself.
package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guzheng/storage"
)

// A Driver is what the suite has to be told of a driver.
type Driver struct {
	// Open returns an empty store. It MUST also be a storage.Remover.
	Open func(t *testing.T) storage.Store
	// Soon is a date that has not passed by the store's clock and will
	// before long, in whole seconds.
	Soon func() time.Time
	// Pass returns when the date has passed by the store's clock: a test's
	// own clock is set forward, a server's is waited for.
	Pass func(t *testing.T, date time.Time)
	// Alter changes the first byte of an object behind the store's back; nil
	// where a test cannot.
	Alter func(t *testing.T, s storage.Store, key string)
	// Huge is the length of the largest object, in bytes; 0 is 32 MiB.
	Huge int64
	// Memory is what the process may occupy at most while the huge object
	// is put and read, in bytes; 0 asks for no limit.
	Memory int64
}

// Run runs all cases, each with a store of its own. Dates are whole seconds,
// because some stores accept no others.
func Run(t *testing.T, d Driver) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(*testing.T, storage.Store)
	}{
		{"put then read back", readBack},
		{"empty object", empty},
		{"same bytes again", idempotent},
		{"other bytes conflict", conflict},
		{"refused content leaves nothing", refused},
		{"broken content leaves nothing", broken},
		{"cancelled context leaves nothing", cancelled},
		{"retention", retention},
		{"hold", hold},
		{"removal is refused before the date", removeLocked},
		{"hold outlives the date", d.holdOutlives},
		{"removal after the date", d.removeExpired},
		{"an altered object is not removed", d.removeAltered},
		{"list in order of keys", list},
		{"list can be stopped", listStop},
		{"read at", readAt},
		{"bad keys", badKeys},
		{"missing object", missing},
		{"concurrent writers of one key", race},
		{"reading while writing", readWhileWriting},
		{"huge object", d.huge},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, d.Open(t)) })
	}
}

var until = time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC)

// want describes s, retained until the date of the suite.
func want(s string) storage.Want {
	sum := sha256.Sum256([]byte(s))
	return storage.Want{Bytes: int64(len(s)), SHA256: hex.EncodeToString(sum[:]), Until: until}
}

func put(t *testing.T, s storage.Store, key, content string) storage.Object {
	t.Helper()
	o, err := s.Put(t.Context(), key, strings.NewReader(content), want(content))
	if err != nil {
		t.Fatalf("Put(%s) = %v", key, err)
	}
	return o
}

// holds checks that key opens with exactly this content.
func holds(t *testing.T, s storage.Store, key, content string) storage.Object {
	t.Helper()
	c, o, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatalf("Open(%s) = %v", key, err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil || string(b) != content {
		t.Errorf("Open(%s) gives %d bytes %.40q, %v; want %d bytes %.40q", key, len(b), b, err, len(content), content)
	}
	return o
}

// nothing checks that key and the whole store hold nothing.
func nothing(t *testing.T, s storage.Store, key string) {
	t.Helper()
	if _, err := s.Stat(t.Context(), key); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("Stat(%s) = %v, want ErrNotExist", key, err)
	}
	if got := keys(t, s, ""); len(got) > 0 {
		t.Errorf("List gives %q, want nothing", got)
	}
}

func keys(t *testing.T, s storage.Store, prefix string) []string {
	t.Helper()
	var got []string
	for o, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("List(%q) = %v", prefix, err)
		}
		got = append(got, o.Key)
	}
	return got
}

func readBack(t *testing.T, s storage.Store) {
	o := put(t, s, "v1/a/x.wacz", "content")
	w := want("content")
	if o.Key != "v1/a/x.wacz" || o.Bytes != w.Bytes || o.SHA256 != w.SHA256 || !o.Until.Equal(until) || o.Stored.IsZero() || o.Lock == "" {
		t.Errorf("Put = %+v", o)
	}
	opened := holds(t, s, o.Key, "content")
	stat, err := s.Stat(t.Context(), o.Key)
	if err != nil {
		t.Fatal(err)
	}
	var listed storage.Object
	for listed, err = range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, got := range map[string]storage.Object{"Open": opened, "Stat": stat, "List": listed} {
		if d := cmp.Diff(o, got); d != "" {
			t.Errorf("Put and %s differ (-put +%s):\n%s", name, name, d)
		}
	}
}

func empty(t *testing.T, s storage.Store) {
	put(t, s, "empty", "")
	holds(t, s, "empty", "")
}

func idempotent(t *testing.T, s storage.Store) {
	first := put(t, s, "k", "content")
	again := put(t, s, "k", "content")
	if d := cmp.Diff(first, again); d != "" {
		t.Errorf("second Put differs (-first +second):\n%s", d)
	}
	w := want("content")
	w.Until = until.Add(time.Hour)
	o, err := s.Put(t.Context(), "k", strings.NewReader("content"), w)
	if err != nil || !o.Until.Equal(w.Until) {
		t.Errorf("Put with a later date = %v, %v; want until %v", o.Until, err, w.Until)
	}
	w.Until = until.Add(-time.Hour)
	o, err = s.Put(t.Context(), "k", strings.NewReader("content"), w)
	if err != nil || !o.Until.Equal(until.Add(time.Hour)) {
		t.Errorf("Put with an earlier date = %v, %v; want the later date kept", o.Until, err)
	}
	// A retry that brings other bytes than it says is no retry.
	if _, err := s.Put(t.Context(), "k", strings.NewReader("forgery"), want("content")); err == nil {
		t.Error("Put of other bytes under the right digest succeeded")
	}
	holds(t, s, "k", "content")
}

func conflict(t *testing.T, s storage.Store) {
	first := put(t, s, "k", "content")
	w := want("changed")
	w.Until = until.Add(time.Hour)
	if _, err := s.Put(t.Context(), "k", strings.NewReader("changed"), w); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("Put of other bytes = %v, want ErrConflict", err)
	}
	if d := cmp.Diff(first, holds(t, s, "k", "content")); d != "" {
		t.Errorf("conflict changed the object (-before +after):\n%s", d)
	}
}

func refused(t *testing.T, s storage.Store) {
	good := want("content")
	for name, w := range map[string]storage.Want{
		"wrong digest":      {Bytes: good.Bytes, SHA256: want("changed").SHA256, Until: until},
		"content too short": {Bytes: good.Bytes + 1, SHA256: good.SHA256, Until: until},
		"content too long":  {Bytes: good.Bytes - 1, SHA256: good.SHA256, Until: until},
		"content goes on":   {Bytes: good.Bytes - 1, SHA256: want("conten").SHA256, Until: until},
		"no digest":         {Bytes: good.Bytes, Until: until},
		"digest in capital": {Bytes: good.Bytes, SHA256: strings.ToUpper(good.SHA256), Until: until},
		"negative length":   {Bytes: -1, SHA256: good.SHA256, Until: until},
	} {
		if _, err := s.Put(t.Context(), "a/k", strings.NewReader("content"), w); err == nil {
			t.Errorf("%s: Put succeeded", name)
		} else if errors.Is(err, storage.ErrAltered) || errors.Is(err, storage.ErrConflict) {
			t.Errorf("%s: Put = %v, which blames the store", name, err)
		}
		nothing(t, s, "a/k")
	}
	put(t, s, "a/k", "content")
}

func broken(t *testing.T, s storage.Store) {
	snapped := errors.New("line snapped")
	content := io.MultiReader(strings.NewReader("con"), readFunc(func([]byte) (int, error) { return 0, snapped }))
	if _, err := s.Put(t.Context(), "k", content, want("content")); !errors.Is(err, snapped) {
		t.Errorf("Put = %v, want the reader's error", err)
	}
	nothing(t, s, "k")
}

func cancelled(t *testing.T, s storage.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	rest := strings.NewReader("tent")
	content := io.MultiReader(strings.NewReader("con"), readFunc(func(p []byte) (int, error) {
		cancel()
		return rest.Read(p)
	}))
	if _, err := s.Put(ctx, "k", content, want("content")); !errors.Is(err, context.Canceled) {
		t.Errorf("Put = %v, want context.Canceled", err)
	}
	nothing(t, s, "k")
	put(t, s, "k", "content")
	if _, _, err := s.Open(ctx, "k"); !errors.Is(err, context.Canceled) {
		t.Errorf("Open = %v, want context.Canceled", err)
	}
	for _, err := range s.List(ctx, "") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("List yields %v, want context.Canceled", err)
		}
	}
}

func badKeys(t *testing.T, s storage.Store) {
	for _, key := range []string{
		"", ".", "..", "/", "/etc/x", "../x", "a/../x", "a/./x", "a//x", "a/", `a\x`, `..\x`, "a\x00", "a\n", "a b", "a:b", "~a",
		"%2e%2e", "\u56fa", strings.Repeat("k", storage.MaxElement+1), strings.Repeat("k/", storage.MaxKey/2) + "k",
	} {
		check := func(verb string, err error) {
			t.Helper()
			if !errors.Is(err, storage.ErrKey) {
				t.Errorf("%s(%.30q) = %v, want ErrKey", verb, key, err)
			}
		}
		_, err := s.Put(t.Context(), key, strings.NewReader("content"), want("content"))
		check("Put", err)
		_, err = s.Stat(t.Context(), key)
		check("Stat", err)
		_, _, err = s.Open(t.Context(), key)
		check("Open", err)
		_, err = s.Extend(t.Context(), key, until)
		check("Extend", err)
		_, err = s.Hold(t.Context(), key, true)
		check("Hold", err)
		check("Remove", remover(t, s).Remove(t.Context(), key))
	}
	if got := keys(t, s, ""); len(got) > 0 {
		t.Errorf("List gives %q, want nothing", got)
	}
	put(t, s, strings.Repeat("k", storage.MaxElement), "content")
}

func missing(t *testing.T, s storage.Store) {
	put(t, s, "a/k", "content")
	for _, key := range []string{"b", "a", "a/k/x", "a/k2", "b/k"} {
		if _, err := s.Stat(t.Context(), key); !errors.Is(err, storage.ErrNotExist) {
			t.Errorf("Stat(%s) = %v, want ErrNotExist", key, err)
		}
		if _, _, err := s.Open(t.Context(), key); !errors.Is(err, storage.ErrNotExist) {
			t.Errorf("Open(%s) = %v, want ErrNotExist", key, err)
		}
		if _, err := s.Extend(t.Context(), key, until); !errors.Is(err, storage.ErrNotExist) {
			t.Errorf("Extend(%s) = %v, want ErrNotExist", key, err)
		}
		if _, err := s.Hold(t.Context(), key, true); !errors.Is(err, storage.ErrNotExist) {
			t.Errorf("Hold(%s) = %v, want ErrNotExist", key, err)
		}
		if err := remover(t, s).Remove(t.Context(), key); !errors.Is(err, storage.ErrNotExist) {
			t.Errorf("Remove(%s) = %v, want ErrNotExist", key, err)
		}
	}
}

// race lets 20 writers bring 4 contents under one key. Exactly the writers
// of one content succeed.
func race(t *testing.T, s storage.Store) {
	const writers, contents = 20, 4
	errs := make([]error, writers)
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range writers {
		all.Go(func() {
			<-start
			c := fmt.Sprintf("content %d", i%contents)
			_, errs[i] = s.Put(t.Context(), "a/k", strings.NewReader(c), want(c))
		})
	}
	close(start)
	all.Wait()
	o, err := s.Stat(t.Context(), "a/k")
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range errs {
		c := fmt.Sprintf("content %d", i%contents)
		if want(c).SHA256 == o.SHA256 {
			holds(t, s, "a/k", c)
			if err != nil {
				t.Errorf("writer %d of the content that won: %v", i, err)
			}
		} else if !errors.Is(err, storage.ErrConflict) {
			t.Errorf("writer %d of a content that lost: %v, want ErrConflict", i, err)
		}
	}
}

// readWhileWriting looks at objects while they are being stored: they are
// there or not, and never half.
func readWhileWriting(t *testing.T, s storage.Store) {
	const objects = 30
	key := func(i int) string { return fmt.Sprintf("a/%02d", i) }
	var all sync.WaitGroup
	var written atomic.Int64
	for range 3 {
		all.Go(func() {
			for i := 0; i < objects && !t.Failed(); {
				there := written.Load() > int64(i)
				_, err := s.Stat(t.Context(), key(i))
				if err == nil {
					i++
				} else if there || !errors.Is(err, storage.ErrNotExist) {
					t.Errorf("Stat(%s) = %v, written: %v", key(i), err, there)
				}
			}
		})
	}
	for i := range objects {
		if _, err := s.Put(t.Context(), key(i), strings.NewReader("content"), want("content")); err != nil {
			t.Errorf("Put(%s) = %v", key(i), err) // ends the readers, too
			break
		}
		written.Add(1)
		for o, err := range s.List(t.Context(), "a/") {
			if err != nil {
				t.Errorf("List yields %+v, %v", o, err)
			}
		}
	}
	all.Wait()
}
