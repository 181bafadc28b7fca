package verify_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"guzheng/capture"
	"guzheng/capture/warc"
	"guzheng/preserve/seal"
	"guzheng/preserve/tsa"
	"guzheng/preserve/verify"
	"guzheng/preserve/wacz"
	"guzheng/preserve/wacz/wacztest"
)

var update = flag.Bool("update", false, "make the vectors anew")

const vectors = "../testdata/vectors"

// A vector is one line of verdicts.json: what becomes of NAME.wacz with
// NAME.seal.json, under trust.json.
type vector struct {
	Name    string         `json:"name"`
	About   string         `json:"about"`
	Outcome verify.Outcome `json:"outcome"`
	Told    []verify.Check `json:"told"` // every check that is not passed, without its detail
}

func TestVectors(t *testing.T) {
	if *update {
		makeVectors(t)
	}
	var want []vector
	if err := json.Unmarshal(read(t, filepath.Join(vectors, "verdicts.json")), &want); err != nil {
		t.Fatal(err)
	}
	trust, err := verify.LoadTrust(filepath.Join(vectors, "trust.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		got := judge(t, w.Name, w.About, trust)
		if d := cmp.Diff(w, got); d != "" {
			t.Errorf("%s: %s", w.Name, d)
		}
	}
	files, err := filepath.Glob(filepath.Join(vectors, "*.wacz"))
	if err != nil || len(files) != len(want) {
		t.Errorf("%d packages, %d verdicts, %v", len(files), len(want), err)
	}
}

func judge(t *testing.T, name, about string, trust verify.Trust) vector {
	t.Helper()
	v := verdict(t, filepath.Join(vectors, name+".wacz"), verify.Options{Trust: trust})
	out := vector{Name: name, About: about, Outcome: v.Outcome(), Told: []verify.Check{}}
	for _, c := range v.Checks {
		if c.Outcome != verify.Passed {
			c.Detail = ""
			out.Told = append(out.Told, c)
		}
	}
	return out
}

// sample is one vector in the making.
type sample struct {
	about  string
	warc   []byte
	tsa    tsa.Authority
	change func(*wacz.Input)     // before packaging
	patch  func(b []byte) []byte // of the package, after sealing
	reseal func(*seal.Seal)      // by whoever has the key
	forge  func(*seal.Seal)      // by someone else: the envelope stays
	noSeal bool
	down   bool // the log
}

func makeVectors(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(vectors); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(vectors, 0o755); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t)
	put := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(vectors, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("root.pem", pemOf(h.third.root))
	b, err := json.MarshalIndent(map[string]any{"format": verify.TrustFormat, "signers": h.trust.Signers, "logs": h.trust.Logs,
		"tsa": map[string]any{"roots": []string{"root.pem"}, "pins": []map[string]string{{"policy": "1.2.3", "name": "Test TSA"}}}}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	put("trust.json", append(b, '\n'))
	trust, err := verify.LoadTrust(filepath.Join(vectors, "trust.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := samples(t, h)
	var out []vector
	for _, name := range slices.Sorted(maps.Keys(all)) {
		pkg, sealed := h.vector(t, all[name])
		put(name+".wacz", pkg)
		if sealed != nil {
			put(name+".seal.json", sealed)
		}
		out = append(out, judge(t, name, all[name].about, trust))
	}
	if b, err = json.MarshalIndent(out, "", "  "); err != nil {
		t.Fatal(err)
	}
	put("verdicts.json", append(b, '\n'))
}

// vector makes one package and its seal.
func (h *house) vector(t *testing.T, s sample) (pkg, sealed []byte) {
	t.Helper()
	var a tsa.Authority = h.third
	if s.tsa != nil {
		a = s.tsa
	}
	dir := t.TempDir()
	take := wacztest.Take(t, filepath.Join(dir, "take"), s.warc)
	in := wacztest.Input(t, filepath.Join(dir, "take"), take, func(root [32]byte) []byte {
		b, err := json.Marshal(seal.Stamps(t.Context(), []tsa.Authority{a}, root))
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
	if s.change != nil {
		s.change(&in)
	}
	out := filepath.Join(dir, wacztest.ID+".wacz")
	if _, err := wacz.Write(t.Context(), out, in); err != nil {
		t.Fatal(err)
	}
	h.log.down = s.down
	h.seal(t, out, a)
	h.log.down = false
	pkg, sealed = read(t, out), read(t, sealOf(out))
	if s.patch != nil {
		pkg = s.patch(bytes.Clone(pkg))
	}
	if s.reseal != nil {
		d := decode(t, sealed)
		s.reseal(&d)
		d, err := seal.Enclose(d, h.key)
		if err != nil {
			t.Fatal(err)
		}
		sealed = encode(t, d)
	}
	if s.forge != nil {
		d := decode(t, sealed)
		s.forge(&d)
		sealed = encode(t, d)
	}
	if s.noSeal {
		sealed = nil
	}
	return pkg, sealed
}

func encode(t *testing.T, s seal.Seal) []byte {
	t.Helper()
	b, err := seal.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

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

func samples(t *testing.T, h *house) map[string]sample {
	t.Helper()
	data := wacztest.WARC(t)
	practice, err := tsa.OpenPractice(t.TempDir(), wacztest.Now)
	if err != nil {
		t.Fatal(err)
	}
	other := h.build(t, nil)
	otherSeal := decode(t, read(t, sealOf(other)))
	second := wacztest.NewKey(t, 2)
	_, spki := second.Identity()
	rawOther := filepath.Join(t.TempDir(), "raw.json")
	replace := func(path, from string) func(*wacz.Input) {
		return func(in *wacz.Input) {
			for i := range in.Extra {
				if in.Extra[i].Path == path {
					in.Extra[i].From = from
				}
			}
		}
	}
	b, err := wacz.NewRaw(capture.Take{}, digestOf(t, other)).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(rawOther, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]sample{
		"good":          {about: "everything holds", warc: data},
		"good-failed":   {about: "a capture that got nothing: sound, without traffic", warc: nil},
		"good-pending":  {about: "authority and log did not answer", warc: data, tsa: silent{}, down: true},
		"good-practice": {about: "stamped by the machine's own practice authority", warc: data, tsa: practice},
		"good-unsealed": {about: "no seal beside the package", warc: data, noSeal: true},

		"zip-appended":   {about: "a byte behind the end", warc: data, patch: func(b []byte) []byte { return append(b, 0) }},
		"zip-prepended":  {about: "a byte before the start", warc: data, patch: func(b []byte) []byte { return append([]byte{0}, b...) }},
		"zip-slip":       {about: "a path that leaves the directory", warc: data, patch: renamed("evidence/dom.html", "../../../dom.html")},
		"zip-backslash":  {about: "a path with a backslash", warc: data, patch: renamed("evidence/dom.html", `evidence\dom.html`)},
		"zip-duplicate":  {about: "two entries with one path", warc: data, patch: renamed("evidence/text.txt", "evidence/dom.html")},
		"zip-case":       {about: "two paths that differ in case only", warc: data, patch: renamed("evidence/text.txt", "evidence/DOM.html")},
		"zip-compressed": {about: "an entry that claims to be compressed", warc: data, patch: func(b []byte) []byte { b[bytes.Index(b, []byte("PK\x01\x02"))+10] = 8; return b }},

		"changed-text":     {about: "one bit of a file", warc: data, patch: flipped("Tea 199.00\n")},
		"changed-manifest": {about: "one bit of datapackage.json", warc: data, patch: flipped(`"wacz_version"`)},
		"changed-label":    {about: "one bit of datapackage-digest.json that the signature is not over", warc: data, patch: flipped(`"version": "0.1.0"`)},
		"added-evidence": {about: "a file that was not taken, packaged and sealed", warc: data, change: func(in *wacz.Input) {
			in.Extra = append(in.Extra, wacz.Extra{Path: "evidence/more.json", From: rawOther})
		}},
		"raw-other":       {about: "the raw file list of something else, packaged and sealed", warc: data, change: replace(wacz.RawPath, rawOther)},
		"raw-unlisted":    {about: "packaged without the raw file list", warc: data, change: func(in *wacz.Input) { in.Extra = in.Extra[1:] }},
		"warc-digest":     {about: "a WARC record whose body does not have its digest, packaged and sealed", warc: forgedWARC(t, data)},
		"warc-cut":        {about: "a WARC that ends in the middle, packaged and sealed", warc: data[:len(data)-9]},
		"signer-other":    {about: "package and seal signed with different keys", warc: data, change: func(in *wacz.Input) { in.Sign, in.PublicKey = second.Sign, spki }},
		"signature-other": {about: "package signature by a key other than the one it names", warc: data, change: func(in *wacz.Input) { in.Sign = second.Sign }},

		"seal-other":   {about: "the seal of another package", warc: data, reseal: func(s *seal.Seal) { *s = otherSeal }},
		"seal-digest":  {about: "a seal whose digest was changed", warc: data, reseal: func(s *seal.Seal) { s.Package.SM3 = strings.Repeat("0", 64) }},
		"seal-open":    {about: "a seal whose envelope was taken off", warc: data, forge: func(s *seal.Seal) { s.Envelope = nil }},
		"seal-touched": {about: "a seal in which the local clock beside a stamp was changed, which no other signature covers", warc: data, forge: func(s *seal.Seal) { s.Stamps[0].At = s.Stamps[0].At.AddDate(-1, 0, 0) }},
		"stamp-other":  {about: "a stamp over another package", warc: data, reseal: func(s *seal.Seal) { s.Stamps = otherSeal.Stamps }},
		"log-other":    {about: "the log entry of another package", warc: data, reseal: func(s *seal.Seal) { s.Log = otherSeal.Log }},
		"log-moved":    {about: "an inclusion proof for another place", warc: data, reseal: func(s *seal.Seal) { s.Log.Index-- }},
		"log-stranger": {about: "a log that names itself by another key", warc: data, reseal: func(s *seal.Seal) { s.Log.Verifier = strings.Replace(s.Log.Verifier, "test", "tset", 1) }},
	}
}

// forgedWARC changes the body of the second record and leaves its digests.
func forgedWARC(t *testing.T, data []byte) []byte {
	t.Helper()
	var out []byte
	for rec, err := range warc.Records(bytes.NewReader(data)) {
		if err != nil {
			t.Fatal(err)
		}
		member := data[rec.Offset : rec.Offset+rec.Length]
		if rec.Type == "response" && strings.HasSuffix(rec.URI, "/api") {
			r, err := gzip.NewReader(bytes.NewReader(member))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			var buf bytes.Buffer
			gz := gzip.NewWriter(&buf)
			if _, err := gz.Write(bytes.Replace(plain, []byte("199.00"), []byte("999.00"), 1)); err != nil {
				t.Fatal(err)
			}
			if err := gz.Close(); err != nil {
				t.Fatal(err)
			}
			member = buf.Bytes()
		}
		out = append(out, member...)
	}
	return out
}
