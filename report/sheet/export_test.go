package sheet

import (
	"guzheng/report"
	"guzheng/report/pdf"
	"guzheng/report/words"
)

// Conditions is what the sheet says about the state of the page, without the
// cost of a document.
func Conditions(v report.View, c *words.Catalogue) []string {
	return (&sheet{v: v, w: c}).conditions()
}

// Rows are the labels and values about source and environment.
func Rows(v report.View, c *words.Catalogue) [][2]string {
	s := &sheet{v: v, w: c}
	return append(s.way(), s.environment()...)
}

// Steps are the sentences of the process.
func Steps(v report.View, c *words.Catalogue) []string {
	var out []string
	for _, st := range (&sheet{v: v, w: c}).steps() {
		out = append(out, st.text)
	}
	return out
}

// Weaknesses are the numbered remarks.
func Weaknesses(v report.View, c *words.Catalogue) []string {
	return (&sheet{v: v, w: c}).weaknesses()
}

// Captions returns what is kept on every page for the caption of the whole
// picture and what each of them takes, in millimetres.
func Captions(v report.View, c *words.Catalogue) (room float64, takes []float64, err error) {
	doc, err := pdf.New(pdf.Info{Lang: c.Lang(), Created: dated(v)})
	if err != nil {
		return 0, nil, err
	}
	f := &wholePicture{sheet: &sheet{v: v, w: c, doc: doc, flow: pdf.NewFlow(doc, frame)}}
	f.begun = f.flow.Y
	if !f.find() {
		return 0, nil, report.ErrScattered
	}
	if f.p, err = f.read(); err != nil {
		return 0, nil, err
	}
	defer f.p.Close()
	plain, err := readPlain(f.p)
	if err != nil {
		return 0, nil, err
	}
	f.cut(plain)
	for i := range f.slices {
		lines := doc.Wrap(quietStyle, f.told(f.stretch(i)), frame.Width())
		takes = append(takes, float64(len(lines))*quietStyle.Leading())
	}
	return f.captionRoom(), takes, nil
}

// Kept is what the list says of where the package lies.
func Kept(v report.View, c *words.Catalogue) string {
	return (&sheet{v: v, w: c}).kept()
}
