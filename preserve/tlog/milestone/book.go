package milestone

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"guzheng/capture"
	"guzheng/preserve/internal/flock"
	"guzheng/preserve/seal"
	"guzheng/preserve/tlog"
	"guzheng/preserve/tsa"
	"guzheng/storage"
)

// Pace of milestones.
const (
	DefaultEvery = 24 * time.Hour // between milestones, when something was logged
	RetryAfter   = time.Hour      // before a silent authority is asked again
	maxForms     = 20             // of one milestone in the store: each has a stamp more
)

// A Log is what milestones are made of; ledger.Log is one.
type Log interface {
	// Checkpoint returns the newest signed checkpoint.
	Checkpoint(ctx context.Context) (string, error)
	// Verifier returns the key that signs it.
	Verifier() string
}

// A Book is the milestones of the logs of one home.
type Book struct {
	Dir         string           // required; made when missing
	Now         func() time.Time // required
	Authorities []tsa.Authority  // required by Keep
	// Store gets a copy of what was stamped; nil keeps it in Dir alone.
	Store storage.Store
	// Until returns until when such a copy is locked; required with a Store.
	Until func(now time.Time) time.Time
	// Every is the time between milestones; 0 is DefaultEvery.
	Every time.Duration
}

// An Outcome is what Keep did.
type Outcome struct {
	Milestone Milestone // the newest; zero when there is none
	Size      int64     // events that it covers
	Changed   bool      // it is new or has a stamp more
	Object    storage.Object
}

// Keep makes a milestone when one is due, asks again for stamps that the
// newest one lacks, and copies it to the store. With force, both are due
// now. Authorities that do not answer are no error: the milestone is pending.
// When another process is at it, nothing is done.
func (b Book) Keep(ctx context.Context, log Log, force bool) (Outcome, error) {
	out, err := b.keep(ctx, log, force)
	if err != nil {
		return out, fmt.Errorf("keeping the log's checkpoint: %w", err)
	}
	return out, nil
}

func (b Book) keep(ctx context.Context, log Log, force bool) (Outcome, error) {
	prefix, err := Prefix(log.Verifier())
	if err != nil {
		return Outcome{}, err
	}
	dir := b.dir(prefix)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Outcome{}, err
	}
	unlock, ok, err := flock.Try(filepath.Join(dir, "lock"))
	if err != nil || !ok {
		return Outcome{}, err
	}
	defer unlock()
	out := Outcome{}
	if out.Milestone, out.Size, err = b.newest(prefix); err != nil {
		return out, err
	}
	if err := b.advance(ctx, log, force, &out); err != nil {
		return out, err
	}
	if out.Changed {
		text, err := out.Milestone.Encode()
		if err != nil {
			return out, err
		}
		if err := capture.WriteFile(filepath.Join(dir, stem(out.Size)+suffix), text); err != nil {
			return out, err
		}
	}
	if b.Store == nil || !out.Milestone.stamped() {
		return out, nil
	}
	return out, b.copyOut(ctx, prefix, &out)
}

// dir is where the milestones of a log lie.
func (b Book) dir(prefix string) string {
	return filepath.Join(b.Dir, filepath.Base(strings.TrimSuffix(prefix, "/")))
}

// newest reads the milestone over most events.
func (b Book) newest(prefix string) (Milestone, int64, error) {
	entries, err := os.ReadDir(b.dir(prefix))
	if errors.Is(err, fs.ErrNotExist) {
		return Milestone{}, 0, nil
	}
	if err != nil {
		return Milestone{}, 0, fmt.Errorf("reading milestones: %w", err)
	}
	for i := len(entries) - 1; i >= 0; i-- { // sorted by name, so by size
		if size := sizeOf(entries[i].Name()); size >= 0 {
			m, cp, err := readFile(filepath.Join(b.dir(prefix), entries[i].Name()))
			return m, cp.Size, err
		}
	}
	return Milestone{}, 0, nil
}

func readFile(name string) (Milestone, tlog.Checkpoint, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return Milestone{}, tlog.Checkpoint{}, fmt.Errorf("reading milestone: %w", err)
	}
	m, cp, err := Decode(text)
	if err != nil {
		return m, cp, fmt.Errorf("%s: %w", name, err)
	}
	return m, cp, nil
}

