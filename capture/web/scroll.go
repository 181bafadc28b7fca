package web

import (
	"context"
	"fmt"
	"time"

	"guzheng/capture"
)

// position is what the page says of its scroll state, in CSS pixels.
type position struct {
	Y      float64 `json:"y"`
	Height float64 `json:"height"` // of the document
	View   float64 `json:"view"`   // of the window
}

// framesScript waits for two painted frames, so that observers of intersections
// have fired. A page that does not paint is waited for no longer than a
// second.
const framesScript = `const frames = () => Promise.race([
	new Promise(done => requestAnimationFrame(() => setTimeout(done, 0))),
	new Promise(done => setTimeout(done, 1000)),
]);`

// scrollTo moves the window and answers with the new state. The page's own
// smooth scrolling is overridden.
const scrollTo = `(async () => {` + framesScript + `
	window.scrollTo({top: %d, left: 0, behavior: 'instant'});
	await frames();
	const root = document.scrollingElement || document.documentElement;
	return {y: window.scrollY, height: root.scrollHeight, view: window.innerHeight};
})()`

// innerScript moves the parts of the page that scroll by themselves, each
// from its beginning to its end and back, on either axis.
const innerScript = `(async (most, steps) => {` + framesScript + `
	const parts = [], roots = [document];
	for (const root of roots) for (const e of root.querySelectorAll('*')) {
		if (e.shadowRoot) roots.push(e.shadowRoot);
		const down = e.scrollHeight - e.clientHeight > 8, across = e.scrollWidth - e.clientWidth > 8;
		if (!down && !across || e === document.scrollingElement || e === document.body || e.clientWidth < 40 || e.clientHeight < 40) continue;
		const style = getComputedStyle(e);
		const y = down && /auto|scroll/.test(style.overflowY), x = across && /auto|scroll/.test(style.overflowX);
		if (y || x) parts.push({e, y, x, top: e.scrollTop, left: e.scrollLeft});
	}
	let moved = 0, cut = 0, shell = 0;
	for (const p of parts.slice(0, most)) {
		if (p.y && p.e.clientHeight >= innerHeight * 0.7 && p.e.clientWidth >= innerWidth * 0.7) shell = Math.max(shell, p.e.scrollHeight);
		for (let n = 1; ; n++) {
			if (n > steps) { cut++; break; }
			const top = p.e.scrollTop, left = p.e.scrollLeft;
			if (p.y) p.e.scrollTo({top: top + p.e.clientHeight * 0.8, behavior: 'instant'});
			if (p.x) p.e.scrollTo({left: left + p.e.clientWidth * 0.8, behavior: 'instant'});
			await frames();
			if (p.e.scrollTop === top && p.e.scrollLeft === left) break;
			moved++;
		}
		p.e.scrollTo({top: p.top, left: p.left, behavior: 'instant'});
	}
	return {parts: parts.length, moved, cut, shell};
})(%d, %d)`

// Bounds of the parts of a page that scroll by themselves.
const (
	mostParts = 20
	partSteps = 100
)

// scroll goes down the page step by step, whether or not the page seems to
// react, and waits after each step for the requests that it caused; then
// through its parts that scroll by themselves. A page that still has pictures
// to load is gone through once more, slowly: some load only when the scroll
// has come to rest. Then it returns to the top.
//
// From its beginning on, and after its end, the browser is shown an empty part
// of the plane (look): nothing that follows needs the window drawn. Text, DOM,
// MHTML and PDF are not drawn; each picture says itself which part of the page
// is drawn for it, and for its duration only; and the page is told nothing of
// all this, its window and what is in view stay what they are. What needs the
// window itself, such as frames of other sites, asks for it and turns back.
func (v *visit) scroll() {
	ctx, cancel := v.phase(v.order.Limits.ScrollMS)
	defer cancel()
	var p position
	if err := v.ask(ctx, fmt.Sprintf(scrollTo, 0), &p); err != nil {
		v.missing("scroll", err)
		return
	}
	first, start := p.Height, v.now()
	v.journal.Step("scroll.started", "height", int(first))
	if err := v.look(ctx, aside); err != nil && v.work.Err() == nil {
		v.missing("scroll", err)
	}
	steps := v.descend(ctx, &p, 0)
	v.scrollParts(ctx)
	v.rest(ctx, start)
	waiting := v.countImages()
	if waiting > 0 && ctx.Err() == nil {
		v.journal.Step("scroll.again", "waiting", waiting)
		steps += v.descend(ctx, &p, slowDwell)
	}
	if ctx.Err() != nil && v.work.Err() == nil {
		v.journal.Anomaly("deadline.scroll")
		v.because("deadline.scroll", fmt.Sprintf("stopped at %d of %d pixels", int(p.Y), int(p.Height)))
	}
	v.facts.Counts.ScrollSteps = steps
	v.backToTop()
	if waiting > 0 {
		v.countImages()
	}
	v.journal.Step("scroll.finished", "steps", steps, "height", int(p.Height), "grown", int(p.Height-first),
		"images", v.facts.Counts.Images, "unloaded", v.facts.Counts.ImagesUnloaded)
	v.noteUnloaded()
}

// rest waits until nothing that was asked for since a time is under way.
func (v *visit) rest(ctx context.Context, since time.Time) {
	wait, cancel := context.WithTimeout(ctx, capture.MS(v.order.Limits.StepMS))
	defer cancel()
	v.recorder.quiet(wait, since, settleIdle)
}

// slowDwell is how long a slow step rests, at least.
const slowDwell = 300 * time.Millisecond

