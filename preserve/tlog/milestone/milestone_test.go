package milestone

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"guzheng/preserve/tlog"
	"guzheng/preserve/tsa"
	"guzheng/storage"
	"guzheng/storage/dir"
)

// A fakeLog signs whatever size it is set to.
type fakeLog struct {
	t      testing.TB
	signer note.Signer
	vkey   string
	size   int64
	root   byte
}

func newLog(t testing.TB) *fakeLog {
	skey, vkey, err := note.GenerateKey(rand.Reader, "a.log")
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return &fakeLog{t: t, signer: s, vkey: vkey}
}

func (l *fakeLog) Verifier() string { return l.vkey }

func (l *fakeLog) Checkpoint(context.Context) (string, error) {
	if l.size == 0 {
		return "", fmt.Errorf("reading: %w", os.ErrNotExist)
	}
	text := tlog.FormatCheckpoint(tlog.Checkpoint{Origin: "a.log", Size: l.size, Root: [32]byte{l.root}})
	b, err := note.Sign(&note.Note{Text: strings.TrimSuffix(text, "\n")}, l.signer)
	return string(b), err
}

// An authority stamps, or not, without being one.
type authority struct {
	name  string
	down  bool
	asked int
	now   func() time.Time
}

func (a *authority) Name() string { return a.name }

func (a *authority) Stamp(_ context.Context, imprint [32]byte) tsa.Stamp {
	a.asked++
	st := tsa.Stamp{TSA: a.name, At: a.now(), Imprint: fmt.Sprintf("%x", imprint)}
	if a.down {
		st.Error = "no answer"
	} else {
		st.Request, st.Response = []byte("?"), []byte("!")
	}
	return st
}

type desk struct {
	Book
	log  *fakeLog
	a, b *authority
	at   time.Time
}

func newDesk(t *testing.T) *desk {
	d := &desk{log: newLog(t), at: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)}
	now := func() time.Time { return d.at }
	store, err := dir.Open(filepath.Join(t.TempDir(), "store"), now)
	if err != nil {
		t.Fatal(err)
	}
	d.a, d.b = &authority{name: "https://a/", now: now}, &authority{name: "https://b/", now: now}
	d.Book = Book{Dir: filepath.Join(t.TempDir(), "checkpoints"), Now: now, Authorities: []tsa.Authority{d.a, d.b},
		Store: store, Until: func(now time.Time) time.Time { return now.AddDate(30, 0, 0) }}
	return d
}

func (d *desk) want(t *testing.T, force, changed bool, size int64) Outcome {
	t.Helper()
	out, err := d.Keep(t.Context(), d.log, force)
	if err != nil {
		t.Fatal(err)
	}
	if out.Changed != changed || out.Size != size {
		t.Fatalf("changed %v, size %d; want %v, %d", out.Changed, out.Size, changed, size)
	}
	return out
}

func (d *desk) keys(t *testing.T) (out []string) {
	t.Helper()
	for obj, err := range d.Store.List(t.Context(), "v1/log/") {
		if err != nil {
			t.Fatal(err)
		}
		if obj.Until.Before(d.at.AddDate(29, 0, 0)) {
			t.Errorf("%s is kept until %s", obj.Key, obj.Until)
		}
		out = append(out, strings.TrimPrefix(obj.Key, "v1/log/"+strings.Split(d.log.vkey, "+")[1]+"/"))
	}
	return out
}

func TestSchedule(t *testing.T) {
	d := newDesk(t)
	d.want(t, true, false, 0) // nothing was logged
	d.log.size = 3
	out := d.want(t, false, true, 3)
	if out.Milestone.Pending() || len(out.Milestone.Stamps) != 2 || out.Object.Bytes == 0 {
		t.Errorf("first: %+v", out)
	}
	d.log.size = 7
	d.at = d.at.Add(23 * time.Hour)
	d.want(t, false, false, 3) // not due
	d.want(t, true, true, 7)   // but asked for
	d.want(t, true, false, 7)  // nothing new
	d.at = d.at.Add(48 * time.Hour)
	d.want(t, false, false, 7) // nothing was logged since
	d.log.size = 8
	d.want(t, false, true, 8) // due
	d.log.size = 9
	d.at = d.at.Add(-time.Hour)
	d.want(t, false, true, 9) // the clock was set back: better once too often
	if d.a.asked != 4 || d.b.asked != 4 {
		t.Errorf("asked %d and %d times", d.a.asked, d.b.asked)
	}
	want := "000000000000003.checkpoint 000000000000007.checkpoint 000000000000008.checkpoint 000000000000009.checkpoint"
	if got := strings.Join(d.keys(t), " "); got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	all, err := d.All(d.log.vkey)
	if err != nil || len(all) != 4 || all[3].Checkpoint == all[2].Checkpoint {
		t.Errorf("%d milestones, %v", len(all), err)
	}
}

