package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"guzheng/capture"
	"guzheng/preserve/seal"
	"guzheng/preserve/tsa"
	"guzheng/preserve/verify"
	"guzheng/preserve/wacz"
	"guzheng/storage"
)

// Source is what a View is made from. Package stays open as long as the View
// is used.
type Source struct {
	Package io.ReaderAt
	Bytes   int64
	Seal    io.Reader
	Entry   storage.Entry
	Object  storage.Object
	Proof   *storage.Proof
	Verdict verify.Verdict
}

// maxPart bounds what is read into memory of one of the package's own JSON
// files, in bytes.
const maxPart = 64 << 20

// Open reads a package and its seal into a View. Files that a partial take
// lacks leave their fields empty.
func Open(src Source) (View, error) {
	p, err := wacz.Open(src.Package, src.Bytes)
	if err != nil {
		return View{}, fmt.Errorf("opening package: %w", err)
	}
	v := View{Entry: src.Entry, Object: src.Object, Proof: src.Proof, Verdict: src.Verdict, Open: p.Open}
	sealed, err := io.ReadAll(io.LimitReader(src.Seal, maxPart))
	if err != nil {
		return View{}, fmt.Errorf("reading seal: %w", err)
	}
	if v.Seal, err = seal.Decode(sealed); err != nil {
		return View{}, err
	}
	v.Package = v.Seal.Package
	if err := v.readTake(p); err != nil {
		return View{}, err
	}
	for _, s := range v.Seal.Stamps {
		v.Stamps = append(v.Stamps, stampView(s))
	}
	return v, v.readRaw(p)
}

// readTake reads what the capture said of itself.
func (v *View) readTake(p *wacz.Package) error {
	b, err := p.ReadFile("evidence/take.json", maxPart)
	if err != nil {
		return fmt.Errorf("reading evidence/take.json: %w", err)
	}
	if v.Take, err = capture.DecodeTake(b); err != nil {
		return err
	}
	kinds := map[string]capture.File{}
	for _, f := range v.Take.Files {
		kinds[f.Path] = f
	}
	pkg, err := p.Datapackage()
	if err != nil {
		return fmt.Errorf("reading datapackage.json: %w", err)
	}
	for _, r := range pkg.Resources {
		m := Member{Path: r.Path, Digest: capture.Digest{Bytes: r.Bytes, SHA256: strings.TrimPrefix(r.Hash, "sha256:"), SM3: r.SM3}}
		if f, ok := kinds[r.Path]; ok {
			m.Kind, m.MediaType, m.Written = f.Kind, f.MediaType, f.Written
		}
		v.Members = append(v.Members, m)
	}
	for kind, into := range map[string]any{capture.FileOrder: &v.Order, capture.FileFacts: &v.Facts, capture.FileLines: &v.Lines} {
		if f, ok := v.Take.File(kind); ok {
			if err := readJSON(p, f.Path, into); err != nil {
				return err
			}
		}
	}
	f, ok := v.Take.File(capture.FileJournal)
	if !ok {
		return nil
	}
	r, err := p.Open(f.Path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", f.Path, err)
	}
	defer r.Close()
	v.Journal, _, err = capture.ReadJournal(r)
	return err
}

// readRaw reads the stamps that were made before packaging.
func (v *View) readRaw(p *wacz.Package) error {
	var raw wacz.Raw
	if err := readJSON(p, "proofs/raw.json", &raw); err != nil {
		return err
	}
	v.Raw.Root = raw.Root
	var stamps []tsa.Stamp
	if err := readJSON(p, "proofs/raw-stamps.json", &stamps); err != nil {
		return err
	}
	for _, s := range stamps {
		v.Raw.Stamps = append(v.Raw.Stamps, stampView(s))
	}
	return nil
}

func readJSON(p *wacz.Package, path string, into any) error {
	b, err := p.ReadFile(path, maxPart)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}

// stampView reads what a token says; the verdict tells what it is worth.
func stampView(s tsa.Stamp) StampView {
	out := StampView{TSA: s.TSA, Error: s.Error, Practice: s.TSA == tsa.PracticeName}
	if s.Pending() {
		return out
	}
	r := tsa.Check(s, [32]byte{}, tsa.Trust{})
	out.Time, out.Serial, out.Policy = r.Time, r.Serial, r.Policy
	out.Practice = out.Practice || r.Practice
	return out
}
