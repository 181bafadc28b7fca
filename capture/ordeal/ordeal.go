// Package ordeal is a server of pages that misbehave, for tests and for
// training: the 64 behaviours that a capture has to survive, each with the
// outcome that is truthful for it. Cases lists them, Start opens them on
// loopback addresses of this machine.
//
// Life of an ordeal: Start makes the certificates and opens the listeners:
// two plain ones of different sites, five with TLS, one that speaks HTTP/2
// frame by frame, one that writes its answers to the wire by hand, a port
// that refuses every connection, and the victim, which no capture may reach.
// A caller captures Server.Address of each case, having permitted
// Server.Hosts and nothing else, and holds what came of it against the case.
// Served tells what was asked for, Victim whether the wall held. Close ends
// every answer that would never end by itself.
//
// Trust: nobody has to be trusted by this package. It listens on loopback
// only, keeps nothing and reads nothing but requests. A page of it can waste
// a browser's time and memory without limit, and the server's only while a
// client reads; it must not be served to anybody who did not ask for it. The
// pages of case 64 ask for private addresses beyond this machine, and a browser
// without a wall in front of it does send these requests.
package ordeal

import (
	"cmp"
	"fmt"
	"slices"
)

// The states a capture ends with, as capture.State spells them. The package
// is the world outside and shares no code with what captures it.
const (
	Complete = "complete"
	Partial  = "partial"
	Failed   = "failed"
)

// A Place is a listener, or the lack of one, that a case is met at.
type Place int

// The places.
const (
	Plain      Place = iota // HTTP/1.1 on 127.0.0.1
	Foreign                 // HTTP/1.1 on 127.0.0.2: another site
	Wire                    // TCP on 127.0.0.1, answers written by hand
	Secure                  // HTTP/2 over TLS, with the key that TrustedKey names
	Frames                  // the same key; HTTP/2 written frame by frame
	SelfSigned              // TLS with a certificate of no authority
	Expired                 // TLS with a certificate that ended in 2020
	WrongHost               // TLS with a certificate for another name
	Closed                  // a port that refuses every connection
	SixOnly                 // the same on [::1]
	Nowhere                 // a name that does not resolve (RFC 6761 section 6.4)
)

// A Case is one behaviour, or one variant of it, with what a truthful capture
// makes of it.
type Case struct {
	Number int    // 1 to 64, as in the table of hostile behaviours; variants share it
	Name   string // kebab-case, unique
	Place  Place
	Path   string // on the listener of Place

	State   string   // that the capture ends with: Complete, Partial or Failed
	Or      string   // another state that is as truthful, where timing or the browser's version decides; "" is none
	Reasons []string // codes of which one at least is among the reasons; unless the capture ended complete
	Anomaly string   // code of a journal entry that must be there, of any kind; "" demands none

	Text    string   // stands in the kept text or its lines; "" demands nothing
	NoText  string   // stands in neither
	Title   string   // is the recorded title, or its beginning
	Asked   []string // paths that have been asked for when the capture is over
	Unasked []string // paths that must never have been asked for

	Twice  bool // to be ordered with a second look
	Accept bool // to be ordered with invalid certificates accepted
	Heavy  bool // wears out time or memory: what comes next must be captured as if nothing had been
}

// Cases returns every case, ordered by number.
func Cases() []Case {
	all := slices.Concat(navigation(), network(), connections(), codings(), gates(), load(), layout(), content())
	for i := range all {
		if all[i].Path == "" {
			all[i].Path = fmt.Sprintf("/%d/%s", all[i].Number, all[i].Name)
		}
	}
	slices.SortStableFunc(all, func(a, b Case) int { return cmp.Compare(a.Number, b.Number) })
	return all
}

// codes is a short way to write a list.
func codes(c ...string) []string { return c }

// cut returns the codes of an answer that a limit or its end cut off.
func cut() []string {
	return codes("body.truncated", "limit.body", "limit.total", "deadline.navigate", "deadline.total")
}

// stuck returns the codes of a page that does not let go of the processor or
// of memory.
func stuck() []string {
	return codes("deadline.navigate", "deadline.artefact", "deadline.scroll", "deadline.total",
		"page.crashed", "browser.crashed", "limit.memory", "limit.processes")
}