// descend goes from the top to the bottom in steps of 0.8 windows and returns
// how many it made.
func (v *visit) descend(ctx context.Context, p *position, dwell time.Duration) int {
	y, steps, grown := 0.0, 0, 0
	for v.scrollOn(ctx, *p, y, steps, grown) {
		y += max(1, p.View*0.8)
		begin, before := v.now(), p.Height
		if err := v.ask(ctx, fmt.Sprintf(scrollTo, int(y)), p); err != nil {
			break
		}
		steps++
		v.awaitStep(ctx, begin, dwell)
		if p.Height > before {
			grown++
		}
		v.journal.Progress("scroll.step", "n", steps, "y", int(y))
	}
	return steps
}

// scrollOn decides whether there is another step to make.
func (v *visit) scrollOn(ctx context.Context, p position, y float64, steps, grown int) bool {
	l := v.order.Limits
	switch {
	case ctx.Err() != nil || v.crashed():
		return false
	case y+p.View >= p.Height:
		return false
	case y+p.View >= float64(l.PageHeight):
		v.endless(grown)
		if v.once("limit.height") {
			v.journal.Anomaly("limit.height", "height", l.PageHeight)
			v.because("limit.height", fmt.Sprintf("%d of %d pixels", l.PageHeight, int(p.Height)))
		}
		return false
	case steps >= l.ScrollSteps:
		v.endless(grown)
		if v.once("limit.steps") {
			v.journal.Anomaly("limit.steps", "steps", steps)
			v.because("limit.steps", fmt.Sprint(steps))
		}
		return false
	}
	return true
}

// endless notes that the page grew as it was scrolled, so that its end is
// not merely far away.
func (v *visit) endless(grown int) {
	if grown >= 3 && v.once("page.endless") {
		v.journal.Anomaly("page.endless", "grown", grown)
	}
}

// awaitStep waits for the requests that were begun since the step. A step
// that caused none is not waited for beyond its dwell.
func (v *visit) awaitStep(ctx context.Context, begin time.Time, dwell time.Duration) {
	wait, cancel := context.WithTimeout(ctx, capture.MS(v.order.Limits.StepMS))
	defer cancel()
	v.queue.drain(wait)
	if dwell == 0 && !v.recorder.busySince(begin) {
		return
	}
	v.recorder.quiet(wait, begin, max(stepIdle, dwell))
}

// scrollParts goes through the parts of the page that scroll by themselves.
func (v *visit) scrollParts(ctx context.Context) {
	var n struct{ Parts, Moved, Cut, Shell int }
	begin := v.now()
	if err := v.ask(ctx, fmt.Sprintf(innerScript, mostParts, partSteps), &n); err != nil {
		if ctx.Err() == nil {
			v.missing("scroll of parts", err)
		}
		return
	}
	if n.Parts == 0 {
		return
	}
	v.awaitStep(ctx, begin, 0)
	v.journal.Step("scroll.parts", "parts", n.Parts, "moved", n.Moved)
	if left := max(n.Parts-mostParts, 0) + n.Cut; left > 0 {
		v.journal.Anomaly("limit.parts", "parts", n.Parts, "scrolled", n.Parts-left)
		v.because("limit.parts", fmt.Sprintf("%d of %d", n.Parts-left, n.Parts))
	}
	if n.Shell > 0 {
		// The window is the frame of the page: the picture shows a window of it.
		v.journal.Anomaly("picture.window-only", "height", n.Shell)
		v.because("picture.window-only", fmt.Sprintf("%d pixels", n.Shell))
	}
}

func (v *visit) backToTop() {
	ctx, cancel := v.phase(v.order.Limits.SettleMS)
	defer cancel()
	begin := v.now()
	if err := v.ask(ctx, fmt.Sprintf(scrollTo, 0), nil); err != nil {
		v.missing("scroll", err)
		return
	}
	v.awaitStep(ctx, begin, 0)
}

// imagesScript counts the pictures that are part of the layout, and those of
// them that have no pixels or still show something in the place of what they
// are to show. It names the first of these.
const imagesScript = `(() => {
	const all = [...document.images].filter(i => i.getClientRects().length > 0);
	const later = i => {
		for (const name of ['data-src', 'data-original', 'data-lazy', 'data-lazy-src', 'data-echo', 'lazy-src', 'data-lazyload']) {
			const value = i.getAttribute(name);
			if (value && value.length < 4096) {
				try { if (new URL(value, document.baseURI).href !== i.currentSrc) return true; } catch (e) {}
			}
		}
		return false;
	};
	const unloaded = all.filter(i => !i.complete || i.naturalWidth === 0 || later(i));
	return {images: all.length, unloaded: unloaded.length,
		first: unloaded.slice(0, 20).map(i => String(i.currentSrc || i.getAttribute('data-src') || i.getAttribute('src') || '').slice(0, 500))};
})()`

// unloaded names pictures that are not shown.
type unloaded struct {
	Images, Unloaded int
	First            []string
}

// countImages notes how many pictures there are and returns how many are not
// shown.
func (v *visit) countImages() int {
	ctx, cancel := v.phase(v.order.Limits.StepMS)
	defer cancel()
	var n unloaded
	if err := v.ask(ctx, imagesScript, &n); err != nil {
		v.missing("images", err)
		return 0
	}
	v.facts.Counts.Images, v.facts.Counts.ImagesUnloaded, v.unloaded = n.Images, n.Unloaded, n.First
	return n.Unloaded
}

func (v *visit) noteUnloaded() {
	if n := v.facts.Counts.ImagesUnloaded; n > 0 {
		v.journal.Anomaly("images.unloaded", "count", n, "first", v.unloaded)
	}
}
