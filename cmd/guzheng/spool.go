package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"guzheng/capture"
	"guzheng/capture/web"
)

// A berth is the spool directory of one order, held by one process.
//
// Life of a berth: newBerth writes order.json and takes the lock; the source
// fills take/; the keeper adds its steps; leave removes it when everything is
// in the store. A process that dies lets go of the lock, and resume finds
// the berth.
type berth struct {
	dir   string
	order capture.Order
	lock  *os.File
}

var (
	errHeld = errors.New("held by another process")
	errGone = errors.New("finished by another process")
)

// Names of directories that are not berths yet, or not any more. They hold
// nothing that was captured or that is not in the store.
const (
	beginning = ".new-"
	ending    = ".done-"
)

// newBerth makes the directory of an order. It appears under its number when
// the order is in it and the lock is held, never before.
func newBerth(spool string, order capture.Order) (*berth, error) {
	b := &berth{dir: filepath.Join(spool, beginning+order.ID), order: order}
	if err := os.MkdirAll(spool, 0o755); err != nil {
		return nil, err
	}
	unlock, err := lockSpool(spool)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := os.Mkdir(b.dir, 0o755); err != nil {
		return nil, fmt.Errorf("spooling order %s: %w", order.ID, err)
	}
	if err := b.hold(); err != nil {
		return nil, err
	}
	text, err := order.Encode()
	if err != nil {
		return nil, err
	}
	if err := capture.WriteFile(filepath.Join(b.dir, "order.json"), text); err != nil {
		return nil, err
	}
	place := filepath.Join(spool, order.ID)
	if err := os.Rename(b.dir, place); err != nil {
		return nil, fmt.Errorf("spooling order %s: %w", order.ID, err)
	}
	b.dir = place
	return b, capture.SyncDir(spool)
}

// openBerth holds a berth that a dead process left. It returns errHeld when
// the process lives, and errGone when it has just finished.
func openBerth(spool, id string) (*berth, error) {
	b := &berth{dir: filepath.Join(spool, id)}
	if err := b.hold(); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(b.dir, "order.json"))
	if err == nil {
		err = json.Unmarshal(text, &b.order)
	}
	if err == nil && b.order.ID != id {
		err = fmt.Errorf("order.json is of order %q", b.order.ID)
	}
	if err != nil {
		b.release()
		return nil, err
	}
	return b, nil
}

// hold takes the lock of the berth. The kernel drops it with the process. A
// lock on a file that is no longer in the berth is worth nothing: its process
// finished between our opening and our locking it.
func (b *berth) hold() error {
	name := filepath.Join(b.dir, "lock")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		return errGone
	}
	if err != nil {
		return fmt.Errorf("locking %s: %w", b.dir, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("locking %s: %w", b.dir, errHeld), f.Close())
	}
	ours, err := f.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Stat(name); err == nil && os.SameFile(ours, there) {
			b.lock = f
			return nil
		}
	}
	return errors.Join(errGone, f.Close())
}

func (b *berth) take() string { return filepath.Join(b.dir, "take") }

// makeScratch makes the directory where the browser's profile lives while
// the order is carried out. It lies outside GUZHENG_HOME, which the browser's
// own user cannot enter, below the first temporary directory that everybody
// may enter. Its path is noted in the berth first, so that resume clears it
// after a crash.
func (b *berth) makeScratch() (string, error) {
	for _, parent := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if !enterable(parent) {
			continue
		}
		dir := filepath.Join(parent, "guzheng-"+b.order.ID)
		if err := capture.WriteFile(b.scratchNote(), []byte(dir)); err != nil {
			return "", err
		}
		if err := os.Mkdir(dir, 0o711); err != nil {
			return "", fmt.Errorf("making room for the browser: %w", err)
		}
		return dir, os.Chmod(dir, 0o711) // whatever the umask
	}
	return "", fmt.Errorf("making room for the browser: no temporary directory that its user may enter; set TMPDIR")
}

func (b *berth) scratchNote() string { return filepath.Join(b.dir, "scratch") }

// clearScratch removes what the browser left. Only a directory that is named
// for an order is touched.
func (b *berth) clearScratch() {
	note, err := os.ReadFile(b.scratchNote())
	if err != nil || filepath.Base(string(note)) != "guzheng-"+filepath.Base(b.dir) {
		return
	}
	_ = os.RemoveAll(string(note)) // rubbish; the next resume finds it too
}

