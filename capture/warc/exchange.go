package warc

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/nlnwa/gowarc"
)

// A Field is one header field as it was sent. Order, case and duplicates are
// kept.
type Field struct{ Name, Value string }

// An Exchange is one request and what came back.
type Exchange struct {
	URL string // absolute; percent-encoded here where needed, its fragment is left out

	Method        string
	RequestTarget string  // as sent; empty is path and query of URL (RFC 9112 section 3.2.1)
	RequestHeader []Field // pseudo fields of HTTP/2 are left out; :authority becomes Host when there is none
	RequestBody   []byte

	Status    int
	Reason    string // phrase of the status line; HTTP/2 has none
	Header    []Field
	Protocol  string    // as the browser names it: "h2", "h3", "http/1.1", "http/1.0"
	Body      io.Reader // read once, to its end; nil is an empty body
	BodyBytes int64     // how many bytes Body holds; checked

	Time         time.Time // when the response came, or when the attempt ended
	RequestTime  time.Time // when the request was sent; zero is Time
	IP           string    // address that answered, without port
	PageID       string
	ResourceType string // lower-case CDP type: document, image, xhr, …
	TLSProtocol  string // "TLS 1.3"; empty without TLS
	Cipher       string // cipher suite as the browser names it

	// Truncated says why the body is not whole: "", "length", "time",
	// "disconnect" or "unspecified" (WARC 1.1 section 5.13).
	Truncated string

	// Decoded says that Body holds the bytes after its transfer and content
	// encodings were taken off. Content-Encoding, Transfer-Encoding and
	// Content-Length are then renamed to x-orig-…, and a Content-Length of
	// the stored bytes is added; nothing is renamed when nothing differs.
	Decoded bool

	// NoResponse says that nothing came back. Only the request is written,
	// and a metadata record with Failure beside it.
	NoResponse bool
	Failure    string // why, as the browser says it: "net::ERR_CONNECTION_RESET"
}

// Exchange appends a response record and the request record that belongs to
// it, and returns the id of the response ("urn:uuid:…"). When there was no
// response it returns the id of the request. When Body cannot be read or has
// another length than BodyBytes, nothing is appended and the Writer stays
// usable.
func (w *Writer) Exchange(e Exchange) (responseID string, err error) {
	if e.NoResponse {
		return w.attempt(e)
	}
	rec := w.begin(gowarc.Response)
	w.exchangeFields(rec, e, e.Time)
	rec.field(gowarc.ContentType, "application/http; msgtype=response")
	switch e.Truncated {
	case "":
	case "length", "time", "disconnect", "unspecified":
		rec.field(gowarc.WarcTruncated, e.Truncated)
	default:
		rec.field(gowarc.WarcTruncated, "unspecified")
	}
	rec.mark.Decoded = e.Decoded
	rec.block(rec.responseHead(e))
	rec.stream(e.Body, e.BodyBytes)
	if err := w.append(rec); err != nil {
		return "", fmt.Errorf("writing response of %s: %w", e.URL, err)
	}
	if _, err := w.request(e, rec.id); err != nil {
		return rec.id, err
	}
	return rec.id, nil
}

// attempt records a request that got no response.
func (w *Writer) attempt(e Exchange) (string, error) {
	id, err := w.request(e, "")
	if err != nil {
		return "", err
	}
	why, _ := cleanValue(e.Failure)
	_, err = w.Metadata(Resource{
		URL: "urn:guzheng:no-response:" + withoutFragment(e.URL), MediaType: gowarc.ApplicationWarcFields,
		Time: e.Time, ConcurrentTo: id, PageID: e.PageID, IP: e.IP,
		Body: []byte("outcome: no response\r\nreason: " + why + "\r\n"),
	})
	return id, err
}

// request writes the request record.
func (w *Writer) request(e Exchange, response string) (string, error) {
	at := e.RequestTime
	if at.IsZero() {
		at = e.Time
	}
	rec := w.begin(gowarc.Request)
	w.exchangeFields(rec, e, at)
	rec.field(gowarc.ContentType, "application/http; msgtype=request")
	if response != "" {
		rec.field(gowarc.WarcConcurrentTo, "<"+response+">")
	}
	rec.block(rec.requestHead(e))
	rec.block(e.RequestBody)
	if err := w.append(rec); err != nil {
		return "", fmt.Errorf("writing request of %s: %w", e.URL, err)
	}
	return rec.id, nil
}

