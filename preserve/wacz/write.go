package wacz

import (
	"context"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"guzheng/capture"
	"guzheng/capture/warc"
)

// ErrChanged is wrapped when a file of the take no longer has the digest
// that take.json gives it, or changes while it is packaged.
var ErrChanged = errors.New("file is not as it was taken")

// Input is what a package is made of.
type Input struct {
	ID      string       // of the order and its take
	TakeDir string       // directory of the closed take
	Take    capture.Take // what its take.json says
	Extra   []Extra      // further files, such as proofs, in any order
	// Checked holds, by path, the CRC-32 of those files of the take that the
	// caller has just read and found to have their SHA-256 value. Write reads
	// these once only: while it copies them, when all are compared again.
	Checked map[string]uint32

	Title        string    // of the page; may be empty
	MainPageURL  string    // empty when no page was loaded
	MainPageDate time.Time // WARC-Date of its response, which replay looks for
	PageID       string    // WARC-Page-ID of its records
	Text         string    // visible text, for searching in replay

	Software string    // name and version of this program
	Created  time.Time // when the package is made; the same in all its parts

	Sign      func(digest [32]byte) (der []byte, err error) // ECDSA P-384, ASN.1 DER; required
	PublicKey []byte                                        // of Sign: SubjectPublicKeyInfo, DER
}

// Extra is a file from outside the take.
type Extra struct {
	Path string // in the package, not below archive/, indexes/ or pages/
	From string // on this machine
	Kind string // for datapackage.json, "proof" when empty
}

// Summary is what was written.
type Summary struct {
	Digest capture.Digest // of the whole package
	Hash   string         // "sha256:<hex>" of datapackage.json
	Files  int            // entries of the ZIP
	Pages  int            // lines of pages.jsonl without the header
	// WARCFault says why the take's WARC could not be indexed; the index is
	// empty then, and the WARC in the package as it was taken.
	WARCFault string
}

// A part is one entry to be: bytes at hand or a file on disk.
type part struct {
	path  string
	kind  string
	bytes []byte // when from is empty
	from  string
	capture.Digest
	crc uint32
}

// Write makes the package out. It writes out+".part" first, so that out is
// either whole and on disk or not there; a leftover of an earlier try is
// replaced. A take without a WARC gives a package without pages.
func Write(ctx context.Context, out string, in Input) (Summary, error) {
	sum, err := write(ctx, out, in)
	if err != nil {
		return Summary{}, fmt.Errorf("packaging %s: %w", in.ID, err)
	}
	return sum, nil
}

func write(ctx context.Context, out string, in Input) (Summary, error) {
	if in.Sign == nil || in.ID == "" || in.Software == "" || in.Created.IsZero() {
		return Summary{}, errors.New("input lacks a signer, an id, a software or a time")
	}
	parts, err := takeParts(ctx, in)
	if err != nil {
		return Summary{}, err
	}
	index, fault, err := indexOf(ctx, parts)
	if err != nil {
		return Summary{}, err
	}
	pages, n, err := pagesOf(in)
	if err != nil {
		return Summary{}, err
	}
	parts = append(parts, newPart(IndexPath, "index", index), newPart(PagesPath, "pages", pages))
	sort.Slice(parts, func(i, k int) bool { return parts[i].path < parts[k].path })
	described, err := describe(in, parts)
	if err != nil {
		return Summary{}, err
	}
	signed, hash, err := signatureOf(in, described)
	if err != nil {
		return Summary{}, err
	}
	parts = append(parts, newPart(DatapackagePath, "", described), newPart(DigestPath, "", signed))
	sum := Summary{Hash: hash, Files: len(parts), Pages: n, WARCFault: fault}
	sum.Digest, err = writeZip(ctx, out, parts, stampOf(in.Created))
	return sum, err
}

