package warc_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/nlnwa/gowarc"

	"guzheng/capture/warc"
	"guzheng/capture/warc/warctest"
)

// records reads all, with the error of each.
func records(r io.Reader) (recs []warc.Record, errs []error) {
	for rec, err := range warc.Records(r) {
		recs, errs = append(recs, rec), append(errs, err)
	}
	return recs, errs
}

// Offset, length and digest of a record are those of its gzip member, however
// the file is given and however large the member.
func TestRecordsCoverTheFile(t *testing.T) {
	b := sample(t)
	recs, errs := records(iotest.OneByteReader(bytes.NewReader(b)))
	covers(t, b, recs, errs)
	if recs[0].Type != "warcinfo" || recs[1].Type != "response" || recs[1].Status != 200 || recs[1].MIME != "text/html" ||
		recs[2].Type != "request" || recs[2].Field("WARC-Concurrent-To") != "<"+recs[1].ID+">" {
		t.Errorf("unexpected first records: %+v", recs[:3])
	}
	var buf bytes.Buffer
	w := newWriter(t, &buf)
	for _, n := range []int{0, 1, 65_000, 65_536, 70_000, 1 << 20, 3} {
		e := page("https://shop.example/", "")
		e.Header = []warc.Field{{Name: "Content-Type", Value: "image/png"}}
		e.Body, e.BodyBytes = io.LimitReader(newEndless(), int64(n)), int64(n)
		if _, err := w.Exchange(e); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []io.Reader{bytes.NewReader(buf.Bytes()), iotest.HalfReader(bytes.NewReader(buf.Bytes())), iotest.DataErrReader(bytes.NewReader(buf.Bytes()))} {
		recs, errs := records(r)
		covers(t, buf.Bytes(), recs, errs)
	}
}

// covers compares records with the bytes they were read from.
func covers(t *testing.T, b []byte, recs []warc.Record, errs []error) {
	t.Helper()
	var at int64
	for i, rec := range recs {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if rec.Offset != at {
			t.Errorf("record %d at %d, want %d", i, rec.Offset, at)
		}
		if sum := sha256.Sum256(b[at : at+rec.Length]); rec.RecordDigest != "sha256:"+hex.EncodeToString(sum[:]) {
			t.Errorf("record %d: digest of the member is %s", i, rec.RecordDigest)
		}
		at += rec.Length
		if rec.Field("WARC-Block-Digest") != rec.BlockDigest {
			t.Errorf("record %d: no block digest", i)
		}
	}
	if at != int64(len(b)) {
		t.Errorf("records cover %d bytes of %d", at, len(b))
	}
}

// Another library reads the records, strictly.
func TestLibraryReadsStrictly(t *testing.T) {
	file := t.TempDir() + "/data.warc.gz"
	b := sample(t)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := gowarc.NewWarcFileReader(file, 0, gowarc.WithStrictValidation(), gowarc.WithBufferTmpDir(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	recs, _ := records(bytes.NewReader(b))
	for i := 0; ; i++ {
		rec, off, v, err := r.Next()
		if err == io.EOF {
			if i != len(recs) {
				t.Errorf("library reads %d records, we %d", i, len(recs))
			}
			return
		}
		if err != nil || !v.Valid() {
			t.Fatalf("record %d: %v %v", i, err, v)
		}
		if off != recs[i].Offset || rec.RecordId() != recs[i].ID {
			t.Errorf("record %d: at %d, want %d", i, off, recs[i].Offset)
		}
		rec.Close()
	}
}

// What another hand finds of the exchanges is what our reader finds.
func TestTrafficByAnotherHand(t *testing.T) {
	file := t.TempDir() + "/data.warc.gz"
	b := sample(t)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var want []warctest.Line
	answers := map[string]warc.Record{}
	recs, _ := records(bytes.NewReader(b))
	for _, r := range recs {
		switch r.Type {
		case "response":
			answers["<"+r.ID+">"] = r
		case "request":
			a := answers[r.Field("WARC-Concurrent-To")]
			want = append(want, warctest.Line{Method: r.Method, URL: r.URI, Status: a.Status, Payload: a.PayloadDigest})
		}
	}
	got := warctest.Traffic(t, file)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("gowarc reads other exchanges (-ours +gowarc):\n%s", d)
	}
	if len(got) < 30 || got[0] != (warctest.Line{Method: "GET", URL: "https://www2.shop.example/", Status: 200,
		Payload: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("<title>店</title>")))}) {
		t.Errorf("%d exchanges, first %+v", len(got), got[0])
	}
}

