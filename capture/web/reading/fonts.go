package reading

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"

	"guzheng/capture"
)

// Most calls of CSS.getPlatformFontsForNode for a page: for nodes with
// characters that no installed font has, and for all nodes together.
const (
	mostSuspects = 16
	mostAsked    = 40
)

// Fonts asks the browser which fonts it drew the text with, for a few nodes
// of each font style, and finds the characters that were drawn as empty
// boxes. sessions has the session of each layer that was read; a layer whose
// session is nil is left out. cov may be nil: then it cannot be told which
// glyphs were missing.
//
// One character that no font has can take the characters after it in the same
// run with it, even those that a font has (Chromium 156 without a Chinese
// locale does not look further for that run). Nodes with such a character are therefore asked first, and
// what none of the fonts really used there has, counts as missing. Where a
// web font was used the boxes cannot be told from its own glyphs; the
// characters that no installed font has are then listed with Web set.
//
// It calls DOM.getDocument, after which node ids (not backend node ids) that
// the caller holds are void. The sessions must have DOM and CSS enabled from
// before their first document on: enabled later, CSS would have the browser
// load the page's style sheets again. An error comes with what was found
// before it.
func Fonts(ctx context.Context, sessions []cdp.Session, r Result, cov *Coverage) (capture.Fonts, error) {
	a := &asker{sessions: sessions, used: map[capture.Font]int{}, drew: map[spot][]*css.PlatformFontUsage{}}
	out := capture.Fonts{Styles: len(r.FontGroups), Used: []capture.Font{}}
	var suspects []suspect
	if cov == nil {
		out.Unknown = "installed fonts are not known"
	} else {
		suspects = findSuspects(r, cov)
	}
	err := a.ask(ctx, choose(r, suspects))
	out.Asked = len(a.drew)
	for f, n := range a.used {
		f.Glyphs = n
		out.Used = append(out.Used, f)
	}
	slices.SortFunc(out.Used, func(x, y capture.Font) int {
		return cmp.Or(cmp.Compare(y.Glyphs, x.Glyphs), cmp.Compare(x.Family, y.Family), cmp.Compare(x.PostScript, y.PostScript))
	})
	if cov != nil {
		out.Missing = a.missing(suspects, cov)
	}
	return out, err
}

// A spot is a node of one layer.
type spot struct {
	layer int
	node  cdp.BackendNodeID
}

// A suspect is a node with characters that no installed font has.
type suspect struct {
	spot
	group int
	runes map[rune]int // all its characters
}

func findSuspects(r Result, cov *Coverage) []suspect {
	odd := map[rune]bool{}
	for c := range r.Runes {
		if !cov.Has(c) {
			odd[c] = true
		}
	}
	if len(odd) == 0 {
		return nil
	}
	var out []suspect
	index := map[spot]int{}
	spotOf := func(i int) spot {
		l := r.Lines.Lines[i]
		return spot{at(r.layers, l.Frame), cdp.BackendNodeID(l.Node)}
	}
	for i, l := range r.Lines.Lines {
		for _, c := range l.Text {
			if _, known := index[spotOf(i)]; odd[c] && !known {
				index[spotOf(i)] = len(out)
				out = append(out, suspect{spotOf(i), at(r.groups, i), map[rune]int{}})
			}
		}
	}
	for i, l := range r.Lines.Lines {
		if k, ok := index[spotOf(i)]; ok {
			for _, c := range l.Text {
				out[k].runes[c]++
			}
		}
	}
	return out
}

