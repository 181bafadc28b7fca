package warc

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/nlnwa/gowarc"
	"github.com/nlnwa/whatwg-url/url"
)

// A record is one record being built: a gowarc builder, the marks that go
// into WARC-JSON-Metadata, and the first fault.
type record struct {
	b    gowarc.WarcRecordBuilder
	id   string
	mark marks
	err  error
}

// marks is what the writer did to what it was given. It becomes the
// WARC-JSON-Metadata field.
type marks struct {
	Decoded bool     `json:"decoded,omitempty"` // the body is stored without its transfer and content encodings
	Altered []string `json:"altered,omitempty"` // header fields whose bytes were percent-encoded
	Dropped []string `json:"dropped,omitempty"` // WARC fields that could not be written, with their values
}

// building is held around gowarc.NewRecordBuilder: gowarc 1.6.0 sets a global
// variable of its UUID package for every record, unguarded, so that two
// Writers in one process would race. It guards nothing of ours.
var building sync.Mutex

func newBuilder(kind gowarc.RecordType, opts []gowarc.WarcRecordOption) gowarc.WarcRecordBuilder {
	building.Lock()
	defer building.Unlock()
	return gowarc.NewRecordBuilder(kind, opts...)
}

func (w *Writer) begin(kind gowarc.RecordType) *record {
	opts := []gowarc.WarcRecordOption{
		gowarc.WithStrictValidation(),
		gowarc.WithVersion(gowarc.V1_1),
		gowarc.WithDefaultDigestAlgorithm("sha256"),
		gowarc.WithDefaultDigestEncoding(gowarc.Base16),
		gowarc.WithBufferTmpDir(w.tmpDir),
		gowarc.WithBufferMaxMemBytes(maxMemory),
	}
	if kind == gowarc.Resource || kind == gowarc.Metadata {
		// Their blocks are bytes of the caller's and have no form to check.
		opts = append(opts, gowarc.WithSkipParseBlock())
	}
	rec := &record{b: newBuilder(kind, opts)}
	rec.id, rec.err = w.newID()
	rec.field(gowarc.WarcRecordID, "<"+rec.id+">")
	return rec
}

// field adds one WARC field. A value that would break the framing is
// percent-encoded and marked.
func (r *record) field(name, value string) {
	clean, altered := cleanValue(value)
	if altered {
		r.mark.Altered = append(r.mark.Altered, name)
	}
	r.b.AddWarcHeader(name, clean)
}

func (r *record) date(t time.Time) {
	r.field(gowarc.WarcDate, t.UTC().Format(dateForm))
}

// target adds WARC-Target-URI. What is no absolute URI to the WHATWG rules,
// which readers go by, is written as a urn: and marked as dropped.
func (r *record) target(uri string) {
	esc := escapeURI(uri)
	if _, err := url.Parse(esc); err != nil || esc == "" {
		r.mark.Dropped = append(r.mark.Dropped, gowarc.WarcTargetURI+": "+uri)
		esc = "urn:guzheng:uri:" + esc
	}
	r.field(gowarc.WarcTargetURI, esc)
}

// address adds WARC-IP-Address; what is no address is marked as dropped.
func (r *record) address(ip string) {
	if ip == "" {
		return
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(ip, "["), "]")
	if net.ParseIP(bare) == nil {
		r.mark.Dropped = append(r.mark.Dropped, gowarc.WarcIPAddress+": "+ip)
		return
	}
	r.field(gowarc.WarcIPAddress, bare)
}

// block appends bytes to the record's block.
func (r *record) block(p []byte) {
	if r.err == nil {
		_, r.err = r.b.Write(p)
	}
}

// stream appends body, which must hold exactly want bytes.
func (r *record) stream(body io.Reader, want int64) {
	if r.err != nil || body == nil && want == 0 {
		return
	}
	if body == nil {
		body = strings.NewReader("")
	}
	n, err := io.Copy(writerOnly{r.b}, body)
	switch {
	case err != nil:
		r.err = fmt.Errorf("reading body: %w", err)
	case n != want:
		r.err = fmt.Errorf("reading body: %d bytes, want %d", n, want)
	}
}

// writerOnly hides the builder's ReadFrom, which reads into all of its
// memory before it turns to the file.
type writerOnly struct{ io.Writer }

// finish adds the marks.
func (r *record) finish() {
	if r.err != nil || (!r.mark.Decoded && r.mark.Altered == nil && r.mark.Dropped == nil) {
		return
	}
	b, err := json.Marshal(r.mark)
	if err != nil {
		r.err = fmt.Errorf("encoding marks: %w", err)
		return
	}
	r.b.AddWarcHeader(gowarc.WarcJSONMetadata, asciiJSON(b))
}

// asciiJSON writes every non-ASCII character of a JSON text as \u escapes.
func asciiJSON(b []byte) string {
	var sb strings.Builder
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
