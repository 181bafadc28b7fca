package capture

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// Kinds of journal entries.
const (
	EntryStep     = "step"     // something was done
	EntryFile     = "file"     // an artefact was closed, with its digest
	EntryAnomaly  = "anomaly"  // something a reader must know
	EntryRefused  = "refused"  // the guard refused a connection
	EntryProgress = "progress" // may be dropped without losing a fact
)

// An Entry is one line of the journal. Code is stable and has a sentence in
// the word catalogues; Data holds its details.
type Entry struct {
	Seq  int            `json:"seq"`
	Time time.Time      `json:"time"` // UTC, wall clock
	Mono float64        `json:"mono"` // seconds since the journal was opened, monotonic clock
	Kind string         `json:"kind"` // one of the Entry constants
	Code string         `json:"code"`
	Data map[string]any `json:"data,omitempty"`
}

// A Journal is the evidence of how a take was made: JSON lines, in order,
// written through at once. It stays a valid account when every progress line
// is removed. It notices when the clock is set while it is open. Its methods may be called from several goroutines; a failed
// write is kept and returned by Close, so that a full disk is not overlooked.
type Journal struct {
	mu     sync.Mutex
	f      io.WriteCloser
	now    func() time.Time
	start  time.Time
	seq    int
	err    error
	listen func(Entry)
	watch  Watch
	jumps  []Jump
}

// NewJournal starts a journal on w. Every entry is also given to listen,
// unless it is nil; listen must return fast.
func NewJournal(w io.WriteCloser, now func() time.Time, listen func(Entry)) *Journal {
	j := &Journal{f: w, now: now, start: now(), listen: listen}
	j.watch.Look(j.start)
	return j
}

// Jumps returns the moments at which the clock was set since the journal was
// opened, as far as an entry noticed them. Each has an anomaly in the journal.
func (j *Journal) Jumps() []Jump {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.jumps)
}

// Step records that something was done. The arguments are alternating keys
// and values, as in log/slog.
func (j *Journal) Step(code string, kv ...any) { j.Add(EntryStep, code, kv...) }

// Anomaly records something out of the ordinary that a reader must know.
func (j *Journal) Anomaly(code string, kv ...any) { j.Add(EntryAnomaly, code, kv...) }

// Progress records how far a long step has come.
func (j *Journal) Progress(code string, kv ...any) { j.Add(EntryProgress, code, kv...) }

// Add appends an entry of the given kind.
func (j *Journal) Add(kind, code string, kv ...any) {
	if len(kv)%2 != 0 {
		panic("capture: odd number of journal arguments for " + code)
	}
	var data map[string]any
	if len(kv) > 0 {
		data = make(map[string]any, len(kv)/2)
		for i := 0; i < len(kv); i += 2 {
			key, ok := kv[i].(string)
			if !ok {
				panic("capture: journal key is not a string in " + code)
			}
			data[key] = kv[i+1]
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.now()
	if jump, ok := j.watch.Look(t); ok {
		j.jumps = append(j.jumps, jump)
		j.put(t, EntryAnomaly, "clock.jumped", map[string]any{"by_ms": jump.ByMS})
	}
	j.put(t, kind, code, data)
}

// put writes an entry; mu is held.
func (j *Journal) put(t time.Time, kind, code string, data map[string]any) {
	e := Entry{Seq: j.seq, Time: t.UTC(), Mono: t.Sub(j.start).Seconds(), Kind: kind, Code: code, Data: data}
	j.seq++
	b, err := json.Marshal(e)
	if err == nil {
		_, err = j.f.Write(append(b, '\n'))
	}
	if err != nil && j.err == nil {
		j.err = fmt.Errorf("writing journal entry %s: %w", code, err)
	}
	if j.listen != nil {
		j.listen(e)
	}
}

// Close closes the underlying writer and returns the first error met.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.f.Close()
	if j.err != nil {
		return j.err
	}
	return err
}

// ReadJournal reads the entries of a journal. A last line that was cut off
// by a crash is left out and reported by cut.
func ReadJournal(r io.Reader) (entries []Entry, cut bool, err error) {
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadBytes('\n')
		if err == io.EOF {
			return entries, len(bytes.TrimSpace(line)) > 0, nil
		}
		if err != nil {
			return entries, false, fmt.Errorf("reading journal: %w", err)
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return entries, false, fmt.Errorf("reading journal line %d: %w", len(entries)+1, err)
		}
		entries = append(entries, e)
	}
}

// ErrJournal is wrapped when a take's manifest and its journal contradict
// each other.
var ErrJournal = errors.New("manifest and journal contradict each other")

// CheckJournal compares the manifest of a take with its journal: every file
// whose end the journal tells is in the manifest with the same digest, every
// file of the manifest but the journal itself, and what was found after an
// interruption, is in the journal, and the state is the same.
func CheckJournal(t Take, entries []Entry) error {
	told := closedFiles(entries)
	recovered := false
	state := ""
	for _, e := range entries {
		switch e.Code {
		case "take.interrupted":
			recovered = true
		case "take.closed":
			state, _ = e.Data["state"].(string)
		}
	}
	if state != string(t.State) {
		return fmt.Errorf("state %q, journal says %q: %w", t.State, state, ErrJournal)
	}
	for _, f := range t.Files {
		j, ok := told[f.Path]
		delete(told, f.Path)
		switch {
		case ok && j.Digest != f.Digest:
			return fmt.Errorf("%s: sha256 %s, journal says %s: %w", f.Path, f.SHA256, j.SHA256, ErrJournal)
		case !ok && f.Kind != FileJournal && f.Kind != FileRemains && !recovered:
			return fmt.Errorf("%s: not in the journal: %w", f.Path, ErrJournal)
		}
	}
	if !recovered {
		for path := range told {
			return fmt.Errorf("%s: in the journal and not in the manifest: %w", path, ErrJournal)
		}
	}
	return nil
}

// readJournalFile is ReadJournal on a file.
func readJournalFile(name string) ([]Entry, bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	return ReadJournal(f)
}
