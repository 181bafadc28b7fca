package warc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
)

// indexEntry is the JSON of one CDXJ line. Numbers are strings, as the tools
// around ReplayWeb.page write them.
type indexEntry struct {
	URL          string `json:"url"`
	MIME         string `json:"mime,omitempty"`
	Status       string `json:"status,omitempty"`
	Digest       string `json:"digest,omitempty"` // payload, SHA-256 in hex
	Length       string `json:"length"`
	Offset       string `json:"offset"`
	Filename     string `json:"filename"`
	Method       string `json:"method,omitempty"`
	RequestBody  string `json:"requestBody,omitempty"`
	RecordDigest string `json:"recordDigest"` // compressed record, "sha256:<hex>"
}

// Index reads a WARC file and returns its CDXJ index: one line "key SP
// timestamp SP JSON" for every response, resource and revisit record, sorted
// bytewise. The key is the SURT of the target URI; that of an exchange with
// another method than GET also has the request's body in it (see requestKey),
// which is where replay looks for it. A record with a wrong digest ends the
// index with an error, as does broken form.
func Index(r io.Reader, filename string) ([]byte, error) {
	x, err := indexer(r, filename)
	if err != nil {
		return nil, err
	}
	lines, err := x.all()
	if err != nil {
		return nil, err
	}
	sort.Strings(lines)
	return []byte(strings.Join(lines, "")), nil
}

// ErrIndex is wrapped when an index does not fit the file it is over.
var ErrIndex = errors.New("index does not fit the records")

// CheckIndex reads a WARC file and compares an index of it with the records:
// see Indexer.Check.
func CheckIndex(r io.Reader, index []byte, filename string) error {
	x, err := indexer(r, filename)
	if err != nil {
		return err
	}
	return x.Check(index)
}

// indexer gives every record of a file to a new Indexer.
func indexer(r io.Reader, filename string) (*Indexer, error) {
	x := &Indexer{Filename: filename}
	for rec, err := range Records(r) {
		if err != nil {
			return nil, fmt.Errorf("indexing %s: %w", filename, err)
		}
		if err := x.Add(rec); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// An Indexer makes the lines of an index from records as they are read, for
// callers that read them for another purpose too.
type Indexer struct {
	Filename string // of the WARC file, as the lines name it

	lines []string
	last  *Record // response that may yet meet its request
}

// Add takes the next record of the file.
func (x *Indexer) Add(rec Record) error {
	if rec.Type == "request" && x.last != nil && x.last.URI == rec.URI {
		return x.flush(&rec)
	}
	if err := x.flush(nil); err != nil {
		return err
	}
	if indexed(rec) {
		x.last = &rec
	}
	return nil
}

// flush makes the line of the record that waits, when there is one.
func (x *Indexer) flush(req *Record) error {
	if x.last == nil {
		return nil
	}
	line, err := indexLine(*x.last, req, x.Filename)
	x.lines, x.last = append(x.lines, line), nil
	return err
}

// all returns the lines in the order of the records.
func (x *Indexer) all() ([]string, error) {
	err := x.flush(nil)
	return x.lines, err
}

// Check compares an index, from another hand, with what the records say that
// were added: every indexable record has exactly one line, every line one
// record, and place, length, digests, URL, time, status and media type agree.
// Keys are compared for order only, so that an index by an older rule stays
// valid. Complaints wrap ErrIndex.
func (x *Indexer) Check(index []byte) error {
	lines, err := x.all()
	if err != nil {
		return err
	}
	want := make(map[string]string, len(lines)) // by offset
	for _, l := range lines {
		off, rest, err := comparable(l)
		if err != nil {
			return err
		}
		want[off] = rest
	}
	prev := ""
	sc := bufio.NewScanner(bytes.NewReader(index))
	sc.Buffer(nil, 2*maxHead)
	n := 0
	for ; sc.Scan(); n++ {
		line := sc.Text()
		if line < prev {
			return fmt.Errorf("%w: line %d is out of order", ErrIndex, n+1)
		}
		prev = line
		off, rest, err := comparable(line)
		if err != nil {
			return fmt.Errorf("%w: line %d: %w", ErrIndex, n+1, err)
		}
		if w, ok := want[off]; !ok || w != rest {
			return fmt.Errorf("%w: line %d, offset %.20q", ErrIndex, n+1, off)
		}
		delete(want, off)
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("%w: line %d: %w", ErrIndex, n+1, err)
	}
	if len(want) > 0 {
		return fmt.Errorf("%w: %d records have no line", ErrIndex, len(want))
	}
	return nil
}

// comparable splits a CDXJ line into the offset and all that CheckIndex
// compares.
func comparable(line string) (offset, rest string, err error) {
	_, line, ok := strings.Cut(line, " ")
	stamp, js, ok2 := strings.Cut(line, " ")
	if !ok || !ok2 {
		return "", "", errors.New("not of three parts")
	}
	var e indexEntry
	if err := json.Unmarshal([]byte(js), &e); err != nil {
		return "", "", fmt.Errorf("reading index line: %w", err)
	}
	e.Method, e.RequestBody = "", ""
	b, err := json.Marshal(e)
	return e.Offset, stamp + " " + string(b), err
}

// indexed reports whether a record has a line.
func indexed(r Record) bool {
	switch r.Type {
	case "response", "revisit":
		return true
	case "resource":
		return r.Field("Content-Type") != "application/warc-fields"
	}
	return false
}

func indexLine(r Record, req *Record, filename string) (string, error) {
	e := indexEntry{
		URL: r.URI, MIME: r.MIME, Length: strconv.FormatInt(r.Length, 10), Offset: strconv.FormatInt(r.Offset, 10),
		Filename: filename, RecordDigest: r.RecordDigest,
	}
	if r.Status != 0 {
		e.Status = strconv.Itoa(r.Status)
	}
	if d := r.Field("WARC-Payload-Digest"); d != "" {
		_, e.Digest, _ = strings.Cut(d, ":")
	}
	key := r.URI
	if req != nil && req.Method != "" && req.Method != "GET" {
		e.Method = req.Method
		key, e.RequestBody = requestKey(*req)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return "", fmt.Errorf("indexing record at byte %d: %w", r.Offset, err)
	}
	return SURT(key) + " " + r.Time.UTC().Format("20060102150405") + " " + b.String(), nil
}
