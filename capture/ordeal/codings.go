package ordeal

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net/http"

	"github.com/klauspost/compress/zstd"
)

const codedPage = "<!doctype html><title>coded</title><p>readable after decoding"

// codings lists content codings (RFC 9110 section 8.4), right and wrong.
func codings() []Case {
	return []Case{
		// 28: gzip, br, zstd, deflate, double gzip, a wrong Content-Encoding:
		// stored and decoded for reading, a mismatch is flagged.
		{Number: 28, Name: "gzip", State: Complete, Text: "readable after decoding"},
		{Number: 28, Name: "brotli", State: Complete, Text: "readable after decoding"},
		{Number: 28, Name: "zstd", State: Complete, Text: "readable after decoding"},
		{Number: 28, Name: "deflate", State: Complete, Text: "readable after decoding"},
		{Number: 28, Name: "gzip-twice", State: Complete, Text: "readable after decoding"},
		{Number: 28, Name: "gzip-twice-told-once", State: Complete, Or: Partial, Reasons: codes("encoding.mismatch"), Anomaly: "encoding.mismatch"},
		{Number: 28, Name: "gzip-untold", State: Complete, Or: Partial, Reasons: codes("encoding.mismatch", "page.download"), Anomaly: "encoding.mismatch"},
		{Number: 28, Name: "gzip-untrue", State: Failed, Or: Partial, Reasons: codes("page.broken", "navigate.failed", "body.truncated"), Anomaly: "encoding.mismatch"},
		// 29: gzip bomb: cut at a cap.
		{Number: 29, Name: "gzip-bomb", State: Partial, Or: Failed, Reasons: append(cut(), "limit.memory"), Heavy: true},
	}
}

// routeCodings hangs their answers into mux.
func routeCodings(mux *http.ServeMux, s *Server) {
	plain := []byte(codedPage)
	for name, a := range map[string]struct {
		coding string
		body   []byte
	}{
		"gzip":                 {"gzip", gzipped(plain)},
		"brotli":               {"br", brotliStored(plain)},
		"zstd":                 {"zstd", zstdPacked(plain)},
		"deflate":              {"deflate", deflated(plain)},
		"gzip-twice":           {"gzip, gzip", gzipped(gzipped(plain))},
		"gzip-twice-told-once": {"gzip", gzipped(gzipped(plain))},
		"gzip-untold":          {"", gzipped(plain)},
		"gzip-untrue":          {"gzip", plain},
	} {
		mux.HandleFunc("GET /28/"+name, func(w http.ResponseWriter, _ *http.Request) { coded(w, a.coding, a.body) })
	}
	mux.HandleFunc("GET /29/gzip-bomb", func(w http.ResponseWriter, _ *http.Request) { coded(w, "gzip", s.bomb()) })
}

func coded(w http.ResponseWriter, coding string, body []byte) {
	w.Header().Set("Content-Type", html)
	if coding != "" {
		w.Header().Set("Content-Encoding", coding)
	}
	_, _ = w.Write(body)
}

// pack compresses b with what open makes. Writing to memory does not fail.
func pack(b []byte, open func(io.Writer) io.WriteCloser) []byte {
	var buf bytes.Buffer
	w := open(&buf)
	_, _ = w.Write(b)
	_ = w.Close()
	return buf.Bytes()
}

func gzipped(b []byte) []byte {
	return pack(b, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
}

// deflated packs for "deflate", which is the zlib format (RFC 9110 section
// 8.4.1.2).
func deflated(b []byte) []byte {
	return pack(b, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })
}

func zstdPacked(b []byte) []byte {
	return pack(b, func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		if err != nil {
			panic("ordeal: " + err.Error()) // no option here can be wrong
		}
		return z
	})
}

// brotliStored wraps at most 65,536 bytes in the brotli format without
// compressing them (RFC 7932 section 9.2). The bits, least significant first:
// window size 16 (0), not the last meta-block (0), four nibbles of length
// (00), length less one (16 bits), uncompressed (1), padding to a byte.
func brotliStored(b []byte) []byte {
	header := uint32(len(b)-1)<<4 | 1<<20
	out := binary.LittleEndian.AppendUint32(nil, header)[:3]
	out = append(out, b...)
	return append(out, 3) // last, and empty
}

// bomb returns about 1 MB of gzip (RFC 1952) that unpacks to a page of 1 GB.
// A megabyte of blanks is packed once and repeated: after a flush, deflate
// blocks stand on their own.
func bomb() []byte {
	const part = 1 << 20
	head := []byte("<!doctype html><title>bomb</title><p>a bomb of blanks</p>")
	blanks := bytes.Repeat([]byte(" "), part)
	sum := crc32.NewIEEE()
	out := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}
	_, _ = sum.Write(head)
	out = append(out, block(head)...)
	packed := block(blanks)
	for range gigabyte / part {
		out = append(out, packed...)
		_, _ = sum.Write(blanks)
	}
	out = append(out, 3, 0) // an empty block, the last
	out = binary.LittleEndian.AppendUint32(out, sum.Sum32())
	return binary.LittleEndian.AppendUint32(out, uint32(len(head)+gigabyte))
}

// block packs b into deflate blocks that end on a byte and of which none is
// the last.
func block(b []byte) []byte {
	var buf bytes.Buffer
	w, err := flate.NewWriter(&buf, flate.BestCompression)
	if err != nil {
		panic("ordeal: " + err.Error()) // the level is one of the package's own
	}
	_, _ = w.Write(b)
	_ = w.Flush()
	return buf.Bytes()
}
