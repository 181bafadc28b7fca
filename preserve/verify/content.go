package verify

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"guzheng/preserve/wacz"
)

// errPages is wrapped by complaints about pages.jsonl.
var errPages = errors.New("pages.jsonl is not as it should be")

// checkDatapackage checks that datapackage.json can be read, has the digest
// that is signed, and lists every file of the package once.
func (v *visit) checkDatapackage() {
	const name = "datapackage"
	d, err := v.pkg.Datapackage()
	if err != nil {
		code := "datapackage.unreadable"
		if errors.Is(err, wacz.ErrMissing) {
			code = "datapackage.missing"
		}
		v.fail(name, code, "%v", err)
		return
	}
	v.about = d
	if d.Profile != wacz.Profile || d.Version != wacz.Version || d.Format != wacz.Format {
		v.fail(name, "datapackage.version", "profile %q, wacz_version %q, format %q", d.Profile, d.Version, d.Format)
		return
	}
	if code, path := v.unlisted(d); code != "" {
		v.fail(name, code, "%s", path)
		return
	}
	sum, err := v.pkg.Digest()
	if err != nil {
		v.fail(name, "datapackage.digest_unreadable", "%v", err)
		return
	}
	if want := "sha256:" + v.digests[wacz.DatapackagePath].SHA256; sum.Hash != want || sum.Path != wacz.DatapackagePath {
		v.fail(name, "datapackage.hash", "%s is %s, listed as %s", wacz.DatapackagePath, want, sum.Hash)
		return
	}
	v.pass(name, "%d files listed", len(d.Resources))
}

// unlisted compares the list of files with the files, both ways.
func (v *visit) unlisted(d wacz.Datapackage) (code, path string) {
	listed := map[string]bool{}
	for _, r := range d.Resources {
		if listed[r.Path] {
			return "datapackage.twice", r.Path
		}
		if listed[r.Path] = true; !v.pkg.Has(r.Path) {
			return "datapackage.absent", r.Path
		}
	}
	for _, f := range v.pkg.Files() {
		if !listed[f.Path] && f.Path != wacz.DatapackagePath && f.Path != wacz.DigestPath {
			return "datapackage.unlisted", f.Path
		}
	}
	return "", ""
}

// checkFiles compares every listed file with its two digests.
func (v *visit) checkFiles() {
	const sha, sm = "files.sha256", "files.sm3"
	if v.about.Resources == nil {
		v.unknown(sha, "datapackage.unreadable", "")
		v.unknown(sm, "datapackage.unreadable", "")
		return
	}
	bad := map[string]int{}
	for _, r := range v.about.Resources {
		d, ok := v.digests[r.Path]
		if !ok || r.Hash != "sha256:"+d.SHA256 || r.Bytes != d.Bytes {
			v.add(sha, r.Path, Failed, "file.changed", "%d bytes, sha256:%s; listed as %d bytes, %s", d.Bytes, d.SHA256, r.Bytes, r.Hash)
			bad[sha]++
		}
	}
	if bad[sha] == 0 {
		v.pass(sha, "%d files", len(v.about.Resources))
	}
	for _, r := range v.about.Resources {
		if d := v.digests[r.Path]; r.SM3 != d.SM3 {
			v.add(sm, r.Path, Failed, "file.changed", "%s; listed as %s", d.SM3, r.SM3)
			bad[sm]++
		}
	}
	if bad[sm] == 0 {
		v.pass(sm, "%d files", len(v.about.Resources))
	}
}

// checkPages reads pages.jsonl: a header, then at most one page, which is
// the main page.
func (v *visit) checkPages() {
	const name = "pages"
	b, err := v.pkg.ReadFile(wacz.PagesPath, 64<<20)
	if err != nil {
		v.fail(name, "pages.missing", "%v", err)
		return
	}
	n, err := v.readPages(b)
	if err != nil {
		v.fail(name, "pages.invalid", "%v", err)
		return
	}
	v.pass(name, "%d pages", n)
}

func (v *visit) readPages(b []byte) (int, error) {
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 64<<20)
	n := 0
	for ; sc.Scan(); n++ {
		var l pageLine
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return 0, fmt.Errorf("line %d: %w: %w", n+1, errPages, err)
		}
		if err := v.checkPage(n, l); err != nil {
			return 0, fmt.Errorf("line %d: %w: %w", n+1, errPages, err)
		}
	}
	if err := sc.Err(); err != nil {
		return 0, fmt.Errorf("%w: %w", errPages, err)
	}
	if n == 0 || n == 1 && v.about.MainPageURL != "" {
		return 0, fmt.Errorf("%d lines, main page %q: %w", n, v.about.MainPageURL, errPages)
	}
	return n - 1, nil
}

// pageLine is what is looked at of a line of pages.jsonl.
type pageLine struct{ Format, URL, TS string }

// checkPage checks line n of pages.jsonl: 0 is the header, 1 the main page.
func (v *visit) checkPage(n int, l pageLine) error {
	_, err := time.Parse(time.RFC3339Nano, l.TS)
	switch {
	case n == 0 && l.Format != "json-pages-1.0":
		return fmt.Errorf("format %q", l.Format)
	case n > 1:
		return errors.New("a second page")
	case n == 1 && (l.URL == "" || err != nil):
		return fmt.Errorf("URL %q at %q", l.URL, l.TS)
	case n == 1 && (l.URL != v.about.MainPageURL || l.TS != v.about.MainPageDate):
		return fmt.Errorf("page is %s of %s, main page %s of %s", l.URL, l.TS, v.about.MainPageURL, v.about.MainPageDate)
	}
	return nil
}

// checkPackageSignature verifies the signature that replay tools look at,
// over the digest of datapackage.json as found.
func (v *visit) checkPackageSignature() {
	const name = "package.signature"
	d, err := v.pkg.Digest()
	if err != nil {
		v.fail(name, "signature.unreadable", "%v", err)
		return
	}
	s := d.Signed
	hash := "sha256:" + v.digests[wacz.DatapackagePath].SHA256
	key, err := x509.ParsePKIXPublicKey(s.PublicKey)
	pub, ok := key.(*ecdsa.PublicKey)
	switch {
	case err != nil || !ok || pub.Curve != elliptic.P384() || len(s.Signature) != 96:
		v.fail(name, "signature.unreadable", "key or signature is not of curve P-384")
	case s.Hash != hash:
		v.fail(name, "signature.other", "signed is %s, found %s", s.Hash, hash)
	case s.Version != wacz.SignVersion || s.Created != v.about.Created || s.Software != v.about.Software:
		v.fail(name, "signature.labels", "version %q, created %q, software %q are not those of the package", s.Version, s.Created, s.Software)
	case !verifyRaw(pub, hash, s.Signature):
		v.fail(name, "signature.invalid", "signature does not hold over %s", hash)
	default:
		v.signer = s.PublicKey
		v.pass(name, "key %x", sha256.Sum256(s.PublicKey))
	}
}

// verifyRaw verifies a signature made of r and s side by side.
func verifyRaw(pub *ecdsa.PublicKey, text string, sig []byte) bool {
	sum := sha256.Sum256([]byte(text))
	return ecdsa.Verify(pub, sum[:], new(big.Int).SetBytes(sig[:48]), new(big.Int).SetBytes(sig[48:]))
}
