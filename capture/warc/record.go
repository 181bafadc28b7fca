package warc

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nlnwa/whatwg-url/url"
)

// Types of records (WARC 1.1 section 6).
const (
	kindInfo     = "warcinfo"
	kindResponse = "response"
	kindRequest  = "request"
	kindResource = "resource"
	kindMetadata = "metadata"
)

// mediaFields is the type of a block of named fields (WARC 1.1 section 4).
const mediaFields = "application/warc-fields"

// dateForm is WARC-Date with milliseconds (WARC 1.1 section 5.4 allows
// fractions).
const dateForm = "2006-01-02T15:04:05.000Z"

// A record is one record being built: its type, the body that follows
// Writer.head in its block, the marks that go into WARC-JSON-Metadata, and the
// first fault. Its fields are Writer.fields.
type record struct {
	w    *Writer
	kind string
	id   string
	body io.Reader // nil is none
	size int64     // of body
	sum  string    // SHA-256 of body in hex, when the caller knows it
	// packed says that the body gains nothing by compression.
	packed bool
	mark   marks
	err    error

	again     func() (io.Reader, error) // body once more, after it was measured
	blockSum  string
	parseable bool // the block is an HTTP message, with a payload of its own
}

// marks is what the writer did to what it was given, and what the caller
// tells of an exchange. It becomes the WARC-JSON-Metadata field.
type marks struct {
	Decoded  bool     `json:"decoded,omitempty"`  // the body is stored without its transfer and content encodings
	Altered  []string `json:"altered,omitempty"`  // header fields whose bytes were percent-encoded
	Dropped  []string `json:"dropped,omitempty"`  // WARC fields that could not be written, with the beginning of their values
	Withheld []string `json:"withheld,omitempty"` // header fields whose value was left out
	Meta
}

// begin starts a record. The one before must have been appended or given up.
func (w *Writer) begin(kind string) *record {
	w.fields, w.head = w.fields[:0], w.head[:0]
	rec := &record{w: w, kind: kind}
	rec.id, rec.err = w.newID()
	rec.field("WARC-Type", kind)
	rec.field("WARC-Record-ID", "<"+rec.id+">")
	return rec
}

// field adds one WARC field. A value that would break the framing or is not
// UTF-8 (WARC 1.1 section 4) is percent-encoded and marked.
func (r *record) field(name, value string) {
	clean, altered := cleanValue(value)
	if !utf8.ValidString(clean) {
		clean, altered = percent(clean, func(c byte) bool { return c >= 0x80 })
	}
	if altered {
		r.mark.Altered = append(r.mark.Altered, name)
	}
	r.w.fields = append(r.w.fields, Field{name, clean})
}

func (r *record) date(t time.Time) {
	r.field("WARC-Date", t.UTC().Format(dateForm))
}

// target adds WARC-Target-URI. What is no absolute URI to the WHATWG rules,
// which readers go by, is written as a urn: and marked as dropped.
func (r *record) target(uri string) {
	w := r.w
	if len(uri) > maxHead {
		r.err = fmt.Errorf("address of %d bytes, at most %d can be read back", len(uri), maxHead)
		return
	}
	if w.target == "" || w.uri != uri {
		w.uri, w.target = uri, escapeURI(uri)
		_, err := url.Parse(w.target)
		if w.isURI = err == nil && w.target != ""; !w.isURI {
			w.target = "urn:guzheng:uri:" + w.target
		}
	}
	if !w.isURI {
		r.mark.Dropped = append(r.mark.Dropped, "WARC-Target-URI: "+short(uri))
	}
	r.field("WARC-Target-URI", w.target)
}

// address adds WARC-IP-Address; what is no address is marked as dropped.
func (r *record) address(ip string) {
	if ip == "" {
		return
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(ip, "["), "]")
	if net.ParseIP(bare) == nil {
		r.mark.Dropped = append(r.mark.Dropped, "WARC-IP-Address: "+short(ip))
		return
	}
	r.field("WARC-IP-Address", bare)
}

