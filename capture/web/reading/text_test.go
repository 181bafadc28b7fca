package reading

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"guzheng/capture"
	"guzheng/capture/practice"
)

// A textCase is a page and what a person reads on it. hidden lists the runs
// that are left out, or perhaps unseen, as "reason: text". judged pages must
// have the text that the browser's innerText has.
type textCase struct {
	name, html, want string
	hidden           []string
	judged           bool
}

const shadow = `<div id=h><b>slotted</b></div>
	<script>h.attachShadow({mode:'%s'}).innerHTML='<header>in the shadow</header><slot></slot> after<style>b{color:red}</style>'</script>`

func textCases() []textCase {
	return []textCase{
		{"header and footer", `<header>Head <nav><a href=#>a</a> <a href=#>b</a></nav></header><main><p>one<p>two</main><footer>京ICP备</footer>`,
			"Head\na b\n\none\n\ntwo\n\n京ICP备", nil, true},
		{"open shadow root", fmt.Sprintf(shadow, "open"), "in the shadow\nslotted after", nil, false},
		{"closed shadow root", fmt.Sprintf(shadow, "closed"), "in the shadow\nslotted after", nil, false},
		{"frames", `above<iframe srcdoc="<p>in 中文<iframe srcdoc=deep></iframe>"></iframe>below`,
			"abovebelow\n\n[about:srcdoc]\nin 中文\n\n[about:srcdoc]\ndeep", nil, false},
		{"hidden frames", `<div style="opacity:0"><iframe srcdoc=clear></iframe></div><iframe style="visibility:hidden" srcdoc=gone></iframe><iframe style="display:none" srcdoc=none></iframe>x`,
			"x", []string{"opacity: clear", "visibility: gone"}, false},
		{"collapsed white space", "<p>a   b\n <b> c </b> d <i>e</i>\n\n</p> \n<div> f\t</div>", "a b c d e\n\nf", nil, true},
		{"wrapped lines", `<div style="width:90px">one two three four <b>five</b> 一二三四五六七八 six</div>`, "one two three four five 一二三四五六七八 six", nil, true},
		{"line breaks", `<p>a<br>b<br><br>c<br></p><div>d<br></div>e`, "a\nb\n\nc\n\nd\ne", nil, true},
		{"preserved", "<pre>  a\n\tb  c\n</pre><div style='white-space:pre-line'>d  e\nf</div>", "a\n\tb  c\nd e\nf", nil, true},
		{"tables", `<table><caption>c<tr><th>h1<th>h2<tr><td>a<td><td>b<tbody><tr><td>x</table>y`, "c\nh1\th2\na\tb\nx\ny", nil, true},
		{"css tables", `<div style="display:table"><div style="display:table-row"><span style="display:table-cell">a</span><span style="display:table-cell">b</span></div></div>`, "a\tb", nil, true},
		{"flex and grid", `<div style="display:flex"><span>a</span><span>b</span></div><div style="display:grid"><i>c</i><i>d</i></div><span style="display:inline-flex">e</span>f`, "a\nb\nc\nd\nef", nil, true},
		{"inline blocks", `<div style="display:inline-block">a</div><div style="display:inline-block">b</div> <span style="display:inline-block">c</span>`, "ab c", nil, true},
		{"contents", `<div style="display:contents">a <div style="display:contents">b</div></div>c`, "a bc", nil, true},
		{"lists", `<ul><li>a<li>b</ul><ol start=3><li>c</ol>`, "a\nb\nc", nil, true},
		{"transformed letters", `<span style="text-transform:uppercase">straße</span>`, "STRASSE", nil, true},
		{"transformed and wrapped", `<div style="text-transform:uppercase;width:60px">straße mehr ß  und</div>`, "STRASSE MEHR SS UND", nil, true},
		{"first letter", `<style>p::first-letter{font-size:200%}</style><p>First`, "First", nil, true},
		{"generated", `<style>i::before{content:"¥"} i::after{content:"元 "} b::before{content:"\e601"} em::after{content:"";display:block}</style><i>9</i><b>x</b><em>y</em>`, "¥9元 xy", nil, false},
		{"ruby", `<ruby>漢<rt>han</rt></ruby>字`, "漢han字", nil, true},
		{"right to left", `<p dir=rtl>שלום abc 12 <b>def</b>`, "שלום abc 12 def", nil, true},
		{"vertical", `<div style="writing-mode:vertical-rl">竖排<p>文字</div>`, "竖排\n\n文字", nil, true},
		{"columns", `<div style="columns:2;width:100px">aaa bbb ccc ddd eee fff</div>`, "aaa bbb ccc ddd eee fff", nil, true},
		{"vector text", `<svg width=99 height=30><text y=20>svg 字</text></svg>`, "svg 字", nil, true},
		{"not laid out", `a<div hidden>b</div><span style="display:none">c</span><details><summary>d</summary>e</details><script>f</script><noscript>g</noscript><template>h</template>`, "a\nd", nil, true},
		{"choices", `<select><option>a<option selected>b</select><select size=2><option>c</select>`, "a\nb\nc", nil, true},
		{"lone surrogate", `<p id=p><script>p.textContent='a\uD800b'</script>`, "a\uFFFDb", nil, false},

		{"visibility", `<div style="visibility:hidden">no <b style="visibility:visible">yes</b></div>`, "yes", []string{"visibility: no"}, true},
		{"opacity", `<div style="opacity:0"><p style="opacity:1">no</p></div><div style="opacity:.1"><i style="opacity:.05">no2</i><i style="opacity:.5">yes</i></div>`,
			"yes", []string{"opacity: no", "opacity: no2"}, false},
		{"no size", `<span style="font-size:0">no</span><div style="transform:scale(0)">no2</div>yes`, "yes", []string{"size: no", "size: no2"}, false},
		{"cut away", `<div style="height:0;overflow:hidden">no</div><div style="position:absolute;clip:rect(0,0,0,0)">no2</div><div style="clip-path:inset(50%)">no3</div>
			<div style="position:absolute;width:1px;height:1px;overflow:hidden;white-space:nowrap">no4</div>yes`,
			"yes", []string{"clipped: no", "clipped: no2", "clipped: no3", "clipped: no4"}, false},
		{"line clamp", `<div style="display:-webkit-box;-webkit-line-clamp:1;-webkit-box-orient:vertical;overflow:hidden;width:66px">一二三四五六七八</div>`, "一二三四", []string{"clipped: 五六七八"}, false},
		{"ellipsis", `<div style="width:60px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap">a long line of text</div>`, "a long line of text", nil, true},
		{"off the page", `<div style="text-indent:-999px">no</div><div style="position:absolute;top:-99px">no2</div>yes`, "yes", []string{"off: no", "off: no2"}, false},
		{"off to the left from right to left", `<!doctype html><html dir=rtl><div style="width:3000px;text-align:left">far`, "far", nil, true},
		{"slides", `<div style="width:100px;overflow:hidden;white-space:nowrap"><p style="display:inline-block;width:100px">one</p><p style="display:inline-block;width:100px">two</p></div>`, "one", []string{"clipped: two"}, false},
		{"scrolled", `<div style="height:40px;overflow:auto"><p style="height:90px">seen<p>below</div>`, "seen\n\nbelow", []string{"scrolled: below"}, true},
		{"scroll area in a cut one", `<div style="height:40px;overflow:hidden"><div style="height:40px;overflow-y:scroll"><p style="height:90px">seen<p><span style="overflow:hidden">below</span></div></div>`, "seen\n\nbelow", []string{"scrolled: below"}, true},
		{"scroll area that is cut away", `<div style="height:0;overflow:hidden"><div style="height:40px;overflow:auto">no</div></div>yes`, "yes", []string{"clipped: no"}, false},
		{"absolute leaves a cut ancestor", `<div style="height:0;overflow:hidden"><div style="position:absolute">yes</div></div>`, "yes", nil, true},
		{"absolute stays in a cut container", `<div style="height:0;overflow:hidden;position:relative"><div style="position:absolute">no</div></div>yes`, "yes", []string{"clipped: no"}, false},
		{"fixed leaves a cut container", `<div style="height:0;overflow:hidden;position:relative"><div style="position:fixed">yes</div></div>`, "yes", nil, true},
		{"fixed stays in a transformed one", `<div style="height:0;overflow:hidden;transform:translateX(1px)"><div style="position:fixed">no</div></div>yes`, "yes", []string{"clipped: no"}, false},
		{"window without scroll bars", `<style>html,body{height:100px;overflow:hidden}</style><p style="margin-top:500px">below</p>`, "below", nil, true},
		{"skipped", `<div style="height:9000px"></div><div style="content-visibility:auto"><p>later</div><div style="height:9000px"></div>end`, "end", []string{"skipped: later"}, false},
		{"colour of the background", `<div style="color:#fff">white</div><div style="color:#fff;background:navy">seen</div><div style="color:#fff;text-shadow:0 0 1px #000">shadow</div><div style="color:transparent">none</div>
			<div style="color:transparent;background:linear-gradient(red,blue);-webkit-background-clip:text">gradient</div>`,
			"white\nseen\nshadow\nnone\ngradient", []string{"colour: white", "colour: none"}, true},
	}
}

