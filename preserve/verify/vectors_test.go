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

	"guzheng/capture/warc"
	"guzheng/preserve/seal"
	"guzheng/preserve/tsa"
	"guzheng/preserve/verify"
	"guzheng/preserve/wacz"
	"guzheng/preserve/wacz/wacztest"
)

var update = flag.Bool("update", false, "make the vectors anew")

const vectors = "../testdata/vectors"

// A vector is one entry of verdicts.json: what becomes of a package beside a
// seal under trust.json. Vectors with a defect in the seal alone share one
// package.
type vector struct {
	Package string                    `json:"package"`        // file
	Seal    string                    `json:"seal,omitempty"` // file, none when empty
	Name    string                    `json:"name"`
	About   string                    `json:"about"`
	Outcome verify.Outcome            `json:"outcome"`
	Layers  map[string]verify.Outcome `json:"layers"` // by check, the worst where a check was made several times
	Told    []verify.Check            `json:"told"`   // every check that is not passed, without its detail
}

// index is verdicts.json.
func index(t *testing.T) []vector {
	t.Helper()
	var all []vector
	if err := json.Unmarshal(read(t, filepath.Join(vectors, "verdicts.json")), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestVectors(t *testing.T) {
	if *update {
		makeVectors(t)
	}
	trust, err := verify.LoadTrust(filepath.Join(vectors, "trust.json"))
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, w := range index(t) {
		got := judge(t, w, trust)
		if d := cmp.Diff(w, got); d != "" {
			t.Errorf("%s: %s", w.Name, d)
		}
		used[w.Package], used[w.Seal] = true, true
	}
	for _, kind := range vectorFiles {
		files, err := filepath.Glob(filepath.Join(vectors, kind))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if !used[filepath.Base(name)] {
				t.Errorf("%s belongs to no vector", name)
			}
		}
	}
}

// vectorFiles are the patterns of what the generator makes for each vector.
var vectorFiles = [...]string{"*.wacz", "*.seal.json"}

// judge fills in what becomes of a vector.
func judge(t *testing.T, out vector, trust verify.Trust) vector {
	t.Helper()
	opt := verify.Options{Trust: trust}
	if out.Seal != "" {
		opt.SealPath = filepath.Join(vectors, out.Seal)
	}
	v := verdict(t, filepath.Join(vectors, out.Package), opt)
	out.Outcome, out.Layers, out.Told = v.Outcome(), map[string]verify.Outcome{}, []verify.Check{}
	for _, c := range v.Checks {
		if worst, ok := out.Layers[c.Name]; !ok || worst == verify.Passed || c.Outcome == verify.Failed {
			out.Layers[c.Name] = c.Outcome
		}
		if c.Outcome != verify.Passed {
			c.Detail = ""
			out.Told = append(out.Told, c)
		}
	}
	return out
}

// sample is one vector in the making. What it wants are the codes of all
// checks that failed, or, behind a dash, of those that cannot tell where none
// failed; nothing when everything passes.
type sample struct {
	about, want string
	warc        []byte
	key         wacztest.Key    // signs all; the house's when zero
	raw         tsa.Authority   // stamps the raw files; the house's when nil
	stamps      []tsa.Authority // stamp the package; the house's when nil
	change      func(*wacz.Input)
	pack        func(t *testing.T, h *house, pkg []byte) []byte // before sealing
	patch       func(b []byte) []byte                           // of the package, after sealing
	reseal      func(*seal.Seal)                                // by whoever has the key
	forge       func(*seal.Seal)                                // by someone else: the envelope stays
	text        func(b []byte) []byte                           // of the seal's file, by someone else
	noSeal      bool
	down        bool // the log
	before      int  // events in the log; 3 when 0
}

// makeVectors writes all vectors anew. The same program makes the same bytes.
func makeVectors(t *testing.T) {
	t.Helper()
	for _, kind := range vectorFiles {
		old, err := filepath.Glob(filepath.Join(vectors, kind))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range old {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	h := newHouse(t)
	put := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(vectors, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("root.pem", pemOf(newRoot(t)))
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
	good, _ := newHouse(t).vector(t, all["good"])
	var out []vector
	for _, name := range slices.Sorted(maps.Keys(all)) {
		pkg, sealed := newHouse(t).vector(t, all[name])
		v := vector{Name: name, About: all[name].about, Package: name + ".wacz"}
		if name != "good" && sealed != nil && bytes.Equal(pkg, good) {
			v.Package = "good.wacz"
		} else {
			put(v.Package, pkg)
		}
		if sealed != nil {
			v.Seal = name + ".seal.json"
			put(v.Seal, sealed)
		}
		v = judge(t, v, trust)
		if got := codes(v); got != all[name].want {
			t.Errorf("%s: %q, want %q", name, got, all[name].want)
		}
		out = append(out, v)
	}
	put("verdicts.json", lines(t, out))
}

// lines is a JSON array with one line for each vector.
func lines(t *testing.T, all []vector) []byte {
	t.Helper()
	b := []byte("[\n")
	for i, v := range all {
		line, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if b = append(b, line...); i < len(all)-1 {
			b = append(b, ',')
		}
		b = append(b, '\n')
	}
	return append(b, "]\n"...)
}

// The generator makes the same bytes each time, so that a change in a vector
// is a change that someone made.
func TestVectorsAreFixed(t *testing.T) {
	for _, name := range []string{"good", "good-practice", "zip-bomb", "take-digest", "log-unknown"} {
		pkg, sealed := newHouse(t).vector(t, samples(t, newHouse(t))[name])
		pkg2, sealed2 := newHouse(t).vector(t, samples(t, newHouse(t))[name])
		if !bytes.Equal(pkg, pkg2) || !bytes.Equal(sealed, sealed2) {
			t.Errorf("%s is made anew each time", name)
		}
	}
}

// codes is what a sample wants, as found.
func codes(v vector) string {
	failed, unknown := map[string]bool{}, map[string]bool{}
	for _, c := range v.Told {
		if c.Outcome == verify.Failed {
			failed[c.Code] = true
		} else {
			unknown[c.Code] = true
		}
	}
	if len(failed) == 0 && len(unknown) > 0 {
		return "-" + strings.Join(keys(unknown), " ")
	}
	return strings.Join(keys(failed), " ")
}

func keys(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }

// vector makes one package and its seal.
func (h *house) vector(t *testing.T, s sample) (pkg, sealed []byte) {
	t.Helper()
	if s.key != (wacztest.Key{}) {
		h.key = s.key
	}
	raw, stamps := s.raw, s.stamps
	if raw == nil {
		raw = h.third
	}
	if stamps == nil {
		stamps = []tsa.Authority{h.third}
	}
	dir := t.TempDir()
	take := wacztest.Take(t, filepath.Join(dir, "take"), s.warc)
	in := wacztest.Input(t, filepath.Join(dir, "take"), take, func(root [32]byte) []byte {
		b, err := json.Marshal(seal.Stamps(t.Context(), []tsa.Authority{raw}, root))
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
	in.Sign = h.key.Sign
	_, in.PublicKey = h.key.Identity()
	if s.change != nil {
		s.change(&in)
	}
	out := filepath.Join(dir, wacztest.ID+".wacz")
	if _, err := wacz.Write(t.Context(), out, in); err != nil {
		t.Fatal(err)
	}
	if s.pack != nil {
		if err := os.WriteFile(out, s.pack(t, h, read(t, out)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.log.down = s.down
	for i := 3; i < s.before; i++ {
		h.log.leaves = append(h.log.leaves, []byte(`{"n":3}`))
	}
	h.seal(t, out, stamps...)
	pkg, sealed = read(t, out), read(t, sealOf(out))
	if s.patch != nil {
		pkg = s.patch(bytes.Clone(pkg))
	}
	return pkg, h.resealed(t, s, sealed)
}

// resealed is the seal as the sample wants it.
func (h *house) resealed(t *testing.T, s sample, sealed []byte) []byte {
	t.Helper()
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
	if s.text != nil {
		sealed = s.text(sealed)
	}
	if s.noSeal {
		sealed = nil
	}
	return sealed
}

func encode(t *testing.T, s seal.Seal) []byte {
	t.Helper()
	b, err := seal.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// forgedWARC changes a text in the response to the POST and leaves its digests.
func forgedWARC(t *testing.T, data []byte, from, to string) []byte {
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
			if _, err := gz.Write(bytes.Replace(plain, []byte(from), []byte(to), 1)); err != nil {
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
