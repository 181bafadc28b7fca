package renew

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"guzheng/capture"
	"guzheng/preserve/seal"
	"guzheng/preserve/tlog"
	"guzheng/preserve/tsa"
	"guzheng/storage"
)

// DefaultLogTimeout bounds the wait for the log when Renewer.LogTimeout is 0.
const DefaultLogTimeout = 30 * time.Second

// Files of a batch, and points of the crash table without a file.
const (
	planFile     = "plan.jsonl"
	eventFile    = "event.json"
	pointLog     = "log"
	pointAccount = "account"
	pointLeave   = "leave"
	jsonSuffix   = ".json"
)

// A Renewer makes evidence records. It holds no state: everything is on disk.
type Renewer struct {
	Store       storage.Store    // required
	Authorities []tsa.Imprinter  // required; each gives every package a record
	Log         seal.Appender    // required
	Now         func() time.Time // required
	// Dir is where batches under way lie, and the accounts of those that are
	// done. It MUST be on a local file system.
	Dir        string        // required
	LogTimeout time.Duration // of appending and awaiting publication; 0: DefaultLogTimeout

	// at is called before and after every write; tests end the process there.
	at func(point string) error
}

// A Request says which packages are looked at, and what is wanted for them.
type Request struct {
	Packages iter.Seq[string] // keys; each at most once
	Due      time.Duration    // renew what expires within
	All      bool             // renew whatever the dates say
	// Hash is the hash function of the records; "" keeps that which each
	// record has, and is SHA-256 for new ones. Records with another are due.
	Hash tsa.Hash
}

// A Batch is the account of one batch, or, of a survey, what would be done.
type Batch struct {
	Format   string         `json:"format"`
	ID       string         `json:"id,omitempty"`
	Created  time.Time      `json:"created,omitzero"`
	Finished time.Time      `json:"finished,omitzero"`
	Looked   int            `json:"looked"`   // packages looked at; 0 when it was gone on with
	Packages int            `json:"packages"` // packages that were due
	Records  int            `json:"records"`  // evidence records in the store
	Kinds    map[string]int `json:"kinds,omitempty"`
	Tokens   []TokenAccount `json:"tokens,omitempty"`
	Problems []Problem      `json:"problems,omitempty"`
	Log      tlog.Entry     `json:"log,omitzero"`
}

// A TokenAccount is what became of one tree: one token, or why there is none.
type TokenAccount struct {
	TSA     string    `json:"tsa"`
	Hash    tsa.Hash  `json:"hash"`
	Root    string    `json:"root"` // hex
	Records int       `json:"records"`
	Time    time.Time `json:"time,omitzero"`
	Until   time.Time `json:"until,omitzero"` // its first certificate expires
	Error   string    `json:"error,omitempty"`
}

// A Problem is why a package, or a record beside it, was left as it is.
type Problem struct {
	Package string `json:"package"`
	Detail  string `json:"detail"`
}

func (b *Batch) problem(pkg string, err error) {
	b.Problems = append(b.Problems, Problem{pkg, strings.ToValidUTF8(err.Error(), "?")})
}

// Whole reports whether every authority stamped and nothing was left out.
func (b Batch) Whole() bool {
	for _, t := range b.Tokens {
		if t.Error != "" {
			return false
		}
	}
	return len(b.Problems) == 0
}

// ErrHeld says that another process renews at this moment.
var ErrHeld = errors.New("another process is renewing")

// ErrNoToken says that no authority gave a stamp. Nothing was changed.
var ErrNoToken = errors.New("no authority gave a time stamp")

func (r Renewer) check() error {
	if r.Store == nil || r.Log == nil || r.Now == nil || r.Dir == "" || len(r.Authorities) == 0 {
		return errors.New("renewing: renewer lacks a store, a log, a clock, a directory or an authority")
	}
	return nil
}

