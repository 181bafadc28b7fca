package witness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"guzheng/capture"
	"guzheng/preserve/internal/flock"
	"guzheng/preserve/tlog"
	"guzheng/preserve/tlog/tiles"
)

// ErrTooFew says that a quorum of witnesses was required and not had.
var ErrTooFew = errors.New("too few witnesses cosigned the log's checkpoint")

// An Appender is the log below; ledger.Log is one.
type Appender interface {
	Append(ctx context.Context, leaf []byte, since uint64) (tlog.Entry, error)
	Size(ctx context.Context) (uint64, error)
	Checkpoint(ctx context.Context) (string, error)
	Verifier() string
}

// A Log is a log whose checkpoints are cosigned. Its fields MUST be set before
// the first call and not be changed later.
type Log struct {
	Appender        // the log itself
	Dir      string // of its tiles
	State    string // directory for what is known of the witnesses; made when missing
	Panel    Panel
	Require  bool // too few cosignatures are an error
	// Tell is told of witnesses that did not cosign, when that is no error;
	// nil drops it.
	Tell func(error)
}

const cosignedFile = "cosigned"

// Append logs the event and returns it with a checkpoint that was cosigned,
// by as many witnesses as answered or, with Require, by a quorum at least.
func (l *Log) Append(ctx context.Context, leaf []byte, since uint64) (tlog.Entry, error) {
	e, err := l.Appender.Append(ctx, leaf, since)
	if err != nil {
		return e, err
	}
	text, err := l.cosign(ctx, e.Index)
	if err != nil {
		if l.Require {
			return tlog.Entry{}, err
		}
		if l.Tell != nil {
			l.Tell(err)
		}
	}
	if text == "" {
		return e, nil
	}
	return l.prove(e, text)
}

// prove moves an entry under another checkpoint.
func (l *Log) prove(e tlog.Entry, text string) (tlog.Entry, error) {
	tree, err := tiles.OpenAt(l.Dir, l.Verifier(), text)
	if err != nil {
		return tlog.Entry{}, err
	}
	out, err := tree.Prove(e.Index, tree.Checkpoint().Size)
	if err != nil {
		return tlog.Entry{}, err
	}
	out.Verifier, out.Checkpoint = e.Verifier, text
	for _, f := range tlog.Check(out, []string{l.Verifier()}).Findings {
		if f.State != tlog.Passed {
			return tlog.Entry{}, fmt.Errorf("proving event %d under the cosigned checkpoint: %s: %s", e.Index, f.Code, f.Detail)
		}
	}
	return out, nil
}

// Checkpoint returns the newest checkpoint, with its cosignatures if it has
// any. Nobody is asked.
func (l *Log) Checkpoint(ctx context.Context) (string, error) {
	text, err := l.Appender.Checkpoint(ctx)
	if err != nil {
		return "", err
	}
	kept, cp, err := l.kept()
	if err != nil || kept == "" {
		return text, err
	}
	if now, err := tlog.ParseCheckpoint(text); err != nil || now != cp {
		return text, err
	}
	return kept, nil
}

// kept reads the last checkpoint that was cosigned; "" before the first.
func (l *Log) kept() (string, tlog.Checkpoint, error) {
	b, err := os.ReadFile(filepath.Join(l.State, cosignedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", tlog.Checkpoint{}, nil
	}
	if err != nil {
		return "", tlog.Checkpoint{}, fmt.Errorf("reading the cosigned checkpoint: %w", err)
	}
	cp, err := tlog.VerifyCheckpoint(string(b), l.Verifier())
	if err != nil {
		return "", tlog.Checkpoint{}, nil // of a log that was given up, or damaged: asked for again
	}
	return string(b), cp, nil
}

// cosign returns a checkpoint that covers the event and bears cosignatures.
// With ErrTooFew it returns what there is, "" without any.
func (l *Log) cosign(ctx context.Context, index int64) (string, error) {
	if err := os.MkdirAll(l.State, 0o755); err != nil {
		return "", err
	}
	// One at a time asks for this home: what the others logged meanwhile is
	// covered by the same answer.
	unlock, err := flock.Lock(filepath.Join(l.State, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	text, cp, err := l.kept()
	if err != nil {
		return "", err
	}
	if text != "" && cp.Size > index && l.Panel.satisfied(text) {
		return text, nil
	}
	text, err = l.Panel.ask(ctx, l.State, func() (*tiles.Tree, error) { return tiles.Open(l.Dir, l.Verifier()) })
	if text == "" {
		return "", err
	}
	if werr := capture.WriteFile(filepath.Join(l.State, cosignedFile), []byte(text)); werr != nil {
		return "", werr
	}
	return text, err
}
