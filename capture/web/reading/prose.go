package reading

import (
	"strings"
)

// prose is the text of one document under way. Blanks and line breaks are
// remembered and written before the next text, so that none stands at the
// end of a line or of a block.
type prose struct {
	b      []byte
	breaks int  // line breaks that a block asks for; the largest wish counts
	lines  int  // line breaks in the text itself; they add up
	blank  bool // between two words
	tab    bool // between two cells
}

// block ends a line, with an empty line after it when n is two.
func (p *prose) block(n int) {
	p.blank = false
	p.breaks = max(p.breaks, n)
}

// newline is a <br> or a preserved line feed.
func (p *prose) newline() {
	p.blank = false
	p.lines++
}

// cell separates the cells of a row.
func (p *prose) cell() { p.blank, p.tab = false, true }

// space is a blank that was collapsed at the edge of a box.
func (p *prose) space() { p.blank = true }

// open writes what has to stand before the next text.
func (p *prose) open() {
	n := max(p.breaks, p.lines)
	switch {
	case len(p.b) == 0:
	case n > 0:
		for range n {
			p.b = append(p.b, '\n')
		}
	case p.tab:
		p.b = append(p.b, '\t')
	case p.blank:
		if c := p.b[len(p.b)-1]; c != ' ' && c != '\n' && c != '\t' {
			p.b = append(p.b, ' ')
		}
	}
	p.breaks, p.lines, p.blank, p.tab = 0, 0, false, false
}

// isBlank is for the white space that CSS collapses (CSS Text 3 section 4).
func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }

func blank(s string) bool {
	for i := range len(s) {
		if !isBlank(s[i]) {
			return false
		}
	}
	return true
}

// flow writes text whose white space is collapsed.
func (p *prose) flow(s string) {
	for i := 0; i < len(s); {
		if isBlank(s[i]) {
			p.space()
			i++
			continue
		}
		k := i
		for k < len(s) && !isBlank(s[k]) {
			k++
		}
		p.open()
		p.b = append(p.b, s[i:k]...)
		i = k
	}
}

// keep writes text as it is, line breaks included.
func (p *prose) keep(s string) {
	for i := 0; ; i++ {
		line, rest, more := strings.Cut(s, "\n")
		if line != "" {
			p.open()
			p.b = append(p.b, line...)
		}
		if !more {
			return
		}
		p.newline()
		s = rest
	}
}

// String is the text without blanks around it.
func (p *prose) String() string { return strings.Trim(string(p.b), " \t\n\r\f") }
