package sheet

import (
	"image"

	"guzheng/capture"
	"guzheng/report"
	"guzheng/report/pdf"
)

// A CSS pixel is 1/96 inch; pictures are never printed larger than that.
const cssPixel = 25.4 / 96

// captionRoom is kept for the caption above a picture.
const captionRoom = 22.0

// pictures prints the viewport and the full page.
func (s *sheet) pictures() {
	s.viewportPicture()
	s.fullPicture()
}

// member finds a file of the package by kind.
func (s *sheet) member(kind string) (report.Member, bool) {
	for _, m := range s.v.Members {
		if m.Kind == kind {
			return m, true
		}
	}
	return report.Member{}, false
}

// open decodes the picture of a kind. When there is none or it cannot be
// read, the document says so.
func (s *sheet) open(kind, title string) (image.Image, report.Member, bool) {
	s.annexTitle(title)
	m, ok := s.member(kind)
	if !ok || s.v.Open == nil {
		s.text(s.w.T("sheet.picture.none"))
		return nil, m, false
	}
	img, err := s.v.Picture(m.Path)
	if err != nil {
		s.text(s.w.T("sheet.picture.unreadable", data{"path": m.Path, "reason": err.Error()}))
		return nil, m, false
	}
	if img.Bounds().Empty() {
		s.text(s.w.T("sheet.picture.none"))
		return nil, m, false
	}
	return img, m, true
}

// scale is device pixels per CSS pixel of the pictures.
func (s *sheet) scale() float64 {
	for _, v := range []float64{s.v.Facts.Viewport.Scale, s.v.Order.Viewport.Scale} {
		if v > 0 {
			return v
		}
	}
	return 1
}

// perPixel is the printed size of one device pixel of a picture that is
// width pixels wide.
func (s *sheet) perPixel(width int) float64 {
	return min(frame.Width()/float64(width), cssPixel/s.scale())
}

func (s *sheet) viewportPicture() {
	img, m, ok := s.open(capture.FileViewport, s.w.T("sheet.picture.viewport"))
	if !ok {
		return
	}
	b := img.Bounds()
	s.noteChanges()
	s.caption(s.w.T("caption.viewport", data{"path": m.Path, "width": b.Dx(), "height": b.Dy(), "time": s.short(m.Written), "sha256": m.SHA256}))
	per := min(s.perPixel(b.Dx()), (s.flow.Room()-2)/float64(b.Dy()))
	s.print(img, b, per)
}

func (s *sheet) fullPicture() {
	img, m, ok := s.open(capture.FileFull, s.w.T("sheet.picture.full"))
	if !ok {
		return
	}
	b := img.Bounds()
	s.noteChanges()
	per := s.perPixel(b.Dx())
	notes := float64(len(s.changes())) * (noteStyle.Leading() + 0.8)
	most := int((frame.Bottom - frame.Top - captionRoom - 14 - notes) / per)
	c := newCutter(s.v.Lines.Lines, s.scale(), b.Dy(), most)
	c.plain = plainRows(img)
	c.blind, c.broad = int(60*s.scale()), int(20*s.scale())
	slices := c.cut()
	for i, sl := range slices {
		if i > 0 {
			s.flow.Break()
		}
		text := s.w.T("caption.full", data{"n": i + 1, "m": len(slices), "from": sl.Top + 1, "to": sl.Bottom,
			"path": m.Path, "width": b.Dx(), "height": b.Dy(), "time": s.short(m.Written), "sha256": m.SHA256})
		if sl.Overlap > 0 {
			text += s.w.T("caption.overlap", data{"rows": sl.Overlap})
		}
		if len(s.v.Lines.Lines) == 0 && len(slices) > 1 {
			text += s.w.T("caption.blind")
		}
		s.caption(text)
		s.print(img, image.Rect(b.Min.X, b.Min.Y+sl.Top, b.Max.X, b.Min.Y+sl.Bottom), per)
	}
}

// noteChanges warns that the picture is not of the same moment as the rest.
func (s *sheet) noteChanges() {
	for _, t := range s.changes() {
		s.flow.Para(pdf.Para{Style: noteStyle, Hang: 2, After: 0.8}, s.w.T("sheet.note", data{"text": t}))
	}
}

func (s *sheet) caption(text string) {
	s.flow.Para(pdf.Para{Style: quietStyle, After: 1.5}, text)
}

// print draws the part r of img centred, with a thin frame.
func (s *sheet) print(img image.Image, r image.Rectangle, per float64) {
	w, h := float64(r.Dx())*per, float64(r.Dy())*per
	x := frame.Left + (frame.Width()-w)/2
	s.doc.Picture(img, r, x, s.flow.Y, w, h)
	s.doc.Box(x, s.flow.Y, w, h, 0.1)
	s.flow.Y += h + 2
}