func TestLargeBodyStreams(t *testing.T) {
	tmp := t.TempDir()
	var buf bytes.Buffer
	w, err := warc.NewWriter(&buf, warc.Info{Software: "x", Created: testTime, TmpDir: tmp})
	if err != nil {
		t.Fatal(err)
	}
	const size = 5<<20 + 17
	e := page("https://shop.example/video", "")
	e.Body, e.BodyBytes = io.LimitReader(zeros{}, size), size
	if _, err := w.Exchange(e); err != nil {
		t.Fatal(err)
	}
	recs, errs := records(&buf)
	if errors.Join(errs...) != nil || recs[1].PayloadBytes != size {
		t.Fatalf("%v, %d bytes", errs, recs[1].PayloadBytes)
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) != 0 {
		t.Errorf("temporary files left: %v %v", left, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestDerivedIDsMakeTheSameFile(t *testing.T) {
	if !bytes.Equal(sample(t), sample(t)) {
		t.Error("the same input gave other bytes")
	}
}

// Whatever byte is flipped, reading complains or the compressed digest of
// the record is another one.
func TestFlippedBytesShow(t *testing.T) {
	var buf bytes.Buffer
	w := newWriter(t, &buf)
	if _, err := w.Exchange(page("https://shop.example/", "<p>199</p>")); err != nil {
		t.Fatal(err)
	}
	b := buf.Bytes()
	good, _ := records(bytes.NewReader(b))
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 0x10
		recs, errs := records(bytes.NewReader(c))
		if errors.Join(errs...) != nil {
			continue
		}
		same := len(recs) == len(good)
		for k := 0; same && k < len(recs); k++ {
			same = recs[k].RecordDigest == good[k].RecordDigest
		}
		if same {
			t.Errorf("flipped byte %d does not show", i)
		}
	}
}

func TestSalvage(t *testing.T) {
	b := sample(t)
	recs, _ := records(bytes.NewReader(b))
	ends := map[int64]int{0: 0}
	for i, r := range recs {
		ends[r.Offset+r.Length] = i + 1
	}
	last := recs[len(recs)-1].Offset
	step := int64(7)
	if testing.Short() {
		step = 61
	}
	for n := last - 200; n <= int64(len(b)); n += step {
		whole, count, err := warc.Salvage(bytes.NewReader(b[:n]))
		if err != nil {
			t.Fatal(err)
		}
		if ends[whole] != count || whole > n || n-whole > int64(len(b)) {
			t.Errorf("cut at %d: %d bytes, %d records", n, whole, count)
		}
		if _, errs := records(bytes.NewReader(b[:whole])); errors.Join(errs...) != nil {
			t.Errorf("cut at %d: what was salvaged cannot be read: %v", n, errs)
		}
	}
	whole, count, err := warc.Salvage(bytes.NewReader(append(bytes.Clone(b), make([]byte, 512)...)))
	if err != nil || whole != int64(len(b)) || count != len(recs) {
		t.Errorf("with zeros behind: %d bytes, %d records, %v", whole, count, err)
	}
	broken := errors.New("disk gone")
	if _, _, err := warc.Salvage(io.MultiReader(bytes.NewReader(b[:100]), errReader{broken})); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

func member(text string) []byte {
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	_, _ = io.WriteString(gz, text)
	_ = gz.Close()
	return buf.Bytes()
}

func TestBrokenForm(t *testing.T) {
	const head = "WARC/1.1\r\nWARC-Type: resource\r\nWARC-Record-ID: <urn:x>\r\nWARC-Date: 2026-01-02T03:04:05Z\r\n"
	ok := head + "Content-Length: 2\r\n\r\nhi\r\n\r\n"
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"sound", ok, nil},
		{"empty member", "", warc.ErrFormat},
		{"version", strings.Replace(ok, "1.1", "9.9", 1), warc.ErrFormat},
		{"two lengths", strings.Replace(ok, "Content-L", "Content-Length: 2\r\nContent-L", 1), warc.ErrFormat},
		{"negative length", strings.Replace(ok, ": 2\r", ": -2\r", 1), warc.ErrFormat},
		{"huge length", strings.Replace(ok, ": 2\r", ": 9223372036854775807\r", 1), warc.ErrFormat},
		{"no length", strings.Replace(ok, "Content-Length: 2\r\n", "", 1), warc.ErrFormat},
		{"folded", strings.Replace(ok, "WARC-Date", " WARC-Date", 1), warc.ErrFormat},
		{"date", strings.Replace(ok, "2026", "20x6", 1), warc.ErrFormat},
		{"end", ok[:len(ok)-1], warc.ErrFormat},
		{"more", ok + "x", warc.ErrFormat},
		{"block digest", strings.Replace(ok, "Content-L", "WARC-Block-Digest: sha256:00\r\nContent-L", 1), warc.ErrDigest},
		{"payload digest", strings.Replace(ok, "Content-L", "WARC-Payload-Digest: sha1:AA\r\nContent-L", 1), warc.ErrDigest},
		{"endless header", head + strings.Repeat("x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", 1<<16), warc.ErrFormat},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errs := records(bytes.NewReader(member(c.text)))
			if len(errs) != 1 || !errors.Is(errs[0], c.want) {
				t.Errorf("got %v, want %v", errs, c.want)
			}
		})
	}
}

