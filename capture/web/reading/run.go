package reading

import (
	"strings"
	"unicode"

	"guzheng/capture"
)

// texts reads the text of a node: each of its layout entries that has text,
// box by box.
func (w *walker) texts(s *step, lay int, kind string) {
	for ; lay >= 0; lay = w.d.nextLay[lay] {
		if text := w.d.layoutText(lay); text != "" {
			w.text(s, lay, text, kind)
		}
	}
}

// text reads one layout entry. Its boxes name parts of the text by UTF-16
// offsets; white space between them was collapsed by the browser. A box
// begins at an offset of the DOM text but has the length of the text on
// display: where text-transform makes that longer, boxes seem to overlap.
func (w *walker) text(s *step, lay int, text, kind string) {
	w.buf = w.d.textBoxes(lay, w.buf)
	silent := unread(kind, text)
	group := -1
	u := units{s: text}
	longer := int64(0)
	for _, i := range w.buf {
		start := at(w.d.boxes.Start, i) + longer
		if behind := u.n - start; behind > 0 {
			longer, start = longer+behind, u.n
		}
		w.gap(s, lay, u.to(start), kind)
		part := u.to(start + at(w.d.boxes.Length, i))
		b := w.toPage(w.d.box(at(w.d.boxes.Bounds, i)))
		if blank(part) {
			if !silent && w.why(s.in, lay) == "" && s.in.flow.lost == "" {
				w.write(part, w.d.style(lay, styleSpace))
			}
			continue
		}
		why := w.see(s.in, lay, b)
		if why == "" && w.blends(lay, s.lay) {
			why = HiddenColour
		}
		if !silent && inText(why) {
			w.write(part, w.d.style(lay, styleSpace))
		}
		if painted(why) {
			if group < 0 {
				group = w.r.group(w, s.node, lay, text)
			}
			w.r.count(group, part)
		}
		l := w.line(s.node, lay, b, strings.TrimFunc(part, unicode.IsSpace))
		l.Kind, l.Hidden = kind, why
		w.keep(l, lay, group)
	}
	w.gap(s, lay, u.rest(), kind)
}

// painted reports whether a run with this reason is on the picture.
func painted(why string) bool { return why == "" || why == HiddenColour }

// inText reports whether a run with this reason is in the text.
func inText(why string) bool { return painted(why) || why == HiddenScrolled }

// unread reports whether a text of this kind is left out of the text although
// it is painted.
func unread(kind, text string) bool {
	return kind == KindMarker || kind == KindGenerated && !legible(text)
}

// write writes a visible part by the rules of its white space.
func (w *walker) write(part, space string) {
	switch space {
	case "collapse", "":
		w.p.flow(part)
	case "preserve-breaks":
		for i, line := range strings.Split(part, "\n") {
			if i > 0 {
				w.p.newline()
			}
			w.p.flow(line)
		}
	default:
		w.p.keep(part)
	}
}

// gap is a part of a text without a box: white space, or what a line clamp
// left out.
func (w *walker) gap(s *step, lay int, part, kind string) {
	if part == "" {
		return
	}
	why := w.why(s.in, lay)
	if why == "" && kind != KindMarker {
		w.p.space()
	}
	if !strings.ContainsFunc(part, drawn) {
		return
	}
	if why == "" {
		why = HiddenClipped
	}
	l := w.line(s.node, lay, w.toPage(w.d.bounds(lay)), strings.TrimFunc(part, unicode.IsSpace))
	l.Kind, l.Hidden = kind, why
	w.keep(l, lay, -1)
}

// generated reads a pseudo-element. What style sheets write is text to a
// reader; the private characters of icon fonts are not, and the marks of lists
// are left out as they are when a page is copied.
func (w *walker) generated(s, parent *step, pseudo string) {
	switch pseudo {
	case "marker":
		w.texts(s, s.lay, KindMarker)
	case "first-letter":
		w.texts(s, s.lay, "")
	default:
		w.shape(s, parent, "", s.lay)
		w.texts(s, s.lay, KindGenerated)
	}
}

// skips reports whether the browser left out the content of an element with
// content-visibility: auto: none of its children was laid out.
func (w *walker) skips(node int) bool {
	for n := head(w.d.firstChild, node); n >= 0; n = w.d.next[n] {
		if head(w.d.firstLay, n) >= 0 {
			return false
		}
	}
	return true
}

// skipped keeps text that would be seen if the browser had laid it out.
func (w *walker) skipped(s *step) {
	text := strings.TrimFunc(w.d.value(s.node), unicode.IsSpace)
	if s.in.locked < 0 || text == "" {
		return
	}
	l := w.line(s.node, s.in.locked, w.toPage(w.d.bounds(s.in.locked)), text)
	l.Hidden = HiddenSkipped
	w.keep(l, s.in.locked, -1)
}