// choose picks the nodes to ask about: first a suspect of each font group,
// then further ones, then the nodes of the font groups, largest group first.
func choose(r Result, suspects []suspect) []spot {
	var out []spot
	add := func(s spot, most int) {
		if s.node != 0 && len(out) < most && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	groups := map[int]bool{}
	for _, s := range suspects {
		if !groups[s.group] {
			groups[s.group] = true
			add(s.spot, mostSuspects)
		}
	}
	for _, s := range suspects {
		add(s.spot, mostSuspects)
	}
	for i := range classes {
		for _, g := range r.FontGroups {
			if i < len(g.Nodes) {
				add(spot{g.Layer, g.Nodes[i]}, mostAsked)
			}
		}
	}
	return out
}

// An asker collects the browser's answers.
type asker struct {
	sessions []cdp.Session
	used     map[capture.Font]int
	drew     map[spot][]*css.PlatformFontUsage
}

// ask asks about each spot, layer by layer. A node that is gone is left out.
func (a *asker) ask(ctx context.Context, spots []spot) error {
	for layer, s := range a.sessions {
		var ids []cdp.BackendNodeID
		for _, p := range spots {
			if p.layer == layer {
				ids = append(ids, p.node)
			}
		}
		if s == nil || len(ids) == 0 {
			continue
		}
		if _, err := cdp.Call(ctx, s, dom.GetDocument, dom.GetDocumentParams{Depth: new(int64(0))}); err != nil {
			return fmt.Errorf("asking for the document: %w", err)
		}
		pushed, err := cdp.Call(ctx, s, dom.PushNodesByBackendIDsToFrontend, dom.PushNodesByBackendIDsToFrontendParams{BackendNodeIDs: ids})
		if err != nil {
			return fmt.Errorf("asking for the nodes of fonts: %w", err)
		}
		for i, id := range pushed.NodeIDs {
			if id == 0 || i >= len(ids) {
				continue
			}
			fonts, err := cdp.Call(ctx, s, css.GetPlatformFontsForNode, css.GetPlatformFontsForNodeParams{NodeID: id})
			if ctx.Err() != nil {
				return fmt.Errorf("asking for the fonts of a node: %w", ctx.Err())
			}
			if err == nil {
				a.note(spot{layer, ids[i]}, fonts.Fonts)
			}
		}
	}
	return nil
}

func (a *asker) note(p spot, fonts []*css.PlatformFontUsage) {
	fonts = slices.DeleteFunc(fonts, func(f *css.PlatformFontUsage) bool { return f == nil })
	a.drew[p] = fonts
	for _, f := range fonts {
		a.used[capture.Font{Family: f.FamilyName, PostScript: f.PostScriptName, Web: f.IsCustomFont}] += int(f.GlyphCount)
	}
}

// missing counts the characters of the suspects that were not drawn.
func (a *asker) missing(suspects []suspect, cov *Coverage) []capture.Glyph {
	count := map[capture.Glyph]int{}
	web := map[int]bool{} // font groups with a web font
	for _, s := range suspects {
		if s.group >= 0 && slices.ContainsFunc(a.drew[s.spot], isWeb) {
			web[s.group] = true
		}
	}
	for _, s := range suspects {
		fonts, asked := a.drew[s.spot]
		have, own := a.reach(fonts, cov)
		if !asked {
			own = web[s.group]
		}
		for c, n := range s.runes {
			if !draws(have, c) {
				count[capture.Glyph{Code: fmt.Sprintf("U+%04X", c), Web: own}] += n
			}
		}
	}
	out := slices.SortedFunc(maps.Keys(count), func(x, y capture.Glyph) int {
		return cmp.Or(cmp.Compare(len(x.Code), len(y.Code)), cmp.Compare(x.Code, y.Code))
	})
	for i, g := range out {
		out[i].Count = count[g]
	}
	return out
}

// reach is what the fonts of a node can draw: what the installed ones among
// them have, or, when that is not known, what any installed font has. web
// means that one of them is a web font.
func (a *asker) reach(fonts []*css.PlatformFontUsage, cov *Coverage) (have ranges, web bool) {
	for _, f := range fonts {
		r, ok := cov.of(f.PostScriptName, f.FamilyName)
		if f.IsCustomFont || !ok {
			return cov.all, slices.ContainsFunc(fonts, isWeb)
		}
		have = union(have, r)
	}
	if len(fonts) == 0 {
		return cov.all, false
	}
	return have, false
}

func isWeb(f *css.PlatformFontUsage) bool { return f.IsCustomFont }
