package reading

import (
	"math"
	"strings"

	"guzheng/capture"
)

// DOM node types (DOM section 4.4).
const (
	elementNode = 1
	textNode    = 3
)

// A walker reads one document.
type walker struct {
	r            *reader
	d            *document
	frame, layer int
	at           stand
	p            prose
	children     []child
	buf          []int
	leftward     bool // the page grows to the left
}

// A child is a document in a frame of this one.
type child struct {
	seat
	at stand
}

// A step is a node on the way from the root to where the walk is.
type step struct {
	node, next int
	in         inherited
	lay        int // the nearest layout entry that holds text
	breaks     int // line breaks after the node
	cells      int // met so far in a row
}

// walk visits the nodes in the order of the text. It keeps its own stack: a
// script can nest elements deeper than a call stack should go.
func (w *walker) walk() {
	w.leftward = w.growsLeft()
	var stack []step
	push := func(node int, parent *step) {
		s := step{node: node, next: head(w.d.firstChild, node), in: parent.in, lay: parent.lay}
		if !w.enter(&s, parent) {
			s.next = -1
		}
		stack = append(stack, s)
	}
	for _, root := range w.d.roots {
		push(root, &step{in: w.at.in, lay: -1})
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if top.next < 0 {
				if top.breaks > 0 {
					w.p.block(top.breaks)
				}
				stack = stack[:len(stack)-1]
				continue
			}
			node := top.next
			top.next = w.d.next[node]
			push(node, top)
		}
	}
}

// enter begins a node and reports whether its children are to be visited.
func (w *walker) enter(s, parent *step) bool {
	lay := head(w.d.firstLay, s.node)
	switch at(w.d.nodes.NodeType, s.node) {
	case textNode:
		if lay < 0 {
			w.skipped(s)
		}
		w.texts(s, lay, "")
		return false
	case elementNode:
	default:
		return true
	}
	if lay < 0 {
		return !w.silent(s.node)
	}
	s.lay = lay
	name := w.d.name(s.node)
	b := w.toPage(w.d.bounds(lay))
	if name == "HTML" || name == "BODY" {
		// Their overflow is that of the window, which the picture has whole.
		b = unbounded()
	}
	s.in = s.in.enter(w.d, lay, b)
	if pseudo, ok := w.d.pseudo[s.node]; ok {
		w.generated(s, parent, pseudo)
		return true
	}
	if s.in.locked == lay && !w.skips(s.node) {
		s.in.locked = parent.in.locked
	}
	w.shape(s, parent, name, lay)
	return w.element(s, name, lay)
}

// shape asks for the line breaks around an element.
func (w *walker) shape(s, parent *step, name string, lay int) {
	if w.d.style(lay, styleVisibility) != "visible" {
		return
	}
	switch display := w.d.style(lay, styleDisplay); {
	case name == "BR":
	case display == "table-cell":
		if parent.cells > 0 {
			w.p.cell()
		}
		parent.cells++
	case name == "P":
		s.breaks = 2
	case breaksLine(display):
		s.breaks = 1
	}
	if s.breaks > 0 {
		w.p.block(s.breaks)
	}
}

// breaksLine reports whether an element with this display stands on lines of
// its own (CSS Display 3: block-level, and the rows and captions of tables).
func breaksLine(display string) bool {
	switch display {
	case "", "inline", "inline-block", "inline-flex", "inline-grid", "inline-table", "inline flow-root",
		"contents", "none", "ruby", "ruby-text", "math", "-webkit-inline-box", "table-cell", "table-column",
		"table-column-group", "table-row-group", "table-header-group", "table-footer-group":
		return false
	}
	return !strings.HasPrefix(display, "inline")
}

// element deals with what is special about some elements.
func (w *walker) element(s *step, name string, lay int) bool {
	switch name {
	case "BR":
		if w.why(s.in, lay) == "" {
			w.p.newline()
		}
		return false
	case "IFRAME", "FRAME", "OBJECT", "EMBED", "FENCEDFRAME":
		return !w.hold(s, name, lay)
	case "SELECT":
		w.options(s, lay)
		return false
	case "INPUT", "TEXTAREA":
		w.control(s, name, lay)
		return false
	case "IMG":
		w.alternative(s, lay)
	}
	return true
}

// silent reports whether a node that was not laid out holds text that nobody
// would call skipped.
func (w *walker) silent(node int) bool {
	switch w.d.name(node) {
	case "SCRIPT", "STYLE", "NOSCRIPT", "TEMPLATE", "HEAD", "SELECT", "TEXTAREA", "VIDEO", "AUDIO", "CANVAS":
		return true
	}
	return false
}