// advance makes the milestone that is due, or completes the newest.
func (b Book) advance(ctx context.Context, log Log, force bool, out *Outcome) error {
	text, err := log.Checkpoint(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was logged yet
	}
	if err != nil {
		return err
	}
	cp, err := tlog.VerifyCheckpoint(text, log.Verifier())
	if err != nil {
		return err
	}
	m := out.Milestone
	now := b.Now().UTC()
	switch {
	case cp.Size > out.Size && (force || m.Format == "" || b.elapsed(now, m.Made, b.every())):
		m = Milestone{Format: Format, Verifier: log.Verifier(), Checkpoint: text, Made: now}
		m.Stamps = seal.Stamps(ctx, b.Authorities, m.Imprint())
	case m.Format != "" && m.Pending() && (force || b.elapsed(now, m.tried(), RetryAfter)):
		m.Stamps = again(ctx, m, b.Authorities)
	default:
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	*out = Outcome{Milestone: m, Size: max(out.Size, sizeIn(m)), Changed: true}
	return nil
}

// elapsed also when the clock was set back: better once too often.
func (b Book) elapsed(now, since time.Time, d time.Duration) bool {
	age := now.Sub(since)
	return age >= d || age < 0
}

func (b Book) every() time.Duration {
	if b.Every > 0 {
		return b.Every
	}
	return DefaultEvery
}

// sizeIn is the size in a checkpoint that was verified before.
func sizeIn(m Milestone) int64 {
	cp, _ := tlog.ParseCheckpoint(m.Checkpoint)
	return cp.Size
}

// again asks the authorities whose stamp is missing, and those that were not
// configured when the milestone was made.
func again(ctx context.Context, m Milestone, authorities []tsa.Authority) []tsa.Stamp {
	var out []tsa.Stamp
	have := map[string]bool{}
	for _, st := range m.Stamps {
		if !st.Pending() {
			out = append(out, st)
			have[st.TSA] = true
		}
	}
	var ask []tsa.Authority
	for _, a := range authorities {
		if !have[a.Name()] {
			ask = append(ask, a)
		}
	}
	return append(out, seal.Stamps(ctx, ask, m.Imprint())...)
}

// copyOut puts the milestone into the store under its size, or, when a form
// of it with fewer stamps lies there, under the next number. What was put
// before is noted, so that it is not put again at every call.
func (b Book) copyOut(ctx context.Context, prefix string, out *Outcome) error {
	note := filepath.Join(b.dir(prefix), stem(out.Size)+".stored")
	text, err := out.Milestone.Encode()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	want := storage.Want{Bytes: int64(len(text)), SHA256: hex.EncodeToString(sum[:]), Until: b.Until(b.Now())}
	if before, err := os.ReadFile(note); err == nil {
		if json.Unmarshal(before, &out.Object) == nil && out.Object.SHA256 == want.SHA256 {
			return nil
		}
	}
	for n := range maxForms {
		out.Object, err = b.Store.Put(ctx, key(prefix, out.Size, n+1), bytes.NewReader(text), want)
		if !errors.Is(err, storage.ErrConflict) {
			break
		}
	}
	if err != nil {
		return err
	}
	told, err := json.MarshalIndent(out.Object, "", "  ")
	if err != nil {
		return err
	}
	return capture.WriteFile(note, append(told, '\n'))
}

// Checkpoints returns the newest checkpoint in the book and the newest in the
// store, which a log with the given key must continue.
func (b Book) Checkpoints(ctx context.Context, verifier string) ([]string, error) {
	prefix, err := Prefix(verifier)
	if err != nil {
		return nil, err
	}
	var out []string
	m, _, err := b.newest(prefix)
	if err != nil {
		return nil, err
	}
	if m.Format != "" {
		out = append(out, m.Checkpoint)
	}
	if b.Store == nil {
		return out, nil
	}
	last := ""
	for obj, err := range b.Store.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("listing milestones: %w", err)
		}
		if sizeOf(obj.Key) >= 0 {
			last = obj.Key
		}
	}
	if last == "" {
		return out, nil
	}
	stored, err := b.read(ctx, last)
	if err != nil {
		return nil, err
	}
	return append(out, stored.Checkpoint), nil
}

func (b Book) read(ctx context.Context, key string) (Milestone, error) {
	c, _, err := b.Store.Open(ctx, key)
	if err != nil {
		return Milestone{}, fmt.Errorf("reading milestone: %w", err)
	}
	defer c.Close()
	text, err := io.ReadAll(io.LimitReader(c, MaxSize+1))
	if err != nil {
		return Milestone{}, fmt.Errorf("reading milestone %s: %w", key, err)
	}
	m, _, err := Decode(text)
	if err != nil {
		return Milestone{}, fmt.Errorf("%s: %w", key, err)
	}
	return m, nil
}

// All returns the milestones of a log in the book, by size.
func (b Book) All(verifier string) ([]Milestone, error) {
	prefix, err := Prefix(verifier)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(b.dir(prefix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading milestones: %w", err)
	}
	var out []Milestone
	for _, e := range entries {
		if sizeOf(e.Name()) < 0 {
			continue
		}
		m, _, err := readFile(filepath.Join(b.dir(prefix), e.Name()))
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}
