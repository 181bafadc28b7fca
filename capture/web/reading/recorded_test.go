package reading

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/domsnapshot"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "record testdata anew with a real browser")

// everything has one of each thing that Read looks at.
const everything = `<title>all</title><style>i::before{content:"¥"} p::first-letter{font-size:2em} .pua::before{content:"\e601"}</style>
<b>small</b><header>店铺 <a href=#>登录</a></header><div id=h><b>slotted</b></div>
<script>h.attachShadow({mode:'closed'}).innerHTML='<p>in the shadow</p><slot></slot>'</script>
<table><tr><td>品名<td>价格<tr><td>骏枣<td><i>39.90</i></table><ol><li>one<li>two</ol>
<div style="width:90px">wraps at   some place here 一二三四五六七</div><pre>a
	b</pre><span class=pua></span><span style="text-transform:uppercase">straße ok</span>
<input value=typed><input placeholder=hint><select><option>a<option selected>b</select><textarea>area</textarea><img alt=pic width=9 height=9>
<div style="display:flex"><span>x</span><span>y</span></div>
<div style="visibility:hidden">no</div><div style="opacity:0">no2</div><div style="font-size:0">no3</div><div style="height:0;overflow:hidden">no4</div>
<div style="text-indent:-999px">no5</div><div style="height:20px;overflow:auto">seen<p style="margin-top:90px">scrolled</div>
<div style="color:#fff">white</div><iframe srcdoc="<body dir=rtl>in the frame<iframe srcdoc=deep></iframe>" width=300 height=200></iframe>
<div style="content-visibility:auto;margin-top:9000px"><p>skipped</div><footer>备案号 𠮷</footer>`

func TestRecorded(t *testing.T) {
	if *update {
		record(t)
	}
	raw := unpack(t, "testdata/everything.json.gz")
	var snap domsnapshot.CaptureSnapshotResult
	if err := jsonv2.Unmarshal(raw, &snap); err != nil {
		t.Fatal(err)
	}
	r := Read([]Layer{{Snapshot: &snap}})
	lines, err := json.MarshalIndent(r.Lines, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"testdata/everything.txt": r.Text + "\n", "testdata/everything.lines.json": string(lines) + "\n"} {
		if *update {
			if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), got); d != "" {
			t.Errorf("%s (-want +got)\n%s", name, d)
		}
	}
	if r.Runes['骏'] != 1 || r.Runes['𠮷'] != 1 || r.Runes[' '] != 0 || len(r.FontGroups) < 2 {
		t.Errorf("runes or font groups: %v", r.FontGroups)
	}
	runes := make([]int, len(r.FontGroups))
	for i, l := range r.Lines.Lines {
		if g := r.groups[i]; g >= 0 {
			runes[g] += len(slices.DeleteFunc([]rune(l.Text), unicode.IsSpace))
		}
	}
	for i, g := range r.FontGroups {
		if g.Runes != runes[i] || len(g.Nodes) == 0 || i > 0 && g.Runes > runes[i-1] {
			t.Errorf("font group %d of %d characters: %+v", i, runes[i], g)
		}
	}
}