// concurrent adds WARC-Concurrent-To, when there is an id.
func (r *record) concurrent(id string) {
	if id != "" {
		r.field("WARC-Concurrent-To", "<"+id+">")
	}
}

// page adds WARC-Page-ID, when there is one.
func (r *record) page(id string) {
	if id != "" {
		r.field("WARC-Page-ID", id)
	}
}

// truncated adds WARC-Truncated (WARC 1.1 section 5.13) when the body is not
// whole.
func (r *record) truncated(why string) {
	switch why {
	case "":
	case "length", "time", "disconnect", "unspecified":
		r.field("WARC-Truncated", why)
	default:
		r.field("WARC-Truncated", "unspecified")
	}
}

// encode adds the last fields and writes the WARC header into Writer.lines.
func (w *Writer) encode(r *record) error {
	if err := r.finish(); err != nil {
		return err
	}
	r.field("Content-Length", strconv.FormatInt(int64(len(w.head))+r.size, 10))
	r.field("WARC-Block-Digest", "sha256:"+r.blockSum)
	switch {
	case r.parseable:
		r.field("WARC-Payload-Digest", "sha256:"+r.sum)
	case r.kind == kindResource:
		r.field("WARC-Payload-Digest", "sha256:"+r.blockSum)
	}
	w.lines = append(w.lines[:0], "WARC/1.1\r\n"...)
	for _, f := range w.fields {
		w.lines = appendLine(w.lines, f.Name, f.Value)
	}
	w.lines = append(w.lines, '\r', '\n')
	return r.check()
}

// appendLine appends "name: value" and the line's end.
func appendLine(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, '\r', '\n')
}

// finish adds the marks.
func (r *record) finish() error {
	b, err := json.Marshal(r.mark)
	if err != nil {
		return fmt.Errorf("encoding marks: %w", err)
	}
	if string(b) != "{}" {
		r.field("WARC-JSON-Metadata", asciiJSON(b))
	}
	return nil
}

// check applies to a finished record what WARC 1.1 sections 4 to 6 demand of
// it and what this package's reader can take.
func (r *record) check() error {
	for _, name := range single {
		n := 0
		for _, f := range r.w.fields {
			if strings.EqualFold(f.Name, name) {
				n++
			}
		}
		if n > 1 || n == 0 && slices.Contains(required(r.kind), name) {
			return fmt.Errorf("field %s occurs %d times", name, n)
		}
	}
	date := firstField(r.w.fields, "WARC-Date")
	if _, err := time.Parse(dateForm, date); err != nil {
		return fmt.Errorf("WARC-Date %q is not of four digits' years", date)
	}
	if n := max(len(r.w.lines), len(r.w.head)); n > maxHead {
		return fmt.Errorf("header of %d bytes, at most %d can be read back", n, maxHead)
	}
	return nil
}

// required are the fields that records of a type must have.
func required(kind string) []string {
	all := []string{"WARC-Type", "WARC-Record-ID", "WARC-Date", "Content-Length", "Content-Type", "WARC-Block-Digest"}
	switch kind {
	case kindResponse, kindRequest, kindResource:
		return append(all, "WARC-Target-URI", "WARC-Payload-Digest")
	case kindMetadata:
		return append(all, "WARC-Target-URI")
	}
	return all
}

// hexSum is a hash value in lower-case hex.
func hexSum(b []byte) string { return hex.EncodeToString(b) }

// asciiJSON writes every non-ASCII character of a JSON text as \u escapes.
func asciiJSON(b []byte) string {
	var sb strings.Builder
	sb.Grow(len(b))
	for _, c := range string(b) {
		switch {
		case c < 0x7f:
			sb.WriteRune(c)
		case c > 0xffff:
			c -= 0x10000
			fmt.Fprintf(&sb, `\u%04x\u%04x`, 0xd800+(c>>10), 0xdc00+(c&0x3ff))
		default:
			fmt.Fprintf(&sb, `\u%04x`, c)
		}
	}
	return sb.String()
}
