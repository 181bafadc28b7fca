package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	f_note "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"

	"guzheng/preserve/tlog"
	"guzheng/preserve/tlog/ledger"
	"guzheng/preserve/tlog/witness/witnesstest"
)

func clock() time.Time { return time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC) }

func event(i int) []byte { return fmt.Appendf(nil, `{"event":"kept","n":%d}`, i) }

// A bench is a log of its own and witnesses on loopback.
type bench struct {
	*Log
	home string
	w    []*witnesstest.Witness
}

func openLedger(t *testing.T, home string) *ledger.Log {
	t.Helper()
	keys := filepath.Join(home, "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), filepath.Join(home, "log"), keys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return l
}

func newBench(t *testing.T, n, quorum int) *bench {
	t.Helper()
	b := &bench{home: t.TempDir()}
	l := openLedger(t, b.home)
	b.Log = &Log{Appender: l, Dir: filepath.Join(b.home, "log"), State: filepath.Join(b.home, "witnesses"), Require: true, Panel: Panel{Quorum: quorum}}
	for i := range n {
		w, err := witnesstest.New(fmt.Sprintf("w%d.example", i), clock, l.Verifier())
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(w)
		t.Cleanup(srv.Close)
		b.w = append(b.w, w)
		b.Panel.Witnesses = append(b.Panel.Witnesses, Witness{Key: w.Key, URL: srv.URL})
	}
	return b
}

func (b *bench) append(t *testing.T, i int) (tlog.Entry, error) {
	t.Helper()
	e, err := b.Append(t.Context(), event(i), 0)
	if err == nil {
		if r := tlog.Check(e, []string{b.Verifier()}); r.State() != tlog.Passed {
			t.Errorf("event %d: %+v", i, r)
		}
	}
	return e, err
}

func TestCosigned(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3, 2)
	for i := range 3 {
		e, err := b.append(t, i)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tlog.Cosignatures(e.Checkpoint, b.Panel.Policy())
		if err != nil || len(got) != 3 || !got[0].Time.Equal(clock()) {
			t.Errorf("event %d: %+v, %v", i, got, err)
		}
	}
	// What is covered needs nobody.
	asked := b.w[0].Requests()
	e, err := b.append(t, 0)
	if err != nil || e.Index != 0 || b.w[0].Requests() != asked {
		t.Errorf("event 0 again: %d, %v, %d requests more", e.Index, err, b.w[0].Requests()-asked)
	}
	if text, err := b.Checkpoint(t.Context()); err != nil || !b.Panel.satisfied(text) {
		t.Errorf("newest checkpoint %q, %v", text, err)
	}
	// One of three may be away, two may not.
	b.w[1].SetDown(true)
	if e, err = b.append(t, 3); err != nil {
		t.Fatal(err)
	}
	if f := tlog.CheckWitnesses(e.Checkpoint, b.Panel.Policy()); f.State != tlog.Passed || strings.Contains(f.Detail, "w1") {
		t.Errorf("with two: %+v", f)
	}
	b.w[2].SetDown(true)
	if _, err = b.append(t, 4); !errors.Is(err, ErrTooFew) || !strings.Contains(err.Error(), "w1.example") || strings.Contains(err.Error(), "w0.example") {
		t.Errorf("with one: %v", err)
	}
	// It was logged, and is cosigned when they are back.
	b.w[2].SetDown(false)
	if e, err = b.append(t, 4); err != nil || e.Index != 4 {
		t.Errorf("later: %d, %v", e.Index, err)
	}
}

func TestNotRequired(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 0)
	b.Require = false
	var told []string
	b.Tell = func(err error) { told = append(told, err.Error()) }
	b.w[0].SetDown(true)
	e, err := b.append(t, 0)
	if err != nil || len(told) != 1 {
		t.Fatalf("%v, told %q", err, told)
	}
	if got, err := tlog.Cosignatures(e.Checkpoint, b.Panel.Policy()); err != nil || len(got) != 1 {
		t.Errorf("what came is not kept: %v, %v", got, err)
	}
	b.w[1].SetDown(true)
	if e, err = b.append(t, 1); err != nil || len(told) != 2 {
		t.Fatalf("%v, told %q", err, told)
	}
	if f := tlog.CheckWitnesses(e.Checkpoint, b.Panel.Policy()); f.State != tlog.Unknown || f.Code != "witness.too_few" {
		t.Errorf("%+v", f)
	}
}

