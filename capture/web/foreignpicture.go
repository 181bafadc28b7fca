package web

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"

	"guzheng/capture"
)

// Bounds of the pictures of frames of other sites.
const (
	mostForeign  = 20  // frames that are pictured
	mostParted   = 60  // pictures of all of them together
	partOfWindow = 0.8 // of its height, that one picture shows of a tall frame
)

// pictureForeign pictures what the picture of the whole page leaves blank:
// frames of other sites below the first window. Each is brought into the
// window for it, as a visitor would, in parts when it is tall. What a frame or
// the page asks for because of that is recorded and waited for as in the
// scroll; that the page moves on is not let happen any more.
func (v *visit) pictureForeign() {
	ctx, cancel := v.phase(v.order.Limits.ArtefactMS)
	defer cancel()
	_, found, err := v.foreign(ctx)
	if err != nil {
		v.missing("picture.frame", err)
	}
	if len(found) == 0 {
		return
	}
	if err := v.look(ctx, nil); err != nil {
		v.missing("picture.frame", err)
		return
	}
	left := max(len(found)-mostForeign, 0)
	for _, f := range found[:len(found)-left] {
		cut, err := v.pictureParts(ctx, f)
		if err != nil {
			v.missing("picture.frame", fmt.Errorf("%s: %w", f.url, err))
		}
		if cut {
			left++
		}
		if ctx.Err() != nil {
			break // told; each of the rest would tell the same
		}
	}
	v.backToTop()
	if err := v.look(ctx, aside); err != nil && v.work.Err() == nil {
		v.missing("picture.frame", err)
	}
	if n := len(v.facts.Frames); n > 0 {
		v.journal.Anomaly("picture.frames", "frames", v.pictured(), "pictures", n)
	}
	if left > 0 {
		v.journal.Anomaly("limit.foreign", "frames", len(found), "left", left)
		v.because("limit.foreign", fmt.Sprintf("%d of %d", len(found)-left, len(found)))
	}
}

// awaitForeign has the browser draw the frames of other sites in the first
// window again, which it did not need to during the scroll: what processes of
// their own draw is not waited for when the page is pictured.
func (v *visit) awaitForeign(ctx context.Context) {
	if len(v.sessions()) == 1 {
		return
	}
	err := v.look(ctx, nil)
	in, _, foundErr := v.foreign(ctx)
	for _, f := range in {
		if ctx.Err() == nil && f.session != v.session {
			err = errors.Join(err, v.letDraw(ctx, f))
		}
	}
	if err = errors.Join(err, foundErr, v.look(ctx, aside)); err != nil {
		v.missing("picture.frame", err)
	}
}

// toward moves the window so that a part of the page is in its middle, where
// what is fixed to its edges covers least, and answers where it is then.
const toward = `(async () => {` + framesScript + `
	window.scrollTo({left: %g - innerWidth / 2, top: %g - innerHeight / 2, behavior: 'instant'});
	await frames(); await frames();
	return {x: scrollX, y: scrollY};
})()`

// pictured is how many frames have pictures.
func (v *visit) pictured() int {
	if n := len(v.facts.Frames); n > 0 {
		return v.facts.Frames[n-1].Frame
	}
	return 0
}

// pictureParts pictures a frame from its top to its bottom, and reports
// whether the limit of pictures ended it.
func (v *visit) pictureParts(ctx context.Context, f foreignFrame) (cut bool, err error) {
	n := v.pictured() + 1
	step := max(1, float64(v.order.Viewport.Height)*partOfWindow)
	if f.box.Height <= float64(v.order.Viewport.Height) {
		step = f.box.Height
	}
	for top := 0.0; top < f.box.Height && f.box.Y+top < float64(v.order.Limits.PageHeight); top += step {
		if len(v.facts.Frames) >= mostParted {
			return true, nil
		}
		part, err := v.bring(ctx, f, top, min(top+step, f.box.Height))
		if err != nil {
			return false, err
		}
		if part.Width < 1 || part.Height < 1 {
			continue // cut off by what it lies in
		}
		if err := v.pictureFrame(ctx, n, f, part); err != nil {
			return false, err
		}
	}
	return false, nil
}

