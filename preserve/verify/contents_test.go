package verify_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"guzheng/capture"
	"guzheng/preserve/seal"
	"guzheng/preserve/tsa"
	"guzheng/preserve/wacz"
	"guzheng/preserve/wacz/wacztest"
)

// A repack takes a package apart, for someone to change its files, and makes
// the rest right again as far as that someone wants.
type repack struct {
	t *testing.T
	h *house
	zipped
}

// repacked is a package whose files someone changed before it was sealed.
func repacked(change func(*repack)) func(*testing.T, *house, []byte) []byte {
	return func(t *testing.T, h *house, pkg []byte) []byte {
		r := &repack{t, h, unzipped(t, pkg)}
		change(r)
		return r.bytes()
	}
}

func (r *repack) get(path string) []byte { return r.at(path).data }

func (r *repack) set(path string, b []byte) { r.at(path).data = b }

// swap replaces a text that stands in a file.
func (r *repack) swap(path, from, to string) {
	r.t.Helper()
	b := r.get(path)
	if !bytes.Contains(b, []byte(from)) {
		r.t.Fatalf("%s does not hold %q", path, from)
	}
	r.set(path, bytes.Replace(b, []byte(from), []byte(to), 1))
}

func (r *repack) remove(path string) {
	r.files = slices.DeleteFunc(r.files, func(f zfile) bool { return f.name == path })
}

// add puts a file in its place by path.
func (r *repack) add(path string, b []byte) {
	i := slices.IndexFunc(r.files, func(f zfile) bool { return f.name > path || strings.HasPrefix(f.name, "datapackage") })
	r.files = slices.Insert(r.files, i, zfile{name: path, data: b, time: r.files[0].time, date: r.files[0].date})
}

func (r *repack) digest(path string) capture.Digest {
	d, err := capture.DigestOf(bytes.NewReader(r.get(path)))
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

func (r *repack) indented(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		r.t.Fatal(err)
	}
	return b.Bytes()
}

// retake gives the manifest of the take the digests that a file has now, and
// makes the raw list again.
func (r *repack) retake(path string) {
	take, err := capture.DecodeTake(r.get(wacz.TakePath))
	if err != nil {
		r.t.Fatal(err)
	}
	for i, f := range take.Files {
		if f.Path == path {
			take.Files[i].Digest = r.digest(path)
		}
	}
	r.set(wacz.TakePath, r.indented(take))
	r.reraw()
}

// reraw makes the list of raw files and its stamp anew, over the files as
// they are.
func (r *repack) reraw() {
	var raw wacz.Raw
	if err := json.Unmarshal(r.get(wacz.RawPath), &raw); err != nil {
		r.t.Fatal(err)
	}
	for i, f := range raw.Files {
		raw.Files[i].Digest = r.digest(f.Path)
	}
	r.restamp(raw)
}

// restamp writes a list of raw files with its root and has it stamped.
func (r *repack) restamp(raw wacz.Raw) {
	root := raw.TreeRoot()
	raw.Root = hex.EncodeToString(root[:])
	r.set(wacz.RawPath, r.indented(raw))
	b, err := json.Marshal(seal.Stamps(r.t.Context(), []tsa.Authority{r.h.third}, root))
	if err != nil {
		r.t.Fatal(err)
	}
	r.set(wacz.RawStampsPath, b)
}

// described gives datapackage.json the files as they are and signs it.
func (r *repack) described() { r.describedBut(func(*wacz.Datapackage) {}) }

