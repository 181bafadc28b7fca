package sheet

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"guzheng/capture"
)

// data fills the placeholders of a sentence.
type data = map[string]any

// moment prints t in Beijing time to the second, "" when there is none.
func (s *sheet) moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(capture.Beijing).Format(s.w.T("time.second"))
}

// short prints t in Beijing time in digits, to the millisecond.
func (s *sheet) short(t time.Time) string {
	if t.IsZero() {
		return s.w.T("value.absent")
	}
	return t.In(capture.Beijing).Format("2006-01-02 15:04:05.000")
}

// thousands prints n with commas.
func thousands(n int64) string {
	d := strconv.FormatInt(n, 10)
	sign := ""
	if strings.HasPrefix(d, "-") {
		sign, d = "-", d[1:]
	}
	for i := len(d) - 3; i > 0; i -= 3 {
		d = d[:i] + "," + d[i:]
	}
	return sign + d
}

// longest is how many characters of one value are printed. The package has
// all of them, and the sheet says where it stopped.
const longest = 2000

// value returns t, cut visibly if it is extremely long.
func (s *sheet) value(t string) string {
	n := utf8.RuneCountInString(t)
	if n <= longest {
		return t
	}
	r := []rune(t)
	return string(r[:longest]) + s.w.T("sheet.cut", data{"shown": longest, "count": n})
}

// or returns t, or the word for "not recorded" when it is empty.
func (s *sheet) or(t string) string {
	if strings.TrimSpace(t) == "" {
		return s.w.T("value.absent")
	}
	return s.value(t)
}

func (s *sheet) joined(items []string) string { return strings.Join(items, s.w.T("list.comma")) }

// yes returns the word for a truth value.
func (s *sheet) yes(b bool) string {
	if b {
		return s.w.T("value.yes")
	}
	return s.w.T("value.no")
}

// plainData prepares the data of a journal entry for a sentence: numbers
// without exponent, lists joined, long values cut.
func (s *sheet) plainData(d data) data {
	out := make(data, len(d))
	for k, v := range d {
		out[k] = s.plain(v)
	}
	return out
}

func (s *sheet) plain(v any) string {
	switch v := v.(type) {
	case nil:
		return s.w.T("value.absent")
	case string:
		return s.or(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return s.yes(v)
	case []any:
		items := make([]string, len(v))
		for i, e := range v {
			items[i] = s.plain(e)
		}
		return s.joined(items)
	default:
		return s.value(fmt.Sprint(v))
	}
}
