package web

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"

	"guzheng/capture"
)

// Waiting for quiet: long enough for a script to ask for the next thing,
// short enough not to be the longest part of a visit.
const (
	settleIdle = 120 * time.Millisecond
	stepIdle   = 25 * time.Millisecond
)

// navigate asks for the page and waits for its load event and for quiet. It
// reports whether there is a page to record.
func (v *visit) navigate() bool {
	v.journal.Step("page.navigate", "url", v.order.URL)
	start := v.now()
	ctx, cancel := v.phase(v.order.Limits.NavigateMS)
	defer cancel()
	res, err := v.request(ctx)
	switch {
	case err != nil && v.work.Err() != nil:
		v.nothing() // why is told where the visit ends
		return false
	case err != nil && ctx.Err() == nil:
		v.unreached(err.Error())
		return false
	case err != nil:
		v.navigateLate(ctx)
	case res.ErrorText != "" || res.IsDownload:
		return v.notShown(res)
	}
	v.noteResponse()
	loaded := err == nil && v.awaitLoad(ctx)
	if err == nil && !loaded && v.unshowable(ctx) || !v.answered() {
		return false
	}
	if loaded {
		v.journal.Step("page.loaded", "ms", v.now().Sub(start).Milliseconds())
	}
	v.settlePage()
	return true
}

// request asks for the page, and once more when the certificate does not hold
// and the order permits that.
func (v *visit) request(ctx context.Context) (page.NavigateResult, error) {
	res, err := cdp.Call(ctx, v.session, page.Navigate, page.NavigateParams{URL: v.order.URL})
	if err == nil && strings.Contains(res.ErrorText, "ERR_CERT_") {
		res.ErrorText = v.refusedCertificate(res.ErrorText)
		if v.order.AcceptInvalidTLS {
			return v.navigateAnyway(ctx)
		}
	}
	return res, err
}

// unshowable deals with a document that did not load, and reports whether
// there is nothing of it to show.
func (v *visit) unshowable(ctx context.Context) bool {
	switch {
	case v.crashed():
		return true
	case ctx.Err() != nil:
		v.navigateLate(ctx)
		return false
	}
	return v.answered() && v.broken()
}

// unreached makes the take a failed one because the page could not be had.
func (v *visit) unreached(reason string) {
	v.fail("navigate.failed", reason)
	v.journal.Anomaly("navigate.failed", "reason", reason)
}

// answered reports whether the server answered at all, and makes the take a
// failed one if not.
func (v *visit) answered() bool {
	if v.facts.Status == 0 {
		v.noteResponse()
	}
	switch {
	case v.facts.Status != 0:
		return true
	case v.work.Err() != nil:
		v.nothing() // why is told where the visit ends
	default:
		v.unreached("no answer from the server")
	}
	return false
}

// settlePage waits for quiet, and again when the page moved on by itself:
// the new document has to load too.
func (v *visit) settlePage() {
	quiet, stop := v.phase(v.order.Limits.SettleMS)
	defer stop()
	n := v.recorder.quiet(quiet, time.Time{}, settleIdle)
	v.journal.Step("page.settled", "inflight", n)
	if v.moved() {
		again, end := v.phase(v.order.Limits.SettleMS)
		defer end()
		v.awaitLoad(again)
		v.recorder.quiet(again, time.Time{}, settleIdle)
	}
}

// broken deals with a document whose body broke, and reports whether there is
// nothing of it to show: the browser paints no page without an element.
func (v *visit) broken() bool {
	v.journal.Anomaly("page.broken")
	ctx, cancel := v.phase(v.order.Limits.StepMS)
	defer cancel()
	var there bool
	err := v.ask(ctx, `document.body !== null`, &there)
	switch {
	case err == nil && there:
		return false
	case v.work.Err() == nil:
		v.fail("page.broken", "")
	} // otherwise why there is nothing is told where the visit ends
	return true
}

