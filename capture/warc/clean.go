package warc

import (
	"strings"
)

const hexUpper = "0123456789ABCDEF"

// percent encodes every byte of s for which bad holds.
func percent(s string, bad func(c byte) bool) (string, bool) {
	n := 0
	for i := range len(s) {
		if bad(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s, false
	}
	var b strings.Builder
	b.Grow(len(s) + 2*n)
	for i := range len(s) {
		if c := s[i]; bad(c) {
			b.WriteByte('%')
			b.WriteByte(hexUpper[c>>4])
			b.WriteByte(hexUpper[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

// cleanValue percent-encodes the control bytes that a field value must not
// hold (RFC 9110 section 5.5); tab and all bytes from 0x80 stay as they are.
func cleanValue(s string) (string, bool) {
	return percent(s, func(c byte) bool { return c < 0x20 && c != '\t' || c == 0x7f })
}

// cleanName percent-encodes what a field name must not hold (RFC 9110
// section 5.6.2).
func cleanName(s string) (string, bool) {
	return percent(s, func(c byte) bool {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			return false
		}
		return strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0
	})
}

// escapeURI percent-encodes what a URI must not hold (RFC 3986 section 2):
// control bytes, space, quotes, angle brackets and everything beyond ASCII.
// Existing escapes stay.
func escapeURI(s string) string {
	out, _ := percent(s, func(c byte) bool {
		return c <= 0x20 || c >= 0x7f || c == '"' || c == '<' || c == '>'
	})
	return out
}

// withoutFragment cuts off the fragment, which is never sent (RFC 9110
// section 4.2.5).
func withoutFragment(u string) string {
	u, _, _ = strings.Cut(u, "#")
	return u
}

// originForm is the path and query of an absolute URL.
func originForm(u string) string {
	u = withoutFragment(u)
	if _, rest, ok := strings.Cut(u, "://"); ok {
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			u = rest[i:]
		} else {
			u = "/"
		}
	}
	if strings.HasPrefix(u, "?") {
		u = "/" + u
	}
	return u
}
