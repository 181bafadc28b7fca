package web

import (
	"context"
	"fmt"
	"time"
)

// position is what the page says of its scroll state, in CSS pixels.
type position struct {
	Y      float64 `json:"y"`
	Height float64 `json:"height"` // of the document
	View   float64 `json:"view"`   // of the window
}

// scrollTo moves the window, waits for two painted frames so that observers
// of intersections have fired, and answers with the new state. The page's own
// smooth scrolling is overridden.
const scrollTo = `(async () => {
	window.scrollTo({top: %d, left: 0, behavior: 'instant'});
	await Promise.race([
		new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))),
		new Promise(done => setTimeout(done, 1000)),
	]);
	const root = document.scrollingElement || document.documentElement;
	return {y: window.scrollY, height: root.scrollHeight, view: window.innerHeight};
})()`

// scroll goes down the page step by step, whether or not the page seems to
// react, and waits after each step for the requests that it caused. Then it
// returns to the top.
func (v *visit) scroll() {
	ctx, cancel := v.phase(v.order.Limits.ScrollMS)
	defer cancel()
	var p position
	if err := v.ask(ctx, fmt.Sprintf(scrollTo, 0), &p); err != nil {
		v.missing("scroll", err)
		return
	}
	v.journal.Step("scroll.started", "height", int(p.Height))
	first := p.Height
	steps, y := 0, 0.0
	for v.scrollOn(ctx, p, y, steps) {
		y += max(1, p.View*0.8)
		begin := v.browser.Now()
		if err := v.ask(ctx, fmt.Sprintf(scrollTo, int(y)), &p); err != nil {
			break
		}
		steps++
		v.awaitStep(ctx, begin)
		v.journal.Progress("scroll.step", "n", steps, "y", int(y))
	}
	if ctx.Err() != nil && v.work.Err() == nil {
		v.journal.Anomaly("deadline.scroll")
		v.because("deadline.scroll", fmt.Sprintf("stopped at %d of %d pixels", int(y), int(p.Height)))
	}
	v.facts.Counts.ScrollSteps = steps
	v.backToTop()
	v.countImages()
	v.journal.Step("scroll.finished", "steps", steps, "height", int(p.Height), "grown", int(p.Height-first),
		"images", v.facts.Counts.Images, "unloaded", v.facts.Counts.ImagesUnloaded)
	if n := v.facts.Counts.ImagesUnloaded; n > 0 {
		v.journal.Anomaly("images.unloaded", "count", n)
	}
}

// scrollOn decides whether there is another step to make.
func (v *visit) scrollOn(ctx context.Context, p position, y float64, steps int) bool {
	l := v.order.Limits
	switch {
	case ctx.Err() != nil || v.crashed():
		return false
	case y+p.View >= p.Height:
		return false
	case y+p.View >= float64(l.PageHeight):
		v.journal.Anomaly("limit.height", "height", l.PageHeight)
		v.because("limit.height", fmt.Sprintf("%d of %d pixels", l.PageHeight, int(p.Height)))
		return false
	case steps >= l.ScrollSteps:
		v.journal.Anomaly("limit.steps", "steps", steps)
		v.because("limit.steps", fmt.Sprint(steps))
		return false
	}
	return true
}

// awaitStep waits for the requests that were begun since the step.
func (v *visit) awaitStep(ctx context.Context, begin time.Time) {
	wait, cancel := context.WithTimeout(ctx, limit(v.order.Limits.StepMS))
	defer cancel()
	v.recorder.quiet(wait, begin, stepIdle)
}

func (v *visit) backToTop() {
	ctx, cancel := v.phase(v.order.Limits.SettleMS)
	defer cancel()
	begin := v.browser.Now()
	if err := v.ask(ctx, fmt.Sprintf(scrollTo, 0), nil); err != nil {
		v.missing("scroll", err)
		return
	}
	v.awaitStep(ctx, begin)
}

// imagesScript counts the pictures that are part of the layout, and those of
// them that have no pixels.
const imagesScript = `(() => {
	const all = [...document.images].filter(i => i.getClientRects().length > 0);
	return {images: all.length, unloaded: all.filter(i => !i.complete || i.naturalWidth === 0).length};
})()`

func (v *visit) countImages() {
	ctx, cancel := v.phase(v.order.Limits.StepMS)
	defer cancel()
	var n struct{ Images, Unloaded int }
	if err := v.ask(ctx, imagesScript, &n); err != nil {
		v.missing("images", err)
		return
	}
	v.facts.Counts.Images, v.facts.Counts.ImagesUnloaded = n.Images, n.Unloaded
}
