// Package warctest lets another hand read a WARC file, for tests that compare
// what was recorded with what a server says it sent.
//
// Life of a reading: Traffic has gowarc read the file with all its strictness,
// recompute every digest, and pairs requests with their responses.
//
// Trust: gowarc panics on some broken files; it is given those of our own
// writer only.
package warctest

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/nlnwa/gowarc"
)

// A Line is one exchange as it was recorded.
type Line struct {
	Method  string
	URL     string // as in WARC-Target-URI
	Status  int    // 0 when there was no response
	Payload string // "sha256:<hex>" of the response's body as stored; empty without a response
}

// Traffic returns the exchanges of a gzipped WARC file in the order of their
// requests. Anything that gowarc objects to fails the test.
func Traffic(t testing.TB, file string) []Line {
	t.Helper()
	r, err := gowarc.NewWarcFileReader(file, 0, gowarc.WithStrictValidation(), gowarc.WithBufferTmpDir(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out []Line
	responses := map[string]Line{}
	for {
		rec, offset, faults, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil || !faults.Valid() {
			t.Fatalf("record at byte %d: %v %v", offset, err, faults)
		}
		l, id := line(t, rec)
		switch {
		case rec.Type() == gowarc.Response:
			responses[id] = l
		case rec.Type() == gowarc.Request:
			answer := responses[rec.WarcHeader().GetId(gowarc.WarcConcurrentTo)]
			l.Status, l.Payload = answer.Status, answer.Payload
			out = append(out, l)
		}
		if err := rec.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// line is what one record tells of an exchange, and its id.
func line(t testing.TB, rec gowarc.WarcRecord) (Line, string) {
	t.Helper()
	h := rec.WarcHeader()
	l := Line{URL: h.Get(gowarc.WarcTargetURI)}
	b, ok := rec.Block().(gowarc.PayloadBlock)
	if !ok {
		return l, rec.RecordId()
	}
	if got, want := b.BlockDigest(), h.Get(gowarc.WarcBlockDigest); got != want {
		t.Errorf("%s: block is %s, claimed %s", l.URL, got, want)
	}
	if got, want := b.PayloadDigest(), h.Get(gowarc.WarcPayloadDigest); got != want {
		t.Errorf("%s: payload is %s, claimed %s", l.URL, got, want)
	}
	switch b := b.(type) {
	case gowarc.HttpResponseBlock:
		l.Status, l.Payload = b.HttpStatusCode(), b.PayloadDigest()
	case gowarc.HttpRequestBlock:
		l.Method, _, _ = strings.Cut(string(b.ProtocolHeaderBytes()), " ")
	}
	return l, rec.RecordId()
}
