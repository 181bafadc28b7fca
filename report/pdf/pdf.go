package pdf

import (
	"bytes"
	"fmt"
	"io"
	"time"

	gofpdf "codeberg.org/go-pdf/fpdf"
)

// Measures of an A4 page in millimetres, the unit of the whole package.
const (
	PageWidth  = 210.0
	PageHeight = 297.0
)

const family = "sc"

// mmPerPoint is one typographic point in millimetres.
const mmPerPoint = 25.4 / 72

// Info is the document's metadata. Created is printed into the file instead
// of the moment of writing, so that the same input gives the same bytes.
type Info struct {
	Title   string
	Subject string
	Lang    string // BCP 47
	Created time.Time
}

// A Doc is a document being drawn. It is not safe for concurrent use.
// Drawing never returns an error; the first one is kept and returned by
// Output.
type Doc struct {
	f       *gofpdf.Fpdf
	regular *face
	bold    *face
	album   album
	err     error
}

// New starts a document without pages. It returns an error that wraps
// ErrFonts when the binary was built without fonts.
func New(info Info) (*Doc, error) {
	regular, err := loadFace("NotoSansSC-Regular.ttf")
	if err != nil {
		return nil, err
	}
	bold, err := loadFace("NotoSansSC-Bold.ttf")
	if err != nil {
		return nil, err
	}
	f := gofpdf.New("P", "mm", "A4", "")
	f.SetAutoPageBreak(false, 0)
	f.SetMargins(0, 0, 0)
	f.SetCatalogSort(true)
	f.SetCreationDate(info.Created.UTC())
	f.SetModificationDate(info.Created.UTC())
	f.AddUTF8FontFromBytes(family, "", regular.bytes)
	f.AddUTF8FontFromBytes(family, "B", bold.bytes)
	d := &Doc{f: f, regular: regular, bold: bold, album: album{widths: map[int]bool{}}}
	f.SetTitle(d.Clean(Style{}, info.Title), true)
	f.SetSubject(d.Clean(Style{}, info.Subject), true)
	f.SetProducer("guzheng", true)
	f.SetLang(info.Lang)
	if err := f.Error(); err != nil {
		return nil, fmt.Errorf("starting document: %w", err)
	}
	return d, nil
}

// AddPage begins an upright A4 page.
func (d *Doc) AddPage() { d.f.AddPage() }

// Pages returns the number of pages begun so far.
func (d *Doc) Pages() int { return d.f.PageCount() }

// Each calls draw once for every page, with drawing directed to that page.
// It is meant for headers and footers after the last page has been begun.
func (d *Doc) Each(draw func(page, total int)) {
	total := d.Pages()
	for n := 1; n <= total; n++ {
		d.f.SetPage(n)
		draw(n, total)
	}
}

// Output writes the document. The library panics on some inputs; such a
// panic is returned as an error here.
func (d *Doc) Output(w io.Writer) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("writing document: %v", r)
		}
	}()
	if d.err != nil {
		return d.err
	}
	var b bytes.Buffer
	if err := d.f.Output(&b); err != nil {
		return fmt.Errorf("writing document: %w", err)
	}
	if err := splice(w, b.Bytes(), d.album.packed); err != nil {
		return fmt.Errorf("writing document: %w", err)
	}
	return nil
}

// keep remembers the first error.
func (d *Doc) keep(err error) {
	if d.err == nil {
		d.err = err
	}
}
