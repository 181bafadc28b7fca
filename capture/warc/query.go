package warc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"net/url"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf16"

	"golang.org/x/text/encoding/unicode"
)

// maxKeyQuery is how much of a request body goes into an index key, in
// UTF-16 code units.
const maxKeyQuery = 4096

// requestKey returns the URL under which an exchange with another method than
// GET is indexed: the request's URL with "__wb_method=" and the body in the
// form of a query added. The rules, odd ones included, are those of
// warcio.js 2.4, since its sibling wabac.js makes the same key at replay.
// body is the query before it is unescaped.
func requestKey(req Record) (key, body string) {
	ct := firstField(req.MessageHeader, "Content-Type")
	mt, _, _ := strings.Cut(ct, ";")
	text := decodeUTF8(req.body)
	switch mt {
	case "application/x-www-form-urlencoded":
		body = text
	case "application/json", "text/plain":
		body = jsonQuery(text)
	case "multipart/form-data":
		body = multipartQuery(text, ct)
	default:
		body = "__wb_post_data=" + base64.StdEncoding.EncodeToString(req.body)
	}
	if u := utf16.Encode([]rune(body)); len(u) > maxKeyQuery {
		body = string(utf16.Decode(u[:maxKeyQuery]))
	}
	sep := "?"
	if strings.Index(req.URI, "?") > 0 {
		sep = "&"
	}
	return req.URI + sep + "__wb_method=" + req.Method + "&" + decodeURI(body), body
}

// decodeUTF8 takes off a byte order mark and replaces every maximal invalid
// sequence by U+FFFD (WHATWG Encoding section 8.1.1).
func decodeUTF8(b []byte) string {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	out, err := unicode.UTF8.NewDecoder().Bytes(b)
	if err != nil {
		return ""
	}
	return string(out)
}

// params is an ordered list of query parameters with unique names.
type params []Field

func (p params) has(name string) bool {
	return slices.ContainsFunc(p, func(f Field) bool { return f.Name == name })
}

// set replaces the value or appends the parameter.
func (p *params) set(name, value string) {
	for i := range *p {
		if (*p)[i].Name == name {
			(*p)[i].Value = value
			return
		}
	}
	*p = append(*p, Field{name, value})
}

// String is the application/x-www-form-urlencoded form (WHATWG URL section
// 5.2).
func (p params) String() string {
	var out []string
	for _, f := range p {
		out = append(out, formEscape(f.Name)+"="+formEscape(f.Value))
	}
	return strings.Join(out, "&")
}

func formEscape(s string) string {
	// QueryEscape keeps the tilde and escapes the asterisk; the standard has
	// it the other way round.
	return strings.NewReplacer("~", "%7E", "%2A", "*").Replace(url.QueryEscape(s))
}

// maxDepth bounds the recursion into JSON; deeper input counts as invalid.
const maxDepth = 256

// maxParams bounds how many values are taken from one body, far more than
// fit into a key.
const maxParams = 2048

// A flattener collects the scalar values of a JSON text as parameters.
type flattener struct {
	params params
	dupes  map[string]int
}