// describedBut does the same, with something wrong in datapackage.json.
func (r *repack) describedBut(change func(*wacz.Datapackage)) {
	var d wacz.Datapackage
	if err := json.Unmarshal(r.get(wacz.DatapackagePath), &d); err != nil {
		r.t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, res := range d.Resources {
		kinds[res.Path] = res.Kind
	}
	d.Resources = nil
	for _, f := range r.files {
		if f.name != wacz.DatapackagePath && f.name != wacz.DigestPath {
			sum := r.digest(f.name)
			d.Resources = append(d.Resources, wacz.Resource{Name: f.name, Path: f.name, Hash: "sha256:" + sum.SHA256, Bytes: sum.Bytes, SM3: sum.SM3, Kind: kinds[f.name]})
		}
	}
	change(&d)
	r.set(wacz.DatapackagePath, r.indented(d))
	r.signed(func(*wacz.DigestFile) {})
}

// signed signs datapackage.json as it is; change comes last.
func (r *repack) signed(change func(*wacz.DigestFile)) {
	var d wacz.DigestFile
	if err := json.Unmarshal(r.get(wacz.DigestPath), &d); err != nil {
		r.t.Fatal(err)
	}
	d.Hash = "sha256:" + r.digest(wacz.DatapackagePath).SHA256
	d.Signed.Hash = d.Hash
	d.Signed.Signature = rawSignature(r.t, r.h.key, d.Hash)
	_, d.Signed.PublicKey = r.h.key.Identity()
	change(&d)
	r.set(wacz.DigestPath, r.indented(d))
}

func crlf(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) }