func TestText(t *testing.T) {
	pages := map[string]string{}
	for i, c := range textCases() {
		pages[fmt.Sprintf("/%d", i)] = c.html
	}
	url := serve(t, pages)
	b := browse(t)
	b.size(1280, 800, 1)
	for i, c := range textCases() {
		t.Run(c.name, func(t *testing.T) {
			b.visit(fmt.Sprintf("%s/%d", url, i))
			r := b.read()
			if r.Text != c.want {
				t.Errorf("text\n%q, want\n%q", r.Text, c.want)
			}
			var hidden []string
			for _, l := range slices.Concat(r.Lines.Hidden, r.Lines.Lines) {
				if l.Hidden != "" {
					hidden = append(hidden, l.Hidden+": "+l.Text)
				}
			}
			if d := cmp.Diff(c.hidden, hidden); d != "" {
				t.Errorf("hidden runs (-want +got)\n%s", d)
			}
			if judge := b.evaluate(innerText); c.judged && bare(judge) != bare(r.Text) {
				t.Errorf("text\n%q, and the browser says\n%q", r.Text, judge)
			}
		})
	}
}

func bare(s string) string { return strings.Join(strings.Fields(s), "") }

// framesText is innerText of the page and, after their addresses, of all
// frames that its scripts may look into.
const framesText = `(() => {
	const texts = (w, top) => (top ? '' : '[' + w.location.href + ']') + (w.document.body ? w.document.body.innerText : '') +
		Array.from(w.frames).map(f => texts(f, false)).join('');
	return texts(window, true);
})()`