// Survey says what Run would do, and changes nothing. Tell, when it is not
// nil, is called for each package that is due, with the kind of its first
// record and when what protects it now expires (zero: nothing does).
func (r Renewer) Survey(ctx context.Context, req Request, tell func(id, kind string, until time.Time)) (Batch, error) {
	b := Batch{Format: Format, Kinds: map[string]int{}}
	if err := r.check(); err != nil {
		return b, err
	}
	err := r.survey(ctx, req, &b, func(f *find) error {
		b.Packages++
		kind := KindInitial
		var until time.Time
		if len(f.until) > 0 {
			until = f.until[0]
		}
		if len(f.heads) > 0 {
			kind = KindRenewal
			if req.Hash != "" && f.heads[0].record.Last().Hash != req.Hash {
				kind = KindRehash
			}
		}
		b.Kinds[kind]++
		if tell != nil {
			tell(f.id, kind, until)
		}
		return nil
	})
	return b, err
}

// Run first goes on with what an interrupted process left, then renews what
// is due, in one batch. It returns the accounts of all batches that it
// finished, the new one last; nothing due gives a Batch without an ID. After
// an error, or a crash, it may be called again and finishes what was begun.
// Errors wrap ErrHeld, ErrNoToken, storage errors and the context's. An
// authority that did not stamp while another did is in the account only.
func (r Renewer) Run(ctx context.Context, req Request) ([]Batch, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if req.Hash != "" && !req.Hash.Known() {
		return nil, fmt.Errorf("renewing: hash function %q is not known", req.Hash)
	}
	if err := os.MkdirAll(r.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("renewing: %w", err)
	}
	unlock, err := lock(r.Dir)
	if err != nil {
		return nil, fmt.Errorf("renewing: %w", err)
	}
	defer unlock()
	done, err := r.resume(ctx)
	if err != nil {
		return done, fmt.Errorf("renewing: %w", err)
	}
	b, err := r.begin(ctx, req)
	if err != nil {
		return done, fmt.Errorf("renewing: %w", err)
	}
	return append(done, b), nil
}

// begin plans a new batch and carries it out.
func (r Renewer) begin(ctx context.Context, req Request) (Batch, error) {
	head := header{Format: Format, ID: newID(r.Now()), Created: r.Now().UTC()}
	for _, a := range r.Authorities {
		head.Authorities = append(head.Authorities, a.Name())
	}
	dir := filepath.Join(r.Dir, head.ID)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return Batch{}, err
	}
	b := Batch{Format: Format, Kinds: map[string]int{}}
	n, err := r.writePlan(ctx, dir, head, req, &b)
	if err != nil {
		return b, err
	}
	if n == 0 {
		return b, os.RemoveAll(dir)
	}
	return r.finish(ctx, dir, b)
}

// newID names a batch by its UTC time; the end keeps two of one second apart.
func newID(now time.Time) string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never returns an error
	return now.UTC().Format("20060102T150405Z") + "-" + base32.StdEncoding.EncodeToString(b[:])
}

// resume goes on with the batches that have a token, and forgets the others.
func (r Renewer) resume(ctx context.Context) ([]Batch, error) {
	entries, err := os.ReadDir(r.Dir)
	if err != nil {
		return nil, err
	}
	var done []Batch
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		dir := filepath.Join(r.Dir, e.Name())
		begun, err := filepath.Glob(filepath.Join(dir, "token-*"+jsonSuffix))
		if err != nil {
			return done, err
		}
		if _, err := os.Stat(filepath.Join(dir, planFile)); errors.Is(err, fs.ErrNotExist) || len(begun) == 0 {
			if err := os.RemoveAll(dir); err != nil {
				return done, err
			}
			continue
		}
		b, err := r.finish(ctx, dir, Batch{Format: Format, Kinds: map[string]int{}})
		if err != nil {
			return done, fmt.Errorf("going on with batch %s: %w", e.Name(), err)
		}
		done = append(done, b)
	}
	return done, nil
}

// around runs one write between the two points of the crash table.
func (r Renewer) around(point string, write func() error) error {
	if r.at != nil {
		if err := r.at("before " + point); err != nil {
			return err
		}
	}
	if err := write(); err != nil {
		return err
	}
	if r.at != nil {
		return r.at("after " + point)
	}
	return nil
}

func (r Renewer) writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", filepath.Base(name), err)
	}
	return r.around(filepath.Base(name), func() error { return capture.WriteFile(name, append(b, '\n')) })
}

func lock(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrHeld
		}
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // nothing was written through it
}
