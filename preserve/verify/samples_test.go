package verify_test

import (
	"bytes"
	"crypto/x509"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"guzheng/capture"
	"guzheng/preserve/seal"
	"guzheng/preserve/tsa"
	"guzheng/preserve/wacz"
	"guzheng/preserve/wacz/wacztest"
)

// renamed patches a path in local header and directory by one of the same
// length.
func renamed(from, to string) func([]byte) []byte {
	return func(b []byte) []byte {
		for _, sig := range []string{"PK\x03\x04", "PK\x01\x02"} {
			for i := 0; ; i++ {
				k := bytes.Index(b[i:], []byte(sig))
				if k < 0 {
					break
				}
				i += k
				at := i + map[string]int{"PK\x03\x04": 30, "PK\x01\x02": 46}[sig]
				if bytes.HasPrefix(b[at:], []byte(from)) {
					copy(b[at:], to)
				}
			}
		}
		return b
	}
}

// flipped flips a bit of the first byte of text.
func flipped(text string) func([]byte) []byte {
	return func(b []byte) []byte {
		b[bytes.Index(b, []byte(text))] ^= 0x01
		return b
	}
}

// flippedIn flips a bit of a file, at bytes from its start.
func flippedIn(path string, at int) func([]byte) []byte {
	return func(b []byte) []byte {
		for i := 0; ; i++ {
			i += bytes.Index(b[i:], []byte("PK\x03\x04"))
			if bytes.HasPrefix(b[i+30:], []byte(path)) {
				b[i+30+len(path)+at] ^= 0x01
				return b
			}
		}
	}
}

// samples are all vectors by name.
func samples(t *testing.T, h *house) map[string]sample {
	t.Helper()
	data := wacztest.WARC(t)
	out := map[string]sample{}
	for _, part := range []map[string]sample{soundSamples(t, data), transitSamples(data), inputSamples(t, h, data),
		zipSamples(data), contentSamples(data), stampSamples(t, data), sealSamples(t, data)} {
		maps.Copy(out, part)
	}
	return out
}

// soundSamples are packages with nothing wrong in them.
func soundSamples(t *testing.T, data []byte) map[string]sample {
	return map[string]sample{
		"good":          {about: "everything holds", warc: data},
		"good-failed":   {about: "a capture that got nothing: sound, without traffic", warc: nil},
		"good-pending":  {about: "authority and log did not answer", want: "-log.pending stamp.pending", warc: data, raw: silent{}, stamps: []tsa.Authority{silent{}}, down: true},
		"good-last":     {about: "the last leaf of a log whose size is no power of two", warc: data, before: 6},
		"good-first":    {about: "a leaf in the left half of the log", warc: data, before: 4},
		"good-unlogged": {about: "the log did not answer", want: "-log.pending", warc: data, down: true},
		"good-practice": {about: "stamped by the machine's own practice authority", want: "-stamp.practice", warc: data, raw: practice(t), stamps: []tsa.Authority{practice(t)}},
		"good-unsealed": {about: "no seal beside the package", want: "-seal.missing", warc: data, noSeal: true},
	}
}

// practice is like the practice authority of a machine, but for its key.
func practice(t *testing.T) *authority {
	t.Helper()
	p, err := tsa.OpenPractice(t.TempDir(), wacztest.Now)
	if err != nil {
		t.Fatal(err)
	}
	org := p.Root().Subject.Organization[0]
	root := certificate(t, issue{name: "Test practice root", org: org, key: 31}, nil, 31)
	a := newAuthority(t, nil)
	a.name, a.policy, a.asked, a.key = tsa.PracticeName, practicePolicy, nil, p256(t, 32)
	a.leaf = certificate(t, issue{name: "Test practice stamps", org: org, key: 32, purposes: timeStamping}, root, 31)
	a.extra = []*x509.Certificate{root}
	return a
}

