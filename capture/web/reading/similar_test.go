package reading

import (
	"strings"
	"testing"
)

func TestSimilarity(t *testing.T) {
	long := strings.Repeat("本店商品支持七天无理由退货，运费由买家承担。price 199.00 yuan. ", 50)
	for _, c := range []struct {
		name      string
		a, b      string
		low, high float64
	}{
		{"same", long, long, 1, 1},
		{"nothing", "", " \n", 1, 1},
		{"nothing and something", "", "x", 0, 0},
		{"white space", "a b\tc\nd e", "abcde", 1, 1},
		{"short and equal", "店", "店 ", 1, 1},
		{"short and other", "店", "铺", 0, 0},
		{"moved", "first part of a text\nsecond part of it", "second part of it\nfirst part of a text", 0.8, 0.99},
		{"one character in a long text", long, strings.Replace(long, "199", "188", 1), 0.99, 0.9999},
		{"a tenth is missing", long, long[:len(long)/10*9], 0.93, 0.96},
		{"repeated", "abcdefgh", strings.Repeat("abcdefgh", 9), 0, 0.3},
		{"another text", long, "Lorem ipsum dolor sit amet", 0, 0.01},
		{"planes are told apart", "𠀀𠀀𠀀𠀀", "\x00\x00\x00\x00", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, back := Similarity(c.a, c.b), Similarity(c.b, c.a)
			if s < c.low || s > c.high || s != back {
				t.Errorf("%v and %v, want %v to %v", s, back, c.low, c.high)
			}
		})
	}
}
