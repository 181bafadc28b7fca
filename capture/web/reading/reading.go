// Package reading turns the browser's snapshots of a page into what a person
// could read on it: its text, the place of every run of text, the fonts it
// was drawn with, its accessibility tree, and what its bytes say about their
// encoding.
//
// Life of a page: the caller asks each session for a DOMSnapshot with Params
// and hands the answers to Read as layers. Read walks every document in the
// order of the flattened tree, frames and shadow roots (closed ones too)
// included; it follows the boxes that the browser laid out, drops what is not
// visible and says why, and writes the rest down block by block. Fonts and
// Accessible then ask the sessions again; Sniff works on the bytes that came
// over the wire.
//
// Trust: the page decides what is in a snapshot, and a broken or taken-over
// browser may answer anything. Read therefore believes no index and no
// length, and a malformed answer gives less text and never a panic. A page
// can still show text that Read takes for hidden, or the reverse: by drawing
// on a canvas, with filters, masks and overlays, or by changing after the
// snapshot. The pictures of the page are the judge; every run that is left
// out of the text stays in the lines with the reason.
package reading

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/domsnapshot"

	"guzheng/capture"
)

// A Layer is the snapshot of one session: the main document with all frames
// that live in its process, or a frame that has a process of its own. The
// first layer is the page.
type Layer struct {
	Snapshot *domsnapshot.CaptureSnapshotResult

	// URL replaces the address in the snapshot when it is not empty.
	URL string

	// Scale is the number of snapshot pixels per CSS pixel; zero means one.
	// It is one under Emulation.setDeviceMetricsOverride, whatever its
	// device scale factor, and the device scale factor when the browser was
	// started with --force-device-scale-factor. ScaleOf tells them apart.
	Scale float64

	// Parent and Owner say which element of which layer holds this one: the
	// index of the layer and the element's backend node id there
	// (DOM.getFrameOwner, asked in the parent's session). Place and
	// visibility then follow from the parent's snapshot. An Owner of zero,
	// or one that is not found, leaves X and Y: the top left corner of the
	// frame's content on the page, in CSS pixels.
	Parent int
	Owner  cdp.BackendNodeID
	X, Y   float64
}

// Reasons for which a run is not, or perhaps not, seen. Runs with one of the
// last two are in the text all the same.
const (
	HiddenVisibility = "visibility" // visibility: hidden or collapse
	HiddenOpacity    = "opacity"    // opacity below one percent, ancestors included
	HiddenSize       = "size"       // no box, or one of less than a pixel
	HiddenClipped    = "clipped"    // cut away by overflow, clip, clip-path or a line clamp
	HiddenOff        = "off"        // outside of the page
	HiddenSkipped    = "skipped"    // content-visibility: the browser has not laid it out
	HiddenScrolled   = "scrolled"   // inside a scroll area or frame, and scrolled out of view
	HiddenColour     = "colour"     // painted, in the colour of the background as far as the browser knows it
)

// Kinds of runs that are not text of the document itself.
const (
	KindGenerated   = "generated"   // ::before, ::after and the like
	KindMarker      = "marker"      // of a list item
	KindValue       = "value"       // of a form control
	KindPlaceholder = "placeholder" // of an empty form control
	KindAlt         = "alt"         // alternative text of a picture
)

// A Result is what was read from a page.
type Result struct {
	// Text is the visible text, block by block in document order; the text of
	// each frame follows that of its parent under a heading "[URL]". Values of
	// controls and alternative texts are not in it.
	Text string

	// Lines has the place of every run; Format and Page are left to the
	// caller.
	Lines capture.Lines

	// Hidden is the number of runs that were left out of the text because
	// they are not visible.
	Hidden int

	// Runes counts the characters of all painted runs, generated text and
	// values of controls included, blanks left out.
	Runes map[rune]int

	// FontGroups are the distinct font styles of the painted text, the one
	// with the most characters first.
	FontGroups []FontGroup

	ids    []cdp.FrameID // of each frame
	layers []int         // the layer of each frame
	groups []int         // the font group of each run of Lines.Lines, or -1
}

// Documents are the frame ids of the documents that were read in a layer, its
// main one first: what Accessible is to be asked for.
func (r Result) Documents(layer int) []cdp.FrameID {
	var out []cdp.FrameID
	for i, l := range r.layers {
		if l == layer && r.ids[i] != "" {
			out = append(out, r.ids[i])
		}
	}
	return out
}

// Params asks for what Read needs. The cost grows with the page: some 15 µs
// of the browser's processor time and 160 bytes per node.
func Params() domsnapshot.CaptureSnapshotParams {
	return domsnapshot.CaptureSnapshotParams{
		ComputedStyles:                 styleNames(),
		IncludePaintOrder:              new(true),
		IncludeBlendedBackgroundColors: new(true),
	}
}

