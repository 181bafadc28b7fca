package warc

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// Limits of the reader.
const (
	maxHead  = 4 << 20 // bytes of the WARC fields, and of the HTTP header, of one record
	maxQuery = 4 << 20 // bytes of a request body that Index looks at; of longer JSON the key has nothing
)

// ErrFormat is wrapped by complaints about the form of a file. What follows
// in the file cannot be read.
var ErrFormat = errors.New("not in WARC form")

// ErrDigest is wrapped by complaints about a record that is sound in form but
// does not have the digest it claims. Reading goes on behind it.
var ErrDigest = errors.New("digest does not match")

// A Record is what was read of one record. Its body is not kept.
type Record struct {
	Offset       int64  // of the gzip member in the file
	Length       int64  // of the gzip member, compressed
	RecordDigest string // "sha256:<hex>" over the compressed member

	Type   string // warcinfo, response, request, resource, metadata, revisit, …
	ID     string // without angle brackets
	URI    string // WARC-Target-URI, empty for warcinfo
	Time   time.Time
	Header []Field // all WARC fields in order

	StartLine     string  // first line of the HTTP message, empty where the block is none
	MessageHeader []Field // HTTP header in order
	Status        int     // of a response, 0 otherwise
	Method        string  // of a request
	MIME          string  // media type without parameters; as sent, may be empty

	BlockBytes    int64  // length of the block
	BlockDigest   string // computed, "sha256:<hex>"
	PayloadBytes  int64  // length of what follows the HTTP header, or of the block
	PayloadDigest string // computed over that, "sha256:<hex>"

	body []byte // of a request, at most maxQuery bytes
}

// Field returns the first WARC field of that name in any case, or "".
func (r Record) Field(name string) string { return firstField(r.Header, name) }

func firstField(fs []Field, name string) string {
	for _, f := range fs {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Records reads a gzipped WARC file record by record and recomputes the
// digests of each. An error that wraps ErrDigest comes together with the
// record and reading goes on; any other error comes with an empty record and
// ends the sequence.
func Records(r io.Reader) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		rd := newReader(r)
		for {
			rec, err := rd.next()
			if err == io.EOF {
				return
			}
			if !yield(rec, err) {
				return
			}
			if err != nil && !errors.Is(err, ErrDigest) {
				return
			}
		}
	}
}

// Salvage returns the length of the prefix of r that is made of complete
// records, and how many they are. A file that a crash cut short can be
// truncated to that length. The error is about reading r only.
func Salvage(r io.Reader) (whole int64, records int, err error) {
	for rec, err := range Records(r) {
		switch {
		case err == nil, errors.Is(err, ErrDigest):
			whole, records = rec.Offset+rec.Length, records+1
		case errors.Is(err, ErrFormat):
			return whole, records, nil
		default:
			return whole, records, err
		}
	}
	return whole, records, nil
}

// A reader walks over the gzip members of a file. Its parts are used by one
// record after the other.
type reader struct {
	tap     *tap
	gz      *gzip.Reader
	br      *bufio.Reader // over gz
	block   digester      // over br
	message *bufio.Reader // over block
	payload digester      // over message
	chunk   []byte
}

func newReader(r io.Reader) *reader {
	return &reader{tap: newTap(r), br: bufio.NewReaderSize(nil, 1<<15), message: bufio.NewReaderSize(nil, 1<<15),
		block: digester{h: sha256.New()}, payload: digester{h: sha256.New()}, chunk: make([]byte, chunkSize)}
}

// next reads one record, or returns io.EOF.
func (r *reader) next() (Record, error) {
	if _, err := r.tap.buf.Peek(1); err != nil {
		if err == io.EOF {
			return Record{}, io.EOF
		}
		return Record{}, fmt.Errorf("reading WARC: %w", err)
	}
	start := r.tap.taken()
	rec, err := r.member()
	if r.tap.err != nil {
		return Record{}, fmt.Errorf("reading WARC at byte %d: %w", start, r.tap.err)
	}
	if err != nil && !errors.Is(err, ErrDigest) {
		return Record{}, fmt.Errorf("reading WARC record at byte %d: %w: %w", start, ErrFormat, err)
	}
	if err != nil {
		err = fmt.Errorf("reading WARC record at byte %d: %w", start, err)
	}
	rec.Offset, rec.Length = start, r.tap.taken()-start
	rec.RecordDigest = "sha256:" + hex.EncodeToString(r.tap.sum())
	return rec, err
}

