package sheet

import (
	"errors"
	"image"
	"io"

	"guzheng/capture"
	"guzheng/capture/raster"
	"guzheng/report"
	"guzheng/report/pdf"
)

// A CSS pixel is 1/96 inch; pictures are never printed larger than that.
const cssPixel = 25.4 / 96

// captionRoom is the least that is kept for the caption above a picture.
const captionRoom = 22.0

// mostColumns is how many pixels a picture is printed wide at most. Across
// the frame these are 480 to the inch, more than a printer shows of a page; a
// slice is held in memory, and grows with the square of its width.
const mostColumns = 3072

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

// unreadable says that a picture of the package cannot be shown: of tiles,
// which of them cannot be read.
func (s *sheet) unreadable(path string, err error) {
	var tile *raster.TileError
	if errors.As(err, &tile) {
		path, err = tile.Name, tile.Err
	}
	s.text(s.w.T("sheet.picture.unreadable", data{"path": path, "reason": err.Error()}))
}

// perPixel is the printed size of one pixel of a picture as it is read.
func (s *sheet) perPixel(p *report.Picture) float64 {
	width := float64(p.Header().Width)
	return min(frame.Width()/width, cssPixel/s.v.Scale()*(float64(p.Original.Width)/width))
}

func (s *sheet) viewportPicture() {
	s.annexTitle(s.w.T("sheet.picture.viewport"))
	m, ok := s.member(capture.FileViewport)
	if !ok || s.v.Open == nil {
		s.text(s.w.T("sheet.picture.none"))
		return
	}
	p, err := s.v.Picture(m.Path, mostColumns, mostColumns)
	if err != nil {
		s.unreadable(m.Path, err)
		return
	}
	defer p.Close()
	h := p.Header()
	img, err := raster.NewBands(p).Band(0, h.Height)
	if err == nil {
		_, err = p.Next() // what follows the pixels must be in order too
	}
	if !errors.Is(err, io.EOF) {
		s.unreadable(m.Path, err)
		return
	}
	s.noteChanges()
	s.caption(s.w.T("caption.viewport", data{"path": m.Path, "width": p.Original.Width, "height": p.Original.Height, "time": s.short(m.Written), "sha256": m.SHA256}) + s.reduced(p))
	per := min(s.perPixel(p), (s.flow.Room()-2)/float64(h.Height))
	s.place(img, per)
}

// reduced says that a picture is printed with fewer pixels than it has.
func (s *sheet) reduced(p *report.Picture) string {
	if p.Header().Width == p.Original.Width {
		return ""
	}
	return s.w.T("caption.reduced", data{"width": p.Original.Width, "printed": p.Header().Width})
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

// place draws img centred, with a thin frame.
func (s *sheet) place(img image.Image, per float64) {
	r := img.Bounds()
	w, h := float64(r.Dx())*per, float64(r.Dy())*per
	x := frame.Left + (frame.Width()-w)/2
	s.doc.Picture(img, r, x, s.flow.Y, w, h)
	s.doc.Box(x, s.flow.Y, w, h, 0.1)
	s.flow.Y += h + 2
}
