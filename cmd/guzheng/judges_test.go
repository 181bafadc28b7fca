package main

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nlnwa/gowarc"

	"guzheng/capture/practice"
	"guzheng/preserve/key"
	"guzheng/preserve/seal"
)

// TestJudges lets programs that know nothing of ours judge a package that
// was captured from the practice shop.
func TestJudges(t *testing.T) {
	if testing.Short() {
		t.Skip("short: starts Chromium")
	}
	program := binary(t)
	needBrowser(t)
	g := newGuzheng(t, program)
	shop := httptest.NewServer(practice.New())
	defer shop.Close()
	officers := []string{"张㐂䶮𬭎:01", "李𠮷:02"}
	first := g.capture(t, shop.URL+"/", "--case", "001", "--officer", officers[0], "--officer", officers[1])
	second := g.capture(t, shop.URL+"/licence")
	j := judged{g: g, kept: first, other: second, root: filepath.Join(g.home, "keys", "practice-tsa-root.pem")}
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"unzip", j.unzip}, {"sha256sum", j.sums}, {"openssl signature", j.signature}, {"openssl stamps", j.stamps},
		{"gowarc", j.gowarc}, {"warcio", j.warcio}, {"sheet", j.sheet}, {"two captures", j.both},
		{"check.sh", j.script}, {"check.sh on other seals", j.scriptSeals}, {"one byte", j.flips},
	} {
		t.Run(c.name, c.test)
	}
}

// capture captures an address and returns what was kept.
func (g *guzheng) capture(t *testing.T, address string, args ...string) kept {
	t.Helper()
	out := g.run(t, append([]string{"capture", "--allow-private", "--json", address}, args...)...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var k kept
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &k); err != nil || k.Type != "kept" {
		t.Fatalf("capture ends with %q: %v", lines[len(lines)-1], err)
	}
	return k
}

// A judged is a package, another of the same home, and the root of the
// practice authority.
type judged struct {
	g           *guzheng
	kept, other kept
	root        string
}

// tool runs an outside program that must succeed and returns what it prints.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		lacking(t, err.Error())
	}
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// unpacked extracts the package with unzip.
func (j judged) unpacked(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "files")
	tool(t, "unzip", "-qq", j.kept.Package, "-d", dir)
	return dir
}

func (j judged) unzip(t *testing.T) {
	if out := tool(t, "unzip", "-t", j.kept.Package); !strings.Contains(out, "No errors detected") {
		t.Error(out)
	}
}

