package web

import (
	"bytes"
	"context"
	"image"
	"image/png"
	"math"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"

	"guzheng/capture"
)

// picture takes the window as it is or the whole page. The browser's own PNG
// bytes are the master; they are never re-encoded.
func (v *visit) picture(kind string) {
	ctx, cancel := v.phase(v.order.Limits.ArtefactMS)
	defer cancel()
	params := page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatPng, OptimizeForSpeed: new(true)}
	name, path := "picture.viewport", "evidence/viewport.png"
	if kind == capture.FileFull {
		name, path = "picture.full", "evidence/full.png"
		clip := v.clip()
		params.CaptureBeyondViewport = new(true)
		params.Clip = &page.Viewport{Width: float64(clip.Width), Height: float64(clip.Height), Scale: 1}
	}
	shot, err := cdp.Call(ctx, v.session, page.CaptureScreenshot, params)
	if err != nil {
		v.missing(name, err)
		return
	}
	cfg, err := png.DecodeConfig(bytes.NewReader(shot.Data))
	if err != nil {
		v.missing(name, err)
		return
	}
	if err := v.d.Write(kind, "image/png", path, shot.Data); err != nil {
		v.missing(name, err)
		return
	}
	v.journal.Step(name, "width", cfg.Width, "height", cfg.Height)
	if kind == capture.FileViewport && oneColour(shot.Data) {
		v.journal.Anomaly("picture.blank")
	}
}

// mostWidth and mostPixels bound a full-page picture. A page wider or larger
// than that would end the browser, and everything after it.
const (
	mostWidth  = 10_000      // CSS pixels
	mostPixels = 250_000_000 // device pixels
)

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
	most := int(v.order.Limits.PageHeight)
	if scale := v.order.Viewport.Scale; scale > 0 {
		most = min(most, int(mostPixels/(float64(c.Width)*scale*scale)))
	}
	if c.Height > most {
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

// oneColour reports whether every pixel of the picture is the same.
func oneColour(b []byte) bool {
	img, _, err := image.Decode(bytes.NewReader(b))
	if err != nil {
		return false
	}
	r := img.Bounds()
	first := img.At(r.Min.X, r.Min.Y)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if img.At(x, y) != first {
				return false
			}
		}
	}
	return true
}
