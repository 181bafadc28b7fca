package sheet

import (
	"guzheng/report"
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

// Kept is what the list says of where the package lies.
func Kept(v report.View, c *words.Catalogue) string {
	return (&sheet{v: v, w: c}).kept()
}
