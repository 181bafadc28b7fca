package ledger

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
	"k8s.io/klog/v2"

	"guzheng/capture"
	"guzheng/preserve/tlog"
)

// Pace of the log. An event is published within about the interval.
const (
	checkpointInterval = 100 * time.Millisecond
	batchAge           = 5 * time.Millisecond
	batchSize          = 1024
	pollInterval       = 10 * time.Millisecond
)

// A Log is an open transparency log. Its methods may be called from several
// goroutines. Open a directory once per process: the locks between processes
// do not hold within one.
type Log struct {
	dir      string
	verifier string
	origin   string
	add      tessera.AddFn
	reader   tessera.LogReader
	shutdown func(context.Context) error
	cancel   context.CancelFunc
	turn     turn
	known    known
}

// Open opens the log in dir, signing with the key in the directory keys,
// which must exist. Both are made at first use; later, one without the other
// gives ErrLost. The log MUST continue the newest checkpoint that was ever
// trusted here and those given, which are copies from elsewhere; else Open
// returns ErrShrank or ErrForked and has written nothing. The caller must
// Close the log.
func Open(ctx context.Context, dir, keys string, checkpoints ...string) (*Log, error) {
	quiet()
	unlock, err := lock(keys)
	if err != nil {
		return nil, err
	}
	defer unlock()
	secret, verifier, err := identity(dir, keys)
	if err != nil {
		return nil, fmt.Errorf("opening log: %w", err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return nil, fmt.Errorf("reading log key: %w", err)
	}
	if err := Compare(dir, keys, verifier, checkpoints...); err != nil {
		return nil, err
	}
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		return nil, fmt.Errorf("opening log %s: %w", dir, err)
	}
	// The appender works in the background until Close, also when the
	// caller's context ends.
	bg, cancel := context.WithCancel(context.WithoutCancel(ctx))
	opts := tessera.NewAppendOptions().WithCheckpointSigner(signer).
		WithBatching(batchSize, batchAge).WithCheckpointInterval(checkpointInterval).
		WithCheckpointRepublishInterval(0)
	appender, shutdown, reader, err := tessera.NewAppender(bg, driver, opts)
	if err == nil && !exists(filepath.Join(keys, verifierFile)) {
		err = capture.WriteFile(filepath.Join(keys, verifierFile), []byte(verifier+"\n"))
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("opening log %s: %w", dir, err)
	}
	return &Log{dir: dir, verifier: verifier, origin: signer.Name(), add: appender.Add,
		reader: reader, shutdown: shutdown, cancel: cancel, turn: turn{keys: keys},
		known: known{dir: dir, keys: keys, verifier: verifier}}, nil
}

// quiet keeps Tessera's logger off stderr; what goes wrong is returned.
func quiet() {
	var set flag.FlagSet
	klog.InitFlags(&set)
	_ = set.Set("logtostderr", "false")
	_ = set.Set("stderrthreshold", "FATAL")
	klog.SetOutput(io.Discard)
}

// Verifier returns the log's key in C2SP signed-note form, for others to
// pin.
func (l *Log) Verifier() string { return l.verifier }

// Size returns the number of events in the log, published or not yet.
func (l *Log) Size(ctx context.Context) (uint64, error) {
	n, err := l.reader.IntegratedSize(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading size of log %s: %w", l.dir, err)
	}
	return n, nil
}

// Append logs an event of at most tlog.MaxLeaf bytes and returns the proof
// that it is there. When the same bytes already stand at or after index
// since, nothing is added, so that a caller who noted Size before its first
// try may repeat it after a crash. It returns when a checkpoint covers the
// event; ctx bounds the wait.
func (l *Log) Append(ctx context.Context, leaf []byte, since uint64) (tlog.Entry, error) {
	index, ok, err := l.Find(ctx, leaf, since)
	if err != nil {
		return tlog.Entry{}, err
	}
	if !ok {
		if index, err = l.sequence(ctx, leaf); err != nil {
			return tlog.Entry{}, err
		}
	}
	return l.prove(ctx, leaf, index)
}

// sequence adds the event durably, waiting while the log is too busy.
func (l *Log) sequence(ctx context.Context, leaf []byte) (uint64, error) {
	if err := l.turn.begin(); err != nil {
		return 0, fmt.Errorf("appending to log %s: %w", l.dir, err)
	}
	defer l.turn.end()
	for {
		i, err := l.add(ctx, tessera.NewEntry(bytes.Clone(leaf)))()
		if err == nil {
			return i.Index, nil
		}
		if !errors.Is(err, tessera.ErrPushback) {
			return 0, fmt.Errorf("appending to log %s: %w", l.dir, err)
		}
		if err := pause(ctx); err != nil {
			return 0, fmt.Errorf("appending to log %s: %w", l.dir, err)
		}
	}
}