// takeParts makes entries of every file that exists on disk: those of the
// take, its manifest and the extra ones.
func takeParts(ctx context.Context, in Input) ([]part, error) {
	var parts []part
	for _, f := range in.Take.Files {
		p, err := takenPart(ctx, in, f)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	p, err := filePart(ctx, TakePath, "take", filepath.Join(in.TakeDir, capture.TakeFile))
	if err != nil {
		return nil, err
	}
	parts = append(parts, p)
	for _, e := range in.Extra {
		if first, _, _ := strings.Cut(e.Path, "/"); first == "archive" || first == "indexes" || first == "pages" {
			return nil, fmt.Errorf("%w: %q is reserved", ErrPath, e.Path)
		}
		kind := e.Kind
		if kind == "" {
			kind = "proof"
		}
		if p, err = filePart(ctx, e.Path, kind, e.From); err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return parts, checkParts(parts)
}

// takenPart is a file of the take as an entry. Its digests are those of its
// bytes as they were written; SHA-256 shows that they are still the same, and
// so SM3, which takes five times as long, is not computed again.
func takenPart(ctx context.Context, in Input, f capture.File) (part, error) {
	p := part{path: f.Path, kind: f.Kind, from: filepath.Join(in.TakeDir, filepath.FromSlash(f.Path)), Digest: f.Digest}
	if err := checkFilePath(f.Path); err != nil {
		return p, err
	}
	var known bool
	if p.crc, known = in.Checked[f.Path]; known {
		return p, nil
	}
	sum, crc, err := CheckFile(ctx, p.from)
	if err != nil {
		return p, err
	}
	if sum.Bytes != f.Bytes || sum.SHA256 != f.SHA256 {
		return p, fmt.Errorf("%w: %s is %s, taken as %s", ErrChanged, f.Path, sum.SHA256, f.SHA256)
	}
	p.crc = crc
	return p, nil
}

// filePart is another file on disk as an entry. It is small.
func filePart(ctx context.Context, path, kind, from string) (part, error) {
	p := part{path: path, kind: kind, from: from}
	if err := checkFilePath(path); err != nil {
		return p, err
	}
	h := capture.NewHasher()
	var err error
	p.crc, err = readFile(ctx, from, h)
	p.Digest = h.Digest()
	return p, err
}

// checkFilePath refuses paths that are unsafe or taken by Write itself.
func checkFilePath(path string) error {
	if path == DatapackagePath || path == DigestPath || path == IndexPath || path == PagesPath {
		return fmt.Errorf("%w: %q is reserved", ErrPath, path)
	}
	return checkPath(path)
}

// checkParts applies the reader's rules, so that a package can always be
// opened.
func checkParts(parts []part) error {
	if len(parts)+4 > maxEntries {
		return ErrTooMany
	}
	p := Package{byName: map[string]int{}}
	for _, q := range parts {
		p.entries = append(p.entries, entry{name: q.path})
	}
	for _, name := range []string{IndexPath, PagesPath, DatapackagePath, DigestPath} {
		p.entries = append(p.entries, entry{name: name})
	}
	return p.checkNames()
}

// indexOf makes the index. A WARC in broken form is a fault that is told and
// does not keep the take from being packaged.
func indexOf(ctx context.Context, parts []part) (index []byte, fault string, err error) {
	i := slices.IndexFunc(parts, func(p part) bool { return p.path == WARCPath })
	if i < 0 {
		return nil, "", nil
	}
	f, err := os.Open(parts[i].from)
	if err != nil {
		return nil, "", fmt.Errorf("indexing: %w", err)
	}
	defer f.Close()
	index, err = warc.Index(ctxReader{ctx, f}, filepath.Base(WARCPath))
	if errors.Is(err, warc.ErrFormat) || errors.Is(err, warc.ErrDigest) {
		return nil, err.Error(), nil
	}
	return index, "", err
}

// page is one line of pages.jsonl (WACZ 1.1.1 section 5.2.3).
type page struct {
	ID    string `json:"id,omitempty"`
	URL   string `json:"url"`
	TS    string `json:"ts"`
	Title string `json:"title,omitempty"`
	Text  string `json:"text,omitempty"`
}

// pagesHeader is the first line of pages.jsonl, which replay always skips.
type pagesHeader struct {
	Format  string `json:"format"`
	ID      string `json:"id"`
	Title   string `json:"title"`
	HasText bool   `json:"hasText"`
}

func pagesOf(in Input) (lines []byte, pages int, err error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(pagesHeader{Format: pagesFormat, ID: "pages", Title: "All Pages", HasText: in.Text != ""}); err != nil {
		return nil, 0, fmt.Errorf("listing pages: %w", err)
	}
	if in.MainPageURL != "" {
		p := page{ID: in.PageID, URL: in.MainPageURL, TS: in.MainPageDate.UTC().Format(pageTimeForm), Title: in.Title, Text: in.Text}
		if err := enc.Encode(p); err != nil {
			return nil, 0, fmt.Errorf("listing pages: %w", err)
		}
		pages = 1
	}
	return []byte(b.String()), pages, nil
}

// describe is the bytes of datapackage.json.
func describe(in Input, parts []part) ([]byte, error) {
	d := Datapackage{Profile: Profile, Version: Version, Format: Format, ID: in.ID, Title: in.Title,
		Created: in.Created.UTC().Format(timeForm), Software: in.Software, Resources: []Resource{}}
	if in.MainPageURL != "" {
		d.MainPageURL, d.MainPageDate = in.MainPageURL, in.MainPageDate.UTC().Format(pageTimeForm)
	}
	taken := map[string]bool{}
	for _, p := range parts {
		d.Resources = append(d.Resources, Resource{Name: resourceName(p.path, taken), Path: p.path,
			Hash: hashPrefix + p.SHA256, Bytes: p.Bytes, SM3: p.SM3, Kind: p.kind})
	}
	return encodeJSON(d)
}

// signatureOf is the bytes of datapackage-digest.json.
func signatureOf(in Input, described []byte) (signed []byte, hash string, err error) {
	hash = hashPrefix + newPart("", "", described).SHA256
	der, err := in.Sign(sha256Of([]byte(hash)))
	if err != nil {
		return nil, "", fmt.Errorf("signing: %w", err)
	}
	raw, err := rawSignature(der)
	if err != nil {
		return nil, "", fmt.Errorf("signing: %w", err)
	}
	signed, err = encodeJSON(DigestFile{Path: DatapackagePath, Hash: hash, Signed: SignedData{Hash: hash,
		Created: in.Created.UTC().Format(timeForm), Software: in.Software, Version: SignVersion,
		Signature: raw, PublicKey: in.PublicKey}})
	return signed, hash, err
}

// scalarSize is the length of r and of s for P-384.
const scalarSize = 48

// rawSignature turns an ASN.1 signature into r and s side by side, as
// WebCrypto takes it (IEEE P1363).
func rawSignature(der []byte) ([]byte, error) {
	var s struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &s)
	if err != nil || len(rest) > 0 {
		return nil, errors.New("signature is not an ASN.1 ECDSA signature")
	}
	if s.R.Sign() <= 0 || s.S.Sign() <= 0 || s.R.BitLen() > 8*scalarSize || s.S.BitLen() > 8*scalarSize {
		return nil, errors.New("signature is not one of P-384")
	}
	raw := make([]byte, 2*scalarSize)
	s.R.FillBytes(raw[:scalarSize])
	s.S.FillBytes(raw[scalarSize:])
	return raw, nil
}

// ctxReader ends reading when the context ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