func TestCheckIndex(t *testing.T) {
	b := sample(t)
	index, err := warc.Index(bytes.NewReader(b), "data.warc.gz")
	if err != nil {
		t.Fatal(err)
	}
	check := func(index []byte) error { return warc.CheckIndex(bytes.NewReader(b), index, "data.warc.gz") }
	if err := check(index); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(index), "\n")
	swapped := append([]string{lines[1], lines[0]}, lines[2:]...)
	for name, bad := range map[string]string{
		"missing": strings.Join(lines[1:], ""),
		"twice":   lines[0] + string(index),
		"order":   strings.Join(swapped, ""),
		"status":  strings.Replace(string(index), `"status":"200"`, `"status":"404"`, 1),
		"url":     strings.Replace(string(index), `"url":"https`, `"url":"httpx`, 1),
		"digest":  strings.Replace(string(index), `"recordDigest":"sha256:`, `"recordDigest":"sha256:0`, 1),
		"junk":    string(index) + "zzz\n",
	} {
		if err := check([]byte(bad)); !errors.Is(err, warc.ErrIndex) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestSURT(t *testing.T) {
	for in, want := range map[string]string{
		"https://www.Shop.example/A?b=2&a=1":  "example,shop)/a?a=1&b=2",
		"http://WWW3.shop.example/":           "example,shop,www3)/",
		"https://u:p@shop.example:8443//x":    "example,shop:8443)//x",
		"http://127.0.0.1:8931/":              "1,0,0,127:8931)/",
		"https://商店.example/":                 "example,xn--czrs0t)/",
		"urn:view:https://shop.example/a b\n": "urn:view:https://shop.example/a%20b%0A",
	} {
		if got := warc.SURT(in); got != want {
			t.Errorf("SURT(%q) = %q, want %q", in, got, want)
		}
	}
}
