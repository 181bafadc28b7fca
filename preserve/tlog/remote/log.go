package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"guzheng/capture"
	"guzheng/preserve/internal/flock"
	"guzheng/preserve/tlog"
	"guzheng/preserve/tlog/ledger"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// ErrNode is wrapped when the node cannot be reached, or refuses: the event
// is not known to be logged and stays with the caller.
var ErrNode = errors.New("log node gave no entry")

// A Log is a log on another machine. Its methods may be called from several
// goroutines, and several processes may share State.
type Log struct {
	URL   string // of the Server
	Token string
	// State is the directory where the log's key and the newest trusted
	// checkpoint are kept; made when missing.
	State string
	// Key is the log's verifier key; empty is the one that the node names at
	// first use.
	Key    string
	Client *http.Client // nil is http.DefaultClient

	mu sync.Mutex // of State, in this process
}

// Files of State.
const (
	keyFile   = "log.pub"
	knownFile = "log.checkpoint"
)

// Open asks the node where its log stands and wants that to continue the
// newest checkpoint that was trusted here: else it returns ledger.ErrShrank or
// ledger.ErrForked. A node that does not answer gives ErrNode, and the log can
// be used all the same.
func (l *Log) Open(ctx context.Context) error {
	_, err := l.status(ctx)
	return err
}

// Verifier returns the log's key; "" when the node was never reached.
func (l *Log) Verifier() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	key, _ := l.verifier()
	return key
}

func (l *Log) verifier() (string, error) {
	if l.Key != "" {
		return l.Key, nil
	}
	return readOptional(filepath.Join(l.State, keyFile))
}

// Size returns the number of events in the log.
func (l *Log) Size(ctx context.Context) (uint64, error) {
	st, err := l.status(ctx)
	return st.Size, err
}

// Checkpoint returns the newest signed checkpoint.
func (l *Log) Checkpoint(ctx context.Context) (string, error) {
	st, err := l.status(ctx)
	if err == nil && st.Checkpoint == "" {
		err = fs.ErrNotExist
	}
	return st.Checkpoint, err
}

func (l *Log) status(ctx context.Context) (status, error) {
	var st status
	if err := l.call(ctx, http.MethodGet, pathLog, nil, &st); err != nil {
		return st, err
	}
	if err := l.trust(ctx, st.Verifier, st.Checkpoint); err != nil {
		return st, fmt.Errorf("log at %s: %w", l.URL, err)
	}
	return st, nil
}

// Append logs the event unless the same bytes stand at or after index since.
// What the node answers has been verified.
func (l *Log) Append(ctx context.Context, leaf []byte, since uint64) (tlog.Entry, error) {
	var e tlog.Entry
	path := pathEvents + "?since=" + strconv.FormatUint(since, 10)
	if err := l.call(ctx, http.MethodPost, path, leaf, &e); err != nil {
		return tlog.Entry{}, err
	}
	if !bytes.Equal(e.Leaf, leaf) {
		return tlog.Entry{}, fmt.Errorf("log at %s: the entry is of another event: %w", l.URL, ErrNode)
	}
	if err := l.trust(ctx, e.Verifier, e.Checkpoint); err != nil {
		return tlog.Entry{}, fmt.Errorf("log at %s: %w", l.URL, err)
	}
	for _, f := range tlog.Check(e, []string{l.Verifier()}).Findings {
		if f.State != tlog.Passed {
			return tlog.Entry{}, fmt.Errorf("log at %s: %s: %s: %w", l.URL, f.Layer, f.Detail, ErrNode)
		}
	}
	return e, nil
}

