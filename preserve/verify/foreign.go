package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"guzheng/preserve/wacz"
)

// A package of another program (WACZ 1.0 to 1.2, WACZ Signing 0.1.0) is
// verified as far as it goes: structure, digests of its files, signature,
// who signed, time. It has no seal of ours, so that its verdict is never
// better than "cannot tell"; an issuer that the reader does not trust is the
// same. preserve/FORMAT.md, section 6, says which check means what.

// otherPackage is what is looked at of a foreign datapackage.json. Where
// other programs differ, either form is read.
type otherPackage struct {
	Profile   string          `json:"profile"`
	Version   string          `json:"wacz_version"`
	Format    string          `json:"format"`
	Created   string          `json:"created"`
	Software  string          `json:"software"`
	Resources []otherResource `json:"resources"`
}

type otherResource struct {
	Path  string `json:"path"`
	Hash  string `json:"hash"`
	Bytes *int64 `json:"bytes"` // some programs leave it out
	Stats struct {
		Hash  string `json:"hash"`
		Bytes *int64 `json:"bytes"`
	} `json:"stats"` // before WACZ 1.1
}

// hash returns the digest in either place.
func (r otherResource) hash() string {
	if r.Hash == "" {
		return r.Stats.Hash
	}
	return r.Hash
}

// length reports whether n is the length that is listed, if any is.
func (r otherResource) length(n int64) bool {
	for _, want := range []*int64{r.Bytes, r.Stats.Bytes} {
		if want != nil && *want != n {
			return false
		}
	}
	return true
}

// otherVersions are those of WACZ that are known; profiles likewise.
var (
	otherVersions = []string{"1.0.0", "1.1.0", "1.1.1", "1.2.0"}
	otherProfiles = []string{"", "data-package", "wacz"}
)

// openForeign opens a package of another program. It is nil when the file is
// none: not a ZIP, not WACZ, or one that has anything of ours in it, so that
// nothing made by us is ever measured by the easier rules.
func openForeign(r io.ReaderAt, size int64) *wacz.Loose {
	p, err := wacz.OpenLoose(r, size)
	if err != nil {
		return nil
	}
	for _, path := range p.Paths() {
		if strings.HasPrefix(path, "evidence/") || strings.HasPrefix(path, "proofs/") {
			return nil
		}
	}
	var d otherPackage
	b, err := p.ReadFile(wacz.DatapackagePath, maxDescription)
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	if err != nil || strings.HasPrefix(d.Format, "guzheng-") {
		return nil
	}
	return p
}

// maxDescription bounds datapackage.json, in bytes.
const maxDescription = 64 << 20

// foreign checks a package of another program.
func (v *visit) foreign(p *wacz.Loose) {
	v.pass("foreign.zip", "%d files", len(p.Paths()))
	found := v.hashForeign(p)
	b, err := p.ReadFile(wacz.DatapackagePath, maxDescription)
	var d otherPackage
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	if err != nil {
		v.fail("foreign.datapackage", "datapackage.unreadable", "%v", err)
		return
	}
	v.foreignList(d, found)
	v.foreignFiles(d, found)
	v.foreignDigest(p, fmt.Sprintf("sha256:%x", sha256.Sum256(b)))
	v.unknown("seal.present", "seal.foreign", "made by %q", d.Software)
}

// A sum is what was found of a file.
type sum struct {
	bytes  int64
	sha256 string
	whole  bool // it could be read to its end, with its CRC-32
}

func (v *visit) hashForeign(p *wacz.Loose) map[string]sum {
	out := map[string]sum{}
	for _, path := range p.Paths() {
		h := sha256.New()
		r, err := p.Open(path)
		var n int64
		if err == nil {
			n, err = io.Copy(h, &ctxReader{v.ctx, r})
			err = errors.Join(err, r.Close())
		}
		if err != nil {
			v.add("foreign.zip", path, Failed, "zip.checksum", "%v", err)
		}
		out[path] = sum{n, hex.EncodeToString(h.Sum(nil)), err == nil}
	}
	return out
}