// prove waits for a checkpoint over the event and builds the proof.
func (l *Log) prove(ctx context.Context, leaf []byte, index uint64) (tlog.Entry, error) {
	cp, size, err := l.await(ctx, index)
	if err != nil {
		return tlog.Entry{}, fmt.Errorf("awaiting checkpoint over event %d of log %s: %w", index, l.dir, err)
	}
	pb, err := client.NewProofBuilder(ctx, size, l.reader.ReadTile)
	if err != nil {
		return tlog.Entry{}, fmt.Errorf("proving event %d of log %s: %w", index, l.dir, err)
	}
	proof, err := pb.InclusionProof(ctx, index)
	if err != nil {
		return tlog.Entry{}, fmt.Errorf("proving event %d of log %s: %w", index, l.dir, err)
	}
	e := tlog.Entry{Origin: l.origin, Verifier: l.verifier, Index: int64(index), Leaf: leaf, Proof: proof, Checkpoint: cp}
	for _, f := range tlog.Check(e, []string{l.verifier}).Findings {
		if f.State != tlog.Passed {
			return tlog.Entry{}, fmt.Errorf("proving event %d of log %s: %s: %s", index, l.dir, f.Code, f.Detail)
		}
	}
	if err := l.known.raise(cp); err != nil {
		return tlog.Entry{}, fmt.Errorf("trusting the checkpoint over event %d of log %s: %w", index, l.dir, err)
	}
	return e, nil
}

// await returns the first checkpoint seen that covers the event.
func (l *Log) await(ctx context.Context, index uint64) (string, uint64, error) {
	for {
		b, err := l.reader.ReadCheckpoint(ctx)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", 0, err
		}
		if err == nil {
			cp, err := tlog.ParseCheckpoint(string(b))
			if err != nil {
				return "", 0, err
			}
			if uint64(cp.Size) > index {
				return string(b), uint64(cp.Size), nil
			}
		}
		if err := pause(ctx); err != nil {
			return "", 0, err
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pollInterval):
		return nil
	}
}

// Find looks for an event with exactly these bytes at or after index from.
// A log that is shorter than from gives ErrLost.
func (l *Log) Find(ctx context.Context, leaf []byte, from uint64) (index uint64, ok bool, err error) {
	err = l.Scan(ctx, from, func(i uint64, have []byte) bool {
		index, ok = i, bytes.Equal(have, leaf)
		return !ok
	})
	if err != nil || !ok {
		return 0, false, err
	}
	return index, true, nil
}

// Scan calls visit for every event from index from on, in their order, until
// it returns false. The bytes are only lent to it. A log that is shorter than
// from gives ErrLost.
func (l *Log) Scan(ctx context.Context, from uint64, visit func(index uint64, leaf []byte) bool) error {
	size, err := l.Size(ctx)
	if err != nil {
		return err
	}
	if from > size {
		return fmt.Errorf("log %s has %d events and once had %d: %w", l.dir, size, from, ErrLost)
	}
	for i := from; i < size; {
		n := i / layout.EntryBundleWidth
		raw, err := l.reader.ReadEntryBundle(ctx, n, layout.PartialTileSize(0, n, size))
		if err != nil {
			return fmt.Errorf("reading events of log %s: %w", l.dir, err)
		}
		var bundle api.EntryBundle
		if err := bundle.UnmarshalText(raw); err != nil {
			return fmt.Errorf("reading events of log %s: %w", l.dir, err)
		}
		first := n * layout.EntryBundleWidth
		end := min(size, first+layout.EntryBundleWidth)
		if uint64(len(bundle.Entries)) < end-first {
			return fmt.Errorf("reading events of log %s: bundle %d is short: %w", l.dir, n, ErrLost)
		}
		for ; i < end; i++ {
			if !visit(i, bundle.Entries[i-first]) {
				return nil
			}
		}
	}
	return nil
}

// Checkpoint returns the newest signed checkpoint.
func (l *Log) Checkpoint(ctx context.Context) (string, error) {
	b, err := l.reader.ReadCheckpoint(ctx)
	if err != nil {
		return "", fmt.Errorf("reading checkpoint of log %s: %w", l.dir, err)
	}
	return strings.ToValidUTF8(string(b), "?"), nil
}

// Close waits until everything that was added is published and stops the
// background work. The log cannot be used after.
func (l *Log) Close(ctx context.Context) error {
	defer l.cancel()
	if err := l.shutdown(ctx); err != nil {
		return fmt.Errorf("closing log %s: %w", l.dir, err)
	}
	return nil
}
