package reading

import (
	"cmp"
	"slices"
	"unicode"

	"github.com/chromedp/cdproto/cdp"
)

// A FontGroup is the painted text of one layer in one computed font style.
type FontGroup struct {
	Layer                 int
	Family, Weight, Style string // computed values of font-family, font-weight, font-style

	// Runes is the number of characters, blanks left out.
	Runes int

	// Nodes are text nodes of the group: for each class of characters in it
	// (Han and its neighbours, other scripts, symbols and private characters)
	// the node that has most of them.
	Nodes []cdp.BackendNodeID
}

// A fontKey tells font styles apart; the browser's strings are unique in a
// snapshot, so their indices will do.
type fontKey struct {
	layer                 int
	family, weight, slant int64
}

const classes = 3

// A candidate is the best node of a font group for each class.
type candidate struct {
	node  [classes]cdp.BackendNodeID
	count [classes]int
}

// class sorts characters by the fonts that are likely to have them.
func class(r rune) int {
	switch {
	case r < 0x2E80:
		return 1
	case r < 0xE000, r >= 0xF900 && r < 0x1F000, r >= 0x20000 && r < 0xE0000:
		return 0
	}
	return 2
}

// drawn reports whether a character needs a glyph.
func drawn(r rune) bool {
	return !unicode.In(r, unicode.Z, unicode.Cc, unicode.Cf, unicode.Variation_Selector) && r != 0x034F && r != 0x115F && r != 0x3164
}

// group finds the font group of a text node.
func (r *reader) group(w *walker, node, lay int, text string) int {
	key := fontKey{w.layer, w.d.styleIndex(lay, styleFamily), w.d.styleIndex(lay, styleWeight), w.d.styleIndex(lay, styleSlant)}
	g, ok := r.groups[key]
	if !ok {
		g = len(r.best)
		r.groups[key] = g
		r.best = append(r.best, candidate{})
		r.out.FontGroups = append(r.out.FontGroups, FontGroup{Layer: w.layer, Family: w.d.str(key.family),
			Weight: w.d.str(key.weight), Style: w.d.str(key.slant)})
	}
	var n [classes]int
	for _, c := range text {
		if drawn(c) {
			n[class(c)]++
		}
	}
	best := &r.best[g]
	for i := range classes {
		if n[i] > best.count[i] {
			best.node[i], best.count[i] = w.d.id(node), n[i]
		}
	}
	return g
}

func (r *reader) count(group int, part string) {
	for _, c := range part {
		if drawn(c) {
			r.out.FontGroups[group].Runes++
		}
	}
}

// sortGroups puts the largest font groups first.
func (r *reader) sortGroups() {
	for g, b := range r.best {
		nodes := &r.out.FontGroups[g].Nodes
		for i := range classes {
			if b.count[i] > 0 && b.node[i] != 0 && !slices.Contains(*nodes, b.node[i]) {
				*nodes = append(*nodes, b.node[i])
			}
		}
	}
	order := make([]int, len(r.out.FontGroups))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(r.out.FontGroups[b].Runes, r.out.FontGroups[a].Runes)
	})
	sorted, to := make([]FontGroup, len(order)), make([]int, len(order))
	for i, g := range order {
		sorted[i], to[g] = r.out.FontGroups[g], i
	}
	r.out.FontGroups = sorted
	for i, g := range r.out.groups {
		if g >= 0 {
			r.out.groups[i] = to[g]
		}
	}
}