// member reads one gzip member, which holds exactly one record.
func (r *reader) member() (Record, error) {
	var err error
	if r.gz == nil {
		r.gz, err = gzip.NewReader(r.tap.buf)
	} else {
		err = r.gz.Reset(r.tap.buf)
	}
	if err != nil {
		r.gz = nil
		return Record{}, cut(err)
	}
	r.gz.Multistream(false)
	r.br.Reset(r.gz)
	rec, err := r.record()
	if err != nil && !errors.Is(err, ErrDigest) {
		return Record{}, cut(err)
	}
	if _, eof := r.br.ReadByte(); eof == nil {
		return Record{}, errors.New("bytes behind the record in its gzip member")
	} else if eof != io.EOF {
		return Record{}, cut(eof)
	}
	return rec, err
}

// cut turns the end of the input inside a record into io.ErrUnexpectedEOF.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// record reads the fields, the block and the four closing bytes (WARC 1.1
// section 4).
func (r *reader) record() (Record, error) {
	var rec Record
	left := maxHead
	line, err := readLine(r.br, &left)
	if err != nil {
		return rec, err
	}
	if line != "WARC/1.1" && line != "WARC/1.0" {
		return rec, fmt.Errorf("version line %.20q", line)
	}
	if rec.Header, err = readFields(r.br, &left, true); err != nil {
		return rec, err
	}
	size, err := rec.interpret()
	if err != nil {
		return rec, err
	}
	r.block.from(io.LimitReader(r.br, size))
	if err := r.readBlock(&rec); err != nil {
		return rec, err
	}
	if r.block.n != size {
		return rec, fmt.Errorf("block of %d bytes, want %d: %w", r.block.n, size, io.ErrUnexpectedEOF)
	}
	var end [4]byte
	if _, err := io.ReadFull(r.br, end[:]); err != nil {
		return rec, cut(err)
	}
	if string(end[:]) != "\r\n\r\n" {
		return rec, fmt.Errorf("record ends in %q", end)
	}
	return rec, rec.compare()
}

// single are the fields that may stand once only.
var single = [...]string{"WARC-Type", "WARC-Record-ID", "WARC-Date", "Content-Length", "Content-Type",
	"WARC-Target-URI", "WARC-Block-Digest", "WARC-Payload-Digest"}

// interpret reads the mandatory fields (WARC 1.1 section 5) and returns the
// length of the block.
func (r *Record) interpret() (int64, error) {
	for _, name := range single {
		n := 0
		for _, f := range r.Header {
			if strings.EqualFold(f.Name, name) {
				n++
			}
		}
		if n > 1 {
			return 0, fmt.Errorf("field %s occurs %d times", name, n)
		}
	}
	r.Type = r.Field("WARC-Type")
	r.URI = strings.Trim(r.Field("WARC-Target-URI"), "<>")
	r.ID = strings.Trim(r.Field("WARC-Record-ID"), "<>")
	if r.Type == "" || r.ID == "" {
		return 0, errors.New("no WARC-Type or WARC-Record-ID")
	}
	var err error
	if r.Time, err = time.Parse(time.RFC3339Nano, r.Field("WARC-Date")); err != nil {
		return 0, fmt.Errorf("WARC-Date: %w", err)
	}
	size, err := strconv.ParseUint(r.Field("Content-Length"), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("field Content-Length: %w", err)
	}
	return int64(size), nil
}

