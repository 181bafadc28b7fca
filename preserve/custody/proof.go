package custody

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"guzheng/preserve/seal"
	"guzheng/preserve/tlog"
	"guzheng/storage"
)

// EventName is the name of the log event for an act.
const EventName = "custody"

// Leaf is the form of the log event for an act. It holds no name and no
// personal data.
type Leaf struct {
	Event  string    `json:"event"` // EventName
	Kind   Kind      `json:"kind"`
	Time   time.Time `json:"time"`
	SHA256 string    `json:"sha256"` // of the act as stored
	// Record is the SHA-256 value, hex, of "guzheng-custody", a zero byte and
	// the record's number. Who has the number finds every act about it; who
	// has the log alone must guess it.
	Record string `json:"record"`
	N      int    `json:"n"` // of the act
}

// A Proof shows that the log holds the leaf of an act.
type Proof struct {
	Format string     `json:"format"`
	SHA256 string     `json:"sha256"` // of the act as stored
	Log    tlog.Entry `json:"log"`
}

// A Log is the transparency log; ledger.Log is one.
type Log interface {
	seal.Appender
	Scanner
	// Verifier returns the log's key in C2SP signed-note form.
	Verifier() string
}

// A Scanner reads a log from one event on, until visit returns false.
type Scanner interface {
	Scan(ctx context.Context, from uint64, visit func(index uint64, leaf []byte) bool) error
}

func recordHash(record string) string { return sumOf([]byte("guzheng-custody\x00" + record)) }

// leaf is the log event for an act.
func (c *Chain) leaf(n int) ([]byte, error) {
	a := c.Acts[n-1]
	b, err := json.Marshal(Leaf{Event: EventName, Kind: a.Kind, Time: a.Time, SHA256: c.sums[n-1], Record: recordHash(c.Record), N: n})
	if err != nil {
		return nil, fmt.Errorf("encoding the log event of act %d: %w", n, err)
	}
	return b, nil
}

// proof reads the proof of an act and wants it to be about that act and to
// hold under one of the logs.
func (c *Chain) proof(ctx context.Context, store storage.Store, n int, logs []string) (Proof, error) {
	s, err := stem(c.Package)
	if err != nil {
		return Proof{}, err
	}
	b, err := load(ctx, store, proofKey(s, n))
	if err != nil {
		return Proof{}, err
	}
	var p Proof
	if err := strict(b, &p); err != nil {
		return Proof{}, fmt.Errorf("reading the proof of act %d: %w: %w", n, ErrAct, err)
	}
	leaf, err := c.leaf(n)
	if err != nil {
		return Proof{}, err
	}
	if p.Format != Format || p.SHA256 != c.sums[n-1] || !bytes.Equal(p.Log.Leaf, leaf) {
		return Proof{}, fmt.Errorf("the proof of act %d is about another: %w", n, ErrAct)
	}
	for _, f := range tlog.Check(p.Log, logs).Findings {
		if f.State != tlog.Passed {
			return Proof{}, fmt.Errorf("the proof of act %d: %s: %s: %w", n, f.Layer, f.Detail, ErrAct)
		}
	}
	return p, nil
}

// ReadLogged is Read, and wants every act on the record that the log knows of
// to be there: ErrAct is wrapped when one is missing.
func ReadLogged(ctx context.Context, store storage.Store, pkg string, trust Trust, log Scanner) (*Chain, error) {
	s, err := stem(pkg)
	if err != nil {
		return nil, err
	}
	// The log is read first: an act is stored before it is logged, so that
	// whatever the log has now must be in the store after.
	known, err := leaves(ctx, log, s)
	if err != nil {
		return nil, fmt.Errorf("comparing the custody of %s with the log: %w", name(s), err)
	}
	c, err := Read(ctx, store, pkg, trust)
	if err != nil {
		return nil, err
	}
	for _, l := range known {
		if l.N < 1 || l.N > len(c.Acts) || c.sums[l.N-1] != l.SHA256 {
			return nil, fmt.Errorf("the log has act %d (%s, %s) of %s, and the store has not: %w", l.N, l.Kind, day(l.Time), c.Record, ErrAct)
		}
	}
	return c, nil
}

// leaves are the log's events about a record.
func leaves(ctx context.Context, log Scanner, stem string) ([]Leaf, error) {
	hash := recordHash(name(stem))
	var out []Leaf
	err := log.Scan(ctx, 0, func(_ uint64, b []byte) bool {
		var l Leaf
		// Only what this installation wrote is in its log: other events have
		// another form.
		if bytes.Contains(b, []byte(hash)) && json.Unmarshal(b, &l) == nil && l.Event == EventName && l.Record == hash {
			out = append(out, l)
		}
		return true
	})
	return out, err
}
