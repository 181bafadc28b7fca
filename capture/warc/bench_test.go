package warc_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"guzheng/capture/warc"
)

// mixed is the traffic of an ordinary shop page: 60 answers, 1.8 MB of text
// that compresses and pictures that do not.
func mixed() (out []warc.Exchange, size int64) {
	noise := rand.NewChaCha8([32]byte{})
	for i := range 60 {
		e := page(fmt.Sprintf("https://shop.example/%d", i), "")
		var body []byte
		switch i % 4 {
		case 0:
			var b strings.Builder
			for k := 0; b.Len() < 20<<10; k++ {
				fmt.Fprintf(&b, "<li class=\"item-%d\"><a href=\"/goods?id=%d\">茶叶 %d 克</a><b>¥%d.%02d</b></li>\n", k%7, k*31+i, k*k, k%977, k%100)
			}
			body = []byte(b.String())
		default:
			body = make([]byte, 33<<10)
			_, _ = noise.Read(body) // never returns an error
			e.Header = []warc.Field{{Name: "Content-Type", Value: []string{"image/jpeg", "image/webp", "font/woff2"}[i%4-1]}}
		}
		e.Body, e.BodyBytes = bytes.NewReader(body), int64(len(body))
		out, size = append(out, e), size+e.BodyBytes
	}
	return out, size
}

// BenchmarkWriterMixed writes the traffic of one page.
func BenchmarkWriterMixed(b *testing.B) {
	es, size := mixed()
	b.SetBytes(size)
	b.ReportAllocs()
	var n int64
	for b.Loop() {
		count := counter{}
		w, err := warc.NewWriter(&count, warc.Info{Software: "bench", Created: testTime, TmpDir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range es {
			if _, err := e.Body.(io.Seeker).Seek(0, io.SeekStart); err != nil {
				b.Fatal(err)
			}
			if _, err := w.Exchange(e); err != nil {
				b.Fatal(err)
			}
		}
		n = count.n
	}
	b.ReportMetric(float64(2*len(es))*float64(b.N)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(n)/float64(size), "ratio")
}

// BenchmarkWriterLarge writes one body of 500 MB: one that cannot be read
// twice, one that lies in a file, and one whose digest is known as well. The
// floor is to read the file and hash it once.
func BenchmarkWriterLarge(b *testing.B) {
	const size = 500 << 20
	name := filepath.Join(b.TempDir(), "body")
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, h), newEndless(), size); err != nil {
		b.Fatal(err)
	}
	sum := hex.EncodeToString(h.Sum(nil))
	for _, c := range []struct {
		name, sum string
		body      func() io.Reader
	}{
		{"stream", "", func() io.Reader { return io.LimitReader(newEndless(), size) }},
		{"file", "", func() io.Reader { return f }},
		{"file and digest", sum, func() io.Reader { return f }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				w, err := warc.NewWriter(io.Discard, warc.Info{Software: "bench", Created: testTime, TmpDir: b.TempDir()})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := f.Seek(0, io.SeekStart); err != nil {
					b.Fatal(err)
				}
				e := page("https://shop.example/video", "")
				e.Header = []warc.Field{{Name: "Content-Type", Value: "video/mp4"}}
				e.Body, e.BodyBytes, e.BodySHA256 = c.body(), size, c.sum
				if _, err := w.Exchange(e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("floor", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(sha256.New(), f); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkIndex makes the index of the traffic of one page.
func BenchmarkIndex(b *testing.B) {
	es, size := mixed()
	var buf bytes.Buffer
	w := newWriter(b, &buf)
	for _, e := range es {
		if _, err := w.Exchange(e); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := warc.Index(bytes.NewReader(buf.Bytes()), "data.warc.gz"); err != nil {
			b.Fatal(err)
		}
	}
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

// endless is bytes without an end that do not compress.
type endless struct {
	block []byte
	at    int
}

func newEndless() *endless {
	e := &endless{block: make([]byte, 1<<20-17)}
	_, _ = rand.NewChaCha8([32]byte{}).Read(e.block) // never returns an error
	return e
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.block[e.at:])
	e.at = (e.at + n) % len(e.block)
	return n, nil
}
