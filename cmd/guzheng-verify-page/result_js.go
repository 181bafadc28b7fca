package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"guzheng/preserve/seal"
	"guzheng/preserve/tlog"
	"guzheng/preserve/tsa"
	"guzheng/preserve/verify"
	"guzheng/preserve/wacz"
)

// A result is what the page shows: the verdict, and what package and seal say
// of themselves, which the verdict tells the worth of.
type result struct {
	Error   string         `json:"error,omitempty"`
	Outcome verify.Outcome `json:"outcome"`
	Verdict verify.Verdict `json:"verdict"`

	ID     string  `json:"id,omitempty"`
	Title  string  `json:"title,omitempty"`
	URL    string  `json:"url,omitempty"`
	Signer string  `json:"signer,omitempty"` // fingerprint, computed
	Stamps []stamp `json:"stamps,omitempty"`
	Log    *entry  `json:"log,omitempty"`
	Files  []file  `json:"files,omitempty"`
}

type stamp struct {
	Name     string    `json:"name"`
	Time     time.Time `json:"time"`
	Practice bool      `json:"practice"`
	Raw      bool      `json:"raw"` // over the raw files, before packaging
}

type entry struct {
	Origin string `json:"origin"`
	Number int64  `json:"number"` // from 1
	Size   int64  `json:"size"`
	Root   string `json:"root"` // of the checkpoint
}

type file struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	SM3    string `json:"sm3"`
}

// maxJSON bounds what is read of the package's own lists, in bytes.
const maxJSON = 64 << 20

// gather reads what can be read; what cannot is in the verdict.
func (r *result) gather(pkg io.ReaderAt, size int64, sealed []byte) {
	if p, err := wacz.Open(pkg, size); err == nil {
		r.inside(p)
	}
	s, err := seal.Decode(sealed)
	if err != nil {
		return
	}
	r.ID = s.ID
	r.Signer = fmt.Sprintf("%x", sha256.Sum256(s.Signature.PublicKey))
	r.stamps(s.Stamps, false)
	if !s.Log.Pending() {
		c := tlog.Check(s.Log, nil)
		r.Log = &entry{Origin: s.Log.Origin, Number: s.Log.Index + 1, Size: c.Size, Root: fmt.Sprintf("%x", c.Root)}
	}
}

func (r *result) inside(p *wacz.Package) {
	if d, err := p.Datapackage(); err == nil {
		r.ID, r.Title, r.URL = d.ID, d.Title, d.MainPageURL
		for _, f := range d.Resources {
			r.Files = append(r.Files, file{f.Path, f.Bytes, strings.TrimPrefix(f.Hash, "sha256:"), f.SM3})
		}
	}
	var stamps []tsa.Stamp
	if b, err := p.ReadFile(wacz.RawStampsPath, maxJSON); err == nil && json.Unmarshal(b, &stamps) == nil {
		r.stamps(stamps, true)
	}
}

// stamps reads what tokens say; the verdict tells what it is worth.
func (r *result) stamps(all []tsa.Stamp, raw bool) {
	for _, s := range all {
		if s.Pending() {
			continue
		}
		c := tsa.Check(s, [32]byte{}, tsa.Trust{})
		r.Stamps = append(r.Stamps, stamp{s.TSA, c.Time, c.Practice, raw})
	}
}
