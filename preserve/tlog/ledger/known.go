package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"guzheng/capture"
	"guzheng/preserve/internal/flock"
	"guzheng/preserve/tlog"
	"guzheng/preserve/tlog/tiles"
)

// Errors of a log that does not continue what it once was. Nothing has been
// written when Open returns them.
var (
	// ErrShrank: the log has fewer events than a checkpoint that was trusted.
	ErrShrank = errors.New("transparency log is shorter than it was")
	// ErrForked: the log has other events than a checkpoint that was trusted,
	// or cannot show that it has the same.
	ErrForked = errors.New("transparency log does not continue a checkpoint that was trusted")
)

// KnownFile is the file in the directory of keys that holds the newest checkpoint that this
// home ever trusted.
const KnownFile = "log.checkpoint"

const knownLock = "known.lock" // in keys: held while KnownFile is replaced

// Known returns the newest checkpoint that was trusted, "" before the first.
func Known(keys string) (string, error) {
	b, err := os.ReadFile(filepath.Join(keys, KnownFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the last known checkpoint: %w", err)
	}
	return string(b), nil
}

// continues wants the log in dir to hold every tree that the checkpoints are
// of. It reads what was integrated, which may be more than was published.
func continues(dir, verifier string, checkpoints []string) error {
	state, err := integrated(dir)
	if err != nil {
		return err
	}
	for _, text := range checkpoints {
		cp, err := tlog.VerifyCheckpoint(text, verifier)
		if err != nil {
			return fmt.Errorf("checkpoint that was kept: %w: %w", err, ErrForked)
		}
		if err := extends(dir, state, cp); err != nil {
			return err
		}
	}
	return nil
}

func extends(dir string, now, before tlog.Checkpoint) error {
	if now.Size < before.Size {
		return fmt.Errorf("log %s has %d events, it had %d: %w", dir, now.Size, before.Size, ErrShrank)
	}
	root, err := tiles.Assume(dir, now).Root(before.Size)
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrForked)
	}
	if root != before.Root {
		return fmt.Errorf("log %s: its first %d events have root %x, they had %x: %w", dir, before.Size, root, before.Root, ErrForked)
	}
	return nil
}

// integrated reads how far Tessera has come. The state is not signed.
func integrated(dir string) (tlog.Checkpoint, error) {
	b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(stateFile)))
	if errors.Is(err, fs.ErrNotExist) {
		return tlog.Checkpoint{Root: tlog.Root(nil)}, nil
	}
	if err != nil {
		return tlog.Checkpoint{}, fmt.Errorf("reading state of log: %w", err)
	}
	var state struct {
		Size uint64 `json:"size"`
		Root []byte `json:"root"`
	}
	if err := json.Unmarshal(b, &state); err != nil || len(state.Root) != 32 || state.Size > 1<<62 {
		return tlog.Checkpoint{}, fmt.Errorf("reading state of log %s: %.100q: %w", dir, b, ErrForked)
	}
	return tlog.Checkpoint{Size: int64(state.Size), Root: [32]byte(state.Root)}, nil
}

// A known is the newest trusted checkpoint of an open log.
type known struct {
	dir, keys, verifier string

	mu sync.Mutex
	cp tlog.Checkpoint
}

// raise makes the checkpoint the newest trusted one unless a newer one is.
// It is durable when raise returns. The log MUST continue the former one.
func (k *known) raise(text string) error {
	cp, err := tlog.VerifyCheckpoint(text, k.verifier)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if cp.Size <= k.cp.Size {
		return nil
	}
	unlock, err := flock.Lock(filepath.Join(k.keys, knownLock))
	if err != nil {
		return err
	}
	defer unlock()
	before, err := Known(k.keys)
	if err != nil {
		return err
	}
	if before != "" {
		old, err := tlog.VerifyCheckpoint(before, k.verifier)
		if err != nil {
			return fmt.Errorf("checkpoint that was kept: %w: %w", err, ErrForked)
		}
		if old.Size >= cp.Size { // of another process
			k.cp = old
			return nil
		}
		if err := extends(k.dir, cp, old); err != nil {
			return err
		}
	}
	if err := capture.WriteFile(filepath.Join(k.keys, KnownFile), []byte(text)); err != nil {
		return err
	}
	k.cp = cp
	return nil
}

// Verifier returns the verifier key of the log whose key is in keys, without
// opening the log; "" when there is none yet.
func Verifier(keys string) (string, error) {
	b, err := readOptional(filepath.Join(keys, verifierFile))
	return strings.TrimSpace(b), err
}

// Compare wants the log in dir to continue the newest checkpoint that was
// trusted with these keys, and those given. It writes nothing. Errors wrap
// ErrShrank or ErrForked.
func Compare(dir, keys, verifier string, checkpoints ...string) error {
	newest, err := Known(keys)
	if err != nil {
		return err
	}
	if newest != "" {
		checkpoints = append([]string{newest}, checkpoints...)
	}
	return continues(dir, verifier, checkpoints)
}
