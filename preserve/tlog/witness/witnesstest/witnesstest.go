// Package witnesstest has a practice witness (C2SP tlog-witness) for tests: a
// small one of its own, with its state in memory.
//
// Life of a request: the checkpoint's signature is checked against the key of
// its log, the old size against the last cosigned one, the proof against both;
// then the new checkpoint is remembered and cosigned (Ed25519, C2SP
// tlog-cosignature).
//
// Trust: it refuses forks as a real one does, which is what it is for; it
// forgets everything when its process ends, which a real one must not.
package witnesstest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"guzheng/preserve/tlog"
)

// A Witness serves add-checkpoint.
type Witness struct {
	Key string // verifier key

	key  ed25519.PrivateKey
	now  func() time.Time
	logs map[string]string // origin → verifier key

	mu       sync.Mutex
	last     map[string]tlog.Checkpoint // by origin
	requests int
	down     bool
}

// New makes a witness that knows the logs with these verifier keys.
func New(name string, now func() time.Time, logs ...string) (*Witness, error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	w := &Witness{Key: tlog.FormatWitness(name, pub), key: key, now: now, logs: map[string]string{}, last: map[string]tlog.Checkpoint{}}
	for _, l := range logs {
		origin, _, _ := strings.Cut(l, "+")
		w.logs[origin] = l
	}
	return w, nil
}

// SetDown has the witness answer 503, or no longer.
func (w *Witness) SetDown(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
}

// Requests is how many were made so far.
func (w *Witness) Requests() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests
}

// Last is the last cosigned checkpoint of a log.
func (w *Witness) Last(origin string) tlog.Checkpoint {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last[origin]
}

// ServeHTTP implements http.Handler.
func (w *Witness) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests++
	if w.down {
		http.Error(out, "down", http.StatusServiceUnavailable)
		return
	}
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/add-checkpoint") {
		http.NotFound(out, r)
		return
	}
	b, err := io.ReadAll(http.MaxBytesReader(out, r.Body, 1<<18))
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	c, err := tlog.ParseConsistency(string(b))
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	if status, text := w.judge(c); status != http.StatusOK {
		if status == http.StatusConflict && text[0] >= '0' && text[0] <= '9' {
			out.Header().Set("Content-Type", "text/x.tlog.size")
		}
		out.WriteHeader(status)
		_, _ = io.WriteString(out, text)
		return
	}
	_, _ = io.WriteString(out, w.cosign(c.Checkpoint))
}

// judge decides in the order that C2SP tlog-witness has.
func (w *Witness) judge(c tlog.Consistency) (status int, text string) {
	cp, err := tlog.ParseCheckpoint(c.Checkpoint)
	if err != nil {
		return http.StatusBadRequest, err.Error()
	}
	key, ok := w.logs[cp.Origin]
	if !ok {
		return http.StatusNotFound, "unknown log"
	}
	if _, err := tlog.VerifyCheckpoint(c.Checkpoint, key); err != nil {
		return http.StatusForbidden, err.Error()
	}
	if c.Old > cp.Size {
		return http.StatusBadRequest, "old size is the larger one"
	}
	last := w.last[cp.Origin]
	switch {
	case c.Old != last.Size:
		return http.StatusConflict, fmt.Sprintf("%d\n", last.Size)
	case c.Old == cp.Size && c.Old > 0 && cp.Root != last.Root:
		return http.StatusConflict, "fork: another root at this size"
	case last.Size == 0:
		last.Root = tlog.Root(nil)
	}
	if err := c.Check(last.Root); err != nil {
		return http.StatusUnprocessableEntity, err.Error()
	}
	w.last[cp.Origin] = cp
	return http.StatusOK, ""
}

// cosign returns the signature line.
func (w *Witness) cosign(checkpoint string) string {
	text, _, _ := strings.Cut(checkpoint, "\n\n")
	name, rest, _ := strings.Cut(w.Key, "+")
	hash, _, _ := strings.Cut(rest, "+")
	at := w.now().Unix()
	var b []byte
	_, _ = fmt.Sscanf(hash, "%x", &b)
	b = binary.BigEndian.AppendUint64(b, uint64(at))
	b = append(b, ed25519.Sign(w.key, tlog.CosignedMessage([]byte(text+"\n"), at))...)
	return fmt.Sprintf("— %s %s\n", name, base64.StdEncoding.EncodeToString(b))
}
