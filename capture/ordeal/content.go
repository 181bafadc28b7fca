package ordeal

import (
	"bytes"
	_ "embed"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
)

// titles holds, line by line, the title of the page that stands in many
// encodings, "ordinary shop" in simplified and in traditional characters, and
// a character outside of GBK.
//
//go:embed titles.txt
var titles string

func title(line int) string { return strings.Split(titles, "\n")[line] }

func chineseTitle() string     { return title(0) }
func traditionalTitle() string { return title(1) }
func rareTitle() string        { return title(2) }

// content lists encodings, types and scripts that mislead.
func content() []Case {
	recoded := codes("body.recoded") // the bytes could not be had as they were, and the take says so
	return []Case{
		// 56: GBK and GB18030 by header and by meta, GBK said and UTF-8 sent:
		// bytes kept, declared and used charset recorded.
		{Number: 56, Name: "gbk-header", State: Complete, Title: chineseTitle()},
		{Number: 56, Name: "gbk-meta", State: Complete, Or: Partial, Reasons: recoded, Title: chineseTitle()},
		{Number: 56, Name: "gb18030-four-bytes", State: Complete, Or: Partial, Reasons: recoded, Title: rareTitle()},
		{Number: 56, Name: "gbk-untrue", State: Complete, Or: Partial, Reasons: recoded},
		// 57: no charset, Big5, HZ, UTF-16 with BOM: the same. Browsers
		// replace a page in HZ by one replacement character (Encoding
		// Standard section 4.2).
		{Number: 57, Name: "charset-untold", State: Complete, Or: Partial, Reasons: recoded},
		{Number: 57, Name: "big5", State: Complete, Or: Partial, Reasons: recoded, Title: traditionalTitle()},
		{Number: 57, Name: "hz", State: Complete, Or: Partial, Reasons: recoded},
		{Number: 57, Name: "utf16-bom", State: Complete, Or: Partial, Reasons: recoded, Title: chineseTitle()},
		{Number: 57, Name: "bom-against-header", State: Complete, Or: Partial, Reasons: recoded, Anomaly: "charset.mismatch", Title: chineseTitle()},
		// 58: wrong Content-Type: recorded, and no surprises by sniffing.
		{Number: 58, Name: "html-as-text", State: Complete, Text: "<b>not bold</b>"},
		{Number: 58, Name: "picture-as-html", State: Complete},
		{Number: 58, Name: "octet-stream", State: Partial, Reasons: codes("page.download"), Anomaly: "page.download"},
		{Number: 58, Name: "type-untold", State: Complete, Text: "sniffed"},
		// 59: bidi overrides, zero width, emoji, NUL, title of 10 MB: escaped
		// and cut with a mark.
		{Number: 59, Name: "hidden-characters", State: Complete, Text: "price"},
		{Number: 59, Name: "nul-bytes", State: Complete, Text: "after the NUL"},
		{Number: 59, Name: "long-title", State: Complete, Or: Partial, Reasons: codes("deadline.artefact"), Title: "tttttttt"},
		{Number: 59, Name: "glyphs-missing", State: Complete, Anomaly: "glyphs.missing"},
		// 60: another page at each load: two loads compared.
		{Number: 60, Name: "differs-each-time", Twice: true, State: Complete, Or: Partial, Reasons: codes("page.unstable"), Anomaly: "page.unstable", Text: "price"},
		// 61: detection of headless browsers: no tricks against it.
		{Number: 61, Name: "robot-told", State: Complete, Text: "you are a robot"},
		// 62: prototypes tampered with: our scripts are not deceived.
		{Number: 62, Name: "prototypes", State: Complete, Text: "the true text", NoText: "a false text", Title: "true title"},
		// 63: search for what a recorder leaves: nothing is found.
		{Number: 63, Name: "globals", State: Complete, Text: "searched", Unasked: codes("/63/found")},
		// 64: localhost, private networks, metadata, the browser's own port:
		// denied and listed.
		{Number: 64, Name: "inner-requests", State: Complete, Anomaly: "request.refused", NoText: "reached"},
		{Number: 64, Name: "inner-sockets", State: Complete, Or: Partial, Reasons: codes("target.unrecorded"), Anomaly: "request.refused", NoText: "reached"},
	}
}

// routeContent hangs their answers into mux.
func routeContent(mux *http.ServeMux, s *Server) {
	simple := s.chinese(chineseTitle())
	gbk, utf16 := simplifiedchinese.GBK, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	for name, a := range map[string]struct {
		mediaType string
		body      []byte
	}{
		"56/gbk-header":         {"text/html; charset=gbk", encode(gbk, simple)},
		"56/gbk-meta":           {"text/html", encode(gbk, declared("gbk", simple))},
		"56/gb18030-four-bytes": {"text/html; charset=gb18030", encode(simplifiedchinese.GB18030, s.chinese(rareTitle()+chineseTitle()))},
		"56/gbk-untrue":         {"text/html", declared("gbk", simple)},
		"57/charset-untold":     {"text/html", encode(gbk, simple)},
		"57/big5":               {"text/html; charset=big5", encode(traditionalchinese.Big5, traditional())},
		"57/hz":                 {"text/html; charset=hz-gb-2312", encode(simplifiedchinese.HZGB2312, simple)},
		"57/utf16-bom":          {"text/html", encode(utf16, simple)},
		"57/bom-against-header": {"text/html; charset=gbk", append([]byte("\xef\xbb\xbf"), simple...)},
		"58/html-as-text":       {"text/plain; charset=utf-8", []byte("<!doctype html><p><b>not bold</b>\n")},
		"58/picture-as-html":    {html, drawing(58)},
		"58/octet-stream":       {"application/octet-stream", []byte("<!doctype html><p>a page or not")},
		"59/nul-bytes":          {html, []byte("<!doctype html><title>nul\x00nul</title><p>before\x00</p>\x00<p>after the NUL")},
	} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", a.mediaType)
			_, _ = w.Write(a.body)
		})
	}
	mux.HandleFunc("GET /58/type-untold", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil // or net/http would name one
		_, _ = w.Write([]byte("<!doctype html><title>untold</title><p>sniffed"))
	})
	mux.HandleFunc("GET /60/differs-each-time", func(w http.ResponseWriter, _ *http.Request) {
		n := s.turn("60")
		write(w, fmt.Sprintf("<!doctype html><title>prices</title><p>price %d.90", 39+n))
	})
}

// chinese returns the page in UTF-8 under a title.
func (s *Server) chinese(title string) []byte {
	b, err := s.file("chinese")
	if err != nil {
		panic("ordeal: " + err.Error()) // a file of our own
	}
	return bytes.Replace(b, []byte("TITLE"), []byte(title), 1)
}

// traditional is a page that fits into Big5.
func traditional() []byte {
	return []byte("<!doctype html><title>" + traditionalTitle() + "</title><h1>" + traditionalTitle() + "</h1>")
}

// declared has the page name a charset.
func declared(charset string, b []byte) []byte {
	return bytes.Replace(b, []byte("<title>"), []byte("<meta charset="+charset+"><title>"), 1)
}

// encode turns UTF-8 into another encoding; what that lacks becomes a
// character reference.
func encode(e encoding.Encoding, b []byte) []byte {
	out, err := encoding.HTMLEscapeUnsupported(e.NewEncoder()).Bytes(b)
	if err != nil {
		panic("ordeal: " + err.Error()) // text of our own
	}
	return out
}
