// Package web captures a web page with headless Chromium: everything the
// page sent, what it looked like, and under which conditions it was seen.
//
// Life of a capture: Browser.Collect inspects the machine and its clock,
// starts the guard proxy and a browser with an empty profile behind it,
// opens one tab in a context of its own, and lets the recorder follow its
// traffic. The page is loaded, pictured as it first appears, scrolled step by
// step to its end and back, pictured whole, and saved as DOM, text, MHTML
// and PDF. Each phase has its own deadline; what a deadline cuts off makes
// the take partial and is named in it.
//
// Trust: the page and its server are trusted for nothing. Scripts run in
// Chromium's sandbox, as an unprivileged user, behind a proxy that dials no
// private address; our own scripts run in an isolated world that the page
// cannot see. Whoever controls this machine can make this package lie; the
// facts it records about browser, tool, network and clock make that
// checkable, not impossible.
package web

import (
	"context"
	"errors"
	"fmt"
	"time"

	"guzheng/capture"
)

// ErrNoBrowser is returned when no Chromium is found.
var ErrNoBrowser = errors.New("no Chromium found")

// Browser captures web pages. The zero value works and uses Debian's
// Chromium.
type Browser struct {
	Path    string              // of the Chromium binary; empty finds one
	NTP     []string            // servers the clock is compared with; empty compares with none
	Allow   []string            // host:port that may be a private address: the practice shop
	Tool    capture.Tool        // this program, for the facts
	Now     func() time.Time    // nil is capture.Now
	Listen  func(capture.Entry) // journal entries as they are made, for progress; may be nil
	extra   []string            // further switches, in tests
	TempDir string              // where the browser's profile lives while it runs; empty is the system's
}

// Collect carries out the order and returns the closed take in dir, which
// must not exist. The error is nil whenever there is a take to keep, also a
// partial or failed one; an error means that nothing could be recorded.
func (b Browser) Collect(ctx context.Context, order capture.Order, dir string) (capture.Take, error) {
	if err := order.Check(); err != nil {
		return capture.Take{}, err
	}
	if b.Now == nil {
		b.Now = capture.Now
	}
	path, err := FindChromium(b.Path)
	if err != nil {
		return capture.Take{}, err
	}
	d, err := capture.OpenDir(dir, order, b.Now, b.Listen)
	if err != nil {
		return capture.Take{}, err
	}
	v := &visit{browser: b, path: path, d: d, order: order, journal: d.Journal()}
	v.facts.Format = capture.FactsFormat
	if err := v.run(ctx); err != nil {
		return capture.Take{}, fmt.Errorf("capturing %s: %w", order.URL, err)
	}
	return d.Close(v.state(), v.reasons)
}
