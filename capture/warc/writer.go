package warc

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/gzip"
	"github.com/nlnwa/gowarc"
)

// dateForm is WARC-Date with milliseconds (WARC 1.1 section 5.4 allows
// fractions).
const dateForm = "2006-01-02T15:04:05.000Z"

// maxMemory is how much of one record is held in memory, in bytes; the rest
// goes to a temporary file.
const maxMemory = 1 << 20

// Info is what the first record, the warcinfo, says about the file. Only
// Software and Created are required.
type Info struct {
	Software    string    // name and version of the program that wrote the file
	Operator    string    // who ran it
	Hostname    string    // on which machine
	UserAgent   string    // the browser, as it named itself to servers
	Description string    // free text on one line
	Filename    string    // name of the file, without directories
	Created     time.Time // WARC-Date of the warcinfo record
	ID          string    // "urn:uuid:…"; when set, all record ids derive from it in order, otherwise they are random
	TmpDir      string    // where bodies above 1 MiB are buffered; empty is the system's directory
}

// A Resource is bytes with a name that did not come by HTTP: an artefact, a
// DNS answer, a note about an exchange.
type Resource struct {
	URL          string // any absolute URI, also urn: and dns:
	MediaType    string
	Time         time.Time
	Body         []byte
	ConcurrentTo string // record id as returned by Exchange, or empty
	PageID       string
	IP           string
}

// A Writer appends records to one file. It may be used by one goroutine at a
// time. After an output fault every further call returns that fault; the file
// then ends in a cut record that Salvage finds.
type Writer struct {
	w      io.Writer
	gz     *gzip.Writer
	info   string // id of the warcinfo record
	tmpDir string
	space  *uuid.UUID // name space of derived ids
	serial int
	err    error
	closed bool
}

// ErrClosed is returned by every call after Close.
var ErrClosed = errors.New("WARC writer is closed")

// NewWriter starts a file on w and writes the warcinfo record. w is not
// buffered and never closed by the Writer.
func NewWriter(w io.Writer, info Info) (*Writer, error) {
	gz, err := gzip.NewWriterLevel(io.Discard, 6)
	if err != nil {
		return nil, fmt.Errorf("starting WARC: %w", err)
	}
	out := &Writer{w: w, gz: gz, tmpDir: info.TmpDir}
	if info.ID != "" {
		space, err := uuid.Parse(info.ID)
		if err != nil {
			return nil, fmt.Errorf("starting WARC with id %q: %w", info.ID, err)
		}
		out.space = &space
	}
	if err := out.writeInfo(info); err != nil {
		return nil, fmt.Errorf("starting WARC: %w", err)
	}
	return out, nil
}

// writeInfo writes the warcinfo record (WARC 1.1 section 6.2).
func (w *Writer) writeInfo(info Info) error {
	var body []byte
	for _, f := range []Field{
		{"software", info.Software},
		{"format", "WARC File Format 1.1"},
		{"conformsTo", "https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/"},
		{"operator", info.Operator},
		{"hostname", info.Hostname},
		{"http-header-user-agent", info.UserAgent},
		{"description", info.Description},
	} {
		if f.Value != "" {
			v, _ := cleanValue(f.Value)
			body = append(body, f.Name+": "+v+"\r\n"...)
		}
	}
	rec := w.begin(gowarc.Warcinfo)
	rec.date(info.Created)
	rec.field(gowarc.ContentType, gowarc.ApplicationWarcFields)
	if info.Filename != "" {
		rec.field(gowarc.WarcFilename, info.Filename)
	}
	w.info = rec.id
	rec.block(body)
	return w.append(rec)
}

// Resource appends a resource record and returns its id ("urn:uuid:…").
func (w *Writer) Resource(r Resource) (id string, err error) {
	return w.named(gowarc.Resource, r)
}

// Metadata appends a metadata record: something said about the exchange or
// page that ConcurrentTo names. Its URL must be a urn:, because some indexers
// list metadata records under their URL as if they were page content.
func (w *Writer) Metadata(r Resource) (id string, err error) {
	if len(r.URL) < 5 || r.URL[:4] != "urn:" {
		return "", fmt.Errorf("writing metadata record for %q: not a urn", r.URL)
	}
	return w.named(gowarc.Metadata, r)
}

func (w *Writer) named(kind gowarc.RecordType, r Resource) (string, error) {
	rec := w.begin(kind)
	rec.date(r.Time)
	rec.target(r.URL)
	mt := r.MediaType
	if mt == "" {
		mt = "application/octet-stream"
	}
	rec.field(gowarc.ContentType, mt)
	rec.field(gowarc.WarcWarcinfoID, "<"+w.info+">")
	if r.ConcurrentTo != "" {
		rec.field(gowarc.WarcConcurrentTo, "<"+r.ConcurrentTo+">")
	}
	rec.address(r.IP)
	if r.PageID != "" {
		rec.field(gowarc.WarcPageID, r.PageID)
	}
	rec.block(r.Body)
	if err := w.append(rec); err != nil {
		return "", fmt.Errorf("writing %s record for %s: %w", kind, r.URL, err)
	}
	return rec.id, nil
}

// Close ends the file. It does not close the underlying writer. Every record
// was written out by the call that made it, so Close writes nothing.
func (w *Writer) Close() error {
	if w.closed {
		return ErrClosed
	}
	w.closed = true
	return w.err
}

// append builds, validates and writes one record as one gzip member. The
// record is complete before its first byte goes out.
func (w *Writer) append(rec *record) error {
	rec.finish()
	switch {
	case w.err != nil:
		rec.err = w.err
	case w.closed:
		rec.err = ErrClosed
	}
	if rec.err != nil {
		return errors.Join(rec.err, rec.b.Close())
	}
	built, _, err := rec.b.Build()
	if err != nil {
		return errors.Join(fmt.Errorf("validating record: %w", err), rec.b.Close())
	}
	defer func() { _ = built.Close() }() // removes the temporary file
	for _, f := range *built.WarcHeader() {
		if name, ok := spelling(f.Name); ok {
			f.Name = name
		}
	}
	w.gz.Reset(w.w)
	if _, _, err := gowarc.NewMarshaler().Marshal(w.gz, built, 0); err != nil {
		w.err = fmt.Errorf("writing record: %w", err)
		return w.err
	}
	if err := w.gz.Close(); err != nil {
		w.err = fmt.Errorf("writing record: %w", err)
	}
	return w.err
}

// newID returns the next record id. Derived ids are name-based UUIDs of the
// serial number (RFC 9562 section 5.5).
func (w *Writer) newID() (string, error) {
	w.serial++
	if w.space == nil {
		id, err := uuid.NewRandomFromReader(rand.Reader)
		return id.URN(), err
	}
	if w.serial == 1 {
		return w.space.URN(), nil
	}
	return uuid.NewSHA1(*w.space, []byte(strconv.Itoa(w.serial))).URN(), nil
}

// spelling restores the spelling of extension fields, which the library
// writes as net/http would.
func spelling(name string) (string, bool) {
	switch name {
	case "Warc-Protocol":
		return "WARC-Protocol", true
	case "Warc-Cipher-Suite":
		return "WARC-Cipher-Suite", true
	}
	return "", false
}
