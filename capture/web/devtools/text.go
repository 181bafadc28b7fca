package devtools

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// String says what the item is, for errors.
func (it item) String() string {
	return [...]string{"null", "a truth value", "an integer", "a number", "text", "text", "data", "an array", "a map",
		"the end of an array or map"}[it.kind]
}

// isText reports whether the item is a text.
func (it item) isText() bool { return it.kind == isText || it.kind == isText16 }

// text is the text of a string. What is not text in the encoding that the
// browser chose is changed as it is changed for clients that speak JSON:
// what is not UTF-8 is left out, and a surrogate without the other is U+FFFD.
func (it item) text() string {
	switch {
	case it.kind == isBinary:
		return base64.StdEncoding.EncodeToString(it.raw)
	case it.kind == isText16:
		return text16(it.raw)
	case utf8.Valid(it.raw):
		return string(it.raw)
	}
	return loose(it.raw)
}

func text16(b []byte) string {
	var s strings.Builder
	s.Grow(len(b))
	for len(b) >= 2 {
		c := rune(binary.LittleEndian.Uint16(b))
		b = b[2:]
		if utf16.IsSurrogate(c) {
			pair := utf8.RuneError
			if len(b) >= 2 {
				pair = utf16.DecodeRune(c, rune(binary.LittleEndian.Uint16(b)))
			}
			if c = pair; pair != utf8.RuneError {
				b = b[2:]
			}
		}
		s.WriteRune(c)
	}
	return s.String()
}

// loose reads UTF-8 as Chromium's JSON encoder does (HandleString8 in
// crdtp/json.cc): a sequence that is none is passed over whole, with as many
// bytes as its first one announced.
func loose(b []byte) string {
	var s strings.Builder
	for i := 0; i < len(b); i++ {
		c := rune(b[i])
		more := 0
		switch {
		case c < 0x80:
			s.WriteByte(b[i])
			continue
		case c&0xe0 == 0xc0:
			more, c = 1, c&0x1f
		case c&0xf0 == 0xe0:
			more, c = 2, c&0x0f
		case c&0xf8 == 0xf0:
			more, c = 3, c&0x07
		}
		if more == 0 || i+more >= len(b) {
			continue
		}
		valid := true
		for range more {
			i++
			valid = valid && b[i]&0xc0 == 0x80
			c = c<<6 | rune(b[i]&0x3f)
		}
		if valid && c > 0x7f && c <= utf8.MaxRune {
			s.WriteRune(c) // U+FFFD for a surrogate, as for one alone in UTF-16
		}
	}
	return s.String()
}

// JSON is the value as the browser would have sent it to a client that
// speaks JSON, but for the escapes in texts and the digits of numbers.
func (v Value) JSON() ([]byte, error) {
	r := reader{rest: v}
	return r.appendJSON(make([]byte, 0, len(v)+len(v)/2))
}

// appendJSON takes the next value and appends it as JSON.
func (r *reader) appendJSON(b []byte) ([]byte, error) {
	it, err := r.next()
	if err != nil {
		return b, err
	}
	switch it.kind {
	case isBool:
		return strconv.AppendBool(b, it.number == 1), nil
	case isInt:
		return strconv.AppendInt(b, it.number, 10), nil
	case isDouble:
		return appendNumber(b, it.double), nil
	case isBinary:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, it.raw)
		return append(b, '"'), nil
	case isText:
		if utf8.Valid(it.raw) {
			return appendQuoted(b, it.raw), nil
		}
		return appendQuoted(b, it.text()), nil
	case isText16:
		return appendQuoted(b, it.text()), nil
	case isArray:
		b = append(b, '[')
		err = r.each(it, func() (err error) {
			b, err = r.appendJSON(comma(b))
			return err
		})
		return append(b, ']'), err
	case isMap:
		b = append(b, '{')
		err = r.entries(it, func(name string) (err error) {
			b, err = r.appendJSON(append(appendQuoted(comma(b), name), ':'))
			return err
		})
		return append(b, '}'), err
	case isStop:
		return b, errStop
	default:
		return append(b, "null"...), nil
	}
}

// comma separates a value from the one before it, if there is one.
func comma(b []byte) []byte {
	if c := b[len(b)-1]; c == '[' || c == '{' {
		return b
	}
	return append(b, ',')
}

// appendNumber writes a double as Chromium does: a whole one that 64 bits
// hold as an integer.
func appendNumber(b []byte, x float64) []byte {
	if x == math.Trunc(x) && math.Abs(x) < 1<<63 {
		return strconv.AppendInt(b, int64(x), 10)
	}
	return strconv.AppendFloat(b, x, 'g', -1, 64)
}

// appendQuoted writes valid UTF-8 as a JSON string.
func appendQuoted[T string | []byte](b []byte, s T) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		if c < ' ' {
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		} else {
			b = append(b, '\\', c)
		}
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}
