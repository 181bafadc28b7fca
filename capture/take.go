package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"
)

// TakeFormat names the version of take.json.
const TakeFormat = "guzheng-take/1"

// TakeFile is the name of the manifest that closes a take.
const TakeFile = "take.json"

// Files that every take has.
const (
	orderPath   = "evidence/order.json"
	journalPath = "evidence/journal.jsonl"
)

// partSuffix marks a file that is still being written.
const partSuffix = ".part"

// A State says how much of what was ordered a take holds.
type State string

// The three states of a take. A failed take is kept too: it proves that the
// attempt was made and what came back.
const (
	Complete State = "complete"
	Partial  State = "partial"
	Failed   State = "failed"
)

// A Reason says why a take is partial or failed. Code is stable and has a
// sentence in the word catalogues, Detail is the machine's own account.
type Reason struct {
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
}

// Kinds of files in a take of a web page, and where they lie in it.
const (
	FileOrder       = "order"               // evidence/order.json
	FileWARC        = "warc"                // archive/data.warc.gz
	FileViewport    = "screenshot.viewport" // evidence/viewport.png
	FileFull        = "screenshot.full"     // evidence/full.png, of a page that fits one picture
	FileTile        = "screenshot.tile"     // evidence/full-<n>.png, the parts of a taller one
	FileFrame       = "screenshot.frame"    // evidence/frame-<n>.png, frames that the picture of the whole page leaves blank
	FileThumbnail   = "thumbnail"           // evidence/thumbnail.png, derived from the viewport
	FileDOM         = "dom"                 // evidence/dom.html
	FileMHTML       = "mhtml"               // evidence/page.mhtml
	FileText        = "text"                // evidence/text.txt
	FileLines       = "lines"               // evidence/lines.json
	FilePDF         = "pdf"                 // evidence/page.pdf
	FileFacts       = "facts"               // evidence/facts.json
	FileSecond      = "screenshot.second"   // evidence/second.png, the window at a second load
	FileSecondText  = "text.second"         // evidence/second.txt
	FileWire        = "wire"                // evidence/wire.pcapng, the bytes of the connections
	FileAccessible  = "accessibility"       // evidence/accessibility.json
	FileCertificate = "certificate"         // evidence/tls/<host>-<n>.der
	FileJournal     = "journal"             // evidence/journal.jsonl
	FileRemains     = "remains"             // evidence/remains/..., found after an interruption
)

// A File is one artefact of a take. Path is relative to the take, with
// forward slashes, and is also its path inside the package.
type File struct {
	Path      string    `json:"path"`
	Kind      string    `json:"kind"`
	MediaType string    `json:"media_type"`
	Written   time.Time `json:"written"` // when its last byte was hashed
	Digest
}

