package preserve

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/emmansun/gmsm/sm3"

	"guzheng/capture"
	"guzheng/preserve/seal"
	"guzheng/preserve/tsa"
	"guzheng/preserve/wacz"
	"guzheng/storage"
)

// DefaultRetention is how many years a record is kept when Keeper.Retain is
// nil.
const DefaultRetention = 3

// ErrChanged says that a file of a take no longer has the digest it was
// taken with. Nothing is packaged then and everything stays.
var ErrChanged = errors.New("file of the take has changed since it was taken")

// A Keeper keeps takes. It holds no state: everything is on disk.
type Keeper struct {
	Press seal.Press       // required
	Store storage.Store    // required
	Now   func() time.Time // required

	// Spool is the directory of the takes under way. When it is set, Keep
	// refuses directories elsewhere.
	Spool string
	// Software names this program in packages; empty takes it from the facts.
	Software string
	// Retain returns until when a record kept at the given time is locked;
	// nil is DefaultRetention years.
	Retain func(order capture.Order, kept time.Time) time.Time
	// Package writes the package; nil is wacz.Write.
	Package func(ctx context.Context, out string, in wacz.Input) (wacz.Summary, error)

	// at is called before and after every write; tests end the process there.
	at func(point string) error
}

// Names in a spool directory.
const (
	orderFile    = "order.json"
	takeDir      = "take"
	rawFile      = "proofs/raw.json"
	stampsFile   = "proofs/raw-stamps.json"
	packageFile  = "package.wacz"
	eventFile    = "event.json"
	sealFile     = "seal.json"
	keptFile     = "kept.json"
	putPackage   = "store package" // points without a file
	putSeal      = "store seal"
	beforePrefix = "before "
	afterPrefix  = "after "
)

// kept is the form of kept.json.
type kept struct {
	Package storage.Object `json:"package"`
	Seal    storage.Object `json:"seal"`
}

// Keep makes a record of the closed take in the spool directory dir, which
// holds order.json and take/. The caller MUST hold dir alone. It may be
// called again after any error or crash and goes on where it was; see the
// package comment. Errors wrap ErrChanged, storage errors and the context's.
// A time stamp or log that could not be had is no error: Record.SealValue is
// pending then.
func (k Keeper) Keep(ctx context.Context, dir string) (Record, error) {
	if k.Store == nil || k.Now == nil || k.Press.Key == nil {
		return Record{}, errors.New("keeping: keeper lacks a store, a clock or a key")
	}
	if k.Spool != "" && filepath.Dir(filepath.Clean(dir)) != filepath.Clean(k.Spool) {
		return Record{}, fmt.Errorf("keeping %s: not in spool %s", dir, k.Spool)
	}
	j, err := k.begin(dir)
	if err != nil {
		return Record{}, fmt.Errorf("keeping %s: %w", filepath.Base(dir), err)
	}
	for _, step := range []func(context.Context) error{j.raw, j.stamps, j.pack, j.log, j.press, j.put} {
		if err := ctx.Err(); err != nil {
			return Record{}, fmt.Errorf("keeping %s: %w", j.order.ID, err)
		}
		if err := step(ctx); err != nil {
			return Record{}, fmt.Errorf("keeping %s: %w", j.order.ID, err)
		}
	}
	return j.record(), nil
}

// A job is one call of Keep.
type job struct {
	Keeper
	dir   string
	order capture.Order
	take  capture.Take
	meta  meta
	root  tsa.Digests // Merkle root over the raw files, and SM3 of their list
	// What this call has read or written itself and need not read again; empty
	// when an earlier one did.
	checked map[string]uint32 // CRC-32 of the take's files, by path
	pkg     capture.Digest    // of the package

	event seal.Event
	seal  seal.Seal
	kept  kept
}

