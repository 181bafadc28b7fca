package warc_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"guzheng/capture/warc"
)

// generated is a body of any size that lies nowhere and can be read twice.
type generated struct {
	*endless
	size, left int64
}

func newGenerated(size int64) *generated { return &generated{newEndless(), size, size} }

func (g *generated) Read(p []byte) (int, error) {
	if g.left == 0 {
		return 0, io.EOF
	}
	n, err := g.endless.Read(p[:min(int64(len(p)), g.left)])
	g.left -= int64(n)
	return n, err
}

func (g *generated) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekStart && offset == 0 {
		g.at, g.left = 0, g.size
	}
	return g.size - g.left, nil
}

// What is allocated for a body of 500 MB is what is allocated for a small
// one, whether it can be read twice or has to be spooled to a file.
func TestLargeBodyNeedsNoMemory(t *testing.T) {
	const limit = 32 << 20
	size := int64(500 << 20)
	if testing.Short() {
		size = 100 << 20
	}
	for name, body := range map[string]func() io.Reader{
		"file":   func() io.Reader { return newGenerated(size) },
		"stream": func() io.Reader { return struct{ io.Reader }{newGenerated(size)} },
	} {
		t.Run(name, func(t *testing.T) {
			tmp := t.TempDir()
			var out counter
			var peak uint64
			r := &watched{Reader: body(), peak: &peak}
			e := page("https://shop.example/video", "")
			e.Header = []warc.Field{{Name: "Content-Type", Value: "video/mp4"}}
			e.Body, e.BodyBytes = r, size
			if s, ok := r.Reader.(io.ReadSeeker); ok {
				e.Body = struct {
					io.Reader
					io.Seeker
				}{r, s}
			}
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			w, err := warc.NewWriter(&out, warc.Info{Software: "x", Created: testTime, TmpDir: tmp})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Exchange(e); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > limit {
				t.Errorf("%d bytes were allocated", n)
			}
			if peak > before.HeapAlloc+limit {
				t.Errorf("the heap grew from %d to %d bytes", before.HeapAlloc, peak)
			}
			if out.n < size {
				t.Errorf("%d bytes were written", out.n)
			}
			if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
				t.Errorf("temporary files left: %v %v", left, err)
			}
		})
	}
}

// watched looks at the heap now and then.
type watched struct {
	io.Reader
	peak *uint64
	n    int
}

func (w *watched) Read(p []byte) (int, error) {
	if w.n++; w.n%512 == 0 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		*w.peak = max(*w.peak, m.HeapAlloc)
	}
	return w.Reader.Read(p)
}

// Every way to hand over a body gives the same record.
func TestBodiesOfAnyKind(t *testing.T) {
	const size = 3<<20 + 17
	whole, err := io.ReadAll(newGenerated(size))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(whole)
	name := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(name, append([]byte("before"), whole...), 0o600); err != nil {
		t.Fatal(err)
	}
	file := func(at int64) io.Reader {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		if _, err := f.Seek(at, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		return f
	}
	pipe := func() io.Reader {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		go func() {
			_, _ = w.Write(whole) // a reader that gives up is seen below
			w.Close()
		}()
		return r
	}
	var want string
	for _, c := range []struct {
		name, sum string
		body      io.Reader
	}{
		{"memory", "", bytes.NewReader(whole)},
		{"stream", "", struct{ io.Reader }{bytes.NewReader(whole)}},
		{"file from its middle", "", file(6)},
		{"file with digest", hex.EncodeToString(sum[:]), file(6)},
		{"half a digest", "ab", file(6)},
		{"no digest", "sha256:" + hex.EncodeToString(sum[:]), file(6)},
		{"pipe", "", pipe()},
	} {
		var buf bytes.Buffer
		w := newWriter(t, &buf)
		e := page("https://shop.example/video", "")
		e.Body, e.BodyBytes, e.BodySHA256 = c.body, size, c.sum
		if _, err := w.Exchange(e); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if _, errs := records(bytes.NewReader(buf.Bytes())); errors.Join(errs...) != nil {
			t.Errorf("%s: %v", c.name, errs)
		}
		got := plain(t, buf.Bytes())
		if want == "" {
			want = got
		}
		if got != want || !strings.Contains(got, "WARC-Payload-Digest: sha256:"+hex.EncodeToString(sum[:])) {
			t.Errorf("%s: another record", c.name)
		}
	}
}

// changing is a body that is another one when it is read again.
type changing struct {
	*bytes.Reader
	again []byte
}

func (c *changing) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		c.Reader.Reset(c.again)
	}
	return 0, nil
}

