// Package web captures a web page with headless Chromium: everything the
// page sent, what it looked like, and under which conditions it was seen.
//
// Life of a capture: Pool.Collect inspects the machine and its clock, starts
// the guard proxy and opens one tab, in a context of its own behind that
// proxy, in a browser that may serve many captures. Every target of the
// context (tab, frame in a process of its own, worker) is held until it is
// instrumented; their events go, in order, through one queue to the recorder,
// which joins them into exchanges and spools bodies to disk while they
// arrive. The page is loaded, pictured as it first appears, scrolled step by
// step to its end and back, pictured whole, and saved as DOM, text,
// accessibility tree, MHTML and PDF. Each phase has its own deadline; what a
// deadline cuts off makes the take partial and is named in it.
//
// Where a client certificate is ordered, the guard ends the TLS of the
// connections to that one host and port (mutual.go): the browser is started
// for that capture alone, with the key to believe, and the facts tell it.
//
// Trust: the page and its server are trusted for nothing. Scripts run in
// Chromium's sandbox, as an unprivileged user, behind a proxy that dials no
// private address; our own scripts run in an isolated world that the page
// cannot see. What they may take of the machine is held by the kernel, where
// the browser may have a control group, and by looking at its processes. Whoever controls this machine can make this package lie; the
// facts it records about browser, tool, network and clock make that
// checkable, not impossible.
package web

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"guzheng/capture"
)

// ErrNoBrowser is returned when no Chromium is found.
var ErrNoBrowser = errors.New("no Chromium found")

// Browser says which browser captures and how. The zero value works and uses
// Debian's Chromium.
type Browser struct {
	Path    string              // of the Chromium binary; empty finds one
	NTP     []string            // servers the clock is compared with; empty compares with none
	Allow   []string            // host:port that may be a private address: the practice shop
	Tool    capture.Tool        // this program, for the facts
	Now     func() time.Time    // nil is capture.Now
	Listen  func(capture.Entry) // journal entries as they are made, for progress; may be nil
	extra   []string            // further switches, in tests
	roots   *x509.CertPool      // in tests: for the handshakes of a client certificate; nil are the system's
	TempDir string              // where profiles and bodies under way live; empty is the system's
}

// Collect carries out one order with a browser of its own; see Pool.Collect.
func (b Browser) Collect(ctx context.Context, order capture.Order, dir string) (capture.Take, error) {
	p := NewPool(b, 1)
	defer p.Close()
	return p.Collect(ctx, order, dir)
}