// exchangeFields adds the WARC fields that response and request share.
func (w *Writer) exchangeFields(rec *record, e Exchange, at time.Time) {
	rec.date(at)
	rec.target(withoutFragment(e.URL))
	rec.field(gowarc.WarcWarcinfoID, "<"+w.info+">")
	rec.address(e.IP)
	if e.PageID != "" {
		rec.field(gowarc.WarcPageID, e.PageID)
	}
	if e.ResourceType != "" {
		rec.field(gowarc.WarcResourceType, strings.ToLower(e.ResourceType))
	}
	if e.Protocol != "" {
		rec.field("WARC-Protocol", strings.ToLower(e.Protocol))
	}
	if e.TLSProtocol != "" {
		rec.field("WARC-Protocol", strings.ReplaceAll(strings.ToLower(e.TLSProtocol), " ", "/"))
	}
	if e.Cipher != "" {
		rec.field("WARC-Cipher-Suite", e.Cipher)
	}
}

// responseHead is the status line and header of the response. HTTP/2 and
// HTTP/3 are written in the form of HTTP/1.1, as readers expect; the protocol
// spoken is in WARC-Protocol.
func (r *record) responseHead(e Exchange) []byte {
	var b bytes.Buffer
	reason, altered := cleanValue(e.Reason)
	if altered {
		r.mark.Altered = append(r.mark.Altered, "reason-phrase")
	}
	fmt.Fprintf(&b, "%s %03d %s\r\n", version(e.Protocol), e.Status, reason)
	rename := e.Decoded && differs(e.Header, e.BodyBytes)
	for _, f := range e.Header {
		if strings.HasPrefix(f.Name, ":") {
			continue
		}
		if rename && describesEncoding(f.Name) {
			f.Name = "x-orig-" + strings.ToLower(f.Name)
		}
		r.headerLine(&b, f)
	}
	if rename {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", e.BodyBytes)
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// requestHead is the request line and header.
func (r *record) requestHead(e Exchange) []byte {
	var b bytes.Buffer
	target := e.RequestTarget
	if target == "" {
		target = originForm(e.URL)
	}
	method, altered := cleanName(e.Method)
	if method == "" {
		method = "GET"
	}
	if altered {
		r.mark.Altered = append(r.mark.Altered, "method")
	}
	fmt.Fprintf(&b, "%s %s %s\r\n", method, escapeURI(target), version(e.Protocol))
	host := hasField(e.RequestHeader, "host")
	for _, f := range e.RequestHeader {
		if strings.HasPrefix(f.Name, ":") {
			if host || !strings.EqualFold(f.Name, ":authority") {
				continue
			}
			f.Name, host = "Host", true // RFC 9113 section 8.3.1
		}
		r.headerLine(&b, f)
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// headerLine writes one field so that it stays one line.
func (r *record) headerLine(b *bytes.Buffer, f Field) {
	name, n := cleanName(f.Name)
	value, v := cleanValue(f.Value)
	if name == "" {
		name, n = "x-unnamed", true
	}
	if n || v {
		r.mark.Altered = append(r.mark.Altered, name)
	}
	b.WriteString(name)
	b.WriteString(": ")
	b.WriteString(value)
	b.WriteString("\r\n")
}

// describesEncoding reports whether the field is about the bytes on the
// wire.
func describesEncoding(name string) bool {
	switch strings.ToLower(name) {
	case "content-encoding", "transfer-encoding", "content-length":
		return true
	}
	return false
}

// differs reports whether a decoded body no longer fits its header.
func differs(header []Field, stored int64) bool {
	lengths := 0
	for _, f := range header {
		if !describesEncoding(f.Name) {
			continue
		}
		if !strings.EqualFold(f.Name, "content-length") || f.Value != strconv.FormatInt(stored, 10) {
			return true
		}
		lengths++
	}
	return lengths != 1
}

func hasField(header []Field, name string) bool {
	for _, f := range header {
		if strings.EqualFold(f.Name, name) {
			return true
		}
	}
	return false
}

// version is the protocol as it stands in a message in HTTP/1.1 form.
func version(protocol string) string {
	if strings.EqualFold(protocol, "http/1.0") {
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}
