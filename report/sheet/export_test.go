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
