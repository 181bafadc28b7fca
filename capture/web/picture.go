package web

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"time"

	"github.com/chromedp/cdproto/animation"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"

	"guzheng/capture"
	"guzheng/capture/raster"
)

// Bounds of one picture by the browser. A taller page is pictured in tiles
// that overlap, so that what two of them show can be compared.
const (
	mostWidth   = 10_000     // CSS pixels of a page that are pictured
	tileHeight  = 8_000      // device pixels
	tilePixels  = 24_000_000 // device pixels; held raw in the browser's memory
	tileOverlap = 16         // device pixels
)

// shoot has the browser picture a part of the page, or the window as it is.
// The clip lies in the page, and the page is not made larger for it: sections
// as high as the window stay so, and what is fixed to the window is shown
// once, where the window is.
func (v *visit) shoot(ctx context.Context, clip *page.Viewport) ([]byte, raster.Header, error) {
	params := page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatPng, OptimizeForSpeed: new(true)}
	if clip != nil {
		params.CaptureBeyondViewport, params.Clip = new(true), clip
	}
	shot, err := cdp.Call(ctx, v.session, page.CaptureScreenshot, params)
	if err != nil {
		return nil, raster.Header{}, err
	}
	head, err := raster.ReadHeader(bytes.NewReader(shot.Data))
	return shot.Data, head, err
}

// aside is a part of the plane where no page has anything. A browser that
// is told to show it has nothing to draw.
var aside = &page.Viewport{X: 1 << 20, Width: 16, Height: 16, Scale: 1}

// look has the browser draw another part of the plane; nil is the window.
// What the page is told stays as it is: its window, its pixel ratio, what is
// in view. Frames that nobody looks at, such as those of the scroll, would
// otherwise be drawn in software at a cost that exceeds everything else. From
// the scroll on the browser is left there to the end of the visit; see scroll
// for why that is right.
func (v *visit) look(ctx context.Context, at *page.Viewport) error {
	_, err := cdp.Call(ctx, v.session, emulation.SetDeviceMetricsOverride, v.metrics(at))
	return err
}

// metrics are those of the window that was ordered.
func (v *visit) metrics(at *page.Viewport) emulation.SetDeviceMetricsOverrideParams {
	view := v.order.Viewport
	return emulation.SetDeviceMetricsOverrideParams{Width: int64(view.Width), Height: int64(view.Height),
		DeviceScaleFactor: view.Scale, Mobile: v.order.Visitor.Mobile, Viewport: at}
}

// picture takes the window as it is, before anything is scrolled or stopped.
// The browser's own PNG bytes are the master; they are never re-encoded. A
// window of one colour may be one that is not painted yet: it is looked at
// again, and what is kept is the last look.
func (v *visit) picture() {
	ctx, cancel := v.phase(v.order.Limits.ArtefactMS)
	defer cancel()
	var shot []byte
	var head raster.Header
	blank := false
	for try := 0; ; try++ {
		var err error
		if shot, head, err = v.shoot(ctx, nil); err != nil {
			v.missing("picture.viewport", err)
			return
		}
		blank, err = raster.OneColour(bytes.NewReader(shot))
		if err != nil || !blank || try == len(blankWaits) {
			break
		}
		v.recorder.quiet(ctx, v.now(), blankWaits[try])
	}
	if v.painted = !blank; blank {
		v.journal.Anomaly("picture.blank")
	}
	v.later(func() {
		if err := v.dir.Write(capture.FileViewport, "image/png", "evidence/viewport.png", shot); err != nil {
			v.missing("picture.viewport", err)
			return
		}
		v.journal.Step("picture.viewport", "width", head.Width, "height", head.Height, "scale", v.order.Viewport.Scale)
		var small bytes.Buffer
		if err := raster.Thumbnail(&small, bytes.NewReader(shot), thumbnailWidth, thumbnailHeight); err == nil {
			v.keep("thumbnail", capture.FileThumbnail, "image/png", "evidence/thumbnail.png", small.Bytes())
		}
	})
}

// later has a file hashed, written or derived while the browser goes on. Only
// so many are under way that pictures do not pile up in memory.
func (v *visit) later(f func()) {
	v.writing <- struct{}{}
	v.writers.Go(func() {
		defer func() { <-v.writing }()
		f()
	})
}

