package pdf

import (
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
)

// Wrap cleans s and breaks it into lines that are at most width millimetres
// wide, by the line breaking rules of Unicode (UAX 14), which keep closing
// punctuation off the start of a line. A piece that is wider than a whole
// line, such as an address or a digest, is broken anywhere. The joined lines
// are exactly the cleaned text.
func (d *Doc) Wrap(st Style, s string, width float64) []string {
	s = d.Clean(st, s)
	var lines []string
	line, used := "", 0.0
	state := -1
	for like := quotes.Replace(s); s != ""; {
		var seg string
		seg, like, _, state = uniseg.FirstLineSegmentInString(like, state)
		seg, s = s[:len(seg)], s[len(seg):]
		w := d.cleanWidth(st, seg)
		ink := d.cleanWidth(st, strings.TrimRightFunc(seg, unicode.IsSpace))
		switch {
		case used+ink <= width:
			line, used = line+seg, used+w
		case ink <= width:
			lines = append(lines, line)
			line, used = seg, w
		default:
			var full []string
			full, line, used = d.breakAnywhere(st, line, seg, width)
			lines = append(lines, full...)
		}
	}
	if line != "" || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// quotes maps double quotation marks, around which UAX 14 never breaks because
// they may open or close, to brackets of the same length in bytes, so that
// Chinese text without spaces can be broken before and after a quotation.
var quotes = strings.NewReplacer("\u201c", "\u300c", "\u201d", "\u300d")

// breakAnywhere appends seg to line rune by rune. It returns the lines that
// became full and the unfinished last one with its width.
func (d *Doc) breakAnywhere(st Style, line, seg string, width float64) (full []string, last string, used float64) {
	used = d.cleanWidth(st, line)
	cur := []rune(line)
	for _, r := range seg {
		w := d.cleanWidth(st, string(r))
		if used+w > width && len(cur) > 0 && !unicode.IsSpace(r) {
			keep := len(cur)
			if closing(r) && keep > 1 {
				keep-- // the closing mark takes its predecessor along
			}
			full = append(full, string(cur[:keep]))
			cur = append([]rune(nil), cur[keep:]...)
			used = d.cleanWidth(st, string(cur))
		}
		cur, used = append(cur, r), used+w
	}
	return full, string(cur), used
}

// closing reports whether r must not begin a line.
func closing(r rune) bool {
	return r > unicode.MaxASCII && unicode.In(r, unicode.Po, unicode.Pe, unicode.Pf)
}
