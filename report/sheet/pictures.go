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

// open opens the picture of a kind, no larger than the given pixels, 0 for
// any. When there is none or it cannot be read, the document says so.
func (s *sheet) open(kind string, columns, rows int) (*report.Picture, report.Member, bool) {
	m, ok := s.member(kind)
	if !ok || s.v.Open == nil {
		s.text(s.absent(kind))
		return nil, m, false
	}
	p, err := s.v.Picture(m.Path, columns, rows)
	if err != nil {
		s.unreadable(m, err)
		return nil, m, false
	}
	return p, m, true
}

// absent says that there is no picture of a kind. The parts of a page may be
// there though they were never put together.
func (s *sheet) absent(kind string) string {
	if n := len(s.tiles()); kind == capture.FileFull && n > 0 {
		return s.w.T("sheet.picture.tiles", data{"tiles": n})
	}
	return s.w.T("sheet.picture.none")
}

func (s *sheet) unreadable(m report.Member, err error) {
	s.text(s.w.T("sheet.picture.unreadable", data{"path": m.Path, "reason": err.Error()}))
}

// tiles are the parts that the full picture was put together from, from top
// to bottom; there are none when the browser made it in one piece.
func (s *sheet) tiles() []report.Member {
	var out []report.Member
	for _, m := range s.v.Members {
		if m.Kind == capture.FileTile {
			out = append(out, m)
		}
	}
	return out
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

// perPixel is the printed size of one pixel of a picture as it is read.
func (s *sheet) perPixel(p *report.Picture) float64 {
	width := float64(p.Header().Width)
	return min(frame.Width()/width, cssPixel/s.scale()*(float64(p.Original.Width)/width))
}

func (s *sheet) viewportPicture() {
	s.annexTitle(s.w.T("sheet.picture.viewport"))
	p, m, ok := s.open(capture.FileViewport, mostColumns, mostColumns)
	if !ok {
		return
	}
	defer p.Close()
	h := p.Header()
	img, err := raster.NewBands(p).Band(0, h.Height)
	if err == nil {
		_, err = p.Next() // what follows the pixels must be in order too
	}
	if !errors.Is(err, io.EOF) {
		s.unreadable(m, err)
		return
	}
	s.noteChanges()
	s.caption(s.w.T("caption.viewport", data{"path": m.Path, "width": p.Original.Width, "height": p.Original.Height, "time": s.short(m.Written), "sha256": m.SHA256}) + s.reduced(p))
	per := min(s.perPixel(p), (s.flow.Room()-2)/float64(h.Height))
	s.place(img, per)
}

// fullPicture reads the picture twice, row by row: once to learn where it
// can be cut, once to print what lies between the cuts.
func (s *sheet) fullPicture() {
	s.annexTitle(s.w.T("sheet.picture.full"))
	p, m, ok := s.open(capture.FileFull, mostColumns, 0)
	if !ok {
		return
	}
	plain, err := readPlain(p)
	_ = p.Close() // read to its end or reported below
	if err != nil {
		s.unreadable(m, err)
		return
	}
	first := p.Header()
	if p, m, ok = s.open(capture.FileFull, mostColumns, 0); !ok {
		return
	}
	defer p.Close()
	if p.Header() != first {
		s.unreadable(m, errors.New("its size changed while it was read"))
		return
	}
	s.noteChanges()
	f := &fullPicture{sheet: s, p: p, m: m, tiles: s.tiles()}
	f.cut(plain)
	f.print()
}

// A fullPicture is the full-page picture while it is printed in slices.
type fullPicture struct {
	*sheet
	p      *report.Picture
	m      report.Member
	tiles  []report.Member
	slices []slice
}

// cut divides the picture, so that each slice finds room on a page below its
// caption.
func (f *fullPicture) cut(plain plainRows) {
	notes := float64(len(f.changes())) * (noteStyle.Leading() + 0.8)
	room := frame.Bottom - frame.Top - f.captionRoom() - 14 - notes
	scale := f.scale() * float64(f.p.Header().Width) / float64(f.p.Original.Width)
	c := newCutter(f.v.Lines.Lines, scale, len(plain), int(room/f.perPixel(f.p)))
	c.plain = plain.is
	c.blind, c.broad = int(60*scale), int(20*scale)
	f.slices = c.cut()
}

// captionRoom is kept for the caption of any slice. A caption that has more
// to tell than usual is measured as it would be with the longest numbers.
func (f *fullPicture) captionRoom() float64 {
	if len(f.tiles) == 0 && f.reduced(f.p) == "" {
		return captionRoom
	}
	many := make([]slice, 999)
	for i := range many {
		many[i] = slice{f.p.Header().Height, f.p.Header().Height, f.p.Header().Height}
	}
	longest := &fullPicture{sheet: f.sheet, p: f.p, m: f.m, tiles: f.tiles, slices: many}
	lines := f.doc.Wrap(quietStyle, longest.text(998), frame.Width())
	return max(captionRoom, float64(len(lines))*quietStyle.Leading()+2)
}

// text is the caption of slice i.
func (f *fullPicture) text(i int) string {
	sl := f.slices[i]
	h := f.p.Original
	from, to := sl.Top, sl.Bottom
	if width := f.p.Header().Width; width < h.Width {
		from, to = from*h.Width/width, min(h.Height, (to*h.Width+width-1)/width)
	}
	d := data{"n": i + 1, "m": len(f.slices), "from": from + 1, "to": to,
		"path": f.m.Path, "width": h.Width, "height": h.Height, "time": f.short(f.m.Written), "sha256": f.m.SHA256}
	text := f.w.T("caption.full", d)
	if n := len(f.tiles); n > 0 {
		d["tiles"], d["first"], d["last"] = n, f.tiles[0].Path, f.tiles[n-1].Path
		text = f.w.T("caption.stitched", d)
	}
	text += f.reduced(f.p)
	if sl.Overlap > 0 {
		text += f.w.T("caption.overlap", data{"rows": sl.Overlap})
	}
	if len(f.v.Lines.Lines) == 0 && len(f.slices) > 1 {
		text += f.w.T("caption.blind")
	}
	return text
}

// print sets the slices, each on a page.
func (f *fullPicture) print() {
	per := f.perPixel(f.p)
	bands := raster.NewBands(f.p)
	for i, sl := range f.slices {
		if i > 0 {
			f.flow.Break()
		}
		img, err := bands.Band(sl.Top, sl.Bottom)
		if err != nil {
			f.unreadable(f.m, err)
			return
		}
		f.caption(f.text(i))
		f.sheet.place(img, per)
	}
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