func TestRetry(t *testing.T) {
	d := newDesk(t)
	d.log.size = 5
	d.a.down, d.b.down = true, true
	if out := d.want(t, false, true, 5); !out.Milestone.Pending() || len(d.keys(t)) != 0 {
		t.Errorf("without any stamp: %+v, stored %v", out, d.keys(t))
	}
	d.want(t, false, false, 5) // not before an hour
	d.b.down = false
	d.at = d.at.Add(time.Hour)
	if out := d.want(t, false, true, 5); !out.Milestone.Pending() || len(d.keys(t)) != 1 {
		t.Errorf("with one stamp: %+v, stored %v", out, d.keys(t))
	}
	d.a.down = false
	out := d.want(t, true, true, 5)
	if out.Milestone.Pending() || len(out.Milestone.Stamps) != 2 || strings.Join(d.keys(t), " ") != "000000000000005-2.checkpoint 000000000000005.checkpoint" {
		t.Errorf("with both: %+v, stored %v", out, d.keys(t))
	}
	if d.b.asked != 2 {
		t.Errorf("asked %d times for a stamp that was there", d.b.asked)
	}
	d.want(t, true, false, 5)
}

// TestCopiedLater keeps a milestone while the store is away.
func TestCopiedLater(t *testing.T) {
	d := newDesk(t)
	d.log.size = 5
	store := d.Store
	d.Store = broken{store}
	if _, err := d.Keep(t.Context(), d.log, false); !errors.Is(err, errAway) {
		t.Fatal(err)
	}
	d.Store = store
	d.want(t, false, false, 5)
	if len(d.keys(t)) != 1 || d.a.asked != 1 {
		t.Errorf("stored %v, asked %d times", d.keys(t), d.a.asked)
	}
}

var errAway = errors.New("store is away")

type broken struct{ storage.Store }

func (broken) Put(context.Context, string, io.Reader, storage.Want) (storage.Object, error) {
	return storage.Object{}, errAway
}

func TestCheckpoints(t *testing.T) {
	d := newDesk(t)
	none, err := d.Checkpoints(t.Context(), d.log.vkey)
	if err != nil || len(none) != 0 {
		t.Fatalf("%v, %v", none, err)
	}
	d.log.size = 5
	first := d.want(t, false, true, 5).Milestone.Checkpoint
	d.log.size = 12
	second := d.want(t, true, true, 12).Milestone.Checkpoint
	both, err := d.Checkpoints(t.Context(), d.log.vkey)
	if err != nil || len(both) != 2 || both[0] != second || both[1] != second {
		t.Errorf("%q, %v", both, err)
	}
	// The home was put back to an earlier day; the store was not.
	if err := os.Remove(filepath.Join(d.dir("v1/log/"+strings.Split(d.log.vkey, "+")[1]+"/"), "000000000000012.checkpoint")); err != nil {
		t.Fatal(err)
	}
	both, err = d.Checkpoints(t.Context(), d.log.vkey)
	if err != nil || len(both) != 2 || both[0] != first || both[1] != second {
		t.Errorf("%q, %v", both, err)
	}
	// Another log of this home has others.
	if none, err = d.Checkpoints(t.Context(), newLog(t).vkey); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
	if _, err := d.Checkpoints(t.Context(), "x"); err == nil {
		t.Error("a key that is none")
	}
}

func TestDecode(t *testing.T) {
	d := newDesk(t)
	d.log.size = 5
	m := d.want(t, false, true, 5).Milestone
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"another size":   bytes.Replace(b, []byte(`\n5\n`), []byte(`\n6\n`), 1),
		"another key":    bytes.Replace(b, []byte(d.log.vkey), []byte(newLog(t).vkey), 1),
		"another format": bytes.Replace(b, []byte("/1"), []byte("/2"), 1),
		"unknown member": bytes.Replace(b, []byte(`"made"`), []byte(`"maid"`), 1),
		"more":           append(bytes.Clone(b), '{'),
		"cut":            b[:len(b)/2],
	} {
		if _, _, err := Decode(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if again, cp, err := Decode(b); err != nil || cp.Size != 5 || again.Imprint() != m.Imprint() {
		t.Errorf("%+v, %v", again, err)
	}
}

func FuzzDecode(f *testing.F) {
	l := newLog(f)
	l.size = 3
	text, err := l.Checkpoint(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	b, err := Milestone{Format: Format, Verifier: l.vkey, Checkpoint: text}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, cp, err := Decode(b)
		if err == nil && (cp.Size != 3 || m.Verifier != l.vkey) && strings.Contains(m.Verifier, l.vkey) {
			t.Errorf("another checkpoint: %+v", m)
		}
	})
}

func TestSizeOf(t *testing.T) {
	for _, n := range []int64{0, 1, 999_999_999_999_999} {
		for form := range 3 {
			if got := sizeOf(key("v1/log/01234567/", n, form+1)); got != n {
				t.Errorf("size %d, form %d: %d", n, form+1, got)
			}
		}
	}
	for _, name := range []string{"lock", "1.checkpoint", "000000000000001.stored", "0000000000000012.checkpoint", "-00000000000001.checkpoint", ".checkpoint"} {
		if got := sizeOf(name); got != -1 {
			t.Errorf("%s: %d", name, got)
		}
	}
}