// trust makes a checkpoint the newest trusted one, when it continues that.
func (l *Log) trust(ctx context.Context, verifier, checkpoint string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := os.MkdirAll(l.State, 0o700); err != nil {
		return err
	}
	unlock, err := flock.Lock(filepath.Join(l.State, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	key, err := l.verifier()
	if err != nil {
		return err
	}
	if key == "" {
		if err := capture.WriteFile(filepath.Join(l.State, keyFile), []byte(verifier+"\n")); err != nil {
			return err
		}
		key = verifier
	}
	if key != verifier {
		return fmt.Errorf("its key is %s, expected %s: %w", verifier, key, ledger.ErrForked)
	}
	before, err := readOptional(filepath.Join(l.State, knownFile))
	if err != nil {
		return err
	}
	return l.raise(ctx, key, before, checkpoint)
}

func (l *Log) raise(ctx context.Context, key, before, checkpoint string) error {
	var old, cp tlog.Checkpoint
	var err error
	if before != "" {
		if old, err = tlog.VerifyCheckpoint(before+"\n", key); err != nil {
			return fmt.Errorf("checkpoint that was kept: %w: %w", err, ledger.ErrForked)
		}
	}
	if checkpoint == "" && old.Size > 0 {
		return fmt.Errorf("it has no events, it had %d: %w", old.Size, ledger.ErrShrank)
	}
	if checkpoint == "" {
		return nil
	}
	if cp, err = tlog.VerifyCheckpoint(checkpoint, key); err != nil {
		return fmt.Errorf("%w: %w", err, ErrNode)
	}
	if old.Size > 0 && cp != old {
		// Both are held against the newest: an answer that another worker's has
		// overtaken is older than what is known, and may be no fork either.
		answered := cp
		if cp, checkpoint, err = l.continues(ctx, key, old); err != nil {
			return err
		}
		if cp != answered {
			if _, _, err := l.continues(ctx, key, answered); err != nil {
				return err
			}
		}
	}
	if cp.Size <= old.Size {
		return nil
	}
	return capture.WriteFile(filepath.Join(l.State, knownFile), []byte(checkpoint))
}

// continues wants the node to show that its newest tree begins with the old.
func (l *Log) continues(ctx context.Context, key string, old tlog.Checkpoint) (tlog.Checkpoint, string, error) {
	var text string
	err := l.call(ctx, http.MethodGet, pathConsistency+"?old="+strconv.FormatInt(old.Size, 10), nil, &text)
	var refused *refusal
	if errors.As(err, &refused) && refused.status == http.StatusConflict {
		return tlog.Checkpoint{}, "", fmt.Errorf("it had %d events: %s: %w", old.Size, refused.text, ledger.ErrShrank)
	}
	if err != nil {
		return tlog.Checkpoint{}, "", err
	}
	c, err := tlog.ParseConsistency(text)
	if err != nil {
		return tlog.Checkpoint{}, "", fmt.Errorf("%w: %w", err, ErrNode)
	}
	cp, err := tlog.VerifyCheckpoint(c.Checkpoint, key)
	if err != nil {
		return cp, "", fmt.Errorf("%w: %w", err, ErrNode)
	}
	if c.Old != old.Size {
		return cp, "", fmt.Errorf("it compares with %d events, asked for %d: %w", c.Old, old.Size, ErrNode)
	}
	if err := c.Check(old.Root); err != nil {
		return cp, "", fmt.Errorf("%w: %w", err, ledger.ErrForked)
	}
	return cp, c.Checkpoint, nil
}

// A refusal is an answer with another status than 200.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return fmt.Sprintf("status %d: %s", r.status, r.text) }

func (l *Log) call(ctx context.Context, method, path string, body []byte, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(l.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNode, err)
	}
	req.Header.Set("Authorization", "Bearer "+l.Token)
	client := l.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return fmt.Errorf("log at %s: %w: %w", l.URL, ErrNode, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("log at %s: %w: %w", l.URL, ErrNode, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("log at %s: %w: %w", l.URL, ErrNode, &refusal{resp.StatusCode, fmt.Sprintf("%.300q", bytes.TrimSpace(b))})
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("log at %s: %w: %w", l.URL, ErrNode, err)
	}
	return nil
}

func readOptional(name string) (string, error) {
	b, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading what is known of the log: %w", err)
	}
	return strings.TrimSuffix(string(b), "\n"), nil
}