// sums holds every file against its line in datapackage.json.
func (j judged) sums(t *testing.T) {
	dir := j.unpacked(t)
	list := tool(t, "jq", "-r", `.resources[] | .hash[7:] + "  " + .path`, filepath.Join(dir, "datapackage.json"))
	sums := filepath.Join(t.TempDir(), "sums")
	if err := os.WriteFile(sums, []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("sha256sum"); err != nil {
		lacking(t, err.Error())
	}
	c := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", sums)
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err != nil || strings.Count(string(out), ": OK\n") != strings.Count(list, "\n") {
		t.Errorf("%v\n%s", err, out)
	}
	for line := range strings.Lines(tool(t, "jq", "-r", `.resources[] | .sm3 + " " + .path`, filepath.Join(dir, "datapackage.json"))) {
		sm3, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if out := tool(t, "openssl", "dgst", "-sm3", "-r", filepath.Join(dir, name)); !strings.HasPrefix(out, sm3+" ") {
			t.Errorf("SM3 of %s: %s, listed as %s", name, out, sm3)
		}
	}
}

// readSeal reads a seal as any JSON reader would, apart from our own rules.
func readSeal(t *testing.T, name string) seal.Seal {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var s seal.Seal
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// scratch writes bytes to a file for an outside program.
func scratch(t *testing.T, name string, b []byte) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func (j judged) signature(t *testing.T) {
	s := readSeal(t, j.kept.Seal)
	pub := filepath.Join(t.TempDir(), "key.pem")
	tool(t, "openssl", "pkey", "-pubin", "-inform", "DER", "-in", scratch(t, "key.der", s.Signature.PublicKey), "-out", pub)
	out := tool(t, "openssl", "dgst", "-sha256", "-verify", pub, "-signature", scratch(t, "sig", s.Signature.Value), j.kept.Package)
	if !strings.Contains(out, "Verified OK") {
		t.Error(out)
	}
}

func (j judged) stamps(t *testing.T) {
	s := readSeal(t, j.kept.Seal)
	if len(s.Stamps) != 1 {
		t.Fatalf("%d stamps", len(s.Stamps))
	}
	query, reply := scratch(t, "query", s.Stamps[0].Request), scratch(t, "reply", s.Stamps[0].Response)
	dir := j.unpacked(t)
	root := strings.TrimSpace(tool(t, "jq", "-r", ".root", filepath.Join(dir, "proofs", "raw.json")))
	token := strings.TrimSpace(tool(t, "jq", "-r", ".[0].response", filepath.Join(dir, "proofs", "raw-stamps.json")))
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-queryfile", query, "-in", reply},
		{"-data", j.kept.Package, "-in", reply},
		{"-digest", root, "-in", scratch(t, "raw", raw)},
	} {
		out := tool(t, "openssl", append([]string{"ts", "-verify", "-CAfile", j.root}, args...)...)
		if !strings.Contains(out, "Verification: OK") {
			t.Errorf("%v: %s", args, out)
		}
	}
}

func (j judged) gowarc(t *testing.T) {
	file := filepath.Join(j.unpacked(t), "archive", "data.warc.gz")
	r, err := gowarc.NewWarcFileReader(file, 0, gowarc.WithStrictValidation(), gowarc.WithBufferTmpDir(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	types := map[string]int{}
	for {
		rec, offset, faults, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("at %d: %v", offset, err)
		}
		if !faults.Valid() {
			t.Errorf("at %d: %v", offset, faults)
		}
		types[rec.Type().String()]++
		if err := rec.Close(); err != nil {
			t.Errorf("at %d: %v", offset, err)
		}
	}
	if types["response"] < 20 || types["request"] != types["response"] || types["warcinfo"] != 1 {
		t.Errorf("records: %v", types)
	}
}

func (j judged) warcio(t *testing.T) {
	modules := filepath.Join(toolsDir(t), "warcio", "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "warcio")); err != nil {
		lacking(t, "npm warcio: "+err.Error())
	}
	out := tool(t, "node", "testdata/npm/warcio-check.mjs", filepath.Join(j.unpacked(t), "archive", "data.warc.gz"), modules)
	var found struct {
		Count   int
		Digests map[string]int
		Records []struct {
			Type, URL string
			Status    int
		}
	}
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if found.Count < 41 || found.Digests["block.ok"] != found.Count {
		t.Errorf("%d records, digests %v", found.Count, found.Digests)
	}
	for kind, n := range found.Digests {
		if kind != "block.ok" && kind != "payload.ok" && kind != "payload.absent" {
			t.Errorf("%s: %d", kind, n)
		}
	}
	for _, r := range found.Records {
		if r.Type == "response" && r.Status < 200 {
			t.Errorf("response %s has status %d", r.URL, r.Status)
		}
	}
}

// toolsDir is where make judges puts what the tests use.
func toolsDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("GUZHENG_TOOLS")
	if dir == "" {
		dir = filepath.Join("..", "..", ".tools")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// sheet reads the printed sheets with other eyes than those that wrote them.
func (j judged) sheet(t *testing.T) {
	for _, lang := range []string{"zh-CN", "en"} {
		name := filepath.Join(t.TempDir(), "sheet.pdf")
		j.g.run(t, "sheet", j.kept.ID, "--lang", lang, "--out", name)
		tool(t, "qpdf", "--check", name)
		text := strings.Join(strings.Fields(tool(t, "pdftotext", "-layout", name, "-")), "")
		for _, want := range []string{j.kept.ID, j.kept.Digest, j.kept.SM3, "张㐂䶮𬭎", "001"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %s is not on the sheet", lang, want)
			}
		}
		if !strings.Contains(text, "李𠮷") && !strings.Contains(text, "李[U+20BB7]") {
			t.Errorf("%s: the second officer is not on the sheet", lang)
		}
	}
}

func (j judged) both(t *testing.T) {
	for _, k := range []kept{j.kept, j.other} {
		j.g.wantSound(t, k.ID)
	}
	// Both packages, and the hold for the case of the first one.
	j.g.wantLogged(t, 3)
	if a, b := readSeal(t, j.kept.Seal), readSeal(t, j.other.Seal); a.Log.Index == b.Log.Index || a.Signature.KeyID != b.Signature.KeyID {
		t.Errorf("two captures: log %d and %d, keys %s and %s", a.Log.Index, b.Log.Index, a.Signature.KeyID, b.Signature.KeyID)
	}
}

// check runs the lines that README shows for checking without us.
func (j judged) check(t *testing.T, pack, sealed, root string) (string, error) {
	t.Helper()
	for _, name := range []string{"unzip", "sha256sum", "openssl", "jq", "base64", "awk"} {
		if _, err := exec.LookPath(name); err != nil {
			lacking(t, err.Error())
		}
	}
	out, err := exec.CommandContext(t.Context(), "sh", "testdata/check.sh", pack, sealed, root).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), err
}

func (j judged) script(t *testing.T) {
	for _, k := range []kept{j.kept, j.other} {
		out, err := j.check(t, k.Package, k.Seal, j.root)
		s := readSeal(t, k.Seal)
		if err != nil || !strings.Contains(out, k.Digest) || !strings.Contains(out, s.Signature.KeyID) || strings.Count(out, "Verification: OK") != 4 {
			t.Errorf("%s: %v\n%s", k.ID, err, out)
		}
	}
	for _, m := range members(t, j.kept.Package) {
		pack := m.flipped(t, j.kept.Package, m.size/2)
		if out, err := j.check(t, pack, j.kept.Seal, j.root); err == nil {
			t.Errorf("%s changed and nothing noticed:\n%s", m.name, out)
		}
	}
}

// scriptSeals leaves the package alone and changes what speaks for it. The
// envelope is made anew each time, so that another line has to notice.
func (j judged) scriptSeals(t *testing.T) {
	signer, err := key.Open(filepath.Join(j.g.home, "keys", "signing.pem"), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(j.kept.Seal)
	if err != nil {
		t.Fatal(err)
	}
	note := bytes.Replace(b, []byte(`"tsa": "practice"`), []byte(`"tsa": "authority"`), 1)
	if out, err := j.check(t, j.kept.Package, scratch(t, "seal.json", note), j.root); err == nil || bytes.Equal(note, b) {
		t.Errorf("a note in the seal changed and nothing noticed:\n%s", out)
	}
	other := readSeal(t, j.other.Seal)
	const nothing = "nothing"
	change := map[string]func(*seal.Seal){
		nothing:           func(*seal.Seal) {},
		"digest":          func(s *seal.Seal) { s.Package.SHA256 = hex.EncodeToString(make([]byte, 32)) },
		"signature":       func(s *seal.Seal) { s.Signature.Value[len(s.Signature.Value)-1] ^= 1 },
		"other signature": func(s *seal.Seal) { s.Signature = other.Signature },
		"stamp":           func(s *seal.Seal) { s.Stamps[0].Response[len(s.Stamps[0].Response)-1] ^= 1 },
		"other stamp":     func(s *seal.Seal) { s.Stamps = other.Stamps },
		"no stamp":        func(s *seal.Seal) { s.Stamps = nil },
		"other nonce":     func(s *seal.Seal) { s.Stamps[0].Request = other.Stamps[0].Request },
		"other event":     func(s *seal.Seal) { s.Log = other.Log },
	}
	for name, f := range change {
		s := readSeal(t, j.kept.Seal)
		f(&s)
		s, err := seal.Enclose(s, signer)
		if err != nil {
			t.Fatal(err)
		}
		b, err := seal.Encode(s)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := j.check(t, j.kept.Package, scratch(t, "seal.json", b), j.root); (err == nil) != (name == nothing) {
			t.Errorf("%s changed in the seal: %v\n%s", name, err, out)
		}
	}
	dir := t.TempDir()
	if err := openssl(dir, strings.Fields("req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -days 2 -subj /CN=Other")...); err != nil {
		t.Fatal(err)
	}
	if out, err := j.check(t, j.kept.Package, j.kept.Seal, filepath.Join(dir, "root.pem")); err == nil {
		t.Errorf("a root of another authority and nothing noticed:\n%s", out)
	}
}

// flips changes one byte of every file in the package, at its beginning,
// middle and end, and some between the files; the verifier must say altered.
func (j judged) flips(t *testing.T) {
	verifier := buildVerifier(t)
	want := func(code int, pack string) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), verifier, pack, j.kept.Seal).CombinedOutput()
		got := 0
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			got = exit.ExitCode()
		}
		if got != code {
			t.Errorf("exit %d, want %d\n%s", got, code, out)
		}
	}
	want(0, j.kept.Package)
	all := members(t, j.kept.Package)
	if len(all) < 18 {
		t.Errorf("only %d files in the package", len(all))
	}
	for _, m := range all {
		for _, at := range []int64{0, m.size / 2, m.size - 1, -1, -int64(len(m.name))} {
			t.Run(fmt.Sprintf("%s at %d", m.name, at), func(t *testing.T) {
				want(exitAltered, m.flipped(t, j.kept.Package, at))
			})
		}
	}
}

// A member is one file of a ZIP and where its bytes lie.
type member struct {
	name         string
	offset, size int64
}

func members(t *testing.T, name string) []member {
	t.Helper()
	z, err := zip.OpenReader(name)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var out []member
	for _, f := range z.File {
		at, err := f.DataOffset()
		if err != nil || f.Method != zip.Store || f.UncompressedSize64 == 0 {
			t.Fatalf("%s: method %d, %d bytes, %v", f.Name, f.Method, f.UncompressedSize64, err)
		}
		out = append(out, member{f.Name, at, int64(f.UncompressedSize64)})
	}
	return out
}

// flipped writes the ZIP with one bit changed, at a place counted from the
// beginning of the file's bytes, and returns its name.
func (m member) flipped(t *testing.T, name string, at int64) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.Clone(b)
	b[m.offset+at] ^= 1
	return scratch(t, "flipped.wacz", b)
}
