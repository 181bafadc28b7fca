package ordeal

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

func ungzip(b []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	out, _ := io.ReadAll(r)
	return out
}

// unbrotli reads one stored meta-block and the empty last one (RFC 7932
// section 9.2); it returns nothing for any other stream.
func unbrotli(b []byte) []byte {
	at := 0
	bits := func(n int) (v int) {
		for i := range n {
			if at/8 < len(b) {
				v |= int(b[at/8]>>(at%8)&1) << i
			}
			at++
		}
		return v
	}
	if bits(4) != 0 { // window of 16 bits, not last, four nibbles: 1, 1 and 2 bits
		return nil
	}
	n := bits(16) + 1
	if bits(1) != 1 || bits(3) != 0 || len(b) != 3+n+1 || b[3+n] != 3 {
		return nil
	}
	return b[3 : 3+n]
}

func TestCodings(t *testing.T) {
	s := start(t)
	bodies := map[string][]byte{}
	for name, coding := range map[string]string{
		"gzip": "gzip", "brotli": "br", "zstd": "zstd", "deflate": "deflate", "gzip-twice": "gzip, gzip",
		"gzip-twice-told-once": "gzip", "gzip-untold": "", "gzip-untrue": "gzip",
	} {
		res, b, err := get(t, s, name)
		if err != nil || res.Header.Get("Content-Encoding") != coding {
			t.Errorf("%s: %v %v", name, err, res)
		}
		bodies[name] = b
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	fromZstd, _ := z.DecodeAll(bodies["zstd"], nil)
	inflate, err := zlib.NewReader(bytes.NewReader(bodies["deflate"]))
	if err != nil {
		t.Fatal(err)
	}
	fromDeflate, _ := io.ReadAll(inflate)
	for name, got := range map[string][]byte{
		"gzip": ungzip(bodies["gzip"]), "zstd": fromZstd, "deflate": fromDeflate, "brotli": unbrotli(bodies["brotli"]),
		"gzip-twice": ungzip(ungzip(bodies["gzip-twice"])), "gzip-twice-told-once": ungzip(ungzip(bodies["gzip-twice-told-once"])),
		"gzip-untold": ungzip(bodies["gzip-untold"]), "gzip-untrue": bodies["gzip-untrue"],
	} {
		if string(got) != codedPage {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// The bomb is small, well-formed and a gigabyte large.
func TestBomb(t *testing.T) {
	s := start(t)
	b := s.bomb()
	if len(b) > 4<<20 {
		t.Errorf("%d bytes packed", len(b))
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	want := int64(8 << 20)
	if !testing.Short() {
		want = int64(binary.LittleEndian.Uint32(b[len(b)-4:]))
		if want < gigabyte {
			t.Errorf("says that it is %d bytes", want)
		}
	}
	if n, err := io.CopyN(io.Discard, r, want); n != want || err != nil {
		t.Errorf("%d of %d bytes: %v", n, want, err)
	}
	if n, err := r.Read(make([]byte, 1)); !testing.Short() && (n != 0 || err != io.EOF) {
		t.Errorf("after the end: %d %v", n, err) // checksum and length hold
	}
}

func TestCharsets(t *testing.T) {
	s := start(t)
	for _, c := range []struct {
		name, header string
		decode       func([]byte) (string, error)
	}{
		{"gbk-header", "text/html; charset=gbk", from(simplifiedchinese.GBK.NewDecoder().Bytes)},
		{"gbk-meta", "text/html", from(simplifiedchinese.GBK.NewDecoder().Bytes)},
		{"gb18030-four-bytes", "text/html; charset=gb18030", from(simplifiedchinese.GB18030.NewDecoder().Bytes)},
		{"gbk-untrue", "text/html", from(func(b []byte) ([]byte, error) { return b, nil })},
		{"charset-untold", "text/html", from(simplifiedchinese.GBK.NewDecoder().Bytes)},
		{"hz", "text/html; charset=hz-gb-2312", from(simplifiedchinese.HZGB2312.NewDecoder().Bytes)},
		{"utf16-bom", "text/html", from(unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM).NewDecoder().Bytes)},
	} {
		res, b, err := get(t, s, c.name)
		if err != nil || res.Header.Get("Content-Type") != c.header {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		text, err := c.decode(b)
		if err != nil || !strings.Contains(text, chineseTitle()) || strings.Contains(text, "charset=gbk") != (c.name == "gbk-meta" || c.name == "gbk-untrue") {
			t.Errorf("%s: %v %s", c.name, err, text)
		}
		if c.name == "gb18030-four-bytes" && !bytes.Contains(b, []byte{0x95, 0x34}) {
			t.Errorf("%s: no sequence of four bytes", c.name)
		}
	}
}

func from(decode func([]byte) ([]byte, error)) func([]byte) (string, error) {
	return func(b []byte) (string, error) { out, err := decode(b); return string(out), err }
}

// The font draws 4 where 1 is written.
func TestFont(t *testing.T) {
	for _, first := range []rune{'0', 0xE000} {
		f, err := sfnt.Parse(swappedFont(first))
		if err != nil {
			t.Fatal(err)
		}
		var buf sfnt.Buffer
		for i, want := range map[rune]int{1: 4, 2: 5, 7: 6, 8: 2} { // bars of 4, 5, 0 and 1
			g, err := f.GlyphIndex(&buf, first+i)
			if err != nil || int(g) != int(i)+1 {
				t.Fatalf("%d is glyph %d: %v", i, g, err)
			}
			segments, err := f.LoadGlyph(&buf, g, fixed.I(em), nil)
			if err != nil {
				t.Fatal(err)
			}
			contours := 0
			for _, s := range segments {
				if s.Op == sfnt.SegmentOpMoveTo {
					contours++
				}
			}
			if contours != want {
				t.Errorf("%d is drawn with %d bars, want %d", i, contours, want)
			}
		}
		if a, err := f.GlyphAdvance(&buf, 1, fixed.I(em), font.HintingNone); err != nil || a != fixed.I(advance) {
			t.Errorf("advance %v: %v", a, err)
		}
		if name, err := f.Name(&buf, sfnt.NameIDFamily); err != nil || name != "Ordeal" {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

// asked opens a connection of HTTP/2 and asks for the path on stream 1.
func asked(t *testing.T, s *Server, path string) *http2.Framer {
	t.Helper()
	d := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}}
	c, err := d.DialContext(t.Context(), "tcp", s.Host(Frames))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	f := http2.NewFramer(c, c)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: requestFields(t, path), EndHeaders: true, EndStream: true}); err != nil {
		t.Fatal(err)
	}
	return f
}

func requestFields(t testing.TB, path string) []byte {
	var fields bytes.Buffer
	enc := hpack.NewEncoder(&fields)
	for _, h := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "127.0.0.1"}, {":path", path}} {
		if err := enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			t.Fatal(err)
		}
	}
	return fields.Bytes()
}

func TestFrames(t *testing.T) {
	s := start(t)
	for _, c := range []struct{ path, want string }{
		{"/27/goaway-once", "GOAWAY 0 NO_ERROR"},
		{"/27/goaway-once", "HEADERS 200, DATA after going away"},
		{"/27/goaway-once", "GOAWAY 0 NO_ERROR"},
		{"/27/goaway-always", "GOAWAY 0 NO_ERROR"},
		{"/27/goaway-always", "GOAWAY 0 NO_ERROR"},
		{"/27/refused-once", "RST_STREAM REFUSED_STREAM"},
		{"/27/refused-once", "HEADERS 200, DATA after being refused"},
		{"/27/reset-storm", "HEADERS 200, DATA <img"},
		{"/27/refused/1.png", "RST_STREAM REFUSED_STREAM"},
		{"/27/broken/1.png", "HEADERS 200, DATA PNG, RST_STREAM INTERNAL_ERROR"},
		{"/27/reset-stream", "HEADERS 200, DATA half, RST_STREAM INTERNAL_ERROR"},
		{"/none", "HEADERS 404"},
	} {
		f := asked(t, s, c.path)
		for _, want := range strings.Split(c.want, ", ") {
			kind, detail, _ := strings.Cut(want, " ")
			frame, err := f.ReadFrame()
			for err == nil && frame.Header().Type == http2.FrameSettings {
				frame, err = f.ReadFrame()
			}
			if err != nil {
				t.Errorf("%s: %v in place of %s", c.path, err, want)
				break
			}
			got := ""
			switch frame := frame.(type) {
			case *http2.MetaHeadersFrame:
				got = frame.PseudoValue("status")
			case *http2.DataFrame:
				got = string(frame.Data())
			case *http2.RSTStreamFrame:
				got = frame.ErrCode.String()
			case *http2.GoAwayFrame:
				got = "0 " + frame.ErrCode.String()
				if frame.LastStreamID != 0 {
					t.Errorf("%s: last stream %d", c.path, frame.LastStreamID)
				}
			}
			if frame.Header().Type.String() != kind || !strings.Contains(got, detail) {
				t.Errorf("%s: %s %q, want %s", c.path, frame.Header().Type, got, want)
			}
		}
	}
}

// A fake connection reads what it is given and forgets what is written.
type fake struct {
	net.Conn
	in io.Reader
}

func (f fake) Read(p []byte) (int, error)  { return f.in.Read(p) }
func (f fake) Write(p []byte) (int, error) { return len(p), nil }
func (f fake) Close() error                { return nil }

func ended() *Server {
	s := &Server{served: map[string]int{}, turns: map[string]int{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.cancel()
	return s
}

func FuzzWire(f *testing.F) {
	for _, path := range []string{"/20/drip-header", "/23/length-short", "/23/length-long", "/23/length-twice", "/24/reset-at-once", "/24/reset-page", "/24/reset-unframed", "/24/reset.png", "/24/chunk-broken", "/"} {
		f.Add([]byte("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"))
	}
	s := ended()
	f.Fuzz(func(_ *testing.T, b []byte) { s.wire(fake{in: bytes.NewReader(b)}) })
}

func FuzzFrames(f *testing.F) {
	for _, path := range []string{"/27/goaway-once", "/27/refused-once", "/27/reset-storm", "/27/refused/1", "/27/broken/1", "/27/reset-stream", "/"} {
		var b bytes.Buffer
		w := http2.NewFramer(&b, nil)
		if err := w.WriteSettings(); err != nil {
			f.Fatal(err)
		}
		if err := w.WritePing(false, [8]byte{1}); err != nil {
			f.Fatal(err)
		}
		if err := w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: requestFields(f, path), EndHeaders: true}); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	s := ended()
	f.Fuzz(func(_ *testing.T, b []byte) { s.session(fake{in: bytes.NewReader(b)}).serve() })
}
