package remote

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"guzheng/preserve/tlog"
	"guzheng/preserve/tlog/tiles"
)

// Paths of the server. Requests carry "Authorization: Bearer TOKEN".
const (
	pathEvents      = "/v1/events"      // POST the event, ?since=N; answers with tlog.Entry
	pathLog         = "/v1/log"         // GET status
	pathConsistency = "/v1/consistency" // GET ?old=N; answers with a tlog.Consistency up to the newest checkpoint
)

// appendTimeout bounds the logging of one event, whoever still waits for it.
const appendTimeout = time.Minute

// status is the answer to pathLog.
type status struct {
	Verifier   string `json:"verifier"`
	Size       uint64 `json:"size"`       // events, published or not yet
	Checkpoint string `json:"checkpoint"` // newest; empty before the first event
}

// An Appender is the log that is served; ledger.Log is one.
type Appender interface {
	Append(ctx context.Context, leaf []byte, since uint64) (tlog.Entry, error)
	Size(ctx context.Context) (uint64, error)
	Checkpoint(ctx context.Context) (string, error)
	Verifier() string
}

// A Server hands the log to workers. It is an http.Handler.
type Server struct {
	Log   Appender // required
	Dir   string   // of the log's tiles; required
	Token string   // required

	mu  sync.Mutex
	now map[[32]byte]*call // under way, by digest of the event
}

// A call is one event being logged, and who waits for it.
type call struct {
	done  chan struct{}
	entry tlog.Entry
	err   error
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || s.Token == "" || subtle.ConstantTimeCompare([]byte(token), []byte(s.Token)) != 1 {
		http.Error(w, "token missing or wrong", http.StatusUnauthorized)
		return
	}
	var answer any
	var err error
	code := http.StatusInternalServerError
	switch r.Method + " " + r.URL.Path {
	case "POST " + pathEvents:
		answer, code, err = s.event(w, r)
	case "GET " + pathLog:
		answer, err = s.status(r.Context())
	case "GET " + pathConsistency:
		answer, code, err = s.consistency(r)
	default:
		http.NotFound(w, r)
		return
	}
	if err != nil {
		http.Error(w, strings.ToValidUTF8(err.Error(), "?"), code)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // a worker that left asks again
}

func (s *Server) status(ctx context.Context) (status, error) {
	n, err := s.Log.Size(ctx)
	if err != nil || n == 0 {
		return status{Verifier: s.Log.Verifier()}, err
	}
	cp, err := s.Log.Checkpoint(ctx)
	return status{Verifier: s.Log.Verifier(), Size: n, Checkpoint: cp}, err
}

func (s *Server) event(w http.ResponseWriter, r *http.Request) (entry tlog.Entry, code int, err error) {
	leaf, err := io.ReadAll(http.MaxBytesReader(w, r.Body, tlog.MaxLeaf))
	if err != nil {
		return entry, http.StatusRequestEntityTooLarge, err
	}
	if !json.Valid(leaf) {
		return entry, http.StatusBadRequest, fmt.Errorf("event of %d bytes is not JSON", len(leaf))
	}
	since, err := strconv.ParseUint(r.URL.Query().Get("since"), 10, 62)
	if err != nil {
		return entry, http.StatusBadRequest, err
	}
	entry, err = s.once(r.Context(), leaf, since)
	return entry, http.StatusInternalServerError, err
}

// once has an event logged by one request at a time: Append looks whether it
// is there and then adds it, and two that looked at once would both add. A
// worker that goes away does not end it for the others.
func (s *Server) once(ctx context.Context, leaf []byte, since uint64) (tlog.Entry, error) {
	sum := sha256.Sum256(leaf)
	s.mu.Lock()
	c := s.now[sum]
	if c == nil {
		c = &call{done: make(chan struct{})}
		if s.now == nil {
			s.now = map[[32]byte]*call{}
		}
		s.now[sum] = c
		go func() {
			bg, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTimeout)
			defer cancel()
			c.entry, c.err = s.Log.Append(bg, leaf, since)
			s.mu.Lock()
			delete(s.now, sum)
			s.mu.Unlock()
			close(c.done)
		}()
	}
	s.mu.Unlock()
	select {
	case <-c.done:
		return c.entry, c.err
	case <-ctx.Done():
		return tlog.Entry{}, ctx.Err()
	}
}

func (s *Server) consistency(r *http.Request) (text string, code int, err error) {
	old, err := strconv.ParseInt(r.URL.Query().Get("old"), 10, 64)
	if err != nil {
		return "", http.StatusBadRequest, err
	}
	cp, err := s.Log.Checkpoint(r.Context())
	if err != nil {
		return "", http.StatusInternalServerError, err
	}
	tree, err := tiles.OpenAt(s.Dir, s.Log.Verifier(), cp)
	if err != nil {
		return "", http.StatusInternalServerError, err
	}
	proof, err := tree.Consistency(old, tree.Checkpoint().Size)
	if err != nil {
		return "", http.StatusConflict, err
	}
	return tlog.Consistency{Old: old, Proof: proof, Checkpoint: cp}.Format(), 0, nil
}
