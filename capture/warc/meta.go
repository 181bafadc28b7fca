package warc

import (
	"math"
	"slices"
	"strings"
)

// maxNote bounds the texts of Meta and in errors, in bytes: a data: URL may
// have megabytes.
const maxNote = 4096

// Meta is what the browser tells of an exchange and HTTP does not show. It
// goes into WARC-JSON-Metadata. The zero value says nothing; texts above 4 KiB
// are cut and end in "…" then.
type Meta struct {
	Initiator *Initiator `json:"initiator,omitempty"` // what made the browser ask
	Timing    *Timing    `json:"timing,omitempty"`
	// Transferred is how many bytes came over the connection for the response,
	// header and encodings included; nil when it is not known.
	Transferred *int64 `json:"transferred,omitempty"`
	// Cache says that no connection was made for the response, which came out
	// of "memory", "disk" or "prefetch".
	Cache         string `json:"cache,omitempty"`
	ServiceWorker bool   `json:"service_worker,omitempty"` // a service worker of the page answered
	// Certificate is the SHA-256 value of the server's certificate (DER), hex.
	Certificate string `json:"certificate,omitempty"`
	// Chain is the paths, in the take, of the certificates that the server
	// sent, its own first.
	Chain []string `json:"chain,omitempty"`
	Frame string   `json:"frame,omitempty"` // the browser's id of the frame that asked
}

// An Initiator is what made the browser ask.
type Initiator struct {
	Type string `json:"type"`           // as the browser says it: parser, script, preload, preflight, other, …
	URL  string `json:"url,omitempty"`  // of the document or script
	Line int    `json:"line,omitempty"` // in it, from 1
}

// Timing is where the time of an exchange went, in milliseconds. What did not
// take place or is not known is 0.
type Timing struct {
	Blocked float64 `json:"blocked,omitempty"` // waiting for a connection
	DNS     float64 `json:"dns,omitempty"`
	Connect float64 `json:"connect,omitempty"` // TLS included
	TLS     float64 `json:"tls,omitempty"`
	Send    float64 `json:"send,omitempty"`
	Wait    float64 `json:"wait,omitempty"` // from the request's end to the response's first byte
	Receive float64 `json:"receive,omitempty"`
}

// clean is a copy that can be encoded and is of bounded size.
func (m Meta) clean() Meta {
	if i := m.Initiator; i != nil {
		m.Initiator = &Initiator{Type: short(i.Type), URL: short(i.URL), Line: i.Line}
	}
	if t := m.Timing; t != nil {
		m.Timing = &Timing{Blocked: millis(t.Blocked), DNS: millis(t.DNS), Connect: millis(t.Connect), TLS: millis(t.TLS),
			Send: millis(t.Send), Wait: millis(t.Wait), Receive: millis(t.Receive)}
	}
	m.Cache, m.Certificate, m.Frame = short(m.Cache), short(m.Certificate), short(m.Frame)
	m.Chain = slices.Clone(m.Chain[:min(len(m.Chain), 32)])
	for i, c := range m.Chain {
		m.Chain[i] = short(c)
	}
	return m
}

// short is at most the first maxNote bytes of a text.
func short(s string) string {
	if len(s) <= maxNote {
		return s
	}
	return strings.ToValidUTF8(s[:maxNote], "") + "…"
}

// millis rounds to microseconds. Browsers say -1 for what did not take place,
// and JSON has no NaN.
func millis(x float64) float64 {
	if !(x > 0 && x < 1e12) {
		return 0
	}
	return math.Round(x*1000) / 1000
}
