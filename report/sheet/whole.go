package sheet

import (
	"errors"
	"strings"

	"guzheng/capture"
	"guzheng/capture/raster"
	"guzheng/report"
)

// A wholePicture is the picture of the whole page while it is printed in
// slices: a file of the package, or tiles that are put together for it.
type wholePicture struct {
	*sheet
	m      report.Member // the file, when there is one
	tiles  report.Tiles  // else
	p      *report.Picture
	slices []slice
	begun  float64 // where the page is empty below the title
}

// fullPicture reads the picture twice, row by row: once to learn where it
// can be cut, once to print what lies between the cuts.
func (s *sheet) fullPicture() {
	s.annexTitle(s.w.T("sheet.picture.full"))
	f := &wholePicture{sheet: s, begun: s.flow.Y}
	if !f.find() {
		return
	}
	p, err := f.read()
	if err != nil {
		s.unreadable(f.m.Path, err)
		return
	}
	plain, err := readPlain(p)
	_ = p.Close() // read to its end or reported below
	if err != nil {
		s.unreadable(f.m.Path, err)
		return
	}
	if f.p, err = f.read(); err != nil {
		s.unreadable(f.m.Path, err)
		return
	}
	defer f.p.Close()
	if f.p.Header() != p.Header() {
		s.unreadable(f.m.Path, errors.New("its size changed while it was read"))
		return
	}
	s.noteChanges()
	f.noteShort()
	if f.holds(capture.FileFrame) {
		f.note("sheet.picture.undrawn")
	}
	f.cut(plain)
	f.print()
}

// find looks for what there is of the picture, and says so when that is
// nothing, or tiles of which it is not known where they lie.
func (f *wholePicture) find() bool {
	var err error
	f.m, _ = f.member(capture.FileFull)
	if f.m.Path == "" {
		f.tiles, err = f.v.Tiles()
	}
	switch {
	case err != nil:
		f.text(f.w.T("sheet.picture.tiles", data{"tiles": len(f.tileFiles())}))
	case f.v.Open == nil, f.m.Path == "" && len(f.tiles.List) == 0:
		f.text(f.w.T("sheet.picture.none"))
	default:
		return true
	}
	return false
}

// tileFiles are the parts of the picture of the whole page, as files; there
// are none when the browser made it in one piece.
func (s *sheet) tileFiles() []report.Member {
	var out []report.Member
	for _, m := range s.v.Members {
		if m.Kind == capture.FileTile {
			out = append(out, m)
		}
	}
	return out
}

// read opens the picture at its top.
func (f *wholePicture) read() (*report.Picture, error) {
	if f.m.Path == "" {
		return f.tiles.Joined(mostColumns, 0)
	}
	return f.v.Picture(f.m.Path, mostColumns, 0)
}

// noteShort says that tiles do not reach as far down as the page was to be
// pictured.
func (f *wholePicture) noteShort() {
	_, height := f.tiles.Size()
	if want := f.v.Wanted(); len(f.tiles.List) > 0 && height < want {
		f.note("sheet.picture.short", data{"page": want, "height": height})
	}
}

// cut divides the picture, so that each slice finds room on a page below its
// caption.
func (f *wholePicture) cut(plain plainRows) {
	notes := f.flow.Y - f.begun
	room := frame.Bottom - frame.Top - f.captionRoom() - 14 - notes
	scale := f.v.Scale() * float64(f.p.Header().Width) / float64(f.p.Original.Width)
	c := newCutter(f.v.Lines.Lines, scale, len(plain), int(room/f.perPixel(f.p)))
	c.plain = plain.is
	c.blind, c.broad = int(60*scale), int(20*scale)
	f.slices = c.cut()
}

// A stretch is what a caption tells of a slice: rows From up to but not
// including To of the whole picture as it is in the package, and the tiles
// that they lie in.
type stretch struct {
	n, m     int // slice n of m, from 1
	from, to int
	overlap  int // printed rows that the slice before has too
	pieces   []report.Piece
}

// stretch is slice i. Rows that are printed smaller are counted as a whole.
func (f *wholePicture) stretch(i int) stretch {
	sl, h := f.slices[i], f.p.Original
	from, to := sl.Top, sl.Bottom
	if width := f.p.Header().Width; width < h.Width {
		from, to = from*h.Width/width, min(h.Height, (to*h.Width+width-1)/width)
	}
	return stretch{i + 1, len(f.slices), from, to, sl.Overlap, f.tiles.Pieces(from, to)}
}

// longest has the longest numbers of any stretch, and as many tiles: no more
// than when it begins with the last row of one.
func (f *wholePicture) longest() stretch {
	h := f.p.Original
	rows := int((frame.Bottom-frame.Top)/f.perPixel(f.p)) * h.Width / f.p.Header().Width
	most := 0
	for _, t := range f.tiles.List {
		last := t.Place.Y + t.Place.Height - 1
		most = max(most, len(f.tiles.Pieces(last, last+rows)))
	}
	pieces := f.tiles.Pieces(0, h.Height)[:most]
	for i := range pieces {
		pieces[i].From, pieces[i].To = h.Height, h.Height
	}
	return stretch{999, 999, h.Height, h.Height, h.Height, pieces}
}

// captionRoom is kept for the caption of any slice. One that has more to tell
// than usual is measured.
func (f *wholePicture) captionRoom() float64 {
	if f.m.Path != "" && !f.stitched(f.m) && f.reduced(f.p) == "" {
		return captionRoom
	}
	lines := f.doc.Wrap(quietStyle, f.told(f.longest()), frame.Width())
	return max(captionRoom, float64(len(lines))*quietStyle.Leading()+2)
}

// told is the caption of a slice.
func (f *wholePicture) told(s stretch) string {
	h, tiles := f.p.Original, f.tileFiles()
	d := data{"n": s.n, "m": s.m, "from": s.from + 1, "to": s.to, "width": h.Width, "height": h.Height, "tiles": len(tiles),
		"path": f.m.Path, "time": f.short(f.m.Written), "sha256": f.m.SHA256}
	key := "caption.full"
	switch {
	case f.m.Path == "":
		key, d["pieces"] = "caption.joined", f.pieces(s.pieces)
		list := f.tiles.List
		d["begun"], d["ended"] = f.short(list[0].Written), f.short(list[len(list)-1].Written)
	case f.stitched(f.m):
		key, d["first"], d["last"] = "caption.stitched", tiles[0].Path, tiles[len(tiles)-1].Path
	}
	text := f.w.T(key, d) + f.reduced(f.p)
	if s.overlap > 0 {
		text += f.w.T("caption.overlap", data{"rows": s.overlap})
	}
	if len(f.v.Lines.Lines) == 0 && s.m > 1 {
		text += f.w.T("caption.blind")
	}
	return text
}

// pieces names the tiles that a slice was cut from.
func (f *wholePicture) pieces(pieces []report.Piece) string {
	var out []string
	for _, p := range pieces {
		out = append(out, f.w.T("caption.piece", data{"path": p.Path, "from": p.From + 1, "to": p.To, "sha256": f.or(p.SHA256)}))
	}
	return strings.Join(out, f.w.T("list.semicolon"))
}

// print sets the slices, each on a page.
func (f *wholePicture) print() {
	per := f.perPixel(f.p)
	bands := raster.NewBands(f.p)
	for i, sl := range f.slices {
		if i > 0 {
			f.flow.Break()
		}
		img, err := bands.Band(sl.Top, sl.Bottom)
		if err != nil {
			f.unreadable(f.m.Path, err)
			return
		}
		f.caption(f.told(f.stretch(i)))
		f.place(img, per)
	}
}