// blankWaits is how long to wait before each further look at a window of one
// colour.
var blankWaits = [...]time.Duration{300 * time.Millisecond, 700 * time.Millisecond}

// Size of the thumbnail, pixels.
const (
	thumbnailWidth  = 320
	thumbnailHeight = 240
)

// pause stops the page's animations, so that tiles taken one after the other
// are of one state. The first picture and the scroll came before it.
func (v *visit) pause(ctx context.Context) {
	if _, err := cdp.Call(ctx, v.session, animation.Enable, cdp.Empty{}); err != nil {
		v.journal.Anomaly("animations.running", "detail", err.Error())
		return
	}
	if _, err := cdp.Call(ctx, v.session, animation.SetPlaybackRate, animation.SetPlaybackRateParams{PlaybackRate: 0}); err != nil {
		v.journal.Anomaly("animations.running", "detail", err.Error())
		return
	}
	v.journal.Step("animations.paused")
}

// pictureFull takes the whole page: in one piece, or in tiles. Frames of other
// sites that are wholly outside the window are blank in it, and pictureForeign
// follows for them. What the browser
// made is kept and nothing else: who wants to see tiles as one picture puts
// them together then.
func (v *visit) pictureFull() {
	ctx, cancel := v.phase(v.order.Limits.ArtefactMS)
	defer cancel()
	v.pause(ctx)
	v.awaitForeign(ctx)
	size := v.clip()
	scale := v.scale()
	width := float64(size.Width) * scale
	most := min(tileHeight, int(tilePixels/width))
	if float64(size.Height)*scale <= float64(most) {
		v.wholePicture(ctx, size)
		return
	}
	// Steps of whole pixels of either kind, so that a seam is where it is
	// computed to be.
	unit := wholeUnit(scale)
	over := math.Ceil(tileOverlap/scale/unit) * unit
	step := math.Floor((float64(most)/scale-over)/unit) * unit
	overlap := int(math.Round(over * scale))
	var tiles []raster.Tile
	var written sync.WaitGroup
	for y := 0.0; y+over < float64(size.Height); y += step {
		height := min(step+over, float64(size.Height)-y)
		shot, head, err := v.shoot(ctx, &page.Viewport{Y: y, Width: float64(size.Width), Height: height, Scale: 1})
		if err != nil {
			v.missing("picture.full", fmt.Errorf("tile at %d of %d pixels: %w", int(y), size.Height, err))
			return
		}
		t := v.place(head, overlap)
		written.Add(1)
		v.later(func() {
			defer written.Done()
			if err := v.dir.Write(capture.FileTile, "image/png", t.Path, shot); err != nil {
				v.missing("picture.full", err)
				return
			}
			v.journal.Step("picture.tile", "path", t.Path, "y", int(y), "width", t.Width, "height", t.Height, "overlap", t.Overlap)
		})
		name := v.dir.Path(t.Path)
		tiles = append(tiles, raster.Tile{Name: t.Path, Open: func() (io.ReadCloser, error) { return os.Open(name) }})
	}
	v.writers.Go(func() {
		written.Wait()
		v.seams(tiles, overlap)
	})
}

// place notes in the facts where the next tile lies. What is there is told
// even when the tiles below could not be had.
func (v *visit) place(head raster.Header, overlap int) capture.Tile {
	n := len(v.facts.Tiles)
	t := capture.Tile{Path: fmt.Sprintf("evidence/full-%03d.png", n+1), Width: head.Width, Height: head.Height}
	if n > 0 {
		above := v.facts.Tiles[n-1]
		t.Y, t.Overlap = above.Y+above.Height-overlap, overlap
	}
	v.facts.Tiles = append(v.facts.Tiles, t)
	return t
}

// wholeUnit is the smallest whole number of CSS pixels that is a whole number
// of device pixels: 1 for a scale of 2, 2 for 1.5, 4 for 1.25.
func wholeUnit(scale float64) float64 {
	for unit := 1.0; unit < 100; unit++ {
		if n := unit * scale; math.Abs(n-math.Round(n)) < 1e-6 {
			return unit
		}
	}
	return 1
}

