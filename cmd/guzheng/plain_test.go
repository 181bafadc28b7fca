package main

import "testing"

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"交城 𬭎":              "交城 𬭎",
		"\x1b[2J\x07":       "[U+001B][2J[U+0007]",
		"a\u202eb\u200bc\n": "a[U+202E]b[U+200B]c[U+000A]",
	} {
		if got := plain(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