// A Take is the manifest of a closed take directory.
type Take struct {
	Format   string    `json:"format"`
	Order    string    `json:"order"`
	State    State     `json:"state"`
	Reasons  []Reason  `json:"reasons,omitempty"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	Files    []File    `json:"files"`
}

// File returns the first file of the given kind.
func (t Take) File(kind string) (File, bool) {
	for _, f := range t.Files {
		if f.Kind == kind {
			return f, true
		}
	}
	return File{}, false
}

// ErrClosed is returned when a take that is already closed is opened for
// writing.
var ErrClosed = errors.New("take is already closed")

// A Dir is a take being made. Its methods may be called from several
// goroutines.
type Dir struct {
	path    string
	order   Order
	now     func() time.Time
	started time.Time
	journal *Journal
	jhash   *Hasher

	mu    sync.Mutex
	files []File
}

// OpenDir starts a take in the directory path, which must not exist, and
// writes the order into it. Journal entries are also given to listen.
func OpenDir(path string, order Order, now func() time.Time, listen func(Entry)) (*Dir, error) {
	if _, err := os.Stat(filepath.Join(path, TakeFile)); err == nil {
		return nil, fmt.Errorf("opening take %s: %w", path, ErrClosed)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return nil, fmt.Errorf("opening take: %w", err)
	}
	d := &Dir{path: path, order: order, now: now, started: now(), jhash: NewHasher()}
	if err := os.MkdirAll(filepath.Join(path, "evidence"), 0o755); err != nil {
		return nil, fmt.Errorf("opening take: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(path, filepath.FromSlash(journalPath)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening journal: %w", err)
	}
	d.journal = NewJournal(&hashedFile{f: f, h: d.jhash}, now, listen)
	b, err := order.Encode()
	if err != nil {
		return nil, err
	}
	if err := d.Write(FileOrder, "application/json", orderPath, b); err != nil {
		return nil, err
	}
	return d, nil
}

// Order returns what was ordered.
func (d *Dir) Order() Order { return d.order }

// Journal returns the journal of the take.
func (d *Dir) Journal() *Journal { return d.journal }

// Path returns where a file of the take lies on this machine.
func (d *Dir) Path(name string) string { return filepath.Join(d.path, filepath.FromSlash(name)) }

// A Writer is an artefact being written. Its bytes are hashed as they
// arrive. Close makes it durable and enters it in the take; until then, and
// after a crash, it keeps a ".part" name.
type Writer struct {
	d    *Dir
	f    *os.File
	h    *Hasher
	file File
	err  error
}

// Create begins an artefact. The path must be local to the take and new.
func (d *Dir) Create(kind, mediaType, path string) (*Writer, error) {
	if !fs.ValidPath(path) || !filepath.IsLocal(filepath.FromSlash(path)) {
		return nil, fmt.Errorf("creating %q in a take: path not local", path)
	}
	name := d.Path(path)
	if _, err := os.Lstat(name); err == nil {
		return nil, fmt.Errorf("creating %s: %w", path, fs.ErrExist)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, fmt.Errorf("creating %s: %w", path, err)
	}
	f, err := os.OpenFile(name+partSuffix, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("creating %s: %w", path, err)
	}
	return &Writer{d: d, f: f, h: NewHasher(), file: File{Path: path, Kind: kind, MediaType: mediaType}}, nil
}

// Write appends p.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	_, _ = w.h.Write(p[:n])
	if err != nil {
		w.err = fmt.Errorf("writing %s: %w", w.file.Path, err)
		return n, w.err
	}
	return n, nil
}

// Close gives the artefact its name and enters it in the take and the
// journal. An artefact with a failed write is not entered; its
// ".part" file stays for Dir.Close to find.
func (w *Writer) Close() error {
	if w.err != nil {
		return errors.Join(w.err, w.f.Close())
	}
	// It is made durable with the others when the take is closed: what a power
	// cut leaves of it before that is told by its digest.
	if err := w.f.Close(); err != nil {
		return fmt.Errorf("writing %s: %w", w.file.Path, err)
	}
	name := w.d.Path(w.file.Path)
	if err := os.Rename(name+partSuffix, name); err != nil {
		return fmt.Errorf("writing %s: %w", w.file.Path, err)
	}
	w.file.Digest = w.h.Digest()
	w.file.Written = w.d.now().UTC()
	w.d.mu.Lock()
	w.d.files = append(w.d.files, w.file)
	w.d.mu.Unlock()
	w.d.journal.Add(EntryFile, "file.closed", "path", w.file.Path, "kind", w.file.Kind,
		"media_type", w.file.MediaType, "bytes", w.file.Bytes, "sha256", w.file.SHA256, "sm3", w.file.SM3)
	return nil
}

// Discard gives an artefact up. What was written of it is removed and it
// never becomes part of the take.
func (w *Writer) Discard() {
	_ = w.f.Close()
	_ = os.Remove(w.f.Name()) // what stays behind is entered as remains
}

// Write stores b as one artefact.
func (d *Dir) Write(kind, mediaType, path string, b []byte) error {
	w, err := d.Create(kind, mediaType, path)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return errors.Join(err, w.Close())
}

// Close ends the take: the journal gets its last entry, take.json is written
// last. Files that were begun and not ended are entered as remains.
func (d *Dir) Close(state State, reasons []Reason) (Take, error) {
	if err := d.adoptParts(); err != nil {
		return Take{}, err
	}
	d.journal.Step("take.closed", "state", state, "reasons", reasons)
	if err := d.journal.Close(); err != nil {
		return Take{}, err
	}
	now := d.now()
	d.mu.Lock()
	files := append(d.files, File{Path: journalPath, Kind: FileJournal,
		MediaType: "application/jsonl", Written: now.UTC(), Digest: d.jhash.Digest()})
	d.mu.Unlock()
	if err := syncFiles(d.path, files); err != nil {
		return Take{}, err
	}
	t := Take{Format: TakeFormat, Order: d.order.ID, State: state, Reasons: reasons,
		Started: d.started.UTC(), Finished: now.UTC(), Files: files}
	return t, writeTake(d.path, t)
}

// adoptParts enters every unfinished file as remains, hashed as found.
func (d *Dir) adoptParts() error {
	parts, err := filesBelow(d.path, func(p string) bool { return strings.HasSuffix(p, partSuffix) })
	if err != nil {
		return err
	}
	for _, p := range parts {
		to := "evidence/remains/" + strings.ReplaceAll(strings.TrimSuffix(p, partSuffix), "/", "-")
		f, err := adopt(d.path, p, to, d.now)
		if err != nil {
			return err
		}
		d.mu.Lock()
		d.files = append(d.files, f)
		d.mu.Unlock()
		d.journal.Anomaly("file.unfinished", "path", strings.TrimSuffix(p, partSuffix), "kept", to,
			"bytes", f.Bytes, "sha256", f.SHA256, "sm3", f.SM3)
	}
	return nil
}

// ReadTake returns the manifest of the closed take in the directory path.
// It returns an error that wraps fs.ErrNotExist when the take is not closed.
func ReadTake(path string) (Take, error) {
	b, err := os.ReadFile(filepath.Join(path, TakeFile))
	if err != nil {
		return Take{}, fmt.Errorf("reading take: %w", err)
	}
	return DecodeTake(b)
}

// DecodeTake parses the bytes of take.json.
func DecodeTake(b []byte) (Take, error) {
	var t Take
	if err := json.Unmarshal(b, &t); err != nil {
		return Take{}, fmt.Errorf("reading take: %w", err)
	}
	if t.Format != TakeFormat {
		return Take{}, fmt.Errorf("reading take: format %q, want %q", t.Format, TakeFormat)
	}
	return t, nil
}

// writeTake sorts the files by path and writes take.json durably.
func writeTake(dir string, t Take) error {
	sort.Slice(t.Files, func(i, k int) bool { return t.Files[i].Path < t.Files[k].Path })
	b, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding take %s: %w", t.Order, err)
	}
	return WriteFile(filepath.Join(dir, TakeFile), append(b, '\n'))
}

// hashedFile writes to a file and a Hasher alike and syncs on Close.
type hashedFile struct {
	f *os.File
	h *Hasher
}

func (w *hashedFile) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	_, _ = w.h.Write(p[:n])
	return n, err
}

func (w *hashedFile) Close() error {
	return errors.Join(w.f.Sync(), w.f.Close())
}

// adopt renames a file inside a take and hashes it as found.
func adopt(dir, from, to string, now func() time.Time) (File, error) {
	dst := filepath.Join(dir, filepath.FromSlash(to))
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return File{}, fmt.Errorf("keeping %s: %w", from, err)
	}
	if err := os.Rename(filepath.Join(dir, filepath.FromSlash(from)), dst); err != nil {
		return File{}, fmt.Errorf("keeping %s: %w", from, err)
	}
	g, err := digestFile(dst)
	if err != nil {
		return File{}, err
	}
	return File{Path: to, Kind: FileRemains, MediaType: "application/octet-stream", Written: now().UTC(), Digest: g}, nil
}

func digestFile(name string) (Digest, error) {
	f, err := os.Open(name)
	if err != nil {
		return Digest{}, fmt.Errorf("hashing: %w", err)
	}
	defer f.Close()
	return DigestOf(f)
}

// filesBelow lists the files under dir for which keep holds, as slash paths,
// sorted.
func filesBelow(dir string, keep func(string) bool) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		if rel = filepath.ToSlash(rel); keep(rel) {
			out = append(out, rel)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing take: %w", err)
	}
	return out, nil
}

var _ io.WriteCloser = (*Writer)(nil)