// jsonQuery is the JSON text as a query; invalid JSON gives an empty one.
func jsonQuery(text string) string {
	if !json.Valid([]byte(text)) {
		return ""
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	v, ok := decodeOrdered(dec, 0)
	if !ok {
		return ""
	}
	f := flattener{dupes: map[string]int{}}
	f.add("", v)
	return f.params.String()
}

// object is a JSON object in the order in which JavaScript lists it.
type object []member

type member struct {
	name  string
	value any
}

// decodeOrdered reads one value and keeps the order of objects.
func decodeOrdered(dec *json.Decoder, depth int) (any, bool) {
	tok, err := dec.Token()
	if err != nil || depth > maxDepth {
		return nil, false
	}
	switch tok {
	case json.Delim('{'):
		return decodeObject(dec, depth)
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, ok := decodeOrdered(dec, depth+1)
			if !ok {
				return nil, false
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		return list, err == nil
	}
	return tok, true
}

func decodeObject(dec *json.Decoder, depth int) (any, bool) {
	var obj object
	at := map[string]int{}
	for dec.More() {
		tok, err := dec.Token()
		name, isString := tok.(string)
		if err != nil || !isString {
			return nil, false
		}
		v, ok := decodeOrdered(dec, depth+1)
		if !ok {
			return nil, false
		}
		if i, dup := at[name]; dup {
			obj[i].value = v // the last one counts, in the first one's place
			continue
		}
		at[name] = len(obj)
		obj = append(obj, member{name, v})
	}
	// JavaScript lists array indices first, in numeric order.
	sort.SliceStable(obj, func(i, k int) bool {
		a, aok := arrayIndex(obj[i].name)
		b, bok := arrayIndex(obj[k].name)
		if aok && bok {
			return a < b
		}
		return aok && !bok
	})
	_, err := dec.Token()
	return obj, err == nil
}

func arrayIndex(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return n, err == nil && n < math.MaxUint32 && strconv.FormatUint(n, 10) == s
}

// add appends the scalars of v. Elements of arrays share the array's name;
// a name that is taken gets a number.
func (f *flattener) add(name string, v any) {
	if len(f.params) >= maxParams {
		return
	}
	var text string
	switch v := v.(type) {
	case object:
		for _, m := range v {
			f.add(m.name, m.value)
		}
	case []any:
		for _, e := range v {
			f.add(name, e)
		}
	case string:
		text = v
	case json.Number:
		text = jsNumber(v)
	case bool:
		text = strconv.FormatBool(v)
	case nil:
		text = "null"
	}
	if text == "" {
		return
	}
	if f.params.has(name) {
		f.dupes[name] = max(f.dupes[name], 1) + 1
		name += "." + strconv.Itoa(f.dupes[name]) + "_"
	}
	f.params.set(name, text)
}

// jsNumber is how JavaScript writes a number (ECMA-262, Number::toString).
func jsNumber(n json.Number) string {
	x, err := n.Float64()
	switch {
	case err != nil && math.IsInf(x, 1):
		return "Infinity"
	case err != nil && math.IsInf(x, -1):
		return "-Infinity"
	case x == 0:
		return "0"
	case math.Abs(x) >= 1e21 || math.Abs(x) < 1e-6:
		s := strconv.FormatFloat(x, 'e', -1, 64)
		return strings.NewReplacer("e-0", "e-", "e+0", "e+").Replace(s)
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}

var multipartField = regexp.MustCompile(`(?i)name="([^"]+)"\r\n\r\n([^\r\n\x{2028}\x{2029}]*)`)

// multipartQuery is the text fields of a multipart body as a query.
func multipartQuery(text, contentType string) string {
	boundary := "undefined"
	if parts := strings.Split(contentType, "boundary="); len(parts) > 1 {
		boundary = parts[1]
	}
	sep, err := regexp.Compile("(?mi)-*" + boundary + "-*")
	if err != nil {
		return ""
	}
	var p params
	for _, part := range sep.Split(text, -1) {
		if len(p) >= maxParams {
			break
		}
		if m := multipartField.FindStringSubmatch(strings.TrimSpace(part)); m != nil {
			p.set(m[1], m[2])
		}
	}
	return p.String()
}

// decodeURI unescapes what JavaScript's decodeURI does: everything but the
// reserved characters. Invalid escapes give an empty string.
func decodeURI(s string) string {
	const reserved = ";/?:@&=+$,#"
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] != '%' {
			b.WriteByte(s[i])
			i++
			continue
		}
		start := i
		c, ok := unhex(s, i)
		if !ok {
			return ""
		}
		i += 3
		raw := []byte{c}
		for n := continuation(c); n > 0; n-- {
			c, ok := unhex(s, i)
			if !ok {
				return ""
			}
			raw = append(raw, c)
			i += 3
		}
		r := []rune(string(raw))
		switch {
		case len(r) != 1 || r[0] == '\ufffd' && string(raw) != "\ufffd":
			return ""
		case strings.ContainsRune(reserved, r[0]):
			b.WriteString(s[start:i])
		default:
			b.WriteRune(r[0])
		}
	}
	return b.String()
}

// unhex reads the escape at s[i].
func unhex(s string, i int) (byte, bool) {
	if i+3 > len(s) || s[i] != '%' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
	return byte(n), err == nil
}

// continuation is how many bytes follow the first byte of a character in
// UTF-8.
func continuation(c byte) int {
	switch {
	case c >= 0xf0:
		return 3
	case c >= 0xe0:
		return 2
	case c >= 0xc0:
		return 1
	}
	return 0
}