// transitSamples were changed after they had been sealed, by someone without
// the key.
func transitSamples(data []byte) map[string]sample {
	const other = "imprint.other log.other_package seal.other_digest signature.invalid"
	with := func(codes string) string { return sorted(other + " " + codes) }
	half := func(b []byte) []byte { return b[:len(b)/2] }
	out := map[string]sample{
		"zip-appended":   {about: "a byte behind the end", want: with("zip.end"), patch: func(b []byte) []byte { return append(b, 0) }},
		"zip-prepended":  {about: "a byte before the start", want: with("zip.form"), patch: func(b []byte) []byte { return append([]byte{0}, b...) }},
		"zip-truncated":  {about: "a package that lacks its last bytes", want: with("zip.end"), patch: func(b []byte) []byte { return b[:len(b)-7] }},
		"zip-half":       {about: "a package that ends in the middle", want: with("zip.end"), patch: half},
		"zip-empty":      {about: "a package of no bytes", want: with("zip.end"), patch: func([]byte) []byte { return nil }},
		"zip-slip":       {about: "a path that leaves the directory", want: with("zip.path"), patch: renamed("evidence/dom.html", "../../../dom.html")},
		"zip-backslash":  {about: "a path with a backslash", want: with("zip.path"), patch: renamed("evidence/dom.html", `evidence\dom.html`)},
		"zip-duplicate":  {about: "two entries with one path", want: with("zip.duplicate"), patch: renamed("evidence/text.txt", "evidence/dom.html")},
		"zip-case":       {about: "two paths that differ in case only", want: with("zip.case"), patch: renamed("evidence/text.txt", "evidence/DOM.html")},
		"zip-compressed": {about: "an entry that claims to be compressed", want: with("zip.compressed"), patch: func(b []byte) []byte { b[bytes.Index(b, []byte("PK\x01\x02"))+10] = 8; return b }},

		"changed-text":     {about: "one bit of a file", want: with("file.changed raw.files take.changed zip.checksum"), patch: flipped("Tea 199.00\n")},
		"changed-manifest": {about: "one bit of datapackage.json", want: with("datapackage.unreadable pages.invalid signature.other take.other zip.checksum"), patch: flipped(`"wacz_version"`)},
		"changed-label":    {about: "one bit of datapackage-digest.json that the signature is not over", want: with("datapackage.digest_unreadable signature.unreadable zip.checksum"), patch: flipped(`"version": "0.1.0"`)},
		"changed-picture":  {about: "one bit of a picture", want: with("file.changed raw.files take.changed zip.checksum"), patch: flippedIn("evidence/viewport.png", 45)},
		"changed-warc":     {about: "one bit of a WARC record", want: with("file.changed raw.files take.changed warc.unreadable zip.checksum"), patch: flippedIn("archive/data.warc.gz", 1000)},
		"changed-index":    {about: "one bit of the index", want: with("file.changed index.missing zip.checksum"), patch: flipped(`"mime":"text/html"`)},
		"changed-pages":    {about: "one bit of pages.jsonl", want: with("file.changed pages.missing zip.checksum"), patch: flipped(`json-pages-1.0`)},
		"changed-journal":  {about: "one bit of the journal", want: with("file.changed raw.files take.changed take.journal zip.checksum"), patch: flipped(`{"seq":1,`)},
		"changed-take":     {about: "one bit of take.json", want: with("file.changed raw.files take.missing zip.checksum"), patch: flipped(`complete",`)},
		"changed-raw":      {about: "one bit of the raw file list", want: with("file.changed raw.unreadable zip.checksum"), patch: flipped(`guzheng-raw/1`)},
		"changed-stamps":   {about: "one bit of the raw stamps", want: with("file.changed stamp.unreadable zip.checksum"), patch: flipped(`2026-05-04T03:02:01Z","imprint"`)},
		"changed-name":     {about: "one bit of a path, in both places", want: with("datapackage.absent file.changed raw.files take.absent take.added"), patch: renamed("evidence/dom.html", "evidence/don.html")},
	}
	for name, s := range out {
		s.warc = data
		out[name] = s
	}
	return out
}