func TestPracticeShop(t *testing.T) {
	srv := httptest.NewServer(practice.New())
	t.Cleanup(srv.Close)
	b := browse(t)
	b.size(1280, 800, 1)
	for _, path := range []string{"/", "/returns", "/licence", "/terms", "/gbk", "/faulty", "/faulty/item", "/missing",
		"/hostile/", "/hostile/overlap", "/hostile/tall", "/hostile/frames", "/hostile/names"} {
		t.Run(path, func(t *testing.T) {
			b.visit(srv.URL + path)
			r, judge := b.read(), b.evaluate(framesText)
			if len(bare(judge)) < 10 {
				t.Fatalf("the page has no text: %q", judge)
			}
			if s := Similarity(r.Text, judge); s < 0.98 {
				t.Errorf("similarity %.3f\n%q\nand the browser says\n%q", s, r.Text, judge)
			}
		})
	}
	b.visit(srv.URL + "/gbk")
	if text := b.read().Text; !strings.Contains(text, "㐂") || !strings.Contains(text, "𠮷") {
		t.Errorf("letters of GB18030 are missing in %q", text)
	}
}

// kinds are the runs that are not text of the document.
func TestKinds(t *testing.T) {
	b := browse(t)
	b.visit(serve(t, map[string]string{"/": `<style>i::before{content:"\e601"}</style><i>x</i><ol><li>one</ol>
		<input value=typed><input placeholder=hint><input type=password value=secret><input type=hidden value=h><input type=checkbox value=c>
		<textarea>area</textarea><input type=submit value=send><select><option>a<option selected>b</select>
		<img alt=pic width=9 height=9><img alt=gone style=visibility:hidden><img alt="" width=9 height=9><input type=image alt=button>
		<div style=opacity:0><input value=unseen></div>`}) + "/")
	r := b.read()
	var got []string
	for _, l := range slices.Concat(r.Lines.Lines, r.Lines.Alternatives, r.Lines.Hidden) {
		if l.Kind != "" {
			got = append(got, l.Kind+" "+l.Text+" "+l.Hidden)
		}
		if l.W <= 0 || l.H <= 0 || l.Node == 0 {
			t.Errorf("run without a box or node: %+v", l)
		}
	}
	slices.Sort(got)
	want := []string{"alt button ", "alt pic ", "generated \ue601 ", "marker 1. ", "placeholder hint ",
		"value area ", "value b ", "value send ", "value typed ", "value unseen opacity"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("kinds (-want +got)\n%s", d)
	}
	if r.Text != "x\none\na\nb" {
		t.Errorf("text %q", r.Text)
	}
	if r.Hidden != 1 {
		t.Errorf("hidden %d", r.Hidden)
	}
	if blob, err := json.Marshal(r.Lines); err != nil || strings.Contains(string(blob), "secret") {
		t.Errorf("a password is kept, or: %v", err)
	}
}

func TestPaintOrder(t *testing.T) {
	b := browse(t)
	b.visit(serve(t, map[string]string{"/": `<div style="position:relative;z-index:2">last</div><div style="position:relative;z-index:1">middle</div>first`}) + "/")
	var got []string
	for _, l := range b.read().Lines.Lines {
		got = append(got, l.Text)
	}
	if d := cmp.Diff([]string{"first", "middle", "last"}, got); d != "" {
		t.Errorf("order (-want +got)\n%s", d)
	}
}

// small is the largest difference between two places that is no mistake: the
// browser rounds boxes of text to whole pixels.
const small = 1.5

func near(a, b capture.Line) bool {
	return a.Text == b.Text && abs(a.X-b.X) < small && abs(a.Y-b.Y) < small && abs(a.W-b.W) < small && abs(a.H-b.H) < small
}

func abs(v float64) float64 { return max(v, -v) }
