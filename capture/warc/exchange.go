package warc

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Field is one header field as it was sent. Order, case and duplicates are
// kept.
type Field struct{ Name, Value string }

// WithheldValue stands for the value of a header field that was withheld.
const WithheldValue = "[withheld]"

// An Exchange is one request and what came back.
type Exchange struct {
	URL string // absolute; percent-encoded here where needed, its fragment is left out

	Method        string
	RequestTarget string  // as sent; empty is path and query of URL (RFC 9112 section 3.2.1)
	RequestHeader []Field // pseudo fields of HTTP/2 are left out; :authority becomes Host when there is none
	RequestBody   []byte
	// Withheld names request header fields, in any case, that hold secrets of
	// the operator, such as Authorization. WithheldValue is written instead of
	// their values, and WARC-JSON-Metadata names them.
	Withheld []string

	Status   int
	Reason   string // phrase of the status line; HTTP/2 has none
	Header   []Field
	Protocol string // as the browser names it: "h2", "h3", "http/1.1", "http/1.0"

	// Body is read to its end; nil is an empty body. An io.Seeker, such as an
	// open file, is read twice from where it stands and never copied; of
	// anything else what is above 1 MiB is copied to a temporary file.
	Body      io.Reader
	BodyBytes int64 // how many bytes Body holds; checked
	// BodySHA256 is the SHA-256 value of Body in lower-case hex, when the
	// caller took it as the bytes arrived. It becomes the payload digest
	// without Body being hashed for it again: should Body have changed since,
	// every reader of the file will tell. Empty has it computed.
	BodySHA256 string

	Time         time.Time // when the response came, or when the attempt ended
	RequestTime  time.Time // when the request was sent; zero is Time
	IP           string    // address that answered, without port
	PageID       string
	ResourceType string // lower-case CDP type: document, image, xhr, …
	TLSProtocol  string // "TLS 1.3"; empty without TLS
	Cipher       string // cipher suite as whoever shook hands names it, mostly the browser

	// Truncated says why the body is not whole: "", "length", "time",
	// "disconnect" or "unspecified" (WARC 1.1 section 5.13).
	Truncated string

	// Decoded says that Body holds the bytes after its transfer and content
	// encodings were taken off. Content-Encoding, Transfer-Encoding and
	// Content-Length are then renamed to x-orig-…, and a Content-Length of
	// the stored bytes is added. Nothing is renamed when nothing differs, and
	// nothing in a response that has no body by its kind (RFC 9112 section
	// 6.3): to HEAD, and with status 1xx, 204 and 304.
	Decoded bool

	// Meta is what the browser told of the exchange; the record of the
	// response has it, or that of the request when there was no response.
	Meta Meta

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
	rec := w.begin(kindResponse)
	rec.exchangeFields(e, e.Time)
	rec.field("Content-Type", "application/http; msgtype=response")
	rec.truncated(e.Truncated)
	rec.mark.Decoded, rec.mark.Meta = e.Decoded && !bodiless(e), e.Meta.clean()
	rec.responseHead(e)
	rec.body, rec.size, rec.sum, rec.parseable = e.Body, e.BodyBytes, e.BodySHA256, true
	rec.packed = packed(e.Header, e.Decoded)
	if err := w.append(rec); err != nil {
		return "", fmt.Errorf("writing response of %s: %w", short(e.URL), err)
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
		URL: "urn:guzheng:no-response:" + withoutFragment(e.URL), MediaType: mediaFields,
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
	rec := w.begin(kindRequest)
	rec.exchangeFields(e, at)
	rec.field("Content-Type", "application/http; msgtype=request")
	rec.concurrent(response)
	if e.NoResponse {
		rec.mark.Meta = e.Meta.clean()
	}
	rec.requestHead(e)
	rec.body, rec.size, rec.parseable = bytes.NewReader(e.RequestBody), int64(len(e.RequestBody)), true
	rec.packed = packed(e.RequestHeader, false)
	if err := w.append(rec); err != nil {
		return "", fmt.Errorf("writing request of %s: %w", short(e.URL), err)
	}
	return rec.id, nil
}

// exchangeFields adds the WARC fields that response and request share.
func (r *record) exchangeFields(e Exchange, at time.Time) {
	r.date(at)
	r.target(withoutFragment(e.URL))
	r.field("WARC-Warcinfo-ID", "<"+r.w.info+">")
	r.address(e.IP)
	r.page(e.PageID)
	if e.ResourceType != "" {
		r.field("WARC-Resource-Type", strings.ToLower(e.ResourceType))
	}
	if e.Protocol != "" {
		r.field("WARC-Protocol", strings.ToLower(e.Protocol))
	}
	if e.TLSProtocol != "" {
		r.field("WARC-Protocol", strings.ReplaceAll(strings.ToLower(e.TLSProtocol), " ", "/"))
	}
	if e.Cipher != "" {
		r.field("WARC-Cipher-Suite", e.Cipher)
	}
}

// responseHead is the status line and header of the response. HTTP/2 and
// HTTP/3 are written in the form of HTTP/1.1, as readers expect; the protocol
// spoken is in WARC-Protocol.
func (r *record) responseHead(e Exchange) {
	reason, altered := cleanValue(e.Reason)
	if altered {
		r.mark.Altered = append(r.mark.Altered, "reason-phrase")
	}
	r.w.head = fmt.Appendf(r.w.head, "%s %03d %s\r\n", version(e.Protocol), e.Status, reason)
	rename := e.Decoded && !bodiless(e) && differs(e.Header, e.BodyBytes)
	for _, f := range e.Header {
		if strings.HasPrefix(f.Name, ":") {
			continue
		}
		if rename && describesEncoding(f.Name) {
			f.Name = "x-orig-" + strings.ToLower(f.Name)
		}
		r.headerLine(f)
	}
	if rename {
		r.w.head = fmt.Appendf(r.w.head, "Content-Length: %d\r\n", e.BodyBytes)
	}
	r.w.head = append(r.w.head, '\r', '\n')
}

// requestHead is the request line and header.
func (r *record) requestHead(e Exchange) {
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
	r.w.head = fmt.Appendf(r.w.head, "%s %s %s\r\n", method, escapeURI(target), version(e.Protocol))
	host := hasField(e.RequestHeader, "host")
	for _, f := range e.RequestHeader {
		if strings.HasPrefix(f.Name, ":") {
			if host || !strings.EqualFold(f.Name, ":authority") {
				continue
			}
			f.Name, host = "Host", true // RFC 9113 section 8.3.1
		}
		if contains(e.Withheld, f.Name) {
			f.Value = WithheldValue
			if !contains(r.mark.Withheld, f.Name) {
				r.mark.Withheld = append(r.mark.Withheld, f.Name)
			}
		}
		r.headerLine(f)
	}
	r.w.head = append(r.w.head, '\r', '\n')
}

// headerLine writes one field so that it stays one line.
func (r *record) headerLine(f Field) {
	name, n := cleanName(f.Name)
	value, v := cleanValue(f.Value)
	if name == "" {
		name, n = "x-unnamed", true
	}
	if n || v {
		r.mark.Altered = append(r.mark.Altered, name)
	}
	r.w.head = appendLine(r.w.head, name, value)
}

// bodiless reports whether the response has no body whatever its header says
// (RFC 9112 section 6.3). Should one have come nevertheless, it counts.
func bodiless(e Exchange) bool {
	return e.BodyBytes == 0 && (e.Method == "HEAD" || e.Status >= 100 && e.Status < 200 || e.Status == 204 || e.Status == 304)
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

// contains reports whether name is one of names, in any case.
func contains(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
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