func record(t *testing.T) {
	b := browse(t)
	b.size(1280, 800, 1)
	b.visit(serve(t, map[string]string{"/": everything}) + "/")
	raw, err := jsonv2.Marshal(b.snapshot())
	if err != nil {
		t.Fatal(err)
	}
	// The address of the test server differs in every run.
	raw = bytes.ReplaceAll(raw, []byte(strings.TrimSuffix(b.evaluate("location.href"), "/")), []byte("http://shop.example"))
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	if _, err := zw.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("testdata/everything.json.gz", buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func unpack(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// checkResult holds for every result, whatever the snapshot was.
func checkResult(t *testing.T, r Result) {
	t.Helper()
	for _, l := range slices.Concat(r.Lines.Lines, r.Lines.Hidden, r.Lines.Alternatives) {
		if l.Frame < 0 || l.Frame >= len(r.Lines.Frames) {
			t.Fatalf("frame %d of %d", l.Frame, len(r.Lines.Frames))
		}
	}
	if len(r.groups) != len(r.Lines.Lines) || len(r.layers) != len(r.Lines.Frames) {
		t.Fatalf("%d groups of %d lines, %d layers of %d frames", len(r.groups), len(r.Lines.Lines), len(r.layers), len(r.Lines.Frames))
	}
	if _, err := json.Marshal(r.Lines); err != nil {
		t.Fatal(err)
	}
}

// FuzzRead damages a recorded snapshot: every number of it may be anything.
func FuzzRead(f *testing.F) {
	raw := unpack(f, "testdata/everything.json.gz")
	f.Add([]byte{}, int64(0), 1.0)
	f.Add([]byte{1, 2, 3, 4}, int64(-1), 0.0)
	f.Add([]byte{9, 200, 17, 3}, int64(1<<62), -2.0)
	f.Fuzz(func(t *testing.T, where []byte, number int64, scale float64) {
		var snap domsnapshot.CaptureSnapshotResult
		if err := jsonv2.Unmarshal(raw, &snap); err != nil {
			t.Fatal(err)
		}
		damage(&snap, where, number)
		checkResult(t, Read([]Layer{{Snapshot: &snap, Scale: scale}, {Snapshot: &snap, Parent: int(number), Owner: 7, X: scale}}))
	})
}

// FuzzSnapshot reads whatever decodes as a snapshot.
func FuzzSnapshot(f *testing.F) {
	f.Add([]byte(`{"documents":[{}],"strings":["a"]}`))
	f.Add([]byte(`{"documents":[null,{"nodes":{"parentIndex":[-1,0,1,5],"nodeType":[9,1,3,3],"contentDocumentIndex":{"index":[1,1],"value":[0,1]}},"layout":{"nodeIndex":[0,1,2,-4],"text":[0,0,0],"bounds":[[0,0,9,9],[1]]},"textBoxes":{"layoutIndex":[2,9],"start":[-3],"length":[99],"bounds":[[0,0,5,5]]}}],"strings":["IFRAME"]}`))
	f.Add(unpack(f, "testdata/everything.json.gz"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var snap domsnapshot.CaptureSnapshotResult
		if err := jsonv2.Unmarshal(raw, &snap); err != nil {
			return
		}
		checkResult(t, Read([]Layer{{Snapshot: &snap}}))
	})
}

// damage puts a number at some places of a snapshot, or takes a part away:
// the bytes say by fours which document, which member, and where.
func damage(s *domsnapshot.CaptureSnapshotResult, where []byte, number int64) {
	for ; len(where) >= 4; where = where[4:] {
		d := s.Documents[int(where[0])%len(s.Documents)]
		if d == nil || d.Nodes == nil || d.Layout == nil || d.TextBoxes == nil {
			continue
		}
		at := int(where[2])<<8 | int(where[3])
		set := func(v []int64) {
			if len(v) > 0 {
				v[at%len(v)] = number
			}
		}
		switch where[1] % 16 {
		case 0:
			set(d.Nodes.ParentIndex)
		case 1:
			set(d.Nodes.NodeType)
		case 2:
			set(d.Layout.NodeIndex)
		case 3:
			set(d.TextBoxes.LayoutIndex)
		case 4:
			set(d.TextBoxes.Start)
		case 5:
			set(d.TextBoxes.Length)
		case 6:
			set(d.Nodes.ContentDocumentIndex.Value)
		case 7:
			set(d.Nodes.ContentDocumentIndex.Index)
		case 8:
			d.Layout.Styles[at%len(d.Layout.Styles)] = nil
		case 9:
			set(d.Layout.Styles[at%len(d.Layout.Styles)])
		case 10:
			d.Layout.Bounds = d.Layout.Bounds[:at%len(d.Layout.Bounds)+0]
			d.Layout.Bounds = append(d.Layout.Bounds, domsnapshot.Rectangle{float64(number), 0, float64(number)})
		case 11:
			d.TextBoxes.Bounds[at%len(d.TextBoxes.Bounds)] = domsnapshot.Rectangle{float64(number), float64(number), 1e308, 1e308}
		case 12:
			d.Layout.Text = d.Layout.Text[:at%len(d.Layout.Text)]
		case 13:
			s.Strings = s.Strings[:max(1, at%len(s.Strings))]
		case 14:
			d.Nodes = nil
		case 15:
			s.Documents[int(where[0])%len(s.Documents)] = nil
		}
	}
}

// mini is the snapshot of a page with a frame, of id 5, and a text.
func mini(text string) *domsnapshot.CaptureSnapshotResult {
	styles := make(domsnapshot.ArrayOfStrings, len(styleNames()))
	for i := range styles {
		styles[i] = -1
	}
	return &domsnapshot.CaptureSnapshotResult{Strings: []string{"IFRAME", text}, Documents: []*domsnapshot.DocumentSnapshot{{
		DocumentURL: 1,
		Nodes: &domsnapshot.NodeTreeSnapshot{ParentIndex: []int64{-1, 0, 0}, NodeType: []int64{9, elementNode, textNode},
			NodeName: []domsnapshot.StringIndex{-1, 0, -1}, BackendNodeID: []cdp.BackendNodeID{1, 5, 6}},
		Layout: &domsnapshot.LayoutTreeSnapshot{NodeIndex: []int64{0, 1, 2}, Text: []domsnapshot.StringIndex{-1, -1, 1},
			Styles: []domsnapshot.ArrayOfStrings{styles, styles, styles},
			Bounds: []domsnapshot.Rectangle{{0, 0, 500, 500}, {10, 20, 500, 500}, {0, 0, 40, 20}}},
		TextBoxes: &domsnapshot.TextBoxSnapshot{LayoutIndex: []int64{2}, Bounds: []domsnapshot.Rectangle{{0, 0, 40, 20}},
			Start: []int64{0}, Length: []int64{int64(len(text))}},
	}}}
}

// TestLayerOrder has a frame in a frame before the one that holds it.
func TestLayerOrder(t *testing.T) {
	r := Read([]Layer{{Snapshot: mini("main")}, {Snapshot: mini("deep"), Parent: 2, Owner: 5}, {Snapshot: mini("middle"), Owner: 5}})
	if r.Text != "main\n\n[middle]\nmiddle\n\n[deep]\ndeep" {
		t.Errorf("text %q", r.Text)
	}
	for i, l := range r.Lines.Lines {
		if want := float64(10 * r.Lines.Lines[i].Frame); l.X != want || l.Y != 2*want {
			t.Errorf("%+v", l)
		}
	}
	lost := Read([]Layer{{Snapshot: mini("main")}, {Snapshot: mini("deep"), Parent: 2, Owner: 5}, {Snapshot: mini("middle"), Owner: 99}})
	if lost.Text != r.Text {
		t.Errorf("text with a frame whose owner is gone: %q", lost.Text)
	}
	circle := Read([]Layer{{Snapshot: mini("main")}, {Snapshot: mini("a"), Parent: 2, Owner: 5}, {Snapshot: mini("b"), Parent: 1, Owner: 5}})
	if circle.Text != "main\n\n[a]\na\n\n[b]\nb" {
		t.Errorf("text of frames that hold each other: %q", circle.Text)
	}
}

// TestNothing is about layers without a snapshot.
func TestNothing(t *testing.T) {
	for _, layers := range [][]Layer{nil, {{}}, {{}, {Owner: 1}}, {{Snapshot: &domsnapshot.CaptureSnapshotResult{}}, {Parent: -1, Owner: 2}}} {
		r := Read(layers)
		checkResult(t, r)
		if r.Text != "" || len(r.Lines.Lines) > 0 || r.Lines.Lines == nil {
			t.Errorf("%v gives %+v", layers, r)
		}
	}
	if s := ScaleOf(nil, 5); s != 1 {
		t.Errorf("scale %v", s)
	}
}
