package wacz

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"guzheng/capture"
	"guzheng/preserve/tlog"
)

// Paths inside a package.
const (
	WARCPath        = "archive/data.warc.gz"
	IndexPath       = "indexes/index.cdx"
	PagesPath       = "pages/pages.jsonl"
	TakePath        = "evidence/take.json"
	RawPath         = "proofs/raw.json"
	RawStampsPath   = "proofs/raw-stamps.json"
	DatapackagePath = "datapackage.json"
	DigestPath      = "datapackage-digest.json"
)

// Values that name the versions of the formats.
const (
	Format       = "guzheng-package/1" // Datapackage.Format
	Profile      = "data-package"      // Datapackage.Profile
	Version      = "1.1.1"             // Datapackage.Version
	SignVersion  = "0.1.0"             // SignedData.Version
	RawFormat    = "guzheng-raw/1"     // Raw.Format
	pagesFormat  = "json-pages-1.0"
	hashPrefix   = "sha256:"
	timeForm     = "2006-01-02T15:04:05Z"
	pageTimeForm = "2006-01-02T15:04:05.000Z"
)

// A Datapackage is datapackage.json: what the package is and every file in
// it, but for datapackage.json and datapackage-digest.json themselves (WACZ
// 1.1.1 section 5.2.4). Times are RFC 3339.
type Datapackage struct {
	Profile      string     `json:"profile"`
	Version      string     `json:"wacz_version"`
	Format       string     `json:"format"` // ours
	ID           string     `json:"id"`     // of the order and its take
	Title        string     `json:"title,omitempty"`
	Created      string     `json:"created"`
	Software     string     `json:"software"`
	MainPageURL  string     `json:"mainPageUrl,omitempty"`
	MainPageDate string     `json:"mainPageDate,omitempty"`
	Resources    []Resource `json:"resources"`
}

// A Resource is one file of the package.
type Resource struct {
	Name  string `json:"name"` // unique, lower case (Data Package, resource name)
	Path  string `json:"path"`
	Hash  string `json:"hash"` // "sha256:<hex>"
	Bytes int64  `json:"bytes"`
	SM3   string `json:"sm3"`            // hex; ours
	Kind  string `json:"kind,omitempty"` // as in take.json, or index, pages, take, proof; ours
}

// A DigestFile is datapackage-digest.json.
type DigestFile struct {
	Path   string     `json:"path"` // "datapackage.json"
	Hash   string     `json:"hash"` // "sha256:<hex>" over datapackage.json
	Signed SignedData `json:"signedData"`
}

// SignedData is the anonymous form of WACZ signing 0.1.0: an ECDSA signature
// with curve P-384 and SHA-256 over the ASCII characters of Hash.
type SignedData struct {
	Hash      string `json:"hash"`
	Created   string `json:"created"`
	Software  string `json:"software"`
	Version   string `json:"version"`
	Signature []byte `json:"signature"` // r and s, 48 bytes each
	PublicKey []byte `json:"publicKey"` // SubjectPublicKeyInfo, DER
}

// Raw is proofs/raw.json: the files of a take as they were before packaging,
// and the root of the Merkle tree over them, which is what the stamps in
// proofs/raw-stamps.json are about.
type Raw struct {
	Format string    `json:"format"`
	Files  []RawFile `json:"files"` // sorted bytewise by path
	Root   string    `json:"root"`  // hex
}

// RawFile is one leaf of the tree.
type RawFile struct {
	Path string `json:"path"` // inside the package
	capture.Digest
}

// leaf is the text that the tree is over.
func (f RawFile) leaf() []byte {
	return fmt.Appendf(nil, "sha256:%s sm3:%s %d %s\n", f.SHA256, f.SM3, f.Bytes, f.Path)
}

// TreeRoot computes the root over the files in their order (RFC 6962 section
// 2.1).
func (r Raw) TreeRoot() [32]byte {
	leaves := make([][]byte, len(r.Files))
	for i, f := range r.Files {
		leaves[i] = f.leaf()
	}
	return tlog.Root(leaves)
}

// NewRaw lists all files of a take, and take.json under its path in the
// package, and computes the root. takeJSON is the digest of take.json's
// bytes.
func NewRaw(t capture.Take, takeJSON capture.Digest) Raw {
	r := Raw{Format: RawFormat, Files: []RawFile{{TakePath, takeJSON}}}
	for _, f := range t.Files {
		r.Files = append(r.Files, RawFile{f.Path, f.Digest})
	}
	sortRaw(r.Files)
	r.Root = fmt.Sprintf("%x", r.TreeRoot())
	return r
}

// Encode is the form in which Raw is stored.
func (r Raw) Encode() ([]byte, error) { return encodeJSON(r) }

// encodeJSON is the one JSON form of this package: two spaces, HTML left as
// it is, a line break at the end.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	return b.Bytes(), nil
}

// resourceName makes a unique name of letters, digits, dots, slashes, dashes
// and underscores.
func resourceName(path string, taken map[string]bool) string {
	name := strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '_', c == '-', c == '/':
			return c
		}
		return '-'
	}, strings.ToLower(path))
	unique := name
	for i := 2; taken[unique]; i++ {
		unique = fmt.Sprintf("%s-%d", name, i)
	}
	taken[unique] = true
	return unique
}
