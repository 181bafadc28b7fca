package web

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"

	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"

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
	if err := v.d.Write(kind, mediaType, path, b); err != nil {
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
	return v.d.Write(kind, "application/json", path, append(b, '\n'))
}

// saveCertificates keeps the chain that each https host sent on the
// connections of this visit.
func (v *visit) saveCertificates(ctx context.Context) {
	origins, details := v.recorder.tlsHosts()
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil {
			continue
		}
		t := capture.TLSHost{Host: u.Host, Protocol: details[origin].Protocol, Cipher: details[origin].Cipher}
		res, err := cdp.Call(ctx, v.session, network.GetCertificate, network.GetCertificateParams{Origin: origin})
		if err != nil {
			t.Error = err.Error()
		} else if t.Chain, err = v.saveChain(u.Host, res.TableNames); err != nil {
			t.Error = err.Error()
		}
		v.facts.TLS = append(v.facts.TLS, t)
	}
	if len(origins) > 0 {
		v.journal.Step("tls.saved", "hosts", len(origins))
	}
}

func (v *visit) saveChain(host string, chain []string) ([]capture.Certificate, error) {
	var out []capture.Certificate
	for i, text := range chain {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return out, fmt.Errorf("decoding certificate %d of %s: %w", i, host, err)
		}
		name := fmt.Sprintf("evidence/tls/%s-%d.der", strings.Map(fileRune, host), i)
		if err := v.d.Write(capture.FileCertificate, "application/pkix-cert", name, der); err != nil {
			return out, err
		}
		sum := sha256.Sum256(der)
		c := capture.Certificate{File: name, SHA256: hex.EncodeToString(sum[:])}
		if x, err := x509.ParseCertificate(der); err == nil {
			c.Subject, c.Issuer, c.Serial = x.Subject.String(), x.Issuer.String(), x.SerialNumber.Text(16)
			c.NotBefore, c.NotAfter = x.NotBefore.UTC(), x.NotAfter.UTC()
		}
		out = append(out, c)
	}
	return out, nil
}

// fileRune keeps what may stand in a file name.
func fileRune(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
		return r
	}
	return '_'
}