// inputSamples were packaged wrongly and then sealed.
func inputSamples(t *testing.T, h *house, data []byte) map[string]sample {
	t.Helper()
	other := h.build(t, nil)
	otherSeal := decode(t, read(t, sealOf(other)))
	second := wacztest.NewKey(t, 2)
	_, spki := second.Identity()
	rawOther := filepath.Join(t.TempDir(), "raw.json")
	b, err := wacz.NewRaw(capture.Take{}, digestOf(t, other)).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(rawOther, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]sample{
		"added-evidence": {about: "a file that was not taken, packaged and sealed", want: "take.added", warc: data, change: func(in *wacz.Input) {
			in.Extra = append(in.Extra, wacz.Extra{Path: "evidence/more.json", From: rawOther})
		}},
		"raw-other": {about: "the raw file list of something else, packaged and sealed", want: "raw.files", warc: data, change: func(in *wacz.Input) {
			in.Extra[0].From = rawOther
		}},
		"raw-unlisted":    {about: "packaged without the raw file list", want: "-raw.missing raw.unreadable", warc: data, change: func(in *wacz.Input) { in.Extra = in.Extra[1:] }},
		"warc-digest":     {about: "a WARC record whose body does not have its digest, packaged and sealed", want: "warc.digest", warc: forgedWARC(t, data, "199.00", "999.00")},
		"warc-undigested": {about: "a WARC record without its digest, packaged and sealed", want: "warc.no_digest", warc: forgedWARC(t, data, "WARC-Block-Digest", "WARC-Block-Dihest")},
		"warc-version":    {about: "a WARC record of a version that nobody knows, packaged and sealed", want: "warc.unreadable", warc: forgedWARC(t, data, "WARC/1.1", "WARC/9.1")},
		"warc-cut":        {about: "a WARC that ends in the middle, packaged and sealed", want: "warc.unreadable", warc: data[:len(data)-9]},
		"warc-behind":     {about: "bytes behind the last WARC record, packaged and sealed", want: "warc.unreadable", warc: append(bytes.Clone(data), "hidden"...)},
		"signer-other":    {about: "package and seal signed with different keys", want: "signer.other", warc: data, change: func(in *wacz.Input) { in.Sign, in.PublicKey = second.Sign, spki }},
		"signer-stranger": {about: "package and seal signed with one key that the trust does not name", want: "signer.not_trusted", warc: data, key: wacztest.NewKey(t, 3)},
		"signature-other": {about: "package signature by a key other than the one it names", want: "signature.invalid", warc: data, change: func(in *wacz.Input) { in.Sign = second.Sign }},

		"seal-other":   {about: "the seal of another package", want: "imprint.other log.other_package seal.other_digest signature.invalid", warc: data, reseal: func(s *seal.Seal) { *s = otherSeal }},
		"seal-digest":  {about: "a seal whose digest was changed", want: "seal.other_digest", warc: data, reseal: func(s *seal.Seal) { s.Package.SM3 = strings.Repeat("0", 64) }},
		"seal-open":    {about: "a seal whose envelope was taken off", want: "envelope.missing", warc: data, forge: func(s *seal.Seal) { s.Envelope = nil }},
		"seal-touched": {about: "a seal in which the local clock beside a stamp was changed, which no other signature covers", want: "envelope.invalid", warc: data, forge: func(s *seal.Seal) { s.Stamps[0].At = s.Stamps[0].At.AddDate(-1, 0, 0) }},
		"stamp-other":  {about: "a stamp over another package", want: "imprint.other", warc: data, reseal: func(s *seal.Seal) { s.Stamps = otherSeal.Stamps }},
		"log-other":    {about: "the log entry of another package", want: "log.other_package", warc: data, reseal: func(s *seal.Seal) { s.Log = otherSeal.Log }},
		"log-moved":    {about: "an inclusion proof for another place", want: "inclusion.invalid", warc: data, reseal: func(s *seal.Seal) { s.Log.Index-- }},
		"log-stranger": {about: "a log that names itself by another key", want: "checkpoint.invalid key.other", warc: data, reseal: func(s *seal.Seal) { s.Log.Verifier = strings.Replace(s.Log.Verifier, "test", "tset", 1) }},
	}
}

func sorted(codes string) string {
	all := map[string]bool{}
	for _, c := range strings.Fields(codes) {
		all[c] = true
	}
	return strings.Join(keys(all), " ")
}