func (k Keeper) begin(dir string) (*job, error) {
	b, err := os.ReadFile(filepath.Join(dir, orderFile))
	if err != nil {
		return nil, fmt.Errorf("reading order: %w", err)
	}
	j := &job{Keeper: k, dir: dir}
	if j.order, err = decodeOrder(b); err != nil {
		return nil, err
	}
	if j.take, err = capture.ReadTake(j.path(takeDir)); err != nil {
		return nil, err
	}
	if j.take.Order != j.order.ID {
		return nil, fmt.Errorf("take is of order %s", j.take.Order)
	}
	// The package carries the take's copy, the catalogue shows this one.
	if f, ok := j.take.File(capture.FileOrder); ok {
		if d, err := capture.DigestOf(bytes.NewReader(b)); err != nil || d != f.Digest {
			return nil, fmt.Errorf("%s is not the order of the take: %w", orderFile, ErrChanged)
		}
	}
	if j.meta, err = readMeta(j.path(takeDir), j.take); err != nil {
		return nil, err
	}
	return j, os.MkdirAll(j.path("proofs"), 0o755)
}

func (j *job) path(name string) string { return filepath.Join(j.dir, filepath.FromSlash(name)) }

// have reads the output of a step that was done before.
func (j *job) have(name string) (b []byte, ok bool, err error) {
	b, err = os.ReadFile(j.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading %s: %w", name, err)
	}
	return b, true, nil
}

// around runs one write between the two points of the crash table.
func (j *job) around(point string, write func() error) error {
	if j.at != nil {
		if err := j.at(beforePrefix + point); err != nil {
			return err
		}
	}
	if err := write(); err != nil {
		return err
	}
	if j.at != nil {
		return j.at(afterPrefix + point)
	}
	return nil
}

func (j *job) write(name string, b []byte) error {
	return j.around(name, func() error { return capture.WriteFile(j.path(name), b) })
}

func (j *job) writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	return j.write(name, append(b, '\n'))
}

// raw compares every file of the take with its digest and writes the list
// with its Merkle root. A list from an earlier call must still be that of take.json.
func (j *job) raw(ctx context.Context) error {
	f, err := os.ReadFile(j.path(takeDir + "/" + capture.TakeFile))
	if err != nil {
		return fmt.Errorf("reading take: %w", err)
	}
	d, err := capture.DigestOf(bytes.NewReader(f))
	if err != nil {
		return err
	}
	raw := wacz.NewRaw(j.take, d)
	want, err := raw.Encode()
	if err != nil {
		return err
	}
	j.root = tsa.Digests{SHA256: raw.TreeRoot(), SM3: sm3.Sum(want)}
	have, ok, err := j.have(rawFile)
	switch {
	case err != nil:
		return err
	case ok && !bytes.Equal(have, want):
		return fmt.Errorf("%s: %w", capture.TakeFile, ErrChanged)
	case ok:
		return nil
	}
	j.checked = make(map[string]uint32, len(j.take.Files))
	for _, f := range j.take.Files {
		if j.checked[f.Path], err = checkFile(ctx, j.path(takeDir), f); err != nil {
			return err
		}
	}
	if err := j.checkJournal(); err != nil {
		return err
	}
	return j.write(rawFile, want)
}

// checkJournal wants take.json to be what the journal says of the capture: a
// take that was altered between its closing and its packaging would have to
// be altered in both.
func (j *job) checkJournal() error {
	b, err := readKind(j.path(takeDir), j.take, capture.FileJournal, maxJSON)
	if err != nil || b == nil {
		return err
	}
	entries, _, err := capture.ReadJournal(bytes.NewReader(b))
	if err != nil {
		return err
	}
	if err := capture.CheckJournal(j.take, entries); err != nil {
		return fmt.Errorf("%w: %w", err, ErrChanged)
	}
	return nil
}

// checkFile compares a file with the SHA-256 value it was taken with and
// returns its CRC-32.
func checkFile(ctx context.Context, dir string, want capture.File) (crc uint32, err error) {
	if !filepath.IsLocal(filepath.FromSlash(want.Path)) {
		return 0, fmt.Errorf("hashing %q again: path not local", want.Path)
	}
	got, crc, err := wacz.CheckFile(ctx, filepath.Join(dir, filepath.FromSlash(want.Path)))
	if err != nil {
		return 0, fmt.Errorf("comparing %s: %w", want.Path, err)
	}
	if got.Bytes != want.Bytes || got.SHA256 != want.SHA256 {
		return 0, fmt.Errorf("%s: sha256 %s, taken with %s: %w", want.Path, got.SHA256, want.SHA256, ErrChanged)
	}
	return crc, nil
}

