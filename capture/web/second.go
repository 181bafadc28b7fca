package web

import (
	"bytes"
	"context"
	"os"
	"strings"

	"github.com/chromedp/cdproto/animation"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"

	"guzheng/capture"
	"guzheng/capture/raster"
	"guzheng/capture/web/reading"
)

// mostDiffering bounds the lines that are quoted of each text.
const mostDiffering = 20

// firstLook reads the page as a second look will see it: not scrolled.
func (v *visit) firstLook() {
	if !v.order.SecondLook {
		return
	}
	ctx, cancel := v.phase(v.order.Limits.ArtefactMS)
	defer cancel()
	page, err := v.read(ctx)
	if err != nil {
		v.missing("text before the scroll", err)
		return
	}
	v.unscrolled = page.Text
}

// secondLook loads the page once more, when the order wants to know whether
// it is the same at every load. Nothing is scrolled; the text and the picture
// of the window are kept and compared with those of the first load. The
// requests of the second load are recorded under a page id of their own.
func (v *visit) secondLook() {
	if !v.order.SecondLook || v.work.Err() != nil || v.crashed() {
		return
	}
	look := &capture.SecondLook{PageID: newUUID(), At: v.now().UTC()}
	v.facts.Second = look
	v.recorder.newPage(look.PageID)
	v.recorder.freeze(false)
	v.journal.Step("look.second", "page_id", look.PageID)
	ctx, cancel := v.phase(v.order.Limits.NavigateMS)
	defer cancel()
	if err := v.loadAgain(ctx, look); err != nil {
		v.lookFailed(look, err)
		return
	}
	text, err := v.read(ctx)
	if err != nil {
		v.lookFailed(look, err)
		return
	}
	v.keep("second.text", capture.FileSecondText, "text/plain; charset=utf-8", "evidence/second.txt", []byte(text.Text+"\n"))
	look.Similarity = reading.Similarity(v.unscrolled, text.Text)
	look.Gone, look.Come = differing(v.unscrolled, text.Text)
	v.comparePictures(ctx, look)
	v.journal.Step("look.compared", "similarity", look.Similarity, "pixels", look.Pixels)
	if len(look.Gone)+len(look.Come) > 0 {
		v.journal.Anomaly("page.unstable", "similarity", look.Similarity, "gone", len(look.Gone), "come", len(look.Come))
	}
}

// lookFailed notes that the look that was ordered could not be had.
func (v *visit) lookFailed(look *capture.SecondLook, err error) {
	look.Error = err.Error()
	v.journal.Anomaly("look.failed", "detail", look.Error)
	v.because("look.failed", look.Error)
}

func (v *visit) loadAgain(ctx context.Context, look *capture.SecondLook) error {
	_, err := cdp.Call(ctx, v.session, animation.SetPlaybackRate, animation.SetPlaybackRateParams{PlaybackRate: 1})
	if err != nil {
		return err
	}
	if err := v.look(ctx, nil); err != nil {
		return err
	}
	v.change(func(p *pageState) { p.loader = "" })
	res, err := cdp.Call(ctx, v.session, page.Navigate, page.NavigateParams{URL: v.order.URL})
	if err != nil {
		return err
	}
	if res.ErrorText != "" {
		return errorText(res.ErrorText)
	}
	if !v.awaitLoad(ctx) && ctx.Err() != nil {
		return ctx.Err()
	}
	v.settlePage()
	if hops := v.recorder.mainHops(); len(hops) > 0 {
		v.recorder.mu.Lock()
		look.Status = hops[len(hops)-1].status()
		v.recorder.mu.Unlock()
	}
	return nil
}

// An errorText is the browser's name for what went wrong.
type errorText string

func (e errorText) Error() string { return string(e) }

// comparePictures compares the windows of the two loads.
func (v *visit) comparePictures(ctx context.Context, look *capture.SecondLook) {
	shot, _, err := v.shoot(ctx, nil)
	if err == nil {
		err = v.dir.Write(capture.FileSecond, "image/png", "evidence/second.png", shot)
	}
	if err != nil {
		v.missing("picture.second", err)
		return
	}
	first, err := os.Open(v.dir.Path("evidence/viewport.png"))
	if err != nil {
		return // its absence is told already
	}
	defer first.Close()
	d, err := raster.Diff(first, bytes.NewReader(shot))
	if err != nil {
		v.lookFailed(look, err)
		return
	}
	look.Pixels = d.Pixels
}

// differing returns lines that only one of two texts has.
func differing(a, b string) (gone, come []string) {
	count := map[string]int{}
	for line := range strings.Lines(b) {
		count[strings.TrimSpace(line)]++
	}
	for line := range strings.Lines(a) {
		if line = strings.TrimSpace(line); count[line] > 0 {
			count[line]--
		} else if line != "" && len(gone) < mostDiffering {
			gone = append(gone, short(line, 200))
		}
	}
	for line := range strings.Lines(b) {
		if line = strings.TrimSpace(line); line != "" && count[line] > 0 && len(come) < mostDiffering {
			count[line]--
			come = append(come, short(line, 200))
		}
	}
	return gone, come
}
