package reading

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/image/font/gofont/goregular"

	"guzheng/capture"
)

const rare = `<!doctype html><meta charset=utf-8><link rel=stylesheet href=s.css><style>
	@font-face{font-family:web;src:url(w.ttf)} body{font:30px "DejaVu Sans"} .w{font-family:web} .i::before{font-family:web;content:"\e001"}</style>
	<p>plain 中文 &#x1f979;&#x200d;&#xfe0f;</p>
	<p id=one>&#x2a6d7;中&#x3402; poisoned</p>
	<p id=two>&#x4dae;乙&#x10fffd; safe before</p>
	<p class=w>Web 中&#xe005;</p><p class=i>icon</p>
	<b>粗</b>`

// rarePage serves the page with a web font and counts requests.
func rarePage(t *testing.T) (url string, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(rare))
		case "/s.css":
			w.Header().Set("Content-Type", "text/css")
		case "/w.ttf":
			_, _ = w.Write(goregular.TTF)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/", asked
}

func TestFonts(t *testing.T) {
	cov, err := LoadCoverage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		extra    []string
		poisoned bool
	}{
		{"Chinese browser", nil, false}, // as captures start it
		{"browser without a locale", []string{"LANG=C"}, true},
	} {
		t.Run(c.name, func(t *testing.T) { testFonts(t, cov, c.extra, c.poisoned) })
	}
}

func testFonts(t *testing.T, cov *Coverage, extra []string, poisoned bool) {
	url, requests := rarePage(t)
	b := browse(t, extra...)
	b.visit(url)
	b.evaluate(`document.fonts.ready.then(() => '')`)
	r := b.read()
	before := requests.Load()
	fonts, err := Fonts(b.ctx, []cdp.Session{b.s}, r, cov)
	if err != nil {
		t.Fatal(err)
	}
	if n := requests.Load(); n != before {
		t.Errorf("asking for fonts made the page send %d requests", n-before)
	}
	// The picture is the judge of what was drawn as a box: every character
	// that looks like the first one, which no font has.
	want := []capture.Glyph{{Code: "U+E001", Count: 1, Web: true}, {Code: "U+E005", Count: 1, Web: true},
		{Code: "U+2A6D7", Count: 1}, {Code: "U+10FFFD", Count: 1}}
	box := b.glyph("one", 0, 2)
	for _, c := range []struct {
		id, code string
		from, to int
	}{{"one", "U+4E2D", 2, 3}, {"one", "U+3402", 3, 4}, {"two", "U+4DAE", 0, 1}, {"two", "U+4E59", 1, 2}} {
		if bytes.Equal(b.glyph(c.id, c.from, c.to), box) {
			want = append(want, capture.Glyph{Code: c.code, Count: 1})
		}
	}
	if got := len(want) > 4; got != poisoned {
		t.Errorf("characters after one without a glyph are boxes: %v", got)
	}
	if !bytes.Equal(b.glyph("two", 2, 4), box) {
		t.Error("U+10FFFD is no box")
	}
	slices.SortFunc(want, func(x, y capture.Glyph) int {
		return cmp.Or(cmp.Compare(len(x.Code), len(y.Code)), cmp.Compare(x.Code, y.Code))
	})
	if d := gocmp.Diff(want, fonts.Missing); d != "" {
		t.Errorf("missing glyphs (-want +got)\n%s", d)
	}
	has := func(web bool, part string) bool {
		return slices.ContainsFunc(fonts.Used, func(f capture.Font) bool {
			return f.Web == web && strings.Contains(f.Family, part) && f.Glyphs > 0 && f.PostScript != ""
		})
	}
	if !has(false, "DejaVu Sans") || !has(false, "Noto Sans CJK") || !has(true, "Go") {
		t.Errorf("fonts %+v", fonts.Used)
	}
	if fonts.Styles != len(r.FontGroups) || fonts.Asked == 0 || fonts.Asked > mostAsked || fonts.Unknown != "" {
		t.Errorf("fonts %+v", fonts)
	}
	blind, err := Fonts(b.ctx, []cdp.Session{b.s}, r, nil)
	if err != nil || blind.Unknown == "" || blind.Missing != nil || len(blind.Used) == 0 {
		t.Errorf("without the installed fonts: %+v, %v", blind, err)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	cancel()
	if _, err := Fonts(ctx, []cdp.Session{b.s}, r, cov); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// glyph is the picture of some UTF-16 units of an element's text.
func (b *tab) glyph(id string, from, to int) []byte {
	b.t.Helper()
	var r struct{ X, Y, Width, Height float64 }
	args, err := json.Marshal([]any{id, from, to})
	if err != nil {
		b.t.Fatal(err)
	}
	place := b.evaluate(`(([id, from, to]) => { const r = document.createRange(), n = document.getElementById(id).firstChild;
		r.setStart(n, from); r.setEnd(n, to); return JSON.stringify(r.getBoundingClientRect()) })(` + string(args) + `)`)
	if err := json.Unmarshal([]byte(place), &r); err != nil {
		b.t.Fatal(err)
	}
	shot := call(b, page.CaptureScreenshot, page.CaptureScreenshotParams{
		Clip: &page.Viewport{X: r.X, Y: r.Y, Width: r.Width, Height: r.Height, Scale: 1}})
	return shot.Data
}

func TestFontsBounded(t *testing.T) {
	var r Result
	for i := range 100 {
		r.FontGroups = append(r.FontGroups, FontGroup{Nodes: []cdp.BackendNodeID{cdp.BackendNodeID(2*i + 1), cdp.BackendNodeID(2*i + 2)}})
	}
	var suspects []suspect
	for i := range 100 {
		suspects = append(suspects, suspect{spot: spot{0, cdp.BackendNodeID(1000 + i)}, group: i % 3})
	}
	spots := choose(r, suspects)
	if len(spots) != mostAsked || spots[0].node != 1000 || spots[3].node != 1003 || spots[mostSuspects].node != 1 {
		t.Errorf("%d nodes: %v", len(spots), spots)
	}
}

func TestCoverage(t *testing.T) {
	c, err := parseCoverage("Some-Regular\tSome,Some Book\t20-7e 4e00-9fff 1f600\nOther\tOther\ta0 300-310 4dff\n")
	if err != nil {
		t.Fatal(err)
	}
	for r, want := range map[rune]bool{'a': true, 0x7F: true, 0x80: true, '中': true, 0x4DFF: true, 0x4DFE: false, 0xA000: false,
		0x1F600: true, 0x1F601: false, 0x200D: true, 0xFE0F: true, 'é': true, 0x10FFFD: false, '\n': true} {
		if c.Has(r) != want {
			t.Errorf("U+%04X: %v", r, !want)
		}
	}
	if have, ok := c.of("Some-Regular", ""); !ok || !have.has('中') || have.has(0x4DFF) {
		t.Errorf("font by name: %v %v", have, ok)
	}
	if _, ok := c.of("Unknown", "Some Book"); !ok {
		t.Error("font by family is not found")
	}
	for _, bad := range []string{"", "a\tb\n", "a\tb\tzz\n", "a\tb\t20-\n"} {
		if _, err := parseCoverage(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func FuzzCoverage(f *testing.F) {
	f.Add("a\tb\t20-7e 300", 'a')
	f.Add("a\tb\t7e-20 0-7fffffff", rune(0x1F600))
	f.Fuzz(func(_ *testing.T, list string, r rune) {
		if c, err := parseCoverage(list); err == nil {
			c.Has(r)
		}
	})
}
