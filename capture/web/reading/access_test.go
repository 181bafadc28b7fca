package reading

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/page"
	"github.com/google/go-cmp/cmp"
)

// outline writes a tree with one line for each node.
func outline(t AccessTree) string {
	depth := make([]int, len(t.Nodes))
	var b strings.Builder
	for i, n := range t.Nodes {
		if i > 0 {
			depth[i] = depth[n.Parent] + 1
		}
		b.WriteString(strings.Repeat(" ", depth[i]) + n.Role)
		for _, s := range []string{n.Name, n.Value, n.Description, n.States} {
			if s != "" {
				b.WriteString(" | " + strings.TrimSpace(s))
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestAccessible(t *testing.T) {
	b := browse(t)
	url := serve(t, map[string]string{"/": `<header><h1>Shop</h1></header><nav aria-label=Main><a href="/x">one <b>two</b></a></nav>
		<div><div><p>text</div></div><img alt=pic src=data:,><label>Name <input value=v required></label>
		<label><input type=checkbox checked>ok</label><button disabled title=why>go</button><p aria-hidden=true>unseen</p><input type=password value=secret>
		<iframe srcdoc="<h2>in</h2>"></iframe>`})
	b.visit(url + "/")
	tree, err := Accessible(b.ctx, b.s, "")
	if err != nil {
		t.Fatal(err)
	}
	want := `RootWebArea | t
 banner
  heading | Shop | level=1
   StaticText | Shop
 navigation | Main
  link | one two
   StaticText | one
   StaticText | two
 paragraph
  StaticText | text
 image | pic
 LabelText
  StaticText | Name
  textbox | Name | v | required=true
   StaticText | v
 checkbox | ok | checked=true
 button | go | why | disabled=true
  StaticText | go
 textbox | ••••••
  StaticText | ••••••
 Iframe
`
	if got := outline(tree); got != want {
		t.Errorf("got\n%s want\n%s", got, want)
	}
	if tree.URL != url+"/" || tree.Nodes[5].URL != url+"/x" {
		t.Errorf("addresses %q, %q", tree.URL, tree.Nodes[5].URL)
	}
	main := call(b, page.GetFrameTree, cdp.Empty{}).FrameTree
	frames := b.read().Documents(0)
	if d := cmp.Diff([]cdp.FrameID{main.Frame.ID, main.ChildFrames[0].Frame.ID}, frames); d != "" {
		t.Fatalf("documents (-want +got)\n%s", d)
	}
	inner, err := Accessible(b.ctx, b.s, frames[1])
	if err != nil {
		t.Fatal(err)
	}
	if got, want := outline(inner), "RootWebArea\n heading | in | level=2\n  StaticText | in\n"; got != want {
		t.Errorf("frame\n%s want\n%s", got, want)
	}
	if _, err := Accessible(b.ctx, b.s, "none"); err == nil {
		t.Error("a frame that is none: no error")
	}
}

func FuzzReduce(f *testing.F) {
	f.Add([]byte(`{"nodes":[{"nodeId":"1","role":{"value":"RootWebArea"},"childIds":["2","1","9"]},{"nodeId":"2","parentId":"1","role":{"value":"link"},"properties":[{"name":"url","value":{"value":"x"}}]}]}`))
	f.Add([]byte(`{"nodes":[{"nodeId":"1","parentId":"2","childIds":["2"]},{"nodeId":"2","parentId":"1","childIds":["1"]}]}`))
	f.Add([]byte(`{"nodes":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var answer axAnswer
		if jsonv2.Unmarshal(raw, &answer, jsonv2.AllowInvalidUTF8(true)) != nil {
			return
		}
		tree := reduce(answer)
		for i, n := range tree.Nodes {
			if n.Parent < 0 || n.Parent > i || i > 0 && n.Parent == i {
				t.Fatalf("node %d has parent %d", i, n.Parent)
			}
		}
		if _, err := json.Marshal(tree); err != nil {
			t.Fatal(err)
		}
	})
}