// contentSamples are packages with something wrong in a file, sealed as they
// are. Where the text says "all else made right", the rest was made as if
// nothing were.
func contentSamples(data []byte) map[string]sample {
	type content struct {
		about, want string
		change      func(*repack)
	}
	all := map[string]content{
		"good-partial": {"a capture that is not complete, and says so", "", func(r *repack) {
			const from, to = `"reasons":null,"state":"complete"`, `"reasons":[{"code":"time.total","detail":"5m0s"}],"state":"partial"`
			r.swap("evidence/journal.jsonl", from, to)
			r.swap(wacz.TakePath, `"state": "complete",`, `"state": "partial", "reasons": [{"code": "time.total", "detail": "5m0s"}],`)
			r.retake("evidence/journal.jsonl")
			r.described()
		}},
		"take-digest": {"take.json with another SM3 value for a file, all else made right", "take.changed take.journal", func(r *repack) {
			r.swap(wacz.TakePath, r.digest(domPath).SM3, strings.Repeat("0", 64))
			r.reraw()
			r.described()
		}},
		"take-order": {"the take of another order, all else made right", "take.other", func(r *repack) {
			r.swap(wacz.TakePath, wacztest.ID, "GZ-20260504-TEST0002")
			r.reraw()
			r.described()
		}},
		"take-version": {"take.json of a version that nobody knows, all else made right", "imprint.other raw.files take.unreadable", func(r *repack) {
			r.swap(wacz.TakePath, capture.TakeFormat, "guzheng-take/2")
			r.reraw()
			r.described()
		}},
		"take-absent": {"a file of the take left out of package and list, all else made right", "imprint.other raw.files take.absent", func(r *repack) {
			r.remove(domPath)
			r.described()
		}},
		"journal-state": {"a journal that contradicts the state in take.json, all else made right", "take.journal", func(r *repack) {
			r.swap("evidence/journal.jsonl", `"state":"complete"`, `"state":"partial"`)
			r.retake("evidence/journal.jsonl")
			r.described()
		}},
		"journal-silent": {"a journal that does not know of a file, all else made right", "take.journal", func(r *repack) {
			r.swap("evidence/journal.jsonl", `"path":"evidence/dom.html"`, `"path":"evidence/dim.html"`)
			r.retake("evidence/journal.jsonl")
			r.described()
		}},
		"journal-bom": {"a journal that begins with a byte order mark, all else made right", "take.journal", func(r *repack) {
			r.set("evidence/journal.jsonl", append([]byte("\ufeff"), r.get("evidence/journal.jsonl")...))
			r.retake("evidence/journal.jsonl")
			r.described()
		}},
		"raw-root": {"proofs/raw.json with another root, all else made right", "raw.root", func(r *repack) {
			r.swap(wacz.RawPath, `"root": "`, `"root": "00`)
			r.described()
		}},
		"raw-short": {"a raw list that lacks a file, with its root stamped, all else made right", "imprint.other raw.files", func(r *repack) {
			var raw wacz.Raw
			if err := json.Unmarshal(r.get(wacz.RawPath), &raw); err != nil {
				r.t.Fatal(err)
			}
			raw.Files = raw.Files[1:]
			r.restamp(raw)
			r.described()
		}},
		"raw-stamp-other": {"raw stamps over another root, all else made right", "imprint.other", func(r *repack) {
			b, err := json.Marshal(seal.Stamps(r.t.Context(), []tsa.Authority{r.h.third}, [32]byte{1}))
			if err != nil {
				r.t.Fatal(err)
			}
			r.set(wacz.RawStampsPath, b)
			r.described()
		}},
		"raw-stamp-absent":  {"no raw stamps, all else made right", "-stamp.missing", func(r *repack) { r.remove(wacz.RawStampsPath); r.described() }},
		"raw-stamp-mangled": {"raw stamps that are no JSON, all else made right", "stamp.unreadable", func(r *repack) { r.set(wacz.RawStampsPath, []byte("<html>")); r.described() }},
		"index-elsewhere":   {"an index line that points elsewhere, all else made right", "index.other", func(r *repack) { r.swap(wacz.IndexPath, `"offset":"`, `"offset":"1`); r.described() }},
		"index-status":      {"an index that tells another status, all else made right", "index.other", func(r *repack) { r.swap(wacz.IndexPath, `"status":"200"`, `"status":"404"`); r.described() }},
		"index-short":       {"an index that lacks a line, all else made right", "index.other", func(r *repack) { r.set(wacz.IndexPath, afterLine(r.get(wacz.IndexPath))); r.described() }},
		"index-absent":      {"no index, all else made right", "index.missing", func(r *repack) { r.remove(wacz.IndexPath); r.described() }},
		"index-twice":       {"an index with a line twice, all else made right", "index.other", func(r *repack) { r.set(wacz.IndexPath, twice(r.get(wacz.IndexPath))); r.described() }},
		"index-unsorted":    {"an index that is not sorted, all else made right", "index.other", func(r *repack) { r.set(wacz.IndexPath, rotated(r.get(wacz.IndexPath))); r.described() }},
		"pages-other":       {"pages.jsonl with another page than the main one, all else made right", "pages.invalid", func(r *repack) { r.swap(wacz.PagesPath, wacztest.URL, "https://other.example/"); r.described() }},
		"pages-two": {"pages.jsonl with a second page, all else made right", "pages.invalid", func(r *repack) {
			r.set(wacz.PagesPath, append(r.get(wacz.PagesPath), afterLine(r.get(wacz.PagesPath))...))
			r.described()
		}},
		"pages-absent": {"no pages.jsonl, all else made right", "pages.missing", func(r *repack) { r.remove(wacz.PagesPath); r.described() }},
		"list-sha256": {"a wrong SHA-256 value in datapackage.json, all else made right", "file.changed", func(r *repack) {
			r.describedBut(resource(func(x *wacz.Resource) { x.Hash = "sha256:" + strings.Repeat("0", 64) }))
		}},
		"list-sm3":    {"a wrong SM3 value in datapackage.json, all else made right", "file.changed", func(r *repack) { r.describedBut(resource(func(x *wacz.Resource) { x.SM3 = strings.Repeat("0", 64) })) }},
		"list-length": {"a wrong length in datapackage.json, all else made right", "file.changed", func(r *repack) { r.describedBut(resource(func(x *wacz.Resource) { x.Bytes++ })) }},
		"list-twice": {"a file listed twice in datapackage.json, all else made right", "datapackage.twice", func(r *repack) {
			r.describedBut(func(d *wacz.Datapackage) { d.Resources = append(d.Resources, d.Resources[0]) })
		}},
		"list-absent": {"a listed file that is not there", "datapackage.absent file.changed imprint.other raw.files take.absent", func(r *repack) { r.remove(domPath) }},
		"list-added":  {"a file that is not listed", "datapackage.unlisted", func(r *repack) { r.add("notes.txt", []byte("x")) }},
		"list-format": {"datapackage.json of a version that nobody knows, all else made right", "datapackage.version", func(r *repack) { r.describedBut(func(d *wacz.Datapackage) { d.Format = "guzheng-package/2" }) }},
		"list-bom": {"datapackage.json with a byte order mark, signed so", "datapackage.unreadable pages.invalid signature.labels take.other", func(r *repack) {
			r.set(wacz.DatapackagePath, append([]byte("\ufeff"), r.get(wacz.DatapackagePath)...))
			r.signed(func(*wacz.DigestFile) {})
		}},
		"files-swapped":     {"two files in each other's place", "file.changed imprint.other raw.files take.changed", func(r *repack) { a, b := r.at(domPath), r.at("evidence/text.txt"); a.data, b.data = b.data, a.data }},
		"crlf-journal":      {"a journal with the line ends of Windows", "file.changed imprint.other raw.files take.changed", func(r *repack) { r.set("evidence/journal.jsonl", crlf(r.get("evidence/journal.jsonl"))) }},
		"crlf-take":         {"take.json with the line ends of Windows", "file.changed imprint.other raw.files", func(r *repack) { r.set(wacz.TakePath, crlf(r.get(wacz.TakePath))) }},
		"crlf-list":         {"datapackage.json with the line ends of Windows", "datapackage.hash signature.other", func(r *repack) { r.set(wacz.DatapackagePath, crlf(r.get(wacz.DatapackagePath))) }},
		"crlf-digest":       {"datapackage-digest.json with the line ends of Windows", "datapackage.digest_unreadable signature.unreadable", func(r *repack) { r.set(wacz.DigestPath, crlf(r.get(wacz.DigestPath))) }},
		"signature-flipped": {"one bit of the package's signature", "signature.invalid", func(r *repack) { r.signed(func(d *wacz.DigestFile) { d.Signed.Signature[95] ^= 1 }) }},
		"signature-hash": {"a package signature over another list", "signature.other", func(r *repack) {
			r.signed(func(d *wacz.DigestFile) {
				d.Signed.Hash = "sha256:" + strings.Repeat("0", 64)
				d.Signed.Signature = rawSignature(r.t, r.h.key, d.Signed.Hash)
			})
		}},
		"signature-curve":    {"a package signature with a key of another curve", "signature.unreadable", func(r *repack) { r.signed(func(d *wacz.DigestFile) { d.Signed.PublicKey = spkiOf(r.t, p256(r.t, 5)) }) }},
		"signature-software": {"a package signature that names other software", "signature.labels", func(r *repack) { r.signed(func(d *wacz.DigestFile) { d.Signed.Software = "other" }) }},
	}
	out := map[string]sample{}
	for name, c := range all {
		out[name] = sample{about: c.about, want: c.want, warc: data, pack: repacked(c.change)}
	}
	return out
}

func resource(change func(*wacz.Resource)) func(*wacz.Datapackage) {
	return func(d *wacz.Datapackage) {
		i := slices.IndexFunc(d.Resources, func(x wacz.Resource) bool { return x.Path == domPath })
		change(&d.Resources[i])
	}
}

func afterLine(b []byte) []byte {
	_, rest, _ := bytes.Cut(b, []byte("\n"))
	return bytes.Clone(rest)
}

func twice(b []byte) []byte {
	first, _, _ := bytes.Cut(b, []byte("\n"))
	return append(append(bytes.Clone(first), '\n'), b...)
}

// rotated puts the first line last.
func rotated(b []byte) []byte {
	first, rest, _ := bytes.Cut(b, []byte("\n"))
	return append(append(bytes.Clone(rest), first...), '\n')
}