// foreignList compares the list with the files. A file that is not listed is
// covered by no digest: that cannot be told, as some programs do not list
// their logs.
func (v *visit) foreignList(d otherPackage, found map[string]sum) {
	const name = "foreign.datapackage"
	told := len(v.verdict.Checks)
	listed := map[string]bool{}
	for _, r := range d.Resources {
		if listed[r.Path] {
			v.add(name, r.Path, Failed, "datapackage.twice", "")
		}
		listed[r.Path] = true
		if _, ok := found[r.Path]; !ok {
			v.add(name, r.Path, Failed, "datapackage.absent", "")
		}
	}
	for path := range found {
		if !listed[path] && path != wacz.DatapackagePath && path != wacz.DigestPath {
			v.add(name, path, Unknown, "foreign.unlisted", "no digest is over it")
		}
	}
	if !slices.Contains(otherVersions, d.Version) || !slices.Contains(otherProfiles, d.Profile) {
		v.unknown(name, "foreign.version", "wacz_version %q, profile %q", d.Version, d.Profile)
	}
	if len(d.Resources) == 0 {
		v.unknown(name, "foreign.empty", "it lists no files")
	}
	if len(v.verdict.Checks) == told {
		v.pass(name, "%d files listed, WACZ %s by %q", len(listed), d.Version, d.Software)
	}
}

// foreignFiles compares every listed file with its digest.
func (v *visit) foreignFiles(d otherPackage, found map[string]sum) {
	const name = "foreign.files"
	told := len(v.verdict.Checks)
	for _, r := range d.Resources {
		f, ok := found[r.Path]
		algorithm, want, _ := strings.Cut(r.hash(), ":")
		switch {
		case !ok:
		case algorithm != "sha256":
			v.add(name, r.Path, Unknown, "foreign.hash", "digest %.80q is no SHA-256 value", r.hash())
		case !f.whole || !strings.EqualFold(want, f.sha256) || !r.length(f.bytes):
			v.add(name, r.Path, Failed, "file.changed", "%d bytes, sha256:%s; listed as %s", f.bytes, f.sha256, r.hash())
		}
	}
	switch {
	case len(v.verdict.Checks) > told:
	case len(d.Resources) == 0:
		v.unknown(name, "foreign.empty", "")
	default:
		v.pass(name, "%d files", len(d.Resources))
	}
}

// otherDigest is a foreign datapackage-digest.json.
type otherDigest struct {
	Path   string      `json:"path"`
	Hash   string      `json:"hash"`
	Signed *signedData `json:"signedData"`
}

// foreignDigest checks datapackage-digest.json against the digest of
// datapackage.json as found, and then who signed it.
func (v *visit) foreignDigest(p *wacz.Loose, hash string) {
	const name = "foreign.digest"
	absent := func(code string) {
		v.unknown("foreign.signature", code, "")
		v.unknown("foreign.signer", code, "")
	}
	b, err := p.ReadFile(wacz.DigestPath, 1<<20)
	if errors.Is(err, wacz.ErrMissing) {
		v.unknown(name, "foreign.no_digest", "%v", err)
		absent("foreign.unsigned")
		return
	}
	var d otherDigest
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	if err != nil {
		v.fail(name, "datapackage.digest_unreadable", "%v", err)
		absent("datapackage.digest_unreadable")
		return
	}
	if !strings.EqualFold(d.Hash, hash) || d.Path != "" && d.Path != wacz.DatapackagePath {
		v.fail(name, "datapackage.hash", "%s is %s, listed as %s %.80q", wacz.DatapackagePath, hash, d.Path, d.Hash)
	} else {
		v.pass(name, "%s", hash)
	}
	if d.Signed == nil || *d.Signed == (signedData{}) {
		absent("foreign.unsigned")
		return
	}
	v.foreignSignature(*d.Signed, hash)
}