// navigateLate notes that the page did not load in time; a visit that was
// ended from outside is told elsewhere.
func (v *visit) navigateLate(ctx context.Context) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		v.journal.Anomaly("deadline.navigate")
		v.because("deadline.navigate", capture.MS(v.order.Limits.NavigateMS).String())
	}
}

// notShown deals with an answer that is no page: an error of the connection,
// a download, an empty answer.
func (v *visit) notShown(res page.NavigateResult) bool {
	v.noteResponse()
	status := v.facts.Status
	switch {
	case strings.Contains(res.ErrorText, "ERR_TOO_MANY_REDIRECTS"):
		v.fail("redirect.loop", res.ErrorText)
		v.journal.Anomaly("redirect.loop")
	case status == 204 || status == 205 || status == 304:
		v.fail("no.content", res.ErrorText)
		v.journal.Anomaly("no.content", "status", status)
	case res.IsDownload || status >= 200 && status < 300:
		v.journal.Anomaly("page.download", "url", v.order.URL, "media_type", v.facts.ContentType)
		v.because("page.download", v.facts.ContentType)
	case strings.Contains(res.ErrorText, "ERR_CERT_"):
		v.fail("certificate.invalid", res.ErrorText)
	case v.refused():
		v.fail("address.refused", res.ErrorText)
		v.journal.Anomaly("address.refused", "url", v.order.URL)
	default:
		why := res.ErrorText
		if more := v.guard.trouble(keyOf(v.order.URL)); more != "" {
			why += ": " + more
		} else if v.wantsCertificate(why) {
			why += ": the server asks for a client certificate"
		}
		v.unreached(why)
	}
	return false
}

// refused reports whether the guard refused the last document asked for.
func (v *visit) refused() bool {
	hops := v.recorder.mainHops()
	if len(hops) == 0 {
		return false
	}
	u, err := parseAddress(hops[len(hops)-1].sent.Request.URL)
	return err == nil && v.guard.refusedHost(dialKey(u))
}

// noteResponse reads the answer of the document that was asked for.
func (v *visit) noteResponse() {
	hops := v.recorder.mainHops()
	if len(hops) == 0 {
		return
	}
	shown := v.shown(hops)
	v.recorder.mu.Lock()
	last := hops[shown]
	status := last.status()
	contentType := last.header("Content-Type")
	address := last.sent.Request.URL
	v.recorder.mu.Unlock()
	if status == 0 || v.facts.Status != 0 && v.facts.Status == status {
		return
	}
	v.facts.Status, v.facts.ContentType = status, contentType
	v.journal.Step("page.response", "url", address, "status", status)
	if status >= 400 {
		v.journal.Anomaly("status.error", "status", status)
	}
}

// shown returns which of the documents asked for is the one on display: the
// last answered one of the loader that the frame shows, or, when nothing is
// shown, the last that was answered at all.
func (v *visit) shown(hops []*hop) int {
	v.mu.Lock()
	loader := v.page.loader
	v.mu.Unlock()
	v.recorder.mu.Lock()
	defer v.recorder.mu.Unlock()
	answered := len(hops) - 1
	for i, h := range hops {
		if h.status() != 0 {
			answered = i
		}
	}
	for i := len(hops) - 1; i >= 0; i-- {
		if loader != "" && hops[i].sent.LoaderID == loader && hops[i].status() != 0 {
			return i
		}
	}
	return answered
}

// awaitLoad waits until the document shown has loaded.
func (v *visit) awaitLoad(ctx context.Context) bool {
	for {
		v.mu.Lock()
		done := v.page.loader != "" && v.page.loads[v.page.loader]
		over := v.page.crashed || v.page.stopped
		signal := v.signal
		v.mu.Unlock()
		if done || over {
			return done
		}
		select {
		case <-ctx.Done():
			return false
		case <-signal:
		}
	}
}

func (v *visit) crashed() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.page.crashed
}

func (v *visit) moved() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.page.moves > 0
}