// blends reports whether a text has the colour of what is behind it, or none.
func (w *walker) blends(lay, parent int) bool {
	fill := w.d.style(lay, styleFill)
	if fill == "" || w.d.style(lay, styleShadow) != "none" || w.d.style(lay, styleBackgroundClip) == "text" {
		return false
	}
	return fill == w.d.background(parent) || strings.HasPrefix(fill, "rgba(") && strings.HasSuffix(fill, ", 0)")
}

// control keeps what an input shows: its value, or else its placeholder.
// What a password field holds is not shown and not kept.
func (w *walker) control(s *step, name string, lay int) {
	text, kind := w.d.input[s.node], KindValue
	if name == "TEXTAREA" {
		text = w.d.area[s.node]
	} else {
		switch t, _ := w.d.attribute(s.node, "type"); strings.ToLower(t) {
		case "hidden", "password", "checkbox", "radio", "file", "range", "color":
			return
		case "image":
			w.alternative(s, lay)
			return
		}
	}
	if text == "" {
		text, _ = w.d.attribute(s.node, "placeholder")
		kind = KindPlaceholder
	}
	w.shown(s, lay, text, kind)
}

// shown keeps the text of a control at its box and says why it is not seen.
func (w *walker) shown(s *step, lay int, text, kind string) string {
	b := w.toPage(w.d.bounds(lay))
	why := w.see(s.in, lay, b)
	if text = strings.TrimFunc(text, unicode.IsSpace); text != "" {
		l := w.line(s.node, lay, b, text)
		l.Kind, l.Hidden = kind, why
		w.keep(l, lay, -1)
	}
	return why
}

// options writes the choices of a list, as a copy of the page has them, and
// keeps those that are on display.
func (w *walker) options(s *step, lay int) {
	var list []int
	var text []string
	chosen := -1
	w.each(s.node, func(n int) {
		switch {
		case w.d.name(n) == "OPTION":
			if chosen < 0 || w.d.selected[n] && !w.d.selected[list[chosen]] {
				chosen = len(list)
			}
			list, text = append(list, n), append(text, "")
		case at(w.d.nodes.NodeType, n) == textNode && len(text) > 0:
			text[len(text)-1] += w.d.value(n)
		}
	})
	visible := inText(w.see(s.in, lay, w.toPage(w.d.bounds(lay))))
	for i, n := range list {
		t := strings.Join(strings.Fields(text[i]), " ")
		if visible {
			w.p.block(1)
			w.p.flow(t)
			w.p.block(1)
		}
		if own := head(w.d.firstLay, n); own >= 0 {
			w.shown(&step{node: n, in: s.in}, own, t, "")
		} else if i == chosen {
			w.shown(s, lay, t, KindValue)
		}
	}
}

// each calls f for every node below one, in order.
func (w *walker) each(node int, f func(int)) {
	stack := []int{head(w.d.firstChild, node)}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		if n < 0 {
			stack = stack[:len(stack)-1]
			continue
		}
		stack[len(stack)-1] = w.d.next[n]
		f(n)
		stack = append(stack, head(w.d.firstChild, n))
	}
}

// alternative keeps the alternative text of a picture that is in view.
func (w *walker) alternative(s *step, lay int) {
	text, _ := w.d.attribute(s.node, "alt")
	text = strings.TrimFunc(text, unicode.IsSpace)
	b := w.toPage(w.d.bounds(lay))
	if text == "" || w.see(s.in, lay, b) != "" {
		return
	}
	l := capture.Line{X: round(b.x0), Y: round(b.y0), W: round(b.width()), H: round(b.height()),
		Text: text, Frame: w.frame, Node: int64(w.d.id(s.node)), Kind: KindAlt}
	w.r.out.Lines.Alternatives = append(w.r.out.Lines.Alternatives, l)
}

// legible reports whether a text has anything but blanks and characters that
// only a font of its own gives a meaning.
func legible(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return drawn(r) && !unicode.Is(unicode.Co, r) })
}

// units cuts a text by UTF-16 offsets, as the browser counts.
type units struct {
	s string
	i int   // byte
	n int64 // code unit
}

// to returns the text up to the offset; one that is behind gives nothing.
func (u *units) to(n int64) string {
	from := u.i
	for k, r := range u.s[from:] {
		if u.n >= n {
			u.i = from + k
			return u.s[from:u.i]
		}
		u.n++
		if r > 0xFFFF {
			u.n++
		}
	}
	u.i = len(u.s)
	return u.s[from:]
}

func (u *units) rest() string { return u.s[u.i:] }
