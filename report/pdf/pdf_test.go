package pdf

import (
	"bytes"
	"image"
	"image/color"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func newDoc(t testing.TB) *Doc {
	t.Helper()
	d, err := New(Info{Title: "t", Lang: "zh-CN", Created: time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func output(t *testing.T, d *Doc) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := d.Output(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// run needs a program of the test machine.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed: %v", name, err)
	}
	var complaint bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s%s", name, args, err, out, &complaint)
	}
	return string(out)
}

func save(t *testing.T, b []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "a.pdf")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestClean(t *testing.T) {
	d := newDoc(t)
	for _, c := range []struct{ name, in, want string }{
		{"plain", "价格 ¥9.80（含税）", "价格 ¥9.80（含税）"},
		{"rare", "㐂䶮𬭎", "㐂䶮𬭎"},
		{"emoji", "特价😀", "特价[U+1F600]"},
		{"bidi override", "a\u202eb", "a[U+202E]b"},
		{"zero width", "执\u200b法", "执[U+200B]法"},
		{"variation selector", "葛\U000e0100", "葛[U+E0100]"},
		{"soft hyphen", "a\u00adb", "a[U+00AD]b"},
		{"byte order mark", "\ufeffx", "[U+FEFF]x"},
		{"control", "a\x00b\nc", "a[U+0000]b[U+000A]c"},
		{"private use", "\ue000", "[U+E000]"},
		{"broken bytes", "a\xff\xfeb", "a[0xFF][0xFE]b"},
		{"tab", "a\tb", "a    b"},
	} {
		if got := d.Clean(Style{}, c.in); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func checkWrap(t *testing.T, d *Doc, s string, width float64) {
	t.Helper()
	st := Style{Size: 9}
	lines := d.Wrap(st, s, width)
	if got, want := strings.Join(lines, ""), d.Clean(st, s); got != want {
		t.Fatalf("joined lines are %q, want %q", got, want)
	}
	for i, l := range lines {
		if d.Width(st, strings.TrimRightFunc(l, unicode.IsSpace)) > width+0.01 && utf8.RuneCountInString(strings.TrimRightFunc(l, unicode.IsSpace)) > 2 {
			t.Fatalf("line %d %q is %.2f mm wide, more than %.2f", i, l, d.Width(st, l), width)
		}
	}
}

func TestWrap(t *testing.T) {
	d := newDoc(t)
	for _, s := range []string{
		"", "。", strings.Repeat("依照《市场监督管理行政处罚程序规定》第二十六条，", 20),
		"https://example.cn/" + strings.Repeat("a1b2c3%E9%A6%96/", 60), strings.Repeat("f00d", 64),
		"他说“最终解释权归本店所有”。" + strings.Repeat("“好”", 60), strings.Repeat("😀", 90), strings.Repeat(" ", 300) + "x",
	} {
		for _, w := range []float64{8, 20, 63.5, 162} {
			checkWrap(t, d, s, w)
		}
	}
}

func TestWrapKeepsClosingMarksOffLineStarts(t *testing.T) {
	d := newDoc(t)
	text := strings.Repeat("甲，乙。丙；丁：戊（己）庚》辛”壬、", 30) + strings.Repeat("x", 200) + "，" + strings.Repeat("y", 200) + "。"
	for w := 12.0; w < 120; w += 1.7 {
		for i, l := range d.Wrap(Style{}, text, w) {
			if r, _ := utf8.DecodeRuneInString(l); i > 0 && strings.ContainsRune("，。；：）》”、", r) {
				t.Errorf("width %.1f: line %d begins with %c", w, i, r)
			}
		}
	}
}

func FuzzWrap(f *testing.F) {
	d := newDoc(f)
	f.Add("依照《规定》，https://a.cn/?q=1。😀\u202e\xff", 20.0)
	f.Add("“”‘’……——", 3.0)
	f.Add("\x9a\u3000", 5.75)
	f.Fuzz(func(t *testing.T, s string, w float64) {
		if len(s) > 2000 || !(w > 0 && w < 200) {
			t.Skip("out of range: too long or no width")
		}
		checkWrap(t, d, s, w)
	})
}

// TestText draws the hard set and reads it back with an independent reader.
func TestText(t *testing.T) {
	d := newDoc(t)
	d.AddPage()
	hard := "㐂䶮𬭎李𬭎明 price 12"
	d.Text(20, 40, Style{Size: 12}, hard)
	d.Text(20, 60, Style{Size: 12, Bold: true, Gray: 90}, "𬭎 bold 😀")
	name := save(t, output(t, d))
	text := run(t, "pdftotext", "-raw", name, "-")
	for _, want := range []string{hard, "𬭎 bold [U+1F600]"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
	run(t, "qpdf", "--check", name)
}

// TestOutlineIsInked renders the outline of a character beyond U+FFFF and
// counts dark pixels in its box: some 484, and 570 with the placeholder.
func TestOutlineIsInked(t *testing.T) {
	d := newDoc(t)
	d.AddPage()
	d.Text(20, 40, Style{Size: 40}, "𬭎")
	name := save(t, output(t, d))
	base := strings.TrimSuffix(name, ".pdf")
	run(t, "pdftoppm", "-r", "72", "-gray", "-x", "56", "-y", "75", "-W", "42", "-H", "50", name, base)
	files, err := filepath.Glob(base + "*.pgm")
	if err != nil || len(files) != 1 {
		t.Fatalf("rendered files: %v, %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	dark := 0
	for _, v := range b[len(b)-42*50:] {
		if v < 100 {
			dark++
		}
	}
	if dark < 400 || dark > 540 {
		t.Errorf("%d dark pixels; the glyph is missing or a blot", dark)
	}
}

func TestTableSplitsAndLosesNothing(t *testing.T) {
	d := newDoc(t)
	f := NewFlow(d, Frame{Left: 20, Top: 20, Right: 190, Bottom: 120})
	long := strings.Repeat("一二三四五六七八九十", 300)
	tab := Table{Columns: []float64{30, 140}, Head: []Cell{{Text: "HEAD"}, {Text: "H2"}},
		Groups: Rows([]Cell{{Text: "1"}, {Text: "short"}}, []Cell{{Text: "2"}, {Text: long}}, []Cell{{Text: "3"}, {Text: "last"}})}
	f.Table(tab)
	if d.Pages() < 3 {
		t.Fatalf("%d pages", d.Pages())
	}
	name := save(t, output(t, d))
	text := run(t, "pdftotext", "-raw", name, "-")
	if n := strings.Count(text, "HEAD"); n != d.Pages() {
		t.Errorf("header row %d times on %d pages", n, d.Pages())
	}
	if n := strings.Count(text, "十"); n != 300 {
		t.Errorf("%d of 300 repetitions in the text layer", n)
	}
}

func TestSameBytes(t *testing.T) {
	make := func() []byte {
		d := newDoc(t)
		d.AddPage()
		d.Text(20, 20, Style{}, "同样的输入，同样的字节 𬭎")
		d.QR(20, 40, 30, "guzheng:GZ-20261123-7KQ4M2XD sha256:00")
		img := image.NewRGBA(image.Rect(0, 0, 50, 40))
		img.Set(3, 3, color.Black)
		for i := range 6 {
			img.Set(5, i, color.Black)
			d.Picture(img, img.Bounds(), 20, 90+float64(i)*20, 25, 20)
		}
		d.AddPage()
		d.Each(func(page, total int) { d.Text(20, 280, Style{Size: 8}, strings.Repeat("p", page)) })
		return output(t, d)
	}
	if !bytes.Equal(make(), make()) {
		t.Error("two runs differ")
	}
}

func TestFontLicence(t *testing.T) {
	s, err := FontLicence()
	if err != nil || !strings.Contains(s, "SIL Open Font License") {
		t.Errorf("licence %.60q, %v", s, err)
	}
}
