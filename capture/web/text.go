package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/domsnapshot"

	"guzheng/capture"
	"guzheng/capture/web/devtools"
	"guzheng/capture/web/reading"
)

// mostAccessible is how many nodes a page may have for its accessibility
// trees to be asked for: they cost the browser some 45 µs a node.
const mostAccessible = 20_000

// A view is the page as it was read at one moment.
type view struct {
	reading.Result
	sessions []cdp.Session // of the layers
	nodes    int
	digest   string // of all text that is laid out
}

// saveText keeps the text of all frames, where each run of it stands, the
// accessibility trees, and notes the fonts. It returns the same digest as
// textDigest.
func (v *visit) saveText() string {
	ctx, cancel := v.phase(v.order.Limits.ArtefactMS)
	defer cancel()
	page, err := v.read(ctx)
	if err != nil {
		v.missing("text", err)
		return ""
	}
	if strings.TrimSpace(page.Text) == "" {
		code := "page.blank"
		if v.painted {
			code = "text.absent" // drawn on a canvas, or in pictures
		}
		v.journal.Anomaly(code)
	}
	v.text = page.Text
	v.keep("text", capture.FileText, "text/plain; charset=utf-8", "evidence/text.txt", []byte(page.Text+"\n"))
	lines := page.Lines
	lines.Format, lines.Page = capture.TextFormat, v.facts.Page
	if err := v.writeCompact(capture.FileLines, "evidence/lines.json", lines); err != nil {
		v.missing("lines", err)
	} else {
		v.journal.Step("lines.saved", "lines", len(lines.Lines), "hidden", page.Hidden)
	}
	v.saveAccessible(ctx, page)
	v.noteFonts(ctx, page)
	return page.digest
}

// read takes a snapshot of the page and of the frames in processes of their
// own and reads them as one.
func (v *visit) read(ctx context.Context) (view, error) {
	var out view
	var layers []reading.Layer
	at := map[*devtools.Session]int{}
	h := sha256.New()
	for i, s := range v.sessions() {
		if isGone(s) {
			continue
		}
		snap, err := cdp.Call(ctx, s, domsnapshot.CaptureSnapshot, reading.Params())
		if err != nil {
			if i == 0 {
				return view{}, err
			}
			v.missingFrame(s, err)
			continue
		}
		l := reading.Layer{Snapshot: &snap}
		if parent, ok := at[s.Parent()]; ok && i > 0 {
			owner, err := cdp.Call(ctx, s.Parent(), dom.GetFrameOwner, dom.GetFrameOwnerParams{FrameID: cdp.FrameID(s.Target().TargetID)})
			if err == nil {
				l.Parent, l.Owner = parent, owner.BackendNodeID
			}
		}
		at[s] = len(layers)
		layers = append(layers, l)
		out.sessions = append(out.sessions, s)
		hashText(h, &snap)
		for _, d := range snap.Documents {
			if d.Nodes != nil {
				out.nodes += len(d.Nodes.NodeType)
			}
		}
	}
	out.Result, out.digest = reading.Read(layers), hex.EncodeToString(h.Sum(nil))
	return out, nil
}

// missingFrame notes that a frame could not be read.
func (v *visit) missingFrame(s *devtools.Session, err error) {
	if !isGone(s) {
		v.missing("text of "+short(s.Target().URL, 500), err)
	}
}

// saveAccessible keeps what a screen reader is told of the page.
func (v *visit) saveAccessible(ctx context.Context, page view) {
	if page.nodes > mostAccessible {
		v.journal.Anomaly("limit.accessibility", "nodes", page.nodes)
		return
	}
	trees := reading.AccessTrees{Format: reading.AccessFormat}
	for i, s := range page.sessions {
		for _, frame := range page.Documents(i) {
			t, err := reading.Accessible(ctx, s, frame)
			if err != nil {
				v.missing("accessibility", err)
				return
			}
			trees.Trees = append(trees.Trees, t)
		}
	}
	if err := v.writeCompact(capture.FileAccessible, "evidence/accessibility.json", trees); err != nil {
		v.missing("accessibility", err)
	}
}

// noteFonts notes which fonts the text was really drawn with, and which of
// its characters no font has.
func (v *visit) noteFonts(ctx context.Context, page view) {
	coverage, err := v.pool.coverage()
	if err != nil {
		v.journal.Step("fonts.unlisted", "detail", err.Error())
	}
	fonts, err := reading.Fonts(ctx, page.sessions, page.Result, coverage)
	if err != nil {
		v.journal.Anomaly("fonts.unknown", "detail", err.Error())
	}
	v.facts.Fonts = &fonts
	n := 0
	var codes []string
	for _, g := range fonts.Missing {
		if g.Web {
			continue
		}
		n += g.Count
		if len(codes) < 20 {
			codes = append(codes, g.Code)
		}
	}
	if n > 0 {
		v.journal.Anomaly("glyphs.missing", "count", n, "codes", strings.Join(codes, " "))
	}
}

// writeCompact writes a value as JSON without indents: these files are large.
func (v *visit) writeCompact(kind, path string, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return v.dir.Write(kind, "application/json", path, append(b, '\n'))
}

// textDigest is the digest of all text that the page and its frames have laid
// out at this moment, shadow roots included, or nothing when the page does not
// answer.
func (v *visit) textDigest() string {
	ctx, cancel := v.phase(v.order.Limits.StepMS)
	defer cancel()
	h := sha256.New()
	for _, s := range v.sessions() {
		snap, err := cdp.Call(ctx, s, domsnapshot.CaptureSnapshot, domsnapshot.CaptureSnapshotParams{ComputedStyles: []string{}})
		if err != nil {
			if isGone(s) && s != v.session {
				continue
			}
			v.mu.Lock()
			v.hung = v.hung || errors.Is(err, context.DeadlineExceeded)
			v.mu.Unlock()
			return ""
		}
		hashText(h, &snap)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// hashText gives the text that is laid out to h, run by run.
func hashText(h io.Writer, snap *domsnapshot.CaptureSnapshotResult) {
	for _, d := range snap.Documents {
		if d.Layout == nil {
			continue
		}
		for _, at := range d.Layout.Text {
			if at >= 0 && int(at) < len(snap.Strings) {
				_, _ = io.WriteString(h, snap.Strings[at]+"\x00")
			}
		}
	}
}

// sessions are those of the tab and of the frames in processes of their own.
func (v *visit) sessions() []*devtools.Session {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]*devtools.Session{v.session}, v.frames...)
}