// enterable reports whether any user may enter a directory: the browser
// never runs as root.
func enterable(dir string) bool {
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		st, err := os.Stat(d)
		if err != nil || os.Getuid() == 0 && st.Mode().Perm()&0o001 == 0 {
			return false
		}
		if d == filepath.Dir(d) {
			return true
		}
	}
}

// release lets go of the berth and leaves it for resume.
func (b *berth) release() {
	b.clearScratch()
	if b.lock != nil {
		_ = b.lock.Close() // nothing was written through it
		b.lock = nil
	}
}

// leave removes the berth; everything in it is in the store, or nothing is
// in it. It vanishes from the spool at once; what cannot be cleared of it then
// is left to the next sweep.
func (b *berth) leave() error {
	b.clearScratch()
	spool, gone := filepath.Dir(b.dir), filepath.Join(filepath.Dir(b.dir), ending+filepath.Base(b.dir))
	unlock, err := lockSpool(spool)
	if err != nil {
		return err
	}
	defer unlock()
	defer b.release()
	if err := os.Rename(b.dir, gone); err != nil {
		return fmt.Errorf("clearing %s: %w", b.dir, err)
	}
	_ = os.RemoveAll(gone)
	return nil
}

// lockSpool waits for the lock that is held while berths appear, vanish or
// are swept, so that no process takes another's beginning or end for rubbish.
func lockSpool(spool string) (unlock func(), err error) {
	f, err := os.OpenFile(spool+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking spool: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("locking spool: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil // nothing was written through it
}

// sweep removes what a crash left of berths that had not begun or were done.
func sweep(spool string) error {
	unlock, err := lockSpool(spool)
	if err != nil {
		return err
	}
	defer unlock()
	entries, err := os.ReadDir(spool)
	if err != nil {
		return fmt.Errorf("reading spool: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), beginning) || strings.HasPrefix(e.Name(), ending) {
			if err := os.RemoveAll(filepath.Join(spool, e.Name())); err != nil {
				return fmt.Errorf("sweeping spool: %w", err)
			}
		}
	}
	return nil
}

// An outcome is what resume did about one berth.
type outcome struct {
	Type   string `json:"type"`
	ID     string `json:"id"`
	Action string `json:"action"` // kept, waiting, lost, or under way in another process
	State  string `json:"state,omitempty"`
	Detail string `json:"detail,omitempty"`
}

const underWay = "under way"

// resumeAll goes on with every berth whose process is gone. A berth that
// cannot be gone on with is reported and left as it is.
func (h *home) resumeAll(ctx context.Context, tell func(outcome)) error {
	entries, err := os.ReadDir(h.spool())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading spool: %w", err)
	}
	first := sweep(h.spool())
	for _, e := range entries {
		if !e.IsDir() || !capture.ValidID(e.Name()) {
			continue
		}
		o, err := h.resume(ctx, e.Name())
		if errors.Is(err, errGone) {
			continue
		}
		o.Type, o.ID = "resume", e.Name()
		if err != nil {
			o.Detail = err.Error()
			if first == nil && !errors.Is(err, errHeld) {
				first = fmt.Errorf("resuming %s: %w", e.Name(), err)
			}
		}
		tell(o)
	}
	return first
}

// resume goes on with one berth.
func (h *home) resume(ctx context.Context, id string) (outcome, error) {
	b, err := openBerth(h.spool(), id)
	if errors.Is(err, errHeld) {
		return outcome{Action: underWay}, err
	}
	if err != nil {
		return outcome{Action: "waiting"}, err
	}
	defer b.release()
	if _, err := os.Stat(b.take()); errors.Is(err, fs.ErrNotExist) {
		return outcome{Action: "lost", Detail: "the capture of " + b.order.URL + " had not begun"}, b.leave()
	}
	if _, err := web.Recover(b.take(), b.order, capture.Now); err != nil {
		return outcome{Action: "waiting"}, err
	}
	rec, err := h.keep(ctx, b)
	var left *unheld
	if err != nil && !errors.As(err, &left) {
		return outcome{Action: "waiting"}, err
	}
	o := outcome{Action: "kept", State: string(rec.Take.State)}
	var why []string
	for _, r := range rec.Take.Reasons {
		why = append(why, strings.TrimSpace(r.Code+" "+r.Detail))
	}
	o.Detail = strings.Join(why, "; ")
	if err := h.reprint(ctx, rec.Entry); err != nil {
		return o, err
	}
	if left != nil {
		return o, &coded{code: exitPartial, err: left}
	}
	return o, nil
}