// hold remembers the document in a frame and reports whether there is one.
func (w *walker) hold(s *step, name string, lay int) bool {
	var c child
	if doc, ok := w.d.content[s.node]; ok && doc >= 0 && doc < len(w.r.docs[w.layer]) {
		c.seat = seat{w.layer, doc}
	} else if l, ok := w.r.owners[owner{w.layer, w.d.id(s.node)}]; ok && l >= 0 && len(w.r.docs[l]) > 0 {
		c.seat = seat{l, 0}
	} else {
		return false
	}
	d := w.r.docs[c.layer][c.doc]
	c.at = w.inside(d, w.toPage(w.d.bounds(lay)))
	c.at.in = everywhere()
	c.at.in.flow = s.in.flow
	if why := w.why(s.in, lay); why != "" {
		c.at.in.flow = c.at.in.flow.lose(why)
	}
	view := d.view(c.at)
	c.at.x -= d.raw.ScrollOffsetX / d.scale * c.at.zoom
	c.at.y -= d.raw.ScrollOffsetY / d.scale * c.at.zoom
	if v, _ := w.d.attribute(s.node, "scrolling"); name == "IFRAME" && strings.EqualFold(v, "no") {
		c.at.in.flow = c.at.in.flow.clip(view)
	} else {
		c.at.in.flow = c.at.in.flow.scroll(view)
	}
	c.at.in.absolute, c.at.in.fixed = c.at.in.flow, c.at.in.flow
	w.children = append(w.children, c)
	return true
}

// inside finds where the content of a frame stands. The snapshot has the box
// with border and padding and, in the inner document, the size without; the
// two sides of each are taken for equal. Other differences come from a
// transform.
func (w *walker) inside(d *document, b box) stand {
	const thickest = 64
	v := d.bounds(0)
	dx, dy := b.width()-v.width()*w.at.zoom, b.height()-v.height()*w.at.zoom
	if dx >= 0 && dx <= thickest && dy >= 0 && dy <= thickest {
		return stand{x: b.x0 + dx/2, y: b.y0 + dy/2, zoom: w.at.zoom}
	}
	zoom := b.width() / v.width()
	if !(zoom > 0.01 && zoom < 100) {
		zoom = w.at.zoom
	}
	return stand{x: b.x0, y: b.y0, zoom: zoom}
}

// toPage moves a box of the document to the page.
func (w *walker) toPage(b box) box {
	return box{w.at.x + b.x0*w.at.zoom, w.at.y + b.y0*w.at.zoom, w.at.x + b.x1*w.at.zoom, w.at.y + b.y1*w.at.zoom}
}

// why says what hides everything that is painted with this layout entry.
func (w *walker) why(in inherited, lay int) string {
	switch {
	case w.d.style(lay, styleVisibility) != "visible" && w.d.style(lay, styleVisibility) != "":
		return HiddenVisibility
	case in.opacity < 0.01:
		return HiddenOpacity
	}
	return ""
}

// see says why a run with this box on the page is not seen.
func (w *walker) see(in inherited, lay int, b box) string {
	if why := w.why(in, lay); why != "" {
		return why
	}
	if b.empty() {
		return HiddenSize
	}
	why := in.flow.judge(b)
	if why == "" && w.off(b) {
		return HiddenOff
	}
	return why
}

// off reports whether a box is where no scrolling of the page leads.
func (w *walker) off(b box) bool {
	return b.x1 <= 0 && !w.leftward || b.y1 <= 0 ||
		w.r.width > 0 && b.x0 >= w.r.width || w.r.height > 0 && b.y0 >= w.r.height
}

// growsLeft reports whether the document is written from right to left: what
// has negative places can then be scrolled to.
func (w *walker) growsLeft() bool {
	for _, root := range w.d.roots {
		for n := head(w.d.firstChild, root); n >= 0; n = w.d.next[n] {
			if v, _ := w.d.attribute(n, "dir"); strings.EqualFold(v, "rtl") {
				return true
			}
		}
	}
	return false
}

// line makes a run of text at a box on the page.
func (w *walker) line(node, lay int, b box, text string) capture.Line {
	l := capture.Line{X: round(b.x0), Y: round(b.y0), W: round(b.width()), H: round(b.height()), Text: text,
		Frame: w.frame, Node: int64(w.d.id(node))}
	if s := w.d.style(lay, styleSize); s != "" {
		l.Size = round(pixels(s))
	}
	return l
}

// round keeps hundredths: the browser lays out in 64ths.
func round(v float64) float64 {
	v = math.Round(v*100) / 100
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0 // JSON has no such numbers
	}
	return v
}

// keep adds a run to the lines: to those that are painted, or to the hidden
// ones with the reason. group is its font group, or -1.
func (w *walker) keep(l capture.Line, lay, group int) {
	l.Text = strings.ToValidUTF8(l.Text, string('\uFFFD'))
	if !painted(l.Hidden) {
		w.r.out.Lines.Hidden = append(w.r.out.Lines.Hidden, l)
		if !inText(l.Hidden) {
			w.r.out.Hidden++
		}
		return
	}
	w.r.runs = append(w.r.runs, run{Line: l, layer: w.layer, group: group, order: w.d.order(lay)})
	for _, c := range l.Text {
		if c > ' ' {
			w.r.out.Runes[c]++
		}
	}
}
