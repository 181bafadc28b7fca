package warc

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/gzip"
)

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
	TmpDir      string    // where bodies above 1 MiB that cannot be read twice are buffered; empty is the system's directory
}

// A Writer appends records to one file. It may be used by one goroutine at a
// time and holds some 2 MiB, whatever the size of bodies. After an output
// fault every further call returns that fault; the file then ends in a cut
// record that Salvage finds.
type Writer struct {
	out    *bufio.Writer
	packer *gzip.Writer // level 1
	storer *gzip.Writer // level 0
	info   string       // id of the warcinfo record
	space  *uuid.UUID   // name space of derived ids
	serial int
	err    error
	closed bool

	// What follows is used by one record after the other.
	fields  []Field
	lines   []byte // version line and fields
	head    []byte // of the HTTP message
	chunk   []byte // between body and its destination
	block   hash.Hash
	payload hash.Hash
	spool   spool
	uri     string // the last target, and its written form
	target  string
	isURI   bool
}

// ErrClosed is returned by every call after Close.
var ErrClosed = errors.New("WARC writer is closed")

// Sizes of buffers, in bytes.
const (
	chunkSize  = 64 << 10
	outputSize = 64 << 10
)

// NewWriter starts a file on w and writes the warcinfo record. Every record
// has been given to w when the call that made it returns. w is never closed
// by the Writer.
func NewWriter(w io.Writer, info Info) (*Writer, error) {
	out := &Writer{out: bufio.NewWriterSize(w, outputSize), chunk: make([]byte, chunkSize),
		block: sha256.New(), payload: sha256.New(), spool: spool{dir: info.TmpDir}}
	var err error
	if out.packer, err = gzip.NewWriterLevel(io.Discard, gzip.BestSpeed); err == nil {
		out.storer, err = gzip.NewWriterLevel(io.Discard, gzip.NoCompression)
	}
	if err != nil {
		return nil, fmt.Errorf("starting WARC: %w", err)
	}
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
	rec := w.begin(kindInfo)
	rec.date(info.Created)
	rec.field("Content-Type", mediaFields)
	if info.Filename != "" {
		rec.field("WARC-Filename", info.Filename)
	}
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
			w.head = appendLine(w.head, f.Name, v)
		}
	}
	w.info = rec.id
	return w.append(rec)
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

// append completes, checks and writes one record as one gzip member. The body
// is read to its end, for the digests that stand before it, and then once
// more; nothing goes out before the first reading was sound.
func (w *Writer) append(rec *record) error {
	switch {
	case w.err != nil:
		return w.err
	case w.closed:
		return ErrClosed
	case rec.err != nil:
		return rec.err
	}
	defer w.spool.reset()
	crc, err := w.measure(rec)
	if err != nil {
		return err
	}
	if err := w.encode(rec); err != nil {
		return fmt.Errorf("validating record: %w", err)
	}
	if err := w.emit(rec, crc); err != nil {
		w.err = fmt.Errorf("writing record: %w", err)
	}
	return w.err
}

// emit writes the record, whose body must have the given CRC-32 and length
// again.
func (w *Writer) emit(rec *record, crc uint32) error {
	gz := w.packer
	if rec.packed {
		gz = w.storer
	}
	gz.Reset(w.out)
	gz.ModTime = time.Unix(0, 0) // none (RFC 1952 section 2.3.1)
	for _, p := range [][]byte{w.lines, w.head} {
		if _, err := gz.Write(p); err != nil {
			return err
		}
	}
	if err := w.copyBody(gz, rec, crc); err != nil {
		return err
	}
	if _, err := io.WriteString(gz, "\r\n\r\n"); err != nil {
		return err
	}
	if err := gz.Close(); err != nil {
		return err
	}
	return w.out.Flush()
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
