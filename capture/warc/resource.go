package warc

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// A Resource is bytes with a name that did not come by HTTP: an artefact, a
// note about an exchange.
type Resource struct {
	URL          string // any absolute URI, also urn: and dns:
	MediaType    string
	Time         time.Time
	Body         []byte
	ConcurrentTo string // record id as returned by Exchange, or empty
	PageID       string
	IP           string
}

// Resource appends a resource record and returns its id ("urn:uuid:…").
func (w *Writer) Resource(r Resource) (id string, err error) {
	return w.named(kindResource, r, stream{r: bytes.NewReader(r.Body), size: int64(len(r.Body))})
}

// Metadata appends a metadata record: something said about the exchange or
// page that ConcurrentTo names. Its URL must be a urn:, because some indexers
// list metadata records under their URL as if they were page content.
func (w *Writer) Metadata(r Resource) (id string, err error) {
	if len(r.URL) < 5 || r.URL[:4] != "urn:" {
		return "", fmt.Errorf("writing metadata record for %q: not a urn", short(r.URL))
	}
	return w.named(kindMetadata, r, stream{r: bytes.NewReader(r.Body), size: int64(len(r.Body))})
}

// DNS appends what the resolver at the address server (with or without port,
// empty when it is not known) answered about host: a resource record of type
// text/dns (RFC 4027) for dns:host (RFC 4501), as crawlers write it. text is
// one line with the time as 14 digits in UTC, then the resource records in
// the form of a zone file.
func (w *Writer) DNS(host string, at time.Time, server string, text []byte, pageID string) (id string, err error) {
	if with, err := netip.ParseAddrPort(server); err == nil {
		server = with.Addr().String()
	}
	return w.Resource(Resource{URL: "dns:" + host, MediaType: "text/dns", Time: at, IP: server, PageID: pageID, Body: text})
}

// A stream is a body whose length is known.
type stream struct {
	r         io.Reader
	size      int64
	truncated string
}

// named writes a record that is not an HTTP message; the Body of r is not
// looked at.
func (w *Writer) named(kind string, r Resource, body stream) (string, error) {
	rec := w.begin(kind)
	rec.date(r.Time)
	rec.target(r.URL)
	mt := r.MediaType
	if mt == "" {
		mt = "application/octet-stream"
	}
	rec.field("Content-Type", mt)
	rec.field("WARC-Warcinfo-ID", "<"+w.info+">")
	rec.concurrent(r.ConcurrentTo)
	rec.address(r.IP)
	rec.page(r.PageID)
	rec.truncated(body.truncated)
	rec.body, rec.size, rec.packed = body.r, body.size, packedType(mt)
	if err := w.append(rec); err != nil {
		return "", fmt.Errorf("writing %s record for %s: %w", kind, short(r.URL), err)
	}
	return rec.id, nil
}
