package web

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/page"

	"guzheng/capture"
)

var errEmpty = errors.New("the browser gave nothing")

// saveDOM keeps the document as it is after its scripts ran.
func (v *visit) saveDOM() {
	ctx, cancel := v.phase(v.order.Limits.ArtefactMS)
	defer cancel()
	doc, err := cdp.Call(ctx, v.session, dom.GetDocument, dom.GetDocumentParams{Depth: new(int64(0))})
	if err != nil {
		v.missing("dom", err)
		return
	}
	html, err := cdp.Call(ctx, v.session, dom.GetOuterHTML, dom.GetOuterHTMLParams{BackendNodeID: doc.Root.BackendNodeID})
	if err != nil {
		v.missing("dom", err)
		return
	}
	v.keep("dom", capture.FileDOM, "text/html; charset=utf-8", "evidence/dom.html", []byte(html.OuterHTML))
}

// saveMHTML keeps the page with its parts in one file (RFC 2557).
func (v *visit) saveMHTML() {
	ctx, cancel := v.phase(v.order.Limits.ArtefactMS)
	defer cancel()
	res, err := cdp.Call(ctx, v.session, page.CaptureSnapshot, page.CaptureSnapshotParams{Format: page.CaptureSnapshotFormatMhtml})
	if err != nil {
		v.missing("mhtml", err)
		return
	}
	v.keep("mhtml", capture.FileMHTML, "multipart/related", "evidence/page.mhtml", []byte(res.Data))
}

// savePDF keeps the browser's own print of the page, on A4.
func (v *visit) savePDF() {
	ctx, cancel := v.phase(v.order.Limits.ArtefactMS)
	defer cancel()
	res, err := cdp.Call(ctx, v.session, page.PrintToPDF, page.PrintToPDFParams{
		PrintBackground: new(true), PaperWidth: 210 / 25.4, PaperHeight: 297 / 25.4})
	if err != nil {
		v.missing("pdf", err)
		return
	}
	v.keep("pdf", capture.FilePDF, "application/pdf", "evidence/page.pdf", res.Data)
}

// keep writes an artefact and its step.
func (v *visit) keep(name, kind, mediaType, path string, b []byte) {
	if len(b) == 0 {
		v.missing(name, errEmpty)
		return
	}
	if err := v.dir.Write(kind, mediaType, path, b); err != nil {
		v.missing(name, err)
		return
	}
	v.journal.Step(name+".saved", "bytes", len(b))
}

func (v *visit) writeJSON(kind, path string, value any) error {
	b, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", path, err)
	}
	return v.dir.Write(kind, "application/json", path, append(b, '\n'))
}