// bring has the rows from top to bottom of a frame in the window, lets page
// and frame draw, and answers which of it can be seen, and where on the page;
// an empty box is nothing of it.
func (v *visit) bring(ctx context.Context, f foreignFrame, top, bottom float64) (box, error) {
	begin := v.now()
	var at struct{ X, Y float64 }
	if err := v.ask(ctx, fmt.Sprintf(toward, f.box.X+f.box.Width/2, f.box.Y+(top+bottom)/2), &at); err != nil {
		return box{}, err
	}
	v.awaitStep(ctx, begin, 0)
	seen, err := v.seen(ctx, f)
	if err != nil || seen.Width*seen.Height == 0 {
		return box{}, err // a frame that is not seen draws nothing to wait for
	}
	if err := v.letDraw(ctx, f); err != nil {
		return box{}, err
	}
	b, err := v.border(ctx, f)
	if err != nil {
		return box{}, err
	}
	page := box{b.X + at.X, b.Y + at.Y, b.Width, b.Height}
	part := box{page.X + seen.X, page.Y + seen.Y, seen.Width, seen.Height}.within(page.Y+top, page.Y+bottom)
	right, end := math.Ceil(part.X+part.Width), math.Ceil(part.Y+part.Height)
	part.X, part.Y = math.Floor(part.X), math.Floor(part.Y)
	part.Width, part.Height = right-part.X, end-part.Y
	return part, nil
}

// mostDraw is how long a frame in a process of its own is waited for to draw.
const mostDraw = 1500 * time.Millisecond

// twice waits for two frames of animation.
const twice = `(async () => {` + framesScript + ` await frames(); await frames(); })()`

// letDraw waits until a frame has drawn twice: with the page, or by itself in
// a process of its own. There one that may not run scripts (sandboxed) never
// says so; it has had its time when it answers otherwise.
func (v *visit) letDraw(ctx context.Context, f foreignFrame) error {
	if f.session == v.session {
		return v.ask(ctx, twice, nil)
	}
	wait, cancel := context.WithTimeout(ctx, mostDraw)
	defer cancel()
	world, err := enter(wait, f.session, f.id)
	if err == nil {
		err = evaluate(wait, f.session, world, twice, nil)
	}
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return err
	}
	alive, end := context.WithTimeout(ctx, capture.MS(v.order.Limits.StepMS))
	defer end()
	_, err = cdp.Call(alive, f.session, page.GetFrameTree, cdp.Empty{})
	return err
}

// pictureFrame pictures a part of the page that shows a frame.
func (v *visit) pictureFrame(ctx context.Context, n int, f foreignFrame, part box) error {
	shot, head, err := v.shoot(ctx, &page.Viewport{X: part.X, Y: part.Y, Width: part.Width, Height: part.Height, Scale: 1})
	if err != nil {
		return err
	}
	p := capture.FramePicture{Path: fmt.Sprintf("evidence/frame-%03d.png", len(v.facts.Frames)+1), Frame: n, URL: f.url,
		X: int(part.X), Y: int(part.Y), Width: int(part.Width), Height: int(part.Height), Pixels: capture.Size{Width: head.Width, Height: head.Height}}
	v.facts.Frames = append(v.facts.Frames, p)
	v.later(func() {
		if err := v.dir.Write(capture.FileFrame, "image/png", p.Path, shot); err != nil {
			v.missing("picture.frame", err)
			return
		}
		v.journal.Step("picture.frame", "path", p.Path, "frame", n, "url", p.URL, "x", p.X, "y", p.Y, "width", p.Width, "height", p.Height)
	})
	return nil
}
