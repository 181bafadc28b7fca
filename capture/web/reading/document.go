package reading

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/domsnapshot"
)

// Indices of the computed styles in a snapshot; styleNames has their names in
// this order.
const (
	styleDisplay = iota
	styleVisibility
	styleOpacity
	styleSpace
	styleOverflow
	stylePosition
	styleTransform
	styleClip
	styleClipPath
	styleFamily
	styleWeight
	styleSlant
	styleSize
	styleFill
	styleShadow
	styleBackgroundClip
	styleLocked
)

func styleNames() []string {
	return []string{
		"display", "visibility", "opacity", "white-space-collapse", "overflow", "position", "transform",
		"clip", "clip-path", "font-family", "font-weight", "font-style", "font-size",
		"-webkit-text-fill-color", "text-shadow", "background-clip", "content-visibility",
	}
}

// A document gives access to one DocumentSnapshot. Every method answers for
// any index; what is not there is empty.
type document struct {
	strings []string
	nodes   *domsnapshot.NodeTreeSnapshot
	layout  *domsnapshot.LayoutTreeSnapshot
	boxes   *domsnapshot.TextBoxSnapshot
	raw     *domsnapshot.DocumentSnapshot
	scale   float64

	roots             []int
	firstChild, next  []int // of nodes; -1 ends
	firstLay, nextLay []int // layout entries of a node
	firstBox, nextBox []int // text boxes of a layout entry

	pseudo, input, area map[int]string
	selected            map[int]bool
	content             map[int]int
}

// open prepares the documents of a layer.
func open(l Layer) []*document {
	if l.Snapshot == nil {
		return nil
	}
	scale := l.Scale
	if !(scale > 0) {
		scale = 1
	}
	out := make([]*document, len(l.Snapshot.Documents))
	for i, raw := range l.Snapshot.Documents {
		d := &document{strings: l.Snapshot.Strings, scale: scale, raw: raw}
		if d.raw == nil {
			d.raw = &domsnapshot.DocumentSnapshot{DocumentURL: -1}
		}
		d.nodes, d.layout, d.boxes = d.raw.Nodes, d.raw.Layout, d.raw.TextBoxes
		if d.nodes == nil {
			d.nodes = &domsnapshot.NodeTreeSnapshot{}
		}
		if d.layout == nil {
			d.layout = &domsnapshot.LayoutTreeSnapshot{}
		}
		if d.boxes == nil {
			d.boxes = &domsnapshot.TextBoxSnapshot{}
		}
		d.rare()
		d.link()
		out[i] = d
	}
	return out
}

// rare indexes the members that few nodes have.
func (d *document) rare() {
	d.pseudo = d.rareStrings(d.nodes.PseudoType)
	d.input = d.rareStrings(d.nodes.InputValue)
	d.area = d.rareStrings(d.nodes.TextValue)
	d.selected = map[int]bool{}
	if o := d.nodes.OptionSelected; o != nil {
		for _, i := range o.Index {
			d.selected[int(i)] = true
		}
	}
	d.content = map[int]int{}
	if c := d.nodes.ContentDocumentIndex; c != nil {
		for k := range min(len(c.Index), len(c.Value)) {
			d.content[int(c.Index[k])] = int(c.Value[k])
		}
	}
}

func (d *document) rareStrings(r *domsnapshot.RareStringData) map[int]string {
	if r == nil {
		return nil
	}
	m := make(map[int]string, len(r.Index))
	for k := range min(len(r.Index), len(r.Value)) {
		m[int(r.Index[k])] = d.str(int64(r.Value[k]))
	}
	return m
}

// link makes lists of children, layout entries and text boxes. The snapshot
// has ::after before the children of its element; here it comes after them.
// A node whose parent does not come before it is a root of its own, so that
// there are no circles.
func (d *document) link() {
	n, l := len(d.nodes.ParentIndex), len(d.layout.NodeIndex)
	d.firstChild, d.next = minusOnes(n), minusOnes(n)
	last := minusOnes(n)
	var later []int
	add := func(i int) {
		p := int(d.nodes.ParentIndex[i])
		if p < 0 || p >= i {
			d.roots = append(d.roots, i)
			return
		}
		if last[p] < 0 {
			d.firstChild[p] = i
		} else {
			d.next[last[p]] = i
		}
		last[p] = i
	}
	for i := range n {
		if d.pseudo[i] == "after" {
			later = append(later, i)
		} else {
			add(i)
		}
	}
	for _, i := range later {
		add(i)
	}
	d.firstLay, d.nextLay = chain(d.layout.NodeIndex, n)
	d.firstBox, d.nextBox = chain(d.boxes.LayoutIndex, l)
}

