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

// pictures prints the viewport, the full page, and frames that it leaves
// blank.
func (s *sheet) pictures() {
	s.viewportPicture()
	s.fullPicture()
	s.framePictures()
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
	p, img, err := s.small(m.Path)
	if err != nil {
		s.unreadable(m.Path, err)
		return
	}
	s.noteChanges()
	s.caption(s.w.T("caption.viewport", data{"path": m.Path, "width": p.Original.Width, "height": p.Original.Height, "time": s.short(m.Written), "sha256": m.SHA256}) + s.reduced(p))
	per := min(s.perPixel(p), (s.flow.Room()-2)/float64(p.Header().Height))
	s.place(img, per)
}

// small reads a picture that is held in memory as a whole. The picture is
// closed and tells its sizes.
func (s *sheet) small(path string) (*report.Picture, image.Image, error) {
	p, err := s.v.Picture(path, mostColumns, mostColumns)
	if err != nil {
		return nil, nil, err
	}
	defer p.Close()
	img, err := raster.NewBands(p).Band(0, p.Header().Height)
	if err == nil {
		_, err = p.Next() // what follows the pixels must be in order too
	}
	if !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	return p, img, nil
}

// framePictures prints the frames that the picture of the whole page leaves
// blank.
func (s *sheet) framePictures() {
	first := true
	for _, m := range s.v.Members {
		if m.Kind != capture.FileFrame {
			continue
		}
		if first {
			s.annexTitle(s.w.T("sheet.picture.frames"))
			s.text(s.w.T("sheet.picture.frames.why"))
			s.noteChanges()
			first = false
		}
		s.framePicture(m)
	}
}

// framePicture prints one of them, on the page where it finds room.
func (s *sheet) framePicture(m report.Member) {
	if s.v.Open == nil {
		s.text(s.w.T("sheet.picture.none"))
		return
	}
	p, img, err := s.small(m.Path)
	if err != nil {
		s.unreadable(m.Path, err)
		return
	}
	told := s.frameCaption(m, p)
	room := float64(len(s.doc.Wrap(quietStyle, told, frame.Width())))*quietStyle.Leading() + 6
	rows := float64(p.Header().Height)
	per := min(s.perPixel(p), (frame.Bottom-frame.Top-room)/rows)
	s.flow.Need(room + rows*per)
	s.caption(told)
	s.place(img, min(per, (s.flow.Room()-2)/rows))
	s.flow.Space(3)
}

// mostAddress is how many characters of a frame's address a caption has; the
// facts have it all.
const mostAddress = 300

func brief(s string) string {
	if r := []rune(s); len(r) > mostAddress {
		return string(r[:mostAddress]) + "…"
	}
	return s
}

// frameCaption says which frame a picture shows, and where that lies.
func (s *sheet) frameCaption(m report.Member, p *report.Picture) string {
	d := data{"path": m.Path, "columns": p.Original.Width, "rows": p.Original.Height, "time": s.short(m.Written), "sha256": s.or(m.SHA256)}
	key := "caption.frame.unplaced"
	for _, f := range s.v.Facts.Frames {
		if f.Path == m.Path {
			key = "caption.frame"
			d["frame"], d["url"], d["x"], d["y"], d["width"], d["height"] = f.Frame, brief(f.URL), f.X, f.Y, f.Width, f.Height
		}
	}
	return s.w.T(key, d) + s.reduced(p)
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
