package wacz_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"guzheng/capture"
	"guzheng/preserve/wacz"
	"guzheng/preserve/wacz/wacztest"
)

// build writes the sample package and returns its path.
func build(t testing.TB, warc []byte) (string, wacz.Summary) {
	t.Helper()
	dir := t.TempDir()
	take := wacztest.Take(t, filepath.Join(dir, "take"), warc)
	in := wacztest.Input(t, filepath.Join(dir, "take"), take, nil)
	out := filepath.Join(dir, "sample.wacz")
	sum, err := wacz.Write(t.Context(), out, in)
	if err != nil {
		t.Fatal(err)
	}
	return out, sum
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(b []byte) (*wacz.Package, error) { return wacz.Open(bytes.NewReader(b), int64(len(b))) }

func TestWriteIsWhatItSays(t *testing.T) {
	out, sum := build(t, wacztest.WARC(t))
	b := read(t, out)
	if h := sha256.Sum256(b); hex.EncodeToString(h[:]) != sum.Digest.SHA256 || int64(len(b)) != sum.Digest.Bytes {
		t.Errorf("summary has digest %+v", sum.Digest)
	}
	p, err := open(b)
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Datapackage()
	if err != nil {
		t.Fatal(err)
	}
	if d.Profile != "data-package" || d.Version != "1.1.1" || d.Created != "2026-05-04T03:02:01Z" || d.MainPageDate != "2026-05-04T03:02:01.000Z" {
		t.Errorf("datapackage: %+v", d)
	}
	named := map[string]bool{}
	names := regexp.MustCompile(`^[-a-z0-9._/]+$`)
	for _, r := range d.Resources {
		if !names.MatchString(r.Name) || named[r.Name] {
			t.Errorf("resource name %q", r.Name)
		}
		named[r.Name] = true
		f, err := p.Open(r.Path)
		if err != nil {
			t.Fatal(err)
		}
		g, err := capture.DigestOf(f)
		if err != nil {
			t.Fatal(err)
		}
		if "sha256:"+g.SHA256 != r.Hash || g.SM3 != r.SM3 || g.Bytes != r.Bytes {
			t.Errorf("%s: %+v, listed as %+v", r.Path, g, r)
		}
	}
	if len(d.Resources)+2 != len(p.Files()) || sum.Files != len(p.Files()) {
		t.Errorf("%d resources, %d files, summary says %d", len(d.Resources), len(p.Files()), sum.Files)
	}
	pages, err := p.ReadFile(wacz.PagesPath, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"format":"json-pages-1.0","id":"pages","title":"All Pages","hasText":true}
{"id":"6ba7b811-9dad-41d1-80b4-00c04fd430c8","url":"https://shop.example/","ts":"2026-05-04T03:02:01.000Z","title":"Tea & <Sons>","text":"Tea 199.00"}
`
	if diff := cmp.Diff(want, string(pages)); diff != "" {
		t.Error(diff)
	}
}

func TestSameInputSameBytes(t *testing.T) {
	a, _ := build(t, wacztest.WARC(t))
	b, _ := build(t, wacztest.WARC(t))
	if !bytes.Equal(read(t, a), read(t, b)) {
		t.Error("the same input gave other bytes")
	}
}

// What the caller has compared already is packaged the same, and compared
// once more while it is copied.
func TestCheckedFiles(t *testing.T) {
	dir := t.TempDir()
	take := wacztest.Take(t, filepath.Join(dir, "take"), wacztest.WARC(t))
	in := wacztest.Input(t, filepath.Join(dir, "take"), take, nil)
	if _, err := wacz.Write(t.Context(), filepath.Join(dir, "plain.wacz"), in); err != nil {
		t.Fatal(err)
	}
	in.Checked = map[string]uint32{}
	for _, f := range take.Files {
		sum, crc, err := wacz.CheckFile(t.Context(), filepath.Join(dir, "take", f.Path))
		if err != nil || sum.SHA256 != f.SHA256 || sum.Bytes != f.Bytes {
			t.Fatalf("%s: %+v %v", f.Path, sum, err)
		}
		in.Checked[f.Path] = crc
	}
	if _, err := wacz.Write(t.Context(), filepath.Join(dir, "checked.wacz"), in); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, filepath.Join(dir, "plain.wacz")), read(t, filepath.Join(dir, "checked.wacz"))) {
		t.Error("another package")
	}
	path := take.Files[1].Path
	in.Checked[path]++
	if _, err := wacz.Write(t.Context(), filepath.Join(dir, "x.wacz"), in); !errors.Is(err, wacz.ErrChanged) {
		t.Errorf("wrong CRC-32: %v", err)
	}
	in.Checked[path]--
	name := filepath.Join(dir, "take", path)
	b := read(t, name)
	b[0] ^= 1
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	_, crc, err := wacz.CheckFile(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	in.Checked[path] = crc
	if _, err := wacz.Write(t.Context(), filepath.Join(dir, "x.wacz"), in); !errors.Is(err, wacz.ErrChanged) {
		t.Errorf("changed with its CRC-32: %v", err)
	}
}

func TestTakeWithoutWARC(t *testing.T) {
	out, sum := build(t, nil)
	p, err := open(read(t, out))
	if err != nil {
		t.Fatal(err)
	}
	if p.Has(wacz.WARCPath) || !p.Has(wacz.TakePath) || !p.Has(wacz.IndexPath) || sum.Pages != 0 {
		t.Errorf("files %v, %d pages", p.Files(), sum.Pages)
	}
}

func TestBrokenWARCIsKept(t *testing.T) {
	data := wacztest.WARC(t)
	out, sum := build(t, data[:len(data)-5])
	p, err := open(read(t, out))
	if err != nil {
		t.Fatal(err)
	}
	if sum.WARCFault == "" || !p.Has(wacz.WARCPath) {
		t.Errorf("fault %q", sum.WARCFault)
	}
}

func TestWriteRefuses(t *testing.T) {
	dir := t.TempDir()
	take := wacztest.Take(t, filepath.Join(dir, "take"), wacztest.WARC(t))
	good := wacztest.Input(t, filepath.Join(dir, "take"), take, nil)
	out := filepath.Join(dir, "x.wacz")
	extra := func(path string) func(*wacz.Input) {
		return func(in *wacz.Input) {
			in.Extra = append(in.Extra, wacz.Extra{Path: path, From: in.Extra[0].From})
		}
	}
	for name, c := range map[string]struct {
		change func(*wacz.Input)
		want   error
	}{
		"slip":       {extra("../x"), wacz.ErrPath},
		"reserved":   {extra("pages/extra.jsonl"), wacz.ErrPath},
		"manifest":   {extra("datapackage.json"), wacz.ErrPath},
		"twice":      {extra("proofs/raw.json"), wacz.ErrDuplicate},
		"case":       {extra("Proofs/raw.json"), wacz.ErrCaseFold},
		"file below": {extra("proofs/raw.json/x"), wacz.ErrPath},
		"changed": {func(in *wacz.Input) {
			in.Take.Files = append([]capture.File(nil), in.Take.Files...)
			in.Take.Files[1].SHA256 = strings.Repeat("0", 64)
		}, wacz.ErrChanged},
		"missing":   {func(in *wacz.Input) { in.TakeDir = dir }, os.ErrNotExist},
		"unsigned":  {func(in *wacz.Input) { in.Sign = nil }, nil},
		"signature": {func(in *wacz.Input) { in.Sign = func([32]byte) ([]byte, error) { return []byte("x"), nil } }, nil},
	} {
		in := good
		c.change(&in)
		_, err := wacz.Write(t.Context(), out, in)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if left, _ := filepath.Glob(out + "*"); len(left) > 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

// Judges that know nothing of us read the ZIP.
func TestOthersReadTheZip(t *testing.T) {
	out, _ := build(t, wacztest.WARC(t))
	b := read(t, out)
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		if f.Method != zip.Store || !f.Modified.Equal(wacztest.Time.Truncate(2e9)) || f.Mode() != 0o644 {
			t.Errorf("%s: method %d, %v, %v", f.Name, f.Method, f.Modified, f.Mode())
		}
	}
	if _, err := exec.LookPath("unzip"); err != nil {
		t.Skipf("no unzip to judge with: %v", err)
	}
	if msg, err := exec.CommandContext(t.Context(), "unzip", "-tqq", out).CombinedOutput(); err != nil || len(msg) > 0 {
		t.Errorf("unzip: %v %s", err, msg)
	}
}

func TestEveryFlippedBitOfTheStructureIsNoticed(t *testing.T) {
	out, _ := build(t, nil)
	b := read(t, out)
	p, err := open(b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if !broken(b) {
				t.Errorf("flipped bit %d of byte %d (of %d, %d files) is not noticed", bit, i, len(b), len(p.Files()))
			}
			b[i] ^= 1 << bit
		}
	}
	for _, c := range [][]byte{append(bytes.Clone(b), 0), append([]byte{0}, b...), b[:len(b)-1], b[1:], nil} {
		if !broken(c) {
			t.Errorf("%d bytes instead of %d are not noticed", len(c), len(b))
		}
	}
}

// broken reports whether opening or reading any file complains.
func broken(b []byte) bool {
	p, err := open(b)
	if err != nil {
		return true
	}
	for _, f := range p.Files() {
		r, err := p.Open(f.Path)
		if err != nil {
			return true
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			return true
		}
	}
	return false
}

// The signature must be one that WebCrypto verifies, since that is what
// ReplayWeb.page does.
func TestWebCryptoVerifiesSignature(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skipf("no node to judge with: %v", err)
	}
	out, sum := build(t, wacztest.WARC(t))
	p, err := open(read(t, out))
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if d.Hash != sum.Hash || d.Signed.Hash != d.Hash {
		t.Errorf("hash %s, %s, %s", d.Hash, d.Signed.Hash, sum.Hash)
	}
	js, err := json.Marshal(d.Signed)
	if err != nil {
		t.Fatal(err)
	}
	const script = `const s = JSON.parse(process.argv[1]), b = (x) => Buffer.from(x, "base64");
		const alg = {name: "ECDSA", namedCurve: "P-384"};
		crypto.subtle.importKey("spki", b(s.publicKey), alg, true, ["verify"])
		.then((k) => crypto.subtle.verify({name: "ECDSA", hash: "SHA-256"}, k, b(s.signature), new TextEncoder().encode(s.hash)))
		.then((ok) => console.log(ok));`
	msg, err := exec.CommandContext(t.Context(), "node", "-e", script, string(js)).CombinedOutput()
	if err != nil || strings.TrimSpace(string(msg)) != "true" {
		t.Errorf("WebCrypto says %v %s", err, msg)
	}
}