// chain makes, for owners below n, the list of the indices that name them.
func chain(owners []int64, n int) (first, next []int) {
	first, next = minusOnes(n), minusOnes(len(owners))
	for i := len(owners) - 1; i >= 0; i-- {
		if o := owners[i]; o >= 0 && o < int64(n) {
			next[i], first[o] = first[o], i
		}
	}
	return first, next
}

func minusOnes(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = -1
	}
	return s
}

// at returns s[i], or the zero value.
func at[T any](s []T, i int) (v T) {
	if i >= 0 && i < len(s) {
		v = s[i]
	}
	return v
}

// head returns the first of a list, or -1.
func head(first []int, i int) int {
	if i < 0 || i >= len(first) {
		return -1
	}
	return first[i]
}

func (d *document) str(i int64) string {
	if i < 0 || i >= int64(len(d.strings)) {
		return ""
	}
	return d.strings[i]
}

func (d *document) url() string { return d.str(int64(d.raw.DocumentURL)) }

// name is the node's name: upper case for HTML.
func (d *document) name(node int) string {
	if node >= len(d.nodes.NodeName) {
		return ""
	}
	return d.str(int64(d.nodes.NodeName[node]))
}

func (d *document) id(node int) cdp.BackendNodeID { return at(d.nodes.BackendNodeID, node) }

func (d *document) value(node int) string {
	if node >= len(d.nodes.NodeValue) {
		return ""
	}
	return d.str(int64(d.nodes.NodeValue[node]))
}

// attribute returns an attribute's value; the snapshot has names and values
// in turn.
func (d *document) attribute(node int, name string) (string, bool) {
	a := at(d.nodes.Attributes, node)
	for k := 0; k+1 < len(a); k += 2 {
		if strings.EqualFold(d.str(a[k]), name) {
			return d.str(a[k+1]), true
		}
	}
	return "", false
}

// styleIndex is a style's index into the strings, or -1.
func (d *document) styleIndex(lay, style int) int64 {
	s := at(d.layout.Styles, lay)
	if style >= len(s) {
		return -1
	}
	return s[style]
}

func (d *document) style(lay, style int) string { return d.str(d.styleIndex(lay, style)) }

func (d *document) layoutText(lay int) string {
	if lay >= len(d.layout.Text) {
		return ""
	}
	return d.str(int64(d.layout.Text[lay]))
}

func (d *document) order(lay int) int64 { return at(d.layout.PaintOrders, lay) }

// background is the colour behind the text of an element: known, blended of
// all that the browser found behind it.
func (d *document) background(lay int) string {
	if lay < 0 || lay >= len(d.layout.BlendedBackgroundColors) {
		return ""
	}
	return d.str(int64(d.layout.BlendedBackgroundColors[lay]))
}

// bounds is the box of a layout entry in CSS pixels of the document.
func (d *document) bounds(lay int) box { return d.box(at(d.layout.Bounds, lay)) }

func (d *document) box(r domsnapshot.Rectangle) box {
	if len(r) < 4 {
		return box{}
	}
	return box{r[0] / d.scale, r[1] / d.scale, (r[0] + r[2]) / d.scale, (r[1] + r[3]) / d.scale}
}

// extent is the size of everything in the document, CSS pixels.
func (d *document) extent() (w, h float64) {
	return d.raw.ContentWidth / d.scale, d.raw.ContentHeight / d.scale
}

// view is the window through which a frame shows its document, on the page.
func (d *document) view(s stand) box {
	b := d.bounds(0)
	return box{s.x, s.y, s.x + (b.x1-b.x0)*s.zoom, s.y + (b.y1-b.y0)*s.zoom}
}

// textBoxes returns the boxes of a layout entry in the order of the text:
// right-to-left text comes in the order of the screen.
func (d *document) textBoxes(lay int, buf []int) []int {
	buf = buf[:0]
	for i := head(d.firstBox, lay); i >= 0; i = d.nextBox[i] {
		buf = append(buf, i)
	}
	slices.SortStableFunc(buf, func(a, b int) int { return cmp.Compare(at(d.boxes.Start, a), at(d.boxes.Start, b)) })
	return buf
}

// pixels reads a length such as "12.5px"; zero when it is none.
func pixels(s string) float64 {
	v, err := strconv.ParseFloat(strings.TrimSuffix(s, "px"), 64)
	if err != nil {
		return 0
	}
	return v
}
