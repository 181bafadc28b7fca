package reading

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"

	"guzheng/capture"
)

func encode(t *testing.T, e encoding.Encoding, s string) []byte {
	t.Helper()
	b, err := e.NewEncoder().Bytes([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSniff(t *testing.T) {
	const (
		simple = "<title>店</title><p>本店商品支持七天无理由退货，运费由买家承担。价格：199.00元"
		trad   = "<title>店</title><p>本店商品支援七天鑑賞期退貨，運費由買家承擔。價格：199.00元"
	)
	gbk, gb, big5 := simplifiedchinese.GBK, simplifiedchinese.GB18030, traditionalchinese.Big5
	utf16 := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	bare := unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	for _, c := range []struct {
		name   string
		raw    []byte
		header string
		want   capture.Charset
	}{
		{"gbk in header", encode(t, gbk, simple), "text/html; charset=GBK", capture.Charset{Header: "GBK", Sniffed: "gb18030", Why: "letters"}},
		{"gbk in meta", encode(t, gbk, "<meta charset=gb2312>"+simple), "text/html", capture.Charset{Meta: "gb2312", Sniffed: "gb18030", Why: "letters"}},
		{"gbk undeclared", encode(t, gbk, simple), "", capture.Charset{Sniffed: "gb18030", Why: "letters"}},
		{"traditional letters in gbk", encode(t, gbk, trad), "", capture.Charset{Sniffed: "gb18030", Why: "letters"}},
		{"four bytes of gb18030", encode(t, gb, simple+"㐂䶮𠮷𬭎"), "", capture.Charset{Sniffed: "gb18030", Why: "letters"}},
		{"big5", encode(t, big5, trad), "", capture.Charset{Sniffed: "big5", Why: "letters"}},
		{"big5 said to be gbk", encode(t, big5, trad), "text/html;charset=gbk", capture.Charset{Header: "gbk", Sniffed: "big5", Why: "letters"}},
		{"utf-8 said to be gbk", []byte("<meta http-equiv=Content-Type content='text/html; charset=gbk'>" + simple), "",
			capture.Charset{Meta: "gbk", Sniffed: "utf-8", Why: "utf-8", Certain: true}},
		{"gbk said to be utf-8", encode(t, gbk, "<meta charset=utf-8>"+simple), "text/html; charset=utf-8",
			capture.Charset{Header: "utf-8", Meta: "utf-8", Sniffed: "gb18030", Why: "letters"}},
		{"utf-8 with mark", []byte("\xEF\xBB\xBF<meta charset=gbk>" + simple), "", capture.Charset{Meta: "gbk", Sniffed: "utf-8", Why: "bom", Certain: true}},
		{"utf-16 with mark", encode(t, utf16, simple), "", capture.Charset{Sniffed: "utf-16le", Why: "bom", Certain: true}},
		{"utf-16 without mark", encode(t, bare, "<html><head><meta charset=utf-16><title>shop</title></head><body>"+simple), "", capture.Charset{Sniffed: "utf-16be", Why: "nul"}},
		{"hz", encode(t, simplifiedchinese.HZGB2312, simple), "text/html; charset=hz-gb-2312", capture.Charset{Header: "hz-gb-2312", Sniffed: "hz-gb-2312", Why: "escapes"}},
		{"tildes are not hz", []byte("<p>~{a b}~} ~~"), "", capture.Charset{Sniffed: "us-ascii", Why: "ascii", Certain: true}},
		{"iso-2022-jp", encode(t, japanese.ISO2022JP, "<p>日本語のページです"), "", capture.Charset{Sniffed: "iso-2022-jp", Why: "escapes"}},
		{"shift_jis", encode(t, japanese.ShiftJIS, "<p>この商品は日本で作られています。"), "", capture.Charset{Sniffed: "shift_jis", Why: "letters"}},
		{"euc-jp", encode(t, japanese.EUCJP, "<p>この商品は日本で作られています。"), "", capture.Charset{Sniffed: "euc-jp", Why: "letters"}},
		{"euc-kr", encode(t, korean.EUCKR, "<p>이 상품은 한국에서 만들어진 것입니다"), "", capture.Charset{Sniffed: "euc-kr", Why: "letters"}},
		{"latin", encode(t, charmap.Windows1252, "<p>Café à la crème, déjà vu, garçon"), "", capture.Charset{Sniffed: "windows-1252", Why: "none"}},
		{"a little in letters and the rest in none", append(encode(t, gbk, "本店商品"), bytes.Repeat([]byte("\xFF "), 40)...), "", capture.Charset{Sniffed: "windows-1252", Why: "none"}},
		{"nothing", nil, "", capture.Charset{Sniffed: "us-ascii", Why: "ascii", Certain: true}},
		{"header outside of the grammar", []byte("x"), `text/html; foo bar; charset="gbk"; x`, capture.Charset{Header: "gbk", Sniffed: "us-ascii", Why: "ascii", Certain: true}},
		{"utf-8 cut by the sample", []byte(strings.Repeat("x", sampled-1) + "店店"), "", capture.Charset{Sniffed: "utf-8", Why: "utf-8"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Sniff(c.raw, c.header); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestSniffPracticeShop(t *testing.T) {
	page, err := os.ReadFile("../../practice/site/gbk.html")
	if err != nil {
		t.Fatal(err)
	}
	want := capture.Charset{Meta: "gb18030", Sniffed: "gb18030", Why: "letters"}
	if got := Sniff(page, "text/html"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func FuzzSniff(f *testing.F) {
	f.Add([]byte("<meta charset=gbk>\xb5\xea"), "text/html; charset=x")
	f.Add([]byte("~{abc~}\x1B$"), "charset=")
	f.Add([]byte("<meta charset"), ";charset=\"")
	f.Add([]byte("0"), "text/html;\x81\x8e charset==xx") // lower case is longer than this
	f.Fuzz(func(t *testing.T, raw []byte, header string) {
		if c := Sniff(raw, header); c.Sniffed == "" || c.Why == "" {
			t.Errorf("%+v", c)
		}
	})
}
