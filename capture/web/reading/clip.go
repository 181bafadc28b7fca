package reading

import (
	"math"
	"strconv"
	"strings"
)

// A box is a rectangle in CSS pixels.
type box struct{ x0, y0, x1, y1 float64 }

func unbounded() box {
	return box{math.Inf(-1), math.Inf(-1), math.Inf(1), math.Inf(1)}
}

func (b box) cut(c box) box {
	return box{max(b.x0, c.x0), max(b.y0, c.y0), min(b.x1, c.x1), min(b.y1, c.y1)}
}

func (b box) width() float64  { return b.x1 - b.x0 }
func (b box) height() float64 { return b.y1 - b.y0 }

// gone reports whether nothing readable of b is inside c: less than two
// pixels, or less than b has. Texts for screen readers are cut to one pixel.
func (b box) gone(c box) bool {
	const least = 2
	i := b.cut(c)
	return i.width() < min(least, b.width()) || i.height() < min(least, b.height())
}

// empty reports whether a box can show no letter.
func (b box) empty() bool { return !(b.width() >= 1) || !(b.height() >= 1) }

// A place is what can be seen of the content of an element. Outside of hard
// the content is cut away for good; outside of all it is scrolled out of
// view. A reason in lost is true of everything in the place.
type place struct {
	hard, all box
	lost      string
}

// clip cuts the place to b.
func (p place) clip(b box) place {
	p.hard, p.all = p.hard.cut(b), p.all.cut(b)
	return p
}

// scroll makes the place the content of a scroll area with the box b: what is
// outside of it can be scrolled into it, unless the area itself is cut away.
func (p place) scroll(b box) place {
	if p.lost == "" && b.gone(p.hard) {
		p.lost = HiddenClipped
	}
	p.hard, p.all = unbounded(), p.all.cut(b)
	return p
}

func (p place) lose(why string) place {
	if p.lost == "" {
		p.lost = why
	}
	return p
}

// judge says why a run with this box is not seen.
func (p place) judge(b box) string {
	switch {
	case p.lost != "":
		return p.lost
	case b.gone(p.hard):
		return HiddenClipped
	case b.gone(p.all):
		return HiddenScrolled
	}
	return ""
}

// inherited is what an element hands to its children: the place of children
// in the flow, of absolutely positioned and of fixed ones, which are cut by
// other ancestors (CSS 2.2 section 11.1.1), and what was not laid out.
type inherited struct {
	flow, absolute, fixed place
	opacity               float64
	locked                int // layout entry whose content may be skipped, or -1
}

func everywhere() inherited {
	p := place{hard: unbounded(), all: unbounded()}
	return inherited{flow: p, absolute: p, fixed: p, opacity: 1, locked: -1}
}

// narrow changes all places alike.
func (in *inherited) narrow(f func(place) place) {
	in.flow, in.absolute, in.fixed = f(in.flow), f(in.absolute), f(in.fixed)
}

// enter returns what the children of an element inherit, given its layout
// entry and its box on the page.
func (in inherited) enter(d *document, lay int, b box) inherited {
	if o := d.style(lay, styleOpacity); o != "1" && o != "" {
		if v, err := strconv.ParseFloat(o, 64); err == nil {
			in.opacity *= v
		}
	}
	in.flow = in.content(d, lay, b)
	moved := d.style(lay, styleTransform)
	moves := moved != "none" && moved != ""
	if position := d.style(lay, stylePosition); moves || position != "static" && position != "" {
		in.absolute = in.flow
	}
	if moves {
		in.fixed = in.flow
	}
	if vanishing(d.style(lay, styleClipPath)) {
		in.narrow(func(p place) place { return p.lose(HiddenClipped) })
	}
	if d.style(lay, styleLocked) == "auto" {
		in.locked = lay
	}
	return in
}

// content is the place of the content of an element, which its position
// takes from one of the inherited ones.
func (in inherited) content(d *document, lay int, b box) place {
	p := in.flow
	position := d.style(lay, stylePosition)
	switch position {
	case "absolute":
		p = in.absolute
	case "fixed":
		p = in.fixed
	}
	if position == "absolute" || position == "fixed" {
		if c, ok := clipRect(d.style(lay, styleClip), b); ok {
			p = p.clip(c)
		}
	}
	if d.style(lay, styleDisplay) != "inline" {
		p = overflow(p, d.style(lay, styleOverflow), b)
	}
	return p
}

// overflow applies the computed value of the overflow property, one or two
// words, to a place.
func overflow(p place, value string, b box) place {
	if value == "visible" || value == "" {
		return p
	}
	x, y, two := strings.Cut(value, " ")
	if !two {
		y = x
	}
	if scrolls(x) || scrolls(y) {
		p = p.scroll(b)
	}
	c := unbounded()
	if cuts(x) {
		c.x0, c.x1 = b.x0, b.x1
	}
	if cuts(y) {
		c.y0, c.y1 = b.y0, b.y1
	}
	return p.clip(c)
}

func scrolls(v string) bool { return v == "auto" || v == "scroll" }
func cuts(v string) bool    { return v == "hidden" || v == "clip" }

// clipRect reads the old clip property, "rect(top, right, bottom, left)" from
// the top left corner of the box (CSS 2.2 section 11.1.2).
func clipRect(value string, b box) (box, bool) {
	inner, ok := strings.CutPrefix(value, "rect(")
	if !ok {
		return box{}, false
	}
	parts := strings.FieldsFunc(strings.TrimSuffix(inner, ")"), func(r rune) bool { return r == ',' || r == ' ' })
	if len(parts) != 4 {
		return box{}, false
	}
	edge := func(s string, from, auto float64) float64 {
		if s == "auto" {
			return auto
		}
		return from + pixels(s)
	}
	return box{
		y0: edge(parts[0], b.y0, math.Inf(-1)), x1: edge(parts[1], b.x0, math.Inf(1)),
		y1: edge(parts[2], b.y0, math.Inf(1)), x0: edge(parts[3], b.x0, math.Inf(-1)),
	}, true
}

// vanishing recognises the clip paths that are in use for hiding: insets
// that meet, and circles without a radius.
func vanishing(path string) bool {
	if path == "none" || path == "" {
		return false
	}
	if strings.HasPrefix(path, "circle(0px") || strings.HasPrefix(path, "circle(0%") {
		return true
	}
	inner, ok := strings.CutPrefix(path, "inset(")
	if !ok {
		return false
	}
	inner, _, _ = strings.Cut(strings.TrimSuffix(inner, ")"), " round")
	var v [4]float64 // top, right, bottom, left, percent
	parts := strings.Fields(inner)
	for i := range v {
		switch {
		case i < len(parts):
			v[i] = percent(parts[i])
		case i == 3 && len(parts) > 1:
			v[i] = v[1]
		case i == 2 || i == 3 || i == 1:
			v[i] = v[0]
		}
	}
	return v[0]+v[2] >= 100 || v[1]+v[3] >= 100
}

func percent(s string) float64 {
	n, ok := strings.CutSuffix(s, "%")
	if !ok {
		return 0
	}
	return pixels(n)
}
