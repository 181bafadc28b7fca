package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"guzheng/storage"
	"guzheng/storage/dir"
)

// A stopped store ends the context when a key is opened.
type stopped struct {
	keep
	at   string
	stop context.CancelFunc
	read []string
}

func (s *stopped) Open(ctx context.Context, key string) (storage.Content, storage.Object, error) {
	s.read = append(s.read, key)
	if key == s.at {
		s.stop()
		return nil, storage.Object{}, ctx.Err()
	}
	return s.keep.Open(ctx, key)
}

// checkHome is a home whose store holds objects of these names.
func checkHome(t *testing.T, keys ...string) (*home, *dir.Store) {
	t.Helper()
	d, err := dir.Open(filepath.Join(t.TempDir(), "store"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		sum := sha256.Sum256([]byte(k))
		want := storage.Want{Bytes: int64(len(k)), SHA256: hex.EncodeToString(sum[:]), Until: time.Now().AddDate(1, 0, 0)}
		if _, err := d.Put(t.Context(), k, strings.NewReader(k), want); err != nil {
			t.Fatal(err)
		}
	}
	return &home{dir: t.TempDir(), err: io.Discard, cfg: defaults(), store: d}, d
}

// TestCheckGoesOn interrupts a check in the middle: nothing is read twice,
// nothing is left out, and what was found bad before is still known.
func TestCheckGoesOn(t *testing.T) {
	keys := []string{"v1/a", "v1/b", "v1/c", "v1/d"}
	h, d := checkHome(t, keys...)
	name, err := d.Path("v1/a")
	if err != nil {
		t.Fatal(err)
	}
	if err := flipFile(name, 0.5); err != nil {
		t.Fatal(err)
	}
	f := storeFlags{prefix: "v1/"}
	r, err := h.loadRound(f)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	first := &stopped{keep: d, at: "v1/c", stop: stop}
	h.store = first
	if err := h.readAll(ctx, streams{err: io.Discard}, f, &r); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted check = %v", err)
	}
	if err := h.saveRound(r); err != nil {
		t.Fatal(err)
	}
	if r, err = h.loadRound(f); err != nil || r.After != "v1/b" {
		t.Fatalf("goes on after %q, %v", r.After, err)
	}
	second := &stopped{keep: d}
	h.store = second
	if err := h.readAll(t.Context(), streams{err: io.Discard}, f, &r); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(second.read, " "); got != "v1/c v1/d" {
		t.Errorf("the second run read %s", got)
	}
	if r.Objects != 4 || len(r.Bad) != 1 || r.Bad[0] != "v1/a" {
		t.Errorf("round = %+v", r)
	}
	r.Done = true
	if err := h.saveRound(r); err != nil {
		t.Fatal(err)
	}
	if r, err = h.loadRound(f); err != nil || r.After != "" {
		t.Errorf("after a finished round the next goes on after %q, %v", r.After, err)
	}
}

// A line that fails is not held against the object it was to bring.
type broken struct{ keep }

func (broken) Open(context.Context, string) (storage.Content, storage.Object, error) {
	return nil, storage.Object{}, errors.New("line snapped")
}

func TestCheckBlamesNoLine(t *testing.T) {
	h, d := checkHome(t, "v1/a", "v1/b.wacz")
	h.store = broken{d}
	var r round
	err := h.readAll(t.Context(), streams{err: io.Discard}, storeFlags{prefix: "v1/"}, &r)
	if code, _ := classify(t.Context(), err); code != exitStorage || len(r.Bad) > 0 || r.After != "" {
		t.Errorf("check over a broken line = %v, %+v", err, r)
	}
	// What can be read and is no package is held against it.
	h.store = d
	var told bytes.Buffer
	if err := h.readAll(t.Context(), streams{err: &told}, storeFlags{prefix: "v1/"}, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Bad) != 1 || r.Bad[0] != "v1/b.wacz" {
		t.Errorf("round = %+v\n%s", r, told.String())
	}
}

func TestPacer(t *testing.T) {
	now := time.Now()
	p := &pacer{rate: 1 << 40, begun: now, now: func() time.Time { return now }}
	if err := p.pace(t.Context(), 1<<20); err != nil {
		t.Error(err)
	}
	p.rate = 1
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.pace(ctx, 1<<40); !errors.Is(err, context.Canceled) {
		t.Errorf("pace = %v, want the context's error", err)
	}
}
