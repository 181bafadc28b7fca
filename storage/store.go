// Package storage says what is asked of a place that keeps evidence. The
// drivers live below it (dir, s3) and pass the suite in storetest.
//
// Life of an object: Put streams it under a key that must be new, makes it
// durable, locks it until a date and reads it back; from then on it can be
// opened and listed, its date can be extended and a legal hold laid on it,
// and nothing in Store can change or remove it. A Remover can, once the date
// has passed and no hold is on it.
//
// Trust: a store is trusted for availability only. Whoever controls it can
// withhold or destroy objects; an altered object is noticed, because every
// read is checked against the SHA-256 value kept with the object, and the
// seals check it again without the store.
package storage

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Errors that callers branch on. Drivers wrap them.
var (
	ErrNotExist = errors.New("object does not exist")
	ErrConflict = errors.New("object exists with other content")
	ErrAltered  = errors.New("object does not have the digest it was stored with")
	ErrShorten  = errors.New("retention cannot be shortened")
	ErrRetained = errors.New("object is retained")
	// ErrUnavailable says that a store could not be reached or would not
	// serve; nothing is known of the object by that.
	ErrUnavailable = errors.New("store is not available")
)

// An Object is what a store knows of one stored sequence of bytes. Every
// field is what the store said when it was asked, not what it was told: an
// Object that Put returned is the read-back, and evidence of the lock.
type Object struct {
	Key    string    `json:"key"`
	Bytes  int64     `json:"bytes"`
	SHA256 string    `json:"sha256"`
	Stored time.Time `json:"stored"`
	Until  time.Time `json:"until"`          // retained at least until then
	Hold   bool      `json:"hold,omitempty"` // retained, whatever the date, until the hold is taken off
	Lock   Lock      `json:"lock"`           // what enforces the retention

	// Version is the store's own name for these bytes, empty where a store
	// has one sequence of bytes per key.
	Version string `json:"version,omitempty"`
	// Mode is the store's own word for its lock ("COMPLIANCE"), empty where
	// it has none.
	Mode string `json:"mode,omitempty"`
}

// A Lock names what keeps an object from being removed before its date.
type Lock string

// The levels of protection a sheet may claim, from strong to weak.
const (
	LockStore     Lock = "store"     // the store refuses, for everybody
	LockImmutable Lock = "immutable" // a file-system flag that an administrator can clear
	LockHash      Lock = "hash"      // nothing refuses; an alteration is evident
)

// Want is what a caller knows of the bytes it puts.
type Want struct {
	Bytes  int64
	SHA256 string    // lower-case hex
	Until  time.Time // retention
}

// Content is an opened object whose digest has been checked.
type Content interface {
	io.Reader
	io.ReaderAt
	io.Closer
}

// A Store keeps objects. Keys are slash-separated, of the characters
// A-Z a-z 0-9 . _ -, without empty, "." or ".." elements. Methods may be
// called from several goroutines and several processes.
type Store interface {
	// Put stores content under key, or nothing at all. MUST be durable and
	// read back when it returns. When the key already holds the same bytes,
	// Put MUST succeed and extend the retention if want.Until is later; when
	// it holds others, Put MUST return ErrConflict and change nothing. Bytes
	// that do not match want MUST be refused.
	Put(ctx context.Context, key string, content io.Reader, want Want) (Object, error)
	// Open returns the object after checking all of its bytes; altered
	// bytes MUST give ErrAltered and no content.
	Open(ctx context.Context, key string) (Content, Object, error)
	// Stat returns what is known of the object without reading its bytes.
	Stat(ctx context.Context, key string) (Object, error)
	// List yields the objects whose key has the prefix, in order of keys.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]
	// Extend moves the retention to a later date; an earlier one MUST give
	// ErrShorten.
	Extend(ctx context.Context, key string, until time.Time) (Object, error)
	// Hold lays a legal hold on the object or takes it off. An object on
	// hold is retained beyond its date. Asking for what is so already MUST
	// succeed.
	Hold(ctx context.Context, key string, on bool) (Object, error)
}

// A Remover is a Store that can give up what it no longer has to keep. It is
// an interface of its own because what stores evidence needs no right to
// remove any.
type Remover interface {
	// Remove removes the object. It MUST give ErrRetained and leave the
	// object alone while its date has not passed or a hold is on it, also
	// when the store itself would let it go. ErrAltered objects stay too:
	// what is wrong with them is to be found out first.
	Remove(ctx context.Context, key string) error
}

// An Entry is one row of the catalogue: what a person looks for and where
// the evidence lies. It can always be made again from the store.
type Entry struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`
	URL      string    `json:"url"`
	Title    string    `json:"title"`
	Case     string    `json:"case,omitempty"`
	Cause    string    `json:"cause,omitempty"`
	Party    string    `json:"party,omitempty"`
	State    string    `json:"state"`
	Captured time.Time `json:"captured"`
	Kept     time.Time `json:"kept"`
	Package  string    `json:"package"` // key of the package
	Seal     string    `json:"seal"`    // key of the newest seal
	Bytes    int64     `json:"bytes"`
	SHA256   string    `json:"sha256"`
	SM3      string    `json:"sm3"`
	Pending  bool      `json:"pending"` // a stamp is still missing
	Until    time.Time `json:"until"`
}
