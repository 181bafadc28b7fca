package reading

import (
	"bytes"
	_ "embed" // the lists of common characters
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"

	"guzheng/capture"
)

// common holds, line by line, characters that any Chinese page has many of:
// in the simplified form, in the traditional form, and Japanese and Korean.
//
//go:embed common.txt
var common string

// prescanned is how far a browser looks for a meta element (HTML section
// 13.2.3.2), and sampled how much of the bytes is weighed.
const (
	prescanned = 1024
	sampled    = 256 << 10
)

// Sniff says what the bytes of a document declare and what they look like.
// contentType is the header field's value. Header is the charset of
// contentType and Meta that of the document, both as written there; Sniffed
// and Why do not look at either. Used, which only the browser knows, is left
// empty.
//
// A browser decides in this order: byte order mark, header, meta element,
// guess (HTML section 13.2.3.1). When Sniffed is Certain and differs from what
// it used, the page was shown garbled.
func Sniff(raw []byte, contentType string) capture.Charset {
	c := capture.Charset{Header: headerCharset(contentType), Meta: metaCharset(raw)}
	c.Sniffed, c.Why, c.Certain = guess(raw)
	return c
}

func headerCharset(contentType string) string {
	if _, params, err := mime.ParseMediaType(contentType); err == nil {
		return params["charset"]
	}
	// Servers write fields that the grammar does not allow; browsers read them.
	if after, ok := cutFold([]byte(contentType), "charset="); ok {
		name, _, _ := strings.Cut(string(after), ";")
		return strings.Trim(name, " \t\"'")
	}
	return ""
}

// metaCharset finds the name in the document's own words. The bytes of a
// UTF-16 document have no meta element that a browser could find.
func metaCharset(raw []byte) string {
	head := raw[:min(len(raw), prescanned-1)]
	if bytes.HasPrefix(head, []byte(bom16be)) || bytes.HasPrefix(head, []byte(bom16le)) {
		return ""
	}
	// Without a meta element the answer is a guess: windows-1252 when the
	// bytes are no UTF-8, as the last one here is not.
	head = append(bytes.TrimPrefix(bytes.Clone(head), []byte(bom8)), 0xFF)
	_, name, _ := charset.DetermineEncoding(head, "text/html")
	if written := spelled(head, name); written != "" || name == "windows-1252" {
		return written
	}
	return name
}

// spelled finds how a document writes the name of an encoding.
func spelled(head []byte, name string) string {
	for {
		rest, ok := cutFold(head, "charset")
		if !ok {
			return ""
		}
		head = rest
		v := bytes.TrimLeft(rest, " \t\r\n\f")
		if len(v) == 0 || v[0] != '=' {
			continue
		}
		v = bytes.TrimLeft(v[1:], " \t\r\n\f\"'")
		if k := bytes.IndexAny(v, "\"' \t\r\n\f;>/"); k >= 0 {
			v = v[:k]
		}
		if _, n := charset.Lookup(string(v)); n == name {
			return string(v)
		}
	}
}

// cutFold returns what follows a word of ASCII letters in any case.
func cutFold(s []byte, word string) (after []byte, found bool) {
	for i := 0; i+len(word) <= len(s); i++ {
		if strings.EqualFold(string(s[i:i+len(word)]), word) {
			return s[i+len(word):], true
		}
	}
	return nil, false
}

// Byte order marks (Encoding section 6).
const (
	bom8    = "\xEF\xBB\xBF"
	bom16be = "\xFE\xFF"
	bom16le = "\xFF\xFE"
)

// guess names the encoding that the bytes look like, by their form alone.
func guess(raw []byte) (name, why string, certain bool) {
	switch {
	case bytes.HasPrefix(raw, []byte(bom8)):
		return "utf-8", "bom", true
	case bytes.HasPrefix(raw, []byte(bom16be)):
		return "utf-16be", "bom", true
	case bytes.HasPrefix(raw, []byte(bom16le)):
		return "utf-16le", "bom", true
	}
	s := raw[:min(len(raw), sampled)]
	if name := wide(s); name != "" {
		return name, "nul", false
	}
	s = whole(s, len(raw) > len(s))
	ascii := !bytes.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
	switch {
	case ascii && bytes.Contains(s, []byte("\x1B$")):
		return "iso-2022-jp", "escapes", false
	case ascii && hz(s):
		return "hz-gb-2312", "escapes", false
	case ascii && len(raw) <= sampled:
		return "us-ascii", "ascii", true
	case utf8.Valid(s):
		return "utf-8", "utf-8", !ascii
	}
	return weigh(s)
}

// whole leaves out a character that the end of the sample cut.
func whole(s []byte, cut bool) []byte {
	for i := 1; cut && i < utf8.UTFMax && i <= len(s); i++ {
		if utf8.RuneStart(s[len(s)-i]) {
			if !utf8.FullRune(s[len(s)-i:]) {
				return s[:len(s)-i]
			}
			break
		}
	}
	return s
}

// wide recognises UTF-16 without a mark: markup has a zero in every second
// byte.
func wide(s []byte) string {
	var zero [2]int
	n := min(len(s), prescanned)
	for i, c := range s[:n] {
		if c == 0 {
			zero[i%2]++
		}
	}
	switch {
	case zero[0] > n/8 && zero[1] < n/32:
		return "utf-16be"
	case zero[1] > n/8 && zero[0] < n/32:
		return "utf-16le"
	}
	return ""
}

// hz reports whether the sample has runs of RFC 1843: pairs of bytes between
// "~{" and "~}".
func hz(s []byte) bool {
	for {
		_, after, ok := bytes.Cut(s, []byte("~{"))
		if !ok {
			return false
		}
		in, rest, ok := bytes.Cut(after, []byte("~}"))
		if ok && len(in) > 0 && len(in)%2 == 0 && !bytes.ContainsFunc(in, func(r rune) bool { return r <= 0x20 || r > 0x7E }) {
			return true
		}
		if s = rest; !ok {
			return false
		}
	}
}

// weigh decodes the sample in each of the encodings of East Asia and counts
// characters that are common in its language. In a wrong encoding most bytes
// become characters that nobody writes, or none.
func weigh(s []byte) (name, why string, certain bool) {
	lines := strings.Split(common, "\n")
	best := 0.0
	for _, e := range []struct {
		name string
		enc  encoding.Encoding
		line int
	}{
		{"gb18030", simplifiedchinese.GB18030, 0},
		{"big5", traditionalchinese.Big5, 1},
		{"shift_jis", japanese.ShiftJIS, 2},
		{"euc-jp", japanese.EUCJP, 2},
		{"euc-kr", korean.EUCKR, 3},
	} {
		if v := weight(s, e.enc, lines[min(e.line, len(lines)-1)]); v > best {
			name, best = e.name, v
		}
	}
	if best < 0.05 {
		return "windows-1252", "none", false
	}
	return name, "letters", false
}

// weight is the share of common characters among those that are not ASCII,
// with every undecodable byte counted against it.
func weight(s []byte, e encoding.Encoding, list string) float64 {
	out, err := e.NewDecoder().Bytes(s)
	if err != nil {
		return 0
	}
	all, good, bad := 0, 0, 0
	for _, r := range string(out) {
		switch {
		case r == utf8.RuneError:
			bad++
		case r >= utf8.RuneSelf:
			all++
			if strings.ContainsRune(list, r) {
				good++
			}
		}
	}
	return float64(good-2*bad) / float64(all+1)
}