// TestForked lets a log with another history ask the same witness.
func TestForked(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 1)
	for i := range 4 {
		if _, err := b.append(t, i); err != nil {
			t.Fatal(err)
		}
	}
	was := b.w[0].Last(strings.Split(b.Verifier(), "+")[0])
	for name, events := range map[string]int{"longer": 6, "as long": 4, "shorter": 2} {
		other := &bench{home: t.TempDir()}
		keys := filepath.Join(other.home, "keys")
		secret, err := os.ReadFile(filepath.Join(b.home, "keys", "log.key"))
		if err != nil {
			t.Fatal(err)
		}
		marker := filepath.Join(other.home, "log", "guzheng-log")
		if err := errors.Join(os.MkdirAll(keys, 0o700), os.MkdirAll(filepath.Dir(marker), 0o755),
			os.WriteFile(filepath.Join(keys, "log.key"), secret, 0o600), os.WriteFile(marker, []byte(b.Verifier()+"\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
		other.Log = &Log{Appender: openLedger(t, other.home), Dir: filepath.Join(other.home, "log"), State: filepath.Join(other.home, "w"), Panel: b.Panel, Require: true}
		for i := range events - 1 {
			if _, err := other.Appender.Append(t.Context(), event(100+i), 0); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := other.Append(t.Context(), event(99), 0); !errors.Is(err, ErrTooFew) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if now := b.w[0].Last(was.Origin); now != was {
		t.Errorf("the witness went over to the other history: %+v", now)
	}
	if _, err := b.append(t, 4); err != nil {
		t.Errorf("the true log: %v", err)
	}
}

// TestForgotten loses what was known of the witnesses: they tell it.
func TestForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 2)
	if _, err := b.append(t, 0); err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"", `{"x":`, fmt.Sprintf(`{%q: 99, %q: -4}`, b.w[0].Key, b.w[1].Key)} {
		if err := os.WriteFile(filepath.Join(b.State, knowledgeFile), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := b.append(t, i+1); err != nil {
			t.Errorf("with %q: %v", text, err)
		}
	}
}

// TestTogether has many ask at once, as captures in several processes do.
func TestTogether(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 2)
	second := *b.Log
	var wg sync.WaitGroup
	for i := range 16 {
		l := b.Log
		if i%2 == 1 {
			l = &second
		}
		wg.Go(func() {
			e, err := l.Append(t.Context(), event(i), 0)
			if err != nil || tlog.CheckWitnesses(e.Checkpoint, b.Panel.Policy()).State != tlog.Passed {
				t.Errorf("event %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	t.Logf("%d requests for 16 events", b.w[0].Requests())
}

// TestLies has a witness answer what is not its cosignature.
func TestLies(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 1)
	honest := b.Panel.Witnesses[0]
	for name, answer := range map[string]func(w http.ResponseWriter, body string){
		"nothing":        func(http.ResponseWriter, string) {},
		"a page":         func(w http.ResponseWriter, _ string) { say(w, "<html>") },
		"the log's line": func(w http.ResponseWriter, body string) { say(w, body[strings.Index(body, "—"):]) },
		"another size":   func(w http.ResponseWriter, _ string) { conflict(w, "7000000\n") },
		"no size":        func(w http.ResponseWriter, _ string) { conflict(w, "x") },
		"endless":        func(w http.ResponseWriter, _ string) { say(w, strings.Repeat("— a b\n", 1<<15)) },
		"another's key":  func(w http.ResponseWriter, _ string) { say(w, "— other.example AAAAAAAA\n") },
		"a broken line": func(w http.ResponseWriter, _ string) {
			say(w, "— "+strings.Split(honest.Key, "+")[0]+" AAAA\n")
		},
		"an error status": func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusForbidden) },
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			answer(w, string(body))
		}))
		b.Panel.Witnesses = []Witness{{Key: honest.Key, URL: srv.URL}}
		if e, err := b.append(t, 0); !errors.Is(err, ErrTooFew) {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
		srv.Close()
	}
	// What else is in an answer is dropped.
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		b.w[0].ServeHTTP(answer, r)
		if answer.Code == http.StatusOK {
			answer.Body = bytes.NewBufferString("— other.example AAAAAAAA\n" + answer.Body.String())
		}
		w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
		w.WriteHeader(answer.Code)
		_, _ = io.Copy(w, answer.Body)
	}))
	defer srv.Close()
	b.Panel.Witnesses = []Witness{{Key: honest.Key, URL: srv.URL}}
	if e, err := b.append(t, 1); err != nil || strings.Contains(e.Checkpoint, "other.example") {
		t.Errorf("%q, %v", e.Checkpoint, err)
	}
}

func say(w io.Writer, text string) { _, _ = io.WriteString(w, text) }

func conflict(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/x.tlog.size")
	w.WriteHeader(http.StatusConflict)
	say(w, text)
}

// TestOthers compares with what others wrote: the cosignature with package
// formats/note, the practice witness with Tessera as its client.
func TestOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 1)
	e, err := b.append(t, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := f_note.NewVerifierForCosignatureV1(b.w[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open([]byte(e.Checkpoint), note.VerifierList(theirs))
	if err != nil || len(n.Sigs) != 1 {
		t.Fatalf("their verifier: %v", err)
	}
	if at, err := f_note.CoSigV1Timestamp(n.Sigs[0]); err != nil || !at.Equal(clock()) {
		t.Errorf("time %s, %v", at, err)
	}
	skey, vkey, err := note.GenerateKey(nil, "other.log")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	w, err := witnesstest.New("w.example", clock, vkey)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(w)
	defer srv.Close()
	place, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	one, err := tessera.NewWitness(w.Key, place)
	if err != nil {
		t.Fatal(err)
	}
	driver, err := posix.New(t.Context(), posix.Config{Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	opts := tessera.NewAppendOptions().WithCheckpointSigner(signer).WithCheckpointInterval(100*time.Millisecond).WithBatching(1, time.Millisecond).
		WithWitnesses(tessera.NewWitnessGroup(1, one), &tessera.WitnessOptions{})
	appender, shutdown, reader, err := tessera.NewAppender(t.Context(), driver, opts)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, _, err := tessera.NewPublicationAwaiter(t.Context(), reader.ReadCheckpoint, 20*time.Millisecond).Await(t.Context(), appender.Add(t.Context(), tessera.NewEntry(event(i)))); err != nil {
			t.Fatal(err)
		}
	}
	text, err := reader.ReadCheckpoint(t.Context())
	if err != nil || tlog.CheckWitnesses(string(text), tlog.Policy{Witnesses: []string{w.Key}}).State != tlog.Passed {
		t.Errorf("checkpoint %q, %v", text, err)
	}
	if err := shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