// readBlock hashes the block and parses the HTTP message in it. Where there
// is none, the payload is the block.
func (r *reader) readBlock(rec *Record) error {
	ct := strings.ToLower(rec.Field("Content-Type"))
	if !strings.HasPrefix(ct, "application/http") || rec.Type != "response" && rec.Type != "request" && rec.Type != "revisit" {
		if err := r.discard(&r.block); err != nil {
			return err
		}
		rec.BlockBytes, rec.BlockDigest = r.block.n, r.block.digest()
		rec.PayloadBytes, rec.PayloadDigest = rec.BlockBytes, rec.BlockDigest
		rec.setMIME()
		return nil
	}
	r.message.Reset(&r.block)
	if err := rec.readMessageHead(r.message); err != nil {
		return err
	}
	r.payload.from(r.message)
	if rec.Type == "request" {
		var err error
		if rec.body, err = io.ReadAll(io.LimitReader(&r.payload, maxQuery)); err != nil {
			return err
		}
	}
	if err := r.discard(&r.payload); err != nil {
		return err
	}
	rec.BlockBytes, rec.BlockDigest = r.block.n, r.block.digest()
	rec.PayloadBytes, rec.PayloadDigest = r.payload.n, r.payload.digest()
	rec.setMIME()
	return nil
}

// discard reads to the end. The pieces are large, since hashing small ones is
// slow.
func (r *reader) discard(from io.Reader) error {
	for {
		if _, err := from.Read(r.chunk); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// readMessageHead reads the start line and header of an HTTP message. Real
// servers send worse than the standard allows, so the lines are not judged.
func (r *Record) readMessageHead(br *bufio.Reader) error {
	left := maxHead
	line, err := readLine(br, &left)
	if err == io.EOF {
		return nil // an empty block, or a head without an end: no payload
	}
	if err != nil {
		return err
	}
	r.StartLine = line
	first, rest, _ := strings.Cut(line, " ")
	if r.Type == "request" {
		r.Method = first
	} else if code, _, _ := strings.Cut(rest, " "); len(code) == 3 {
		r.Status, _ = strconv.Atoi(code)
	}
	r.MessageHeader, err = readFields(br, &left, false)
	if err == io.EOF {
		return nil
	}
	return err
}

// setMIME is the media type as an index shows it.
func (r *Record) setMIME() {
	mt := r.Field("Content-Type")
	switch {
	case r.Type == "revisit":
		mt = "warc/revisit"
	case r.StartLine != "":
		mt = firstField(r.MessageHeader, "Content-Type")
		mt, _, _ = strings.Cut(mt, ";")
	}
	r.MIME = strings.TrimSpace(mt)
}

// compare checks the computed digests against those claimed. The payload
// digest of a revisit is that of another record.
func (r *Record) compare() error {
	if want := r.Field("WARC-Block-Digest"); want != "" && !strings.EqualFold(want, r.BlockDigest) {
		return fmt.Errorf("%w: block is %s, claimed %.80q", ErrDigest, r.BlockDigest, want)
	}
	if want := r.Field("WARC-Payload-Digest"); want != "" && r.Type != "revisit" && !strings.EqualFold(want, r.PayloadDigest) {
		return fmt.Errorf("%w: payload is %s, claimed %.80q", ErrDigest, r.PayloadDigest, want)
	}
	return nil
}

// readFields reads "name: value" lines up to an empty line. Where strict,
// lines must have a name and must not be folded.
func readFields(br *bufio.Reader, left *int, strict bool) ([]Field, error) {
	var out []Field
	for {
		line, err := readLine(br, left)
		if err != nil || line == "" {
			return out, err
		}
		name, value, ok := strings.Cut(line, ":")
		if strict && (!ok || name == "" || strings.TrimSpace(name) != name) {
			return nil, fmt.Errorf("field line %.40q", line)
		}
		out = append(out, Field{name, strings.TrimSpace(value)})
	}
}

// readLine reads one line without its end and counts it against left.
func readLine(br *bufio.Reader, left *int) (string, error) {
	var line []byte
	for {
		part, err := br.ReadSlice('\n')
		if *left -= len(part); *left < 0 {
			return "", errors.New("header too long")
		}
		line = append(line, part...)
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			return "", err
		}
		return strings.TrimSuffix(string(line[:len(line)-1]), "\r"), nil
	}
}