// stamps has the root stamped before anything is packaged.
func (j *job) stamps(ctx context.Context) error {
	if _, ok, err := j.have(stampsFile); ok || err != nil {
		return err
	}
	stamps := seal.StampsOver(ctx, j.Press.Authorities, j.root)
	if err := ctx.Err(); err != nil {
		return err // asked again next time
	}
	return j.writeJSON(stampsFile, stamps)
}

// pack writes the package. The writer compares every file once more.
func (j *job) pack(ctx context.Context) error {
	if _, err := os.Stat(j.path(packageFile)); err == nil {
		return nil
	}
	write := j.Package
	if write == nil {
		write = wacz.Write
	}
	_, spki := j.Press.Key.Identity()
	software := j.Software
	if software == "" {
		software = j.meta.software
	}
	in := wacz.Input{ID: j.order.ID, TakeDir: j.path(takeDir), Take: j.take,
		Checked: j.checked,
		Extra:   []wacz.Extra{{Path: wacz.RawPath, From: j.path(rawFile)}, {Path: wacz.RawStampsPath, From: j.path(stampsFile)}},
		Title:   j.meta.title, MainPageURL: j.meta.url, MainPageDate: j.meta.date, PageID: j.meta.pageID, Text: j.meta.text,
		Software: software, Created: j.Now().UTC(), Sign: j.Press.Key.Sign, PublicKey: spki}
	return j.around(packageFile, func() error {
		sum, err := write(ctx, j.path(packageFile), in)
		j.pkg = sum.Digest
		if errors.Is(err, wacz.ErrChanged) {
			return fmt.Errorf("%w: %w", err, ErrChanged)
		}
		return err
	})
}

// log writes down the event before it is logged.
func (j *job) log(ctx context.Context) error {
	b, ok, err := j.have(eventFile)
	if err != nil {
		return err
	}
	if ok {
		if err := json.Unmarshal(b, &j.event); err != nil {
			return fmt.Errorf("reading %s: %w", eventFile, err)
		}
		return nil
	}
	if j.pkg == (capture.Digest{}) {
		if j.pkg, err = digestFile(j.path(packageFile)); err != nil {
			return err
		}
	}
	if j.event, err = j.Press.Event(ctx, j.pkg); err != nil {
		return err
	}
	return j.writeJSON(eventFile, j.event)
}

// press seals.
func (j *job) press(ctx context.Context) error {
	b, ok, err := j.have(sealFile)
	if err != nil {
		return err
	}
	if ok {
		if j.seal, err = seal.Decode(b); err != nil {
			return err
		}
		return seal.CheckEnvelope(j.seal) // the spool's disk is not trusted
	}
	if j.seal, err = j.Press.Seal(ctx, j.order.ID, j.path(packageFile), j.event); err != nil {
		return err
	}
	if b, err = seal.Encode(j.seal); err != nil {
		return err
	}
	// What is returned is what a reader of the file gets.
	if j.seal, err = seal.Decode(b); err != nil {
		return err
	}
	return j.write(sealFile, b)
}

func (j *job) record() Record {
	r := Record{Order: j.order, Take: j.take, Package: j.kept.Package, Seal: j.kept.Seal, SealValue: j.seal}
	r.Entry = NewEntry(r, j.meta.title)
	return r
}

func digestFile(name string) (capture.Digest, error) {
	f, err := os.Open(name)
	if err != nil {
		return capture.Digest{}, fmt.Errorf("hashing: %w", err)
	}
	defer f.Close()
	return capture.DigestOf(f)
}

func sumOf(hexSHA256 string) ([32]byte, error) {
	b, err := hex.DecodeString(hexSHA256)
	if err != nil || len(b) != 32 {
		return [32]byte{}, fmt.Errorf("%q is not a SHA-256 value", hexSHA256)
	}
	return [32]byte(b), nil
}