// A body that changes while it is written is an output fault, since part of
// the record is out then; Salvage finds the records before it.
func TestBodyChangesBetweenReadings(t *testing.T) {
	for name, again := range map[string]string{"other": strings.Repeat("b", 200<<10), "shorter": "a", "longer": strings.Repeat("a", 200<<10+1)} {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			w := newWriter(t, &buf)
			if _, err := w.Exchange(page("https://shop.example/", "whole")); err != nil {
				t.Fatal(err)
			}
			good := buf.Len()
			e := page("https://shop.example/", "")
			e.Header = []warc.Field{{Name: "Content-Type", Value: "image/png"}}
			e.Body, e.BodyBytes = &changing{bytes.NewReader(bytes.Repeat([]byte("a"), 200<<10)), []byte(again)}, 200<<10
			_, fault := w.Exchange(e)
			if fault == nil {
				t.Fatal("a body that changed was accepted")
			}
			if _, err := w.Exchange(page("https://shop.example/", "whole")); err == nil {
				t.Error("the writer went on behind half a record")
			}
			if whole, n, err := warc.Salvage(bytes.NewReader(buf.Bytes())); err != nil || n != 3 || whole != int64(good) {
				t.Errorf("%d bytes, %d records, %v; want %d, 3", whole, n, err, good)
			}
		})
	}
}

// A digest that does not fit the body shows at the first reading of the file.
func TestWrongDigestShows(t *testing.T) {
	var buf bytes.Buffer
	w := newWriter(t, &buf)
	e := page("https://shop.example/", "body")
	e.BodySHA256 = strings.Repeat("0", 64)
	if _, err := w.Exchange(e); err != nil {
		t.Fatal(err)
	}
	if _, errs := records(&buf); !errors.Is(errs[1], warc.ErrDigest) {
		t.Errorf("got %v", errs)
	}
}

// Text is compressed; what is compressed already is stored.
func TestCompressedMediaAreStored(t *testing.T) {
	for _, c := range []struct {
		mediaType, encoding string
		decoded, stored     bool
	}{
		{"text/html; charset=utf-8", "", true, false},
		{"text/html", "br", true, false},
		{"text/html", "br", false, true},
		{"text/html", "identity", false, false},
		{"image/svg+xml", "", true, false},
		{"image/x-icon", "", true, false},
		{"application/wasm", "", true, false},
		{"", "", true, false},
		{"application/octet-stream", "", true, false},
		{" Image/JPEG ;q=1", "", true, true},
		{"image/webp", "", true, true},
		{"font/woff2", "", true, true},
		{"video/mp4", "", true, true},
		{"audio/mpeg", "", true, true},
		{"audio/x-wav", "", true, false},
		{"audio/mpegurl", "", true, false},
		{"application/pdf", "", true, true},
		{"application/epub+zip", "", true, true},
		{"application/vnd.openxmlformats-officedocument.wordprocessingml.document", "", true, true},
	} {
		var buf bytes.Buffer
		w := newWriter(t, &buf)
		info := buf.Len()
		e := page("https://shop.example/", strings.Repeat("0123456789", 10_000))
		e.Header, e.Decoded = []warc.Field{{Name: "Content-Type", Value: c.mediaType}}, c.decoded
		if c.encoding != "" {
			e.Header = append(e.Header, warc.Field{Name: "content-encoding", Value: c.encoding})
		}
		if _, err := w.Exchange(e); err != nil {
			t.Fatal(err)
		}
		b := buf.Bytes()[info:]
		recs, errs := records(bytes.NewReader(b))
		if errors.Join(errs...) != nil {
			t.Fatal(errs)
		}
		if stored := recs[0].Length > 100_000; stored != c.stored {
			t.Errorf("%q, encoding %q, decoded %v: %d bytes, stored is %v", c.mediaType, c.encoding, c.decoded, recs[0].Length, stored)
		}
		// RFC 1952 section 2.3: no name, no time.
		if b[3] != 0 || binary.LittleEndian.Uint32(b[4:]) != 0 {
			t.Errorf("header of the gzip member: %x", b[:10])
		}
		if _, err := gzip.NewReader(bytes.NewReader(b)); err != nil {
			t.Error(err)
		}
	}
}

// Every record is out when the call that made it returns, in few writes.
func TestRecordsAreOutAtOnce(t *testing.T) {
	var out calls
	w := newWriter(t, &out)
	for i := range 10 {
		if _, err := w.Resource(warc.Resource{URL: "urn:test:a", MediaType: "text/plain", Body: []byte("a")}); err != nil {
			t.Fatal(err)
		}
		if _, n, err := warc.Salvage(bytes.NewReader(out.Bytes())); err != nil || n != i+2 {
			t.Errorf("after %d records %d are there, %v", i+2, n, err)
		}
	}
	if out.n != 11 {
		t.Errorf("%d writes for 11 small records", out.n)
	}
}

// calls counts writes.
type calls struct {
	bytes.Buffer
	n int
}

func (c *calls) Write(p []byte) (int, error) {
	c.n++
	return c.Buffer.Write(p)
}