// Read reads a page. A layer without a usable snapshot is left out.
func Read(layers []Layer) Result {
	r := &reader{layers: layers, owners: map[owner]int{}, groups: map[fontKey]int{}, seen: map[seat]bool{}}
	r.out.Runes = map[rune]int{}
	r.docs = make([][]*document, len(layers))
	for i, l := range layers {
		r.docs[i] = open(l)
		if l.Owner != 0 {
			r.owners[owner{l.Parent, l.Owner}] = i
		}
	}
	for _, last := range []bool{false, true} {
		for i := range layers {
			if i == 0 || last || r.homeless(i) {
				r.place(i)
			}
		}
	}
	return r.finish()
}

type owner struct {
	layer int
	node  cdp.BackendNodeID
}

// A seat is one document of one layer.
type seat struct{ layer, doc int }

// A stand is where a document is on the page, and what can be seen there.
type stand struct {
	x, y, zoom float64
	in         inherited
}

type reader struct {
	layers        []Layer
	docs          [][]*document
	owners        map[owner]int
	seen          map[seat]bool
	width, height float64 // of the page, CSS pixels
	text          strings.Builder
	runs          []run
	groups        map[fontKey]int
	best          []candidate // by font group
	out           Result
}

// A run is a line with what orders it.
type run struct {
	capture.Line
	layer, group int
	order        int64
}

// homeless reports whether no walk to come can meet the owner of layer i.
func (r *reader) homeless(i int) bool {
	l := r.layers[i]
	return l.Owner == 0 || l.Parent < 0 || l.Parent >= len(r.docs) || r.seen[seat{l.Parent, 0}]
}

// place reads a layer at the place that its caller gave it: the page itself,
// or a frame whose owner was not met, so that its text is not lost.
func (r *reader) place(i int) {
	if len(r.docs[i]) == 0 || r.seen[seat{i, 0}] {
		return
	}
	l := r.layers[i]
	at := stand{x: l.X, y: l.Y, zoom: 1, in: everywhere()}
	if i == 0 {
		r.width, r.height = r.docs[0][0].extent()
	} else {
		at.in.narrow(func(p place) place { return p.scroll(r.docs[i][0].view(at)) })
	}
	r.frame(seat{i, 0}, at)
}

// frame reads one document and then the frames in it.
func (r *reader) frame(s seat, at stand) {
	if r.seen[s] {
		return
	}
	r.seen[s] = true
	d := r.docs[s.layer][s.doc]
	url := d.url()
	if u := r.layers[s.layer].URL; u != "" && s.doc == 0 {
		url = u
	}
	index := len(r.out.layers)
	r.out.layers = append(r.out.layers, s.layer)
	r.out.ids = append(r.out.ids, cdp.FrameID(d.str(int64(d.raw.FrameID))))
	r.out.Lines.Frames = append(r.out.Lines.Frames, url)
	w := &walker{r: r, d: d, frame: index, layer: s.layer, at: at}
	w.walk()
	if text := w.p.String(); text != "" {
		if index > 0 {
			if r.text.Len() > 0 {
				r.text.WriteString("\n\n")
			}
			r.text.WriteString("[" + url + "]\n")
		}
		r.text.WriteString(text)
	}
	for _, c := range w.children {
		r.frame(c.seat, c.at)
	}
}

// finish sorts the runs as they were painted.
func (r *reader) finish() Result {
	slices.SortStableFunc(r.runs, func(a, b run) int {
		return cmp.Or(cmp.Compare(a.layer, b.layer), cmp.Compare(a.order, b.order))
	})
	r.out.Lines.Lines = make([]capture.Line, len(r.runs))
	r.out.groups = make([]int, len(r.runs))
	for i, l := range r.runs {
		r.out.Lines.Lines[i], r.out.groups[i] = l.Line, l.group
	}
	r.sortGroups()
	r.out.Text = r.text.String()
	return r.out
}

// ScaleOf is the Scale of a snapshot of a window that is this many CSS pixels
// wide (cssLayoutViewport.clientWidth of Page.getLayoutMetrics).
func ScaleOf(s *domsnapshot.CaptureSnapshotResult, width float64) float64 {
	docs := open(Layer{Snapshot: s})
	if len(docs) == 0 || !(width > 0) {
		return 1
	}
	scale := docs[0].bounds(0).width() / width
	if !(scale > 0.1 && scale < 10) || math.Abs(scale-1) < 0.01 {
		return 1
	}
	return math.Round(scale*1000) / 1000
}
