package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/domsnapshot"
	"github.com/chromedp/cdproto/page"

	"guzheng/capture"
)

// textScript returns the text of a frame as a person would copy it, header
// and footer included.
const textScript = `document.body ? document.body.innerText : ''`

// saveText keeps the text of all frames, and where each line of it stands.
func (v *visit) saveText() {
	ctx, cancel := v.phase(v.order.Limits.ArtefactMS)
	defer cancel()
	tree, err := cdp.Call(ctx, v.session, page.GetFrameTree, cdp.Empty{})
	if err != nil {
		v.missing("text", err)
		return
	}
	var b strings.Builder
	v.frameText(ctx, tree.FrameTree, &b)
	if strings.TrimSpace(b.String()) == "" {
		v.journal.Anomaly("page.blank")
	}
	v.keep("text", capture.FileText, "text/plain; charset=utf-8", "evidence/text.txt", []byte(b.String()+"\n"))
	v.saveLines(ctx)
}

// textDigest is the digest of the main frame's text at this moment, or
// nothing when the page does not answer.
func (v *visit) textDigest() string {
	ctx, cancel := v.phase(v.order.Limits.StepMS)
	defer cancel()
	var text string
	if err := v.ask(ctx, textScript, &text); err != nil {
		v.mu.Lock()
		v.hung = v.hung || errors.Is(err, context.DeadlineExceeded)
		v.mu.Unlock()
		return ""
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (v *visit) frameText(ctx context.Context, t *page.FrameTree, b *strings.Builder) {
	var text string
	if err := v.evaluate(ctx, t.Frame.ID, textScript, &text); err != nil {
		v.missing("text of "+t.Frame.URL, err)
	}
	if t.Frame.ParentID != "" {
		b.WriteString("\n\n[" + t.Frame.URL + "]\n")
	}
	b.WriteString(text)
	for _, child := range t.ChildFrames {
		v.frameText(ctx, child, b)
	}
}

// saveLines keeps the box of every painted line of text.
func (v *visit) saveLines(ctx context.Context) {
	snap, err := cdp.Call(ctx, v.session, domsnapshot.CaptureSnapshot, domsnapshot.CaptureSnapshotParams{
		ComputedStyles: []string{"visibility", "opacity"}})
	if err != nil {
		v.missing("lines", err)
		return
	}
	lines := capture.Lines{Format: capture.TextFormat, Page: v.facts.Page}
	s := snapshot{strings: snap.Strings, documents: snap.Documents, scale: v.order.Viewport.Scale, seen: map[int64]bool{}}
	if len(s.documents) > 0 {
		s.collect(0, 0, 0, &lines.Lines)
	}
	if err := v.writeJSON(capture.FileLines, "evidence/lines.json", lines); err != nil {
		v.missing("lines", err)
		return
	}
	v.journal.Step("lines.saved", "lines", len(lines.Lines))
}

// A snapshot walks the documents of a DOMSnapshot answer.
type snapshot struct {
	strings   []string
	documents []*domsnapshot.DocumentSnapshot
	scale     float64
	seen      map[int64]bool
}

func (s snapshot) text(i domsnapshot.StringIndex) string {
	if i < 0 || int(i) >= len(s.strings) {
		return ""
	}
	return s.strings[i]
}

// collect appends the lines of one document, and of the documents in its
// frames, with their boxes moved to the coordinates of the page.
func (s snapshot) collect(doc int64, dx, dy float64, out *[]capture.Line) {
	if doc < 0 || int(doc) >= len(s.documents) || s.seen[doc] {
		return
	}
	s.seen[doc] = true
	d := s.documents[doc]
	if d.Layout == nil {
		return
	}
	s.boxes(d, dx, dy, out)
	if d.Nodes == nil || d.Nodes.ContentDocumentIndex == nil {
		return
	}
	for i, node := range d.Nodes.ContentDocumentIndex.Index {
		for k, owner := range d.Layout.NodeIndex {
			if owner != node || k >= len(d.Layout.Bounds) || len(d.Layout.Bounds[k]) < 4 {
				continue
			}
			child := d.Nodes.ContentDocumentIndex.Value[i]
			if child < 0 || int(child) >= len(s.documents) {
				continue
			}
			box, c := d.Layout.Bounds[k], s.documents[child]
			s.collect(child, dx+box[0]/s.scale-c.ScrollOffsetX/s.scale, dy+box[1]/s.scale-c.ScrollOffsetY/s.scale, out)
		}
	}
}

func (s snapshot) boxes(d *domsnapshot.DocumentSnapshot, dx, dy float64, out *[]capture.Line) {
	if d.TextBoxes == nil {
		return
	}
	for i, at := range d.TextBoxes.LayoutIndex {
		if int(at) >= len(d.Layout.Text) || i >= len(d.TextBoxes.Bounds) || len(d.TextBoxes.Bounds[i]) < 4 {
			continue
		}
		b := d.TextBoxes.Bounds[i]
		if b[2] <= 0 || b[3] <= 0 || s.hidden(d, at) {
			continue
		}
		text := slice16(s.text(d.Layout.Text[at]), d.TextBoxes.Start[i], d.TextBoxes.Length[i])
		if strings.TrimSpace(text) == "" {
			continue
		}
		*out = append(*out, capture.Line{X: dx + b[0]/s.scale, Y: dy + b[1]/s.scale, W: b[2] / s.scale, H: b[3] / s.scale, Text: text})
	}
}

// hidden reports whether a layout node is painted with no ink.
func (s snapshot) hidden(d *domsnapshot.DocumentSnapshot, at int64) bool {
	if int(at) >= len(d.Layout.Styles) || len(d.Layout.Styles[at]) < 2 {
		return false
	}
	st := d.Layout.Styles[at]
	return s.text(domsnapshot.StringIndex(st[0])) == "hidden" || s.text(domsnapshot.StringIndex(st[1])) == "0"
}

// slice16 cuts a text by UTF-16 code units, as the browser counts.
func slice16(text string, start, length int64) string {
	var b strings.Builder
	var n int64
	for _, r := range text {
		if n >= start && n < start+length {
			b.WriteRune(r)
		}
		n++
		if r > 0xFFFF {
			n++
		}
	}
	return b.String()
}