// stillAsLarge reports whether the page has grown beyond what was pictured,
// and says so. It is asked before the page is scrolled to its frames and
// printed: growth from then on may be of our making.
func (v *visit) stillAsLarge() (short bool) {
	now := v.grown()
	if now == 0 {
		return false
	}
	v.journal.Anomaly("picture.short", "height", now, "pictured", v.facts.Page.Height)
	v.because("picture.short", fmt.Sprintf("%d of %d pixels", v.facts.Page.Height, now))
	return true
}

// grownLate notes that the page grew while its frames were pictured and it
// was printed. Pages get ready to be printed, so that is no fault of the
// picture.
func (v *visit) grownLate() {
	if now := v.grown(); now > 0 {
		v.journal.Anomaly("page.grown", "height", now, "pictured", v.facts.Page.Height)
	}
}

// grown is the height of a page that is higher than when it was measured,
// else 0, as when it does not answer; why is told by what is missing.
func (v *visit) grown() int {
	ctx, cancel := v.phase(v.order.Limits.StepMS)
	defer cancel()
	now, err := v.pageSize(ctx)
	if err != nil || now.Height <= v.facts.Page.Height {
		return 0
	}
	return now.Height
}

func (v *visit) scale() float64 {
	if s := v.order.Viewport.Scale; s > 0 {
		return s
	}
	return 1
}

func (v *visit) wholePicture(ctx context.Context, size capture.Size) {
	shot, head, err := v.shoot(ctx, &page.Viewport{Width: float64(size.Width), Height: float64(size.Height), Scale: 1})
	if err != nil {
		v.missing("picture.full", err)
		return
	}
	v.later(func() {
		if err := v.dir.Write(capture.FileFull, "image/png", "evidence/full.png", shot); err != nil {
			v.missing("picture.full", err)
			return
		}
		v.journal.Step("picture.full", "width", head.Width, "height", head.Height, "tiles", 1)
	})
}

// seams tells of every place where two tiles meet and do not show the same.
func (v *visit) seams(tiles []raster.Tile, overlap int) {
	report, err := raster.Seams(tiles, overlap)
	if err != nil {
		v.missing("picture.full", err)
		return
	}
	for _, s := range report.Seams {
		if s.Pixels > 0 {
			v.journal.Anomaly("picture.seam", "row", s.Row, "rows", s.Differ, "pixels", s.Pixels)
		}
	}
	v.journal.Step("picture.full", "width", report.Width, "height", report.Height, "tiles", report.Tiles, "overlap", overlap)
}

// measure notes the size of the page.
func (v *visit) measure() {
	ctx, cancel := v.phase(v.order.Limits.StepMS)
	defer cancel()
	size, err := v.pageSize(ctx)
	if err != nil {
		v.missing("page.size", err)
		size = capture.Size{Width: v.order.Viewport.Width, Height: v.order.Viewport.Height}
	}
	v.facts.Page = size
}

// clip is the part of the page that is pictured: all of it within limits.
func (v *visit) clip() capture.Size {
	c := v.facts.Page
	if c.Width > mostWidth {
		c.Width = mostWidth
		v.journal.Anomaly("limit.width", "width", mostWidth)
		v.because("limit.width", "picture")
	}
	if most := int(v.order.Limits.PageHeight); c.Height > most {
		c.Height = most
		v.journal.Anomaly("limit.height", "height", most)
		v.because("limit.height", "picture")
	}
	return c
}

// pageSize is the size of the whole document.
func (v *visit) pageSize(ctx context.Context) (capture.Size, error) {
	m, err := cdp.Call(ctx, v.session, page.GetLayoutMetrics, cdp.Empty{})
	if err != nil {
		return capture.Size{}, err
	}
	s := capture.Size{Width: v.order.Viewport.Width, Height: v.order.Viewport.Height}
	if m.CSSContentSize != nil {
		s.Width = max(s.Width, int(math.Ceil(m.CSSContentSize.Width)))
		s.Height = max(s.Height, int(math.Ceil(m.CSSContentSize.Height)))
	}
	return s, nil
}
