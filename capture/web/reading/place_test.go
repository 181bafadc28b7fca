package reading

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/domsnapshot"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"guzheng/capture"
)

// places has text at places that are easy to get wrong; the window scrolls.
const places = `<style>body{margin:0} p{margin:0}</style><div style="height:100px">top</div>
	<div style="position:absolute;left:60px;top:60px;border:3px solid;padding:7px;transform:scale(2)">scaled</div>
	<iframe style="margin-top:100px;border:10px solid;padding:5px" srcdoc="<p style='margin-top:300px'>low</p><p style='height:900px'>x</p><script>scrollTo(0,230)</script>"></iframe>
	<iframe style="border:0;transform:scale(.5);transform-origin:0 0" srcdoc="<p>shrunk</p>"></iframe>
	<div style="zoom:2">zoomed</div><div style="position:fixed;top:5px;right:5px">fixed</div>
	<div style="overflow:auto;height:50px" id=area><p style="height:45px">above</p><p>inside</p><p style="height:99px"></p></div>
	<div style="position:sticky;top:9px">sticky</div>
	<div style="height:3000px"></div><script>area.scrollTop=30;scrollTo(0,400)</script>`

// rects asks the scripts' side of the browser for the place of every text.
const rects = `(() => {
	const out = [];
	const walk = (doc, map) => {
		const w = doc.createTreeWalker(doc.body, NodeFilter.SHOW_TEXT);
		for (let n; n = w.nextNode(); ) {
			if (!n.data.trim() || n.parentElement.closest('script,style')) continue;
			const r = doc.createRange();
			r.selectNodeContents(n);
			const b = map(r.getBoundingClientRect());
			out.push({text: n.data.trim(), x: b.x, y: b.y, w: b.width, h: b.height});
		}
		for (const f of doc.querySelectorAll('iframe')) {
			const b = map(f.getBoundingClientRect()), z = b.width / f.offsetWidth, s = getComputedStyle(f);
			const dx = b.x + (f.clientLeft + parseFloat(s.paddingLeft)) * z, dy = b.y + (f.clientTop + parseFloat(s.paddingTop)) * z;
			walk(f.contentDocument, r => ({x: dx + r.x * z, y: dy + r.y * z, width: r.width * z, height: r.height * z}));
		}
	};
	walk(document, r => ({x: r.x + scrollX, y: r.y + scrollY, width: r.width, height: r.height}));
	return JSON.stringify(out);
})()`

func checkPlaces(t *testing.T, b *tab, got []capture.Line) {
	t.Helper()
	var want []capture.Line
	if err := json.Unmarshal([]byte(b.evaluate(rects)), &want); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, w := range want {
		if w.Text == "x" || w.Text == "above" {
			continue
		}
		seen++
		if !slices.ContainsFunc(got, func(l capture.Line) bool { return near(l, w) }) {
			t.Errorf("%+v is not among\n%+v", w, got)
		}
	}
	if seen != 8 {
		t.Errorf("%d texts on the page", seen)
	}
}

func TestPlaces(t *testing.T) {
	url := serve(t, map[string]string{"/": places})
	for _, c := range []struct {
		name    string
		emulate float64
		extra   []string
		scale   float64
	}{
		{"one", 1, nil, 1},
		{"two, emulated", 2, nil, 1},
		{"two, started with", 0, []string{"force-device-scale-factor=2"}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := browse(t, c.extra...)
			if c.emulate > 0 {
				b.size(1280, 800, c.emulate)
			}
			b.visit(url + "/")
			snap := b.snapshot()
			scale := ScaleOf(snap, float64(call(b, page.GetLayoutMetrics, cdp.Empty{}).CSSLayoutViewport.ClientWidth))
			if scale != c.scale {
				t.Errorf("scale %v, want %v", scale, c.scale)
			}
			checkPlaces(t, b, Read([]Layer{{Snapshot: snap, Scale: scale}}).Lines.Lines)
		})
	}
}

// TestLayers reads a page whose frames have processes of their own.
func TestLayers(t *testing.T) {
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	other := strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(`<!doctype html><body style="margin:0">above<p style="margin:50px 0 0 30px"><iframe style="border:4px solid" src="` + other + `/in"></iframe><p>below`))
	})
	mux.HandleFunc("/in", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(`<!doctype html><body style="margin:0">inside<p style="margin-top:400px">deep`))
	})
	b := browse(t, "site-per-process=")
	b.size(1280, 800, 1)
	b.visit(srv.URL + "/")
	inner, frame := frameTab(t, b, other+"/in")
	own := call(b, dom.GetFrameOwner, dom.GetFrameOwnerParams{FrameID: frame})
	main, in := b.snapshot(), inner.snapshot()
	want := "above\n\nbelow\n\n[" + other + "/in]\ninside\n\ndeep"
	for _, c := range []struct {
		name   string
		layers []Layer
	}{
		{"owner", []Layer{{Snapshot: main}, {Snapshot: in, Parent: 0, Owner: own.BackendNodeID}}},
		{"place", []Layer{{Snapshot: main}, {Snapshot: in, X: 34, Y: 72}}},
		{"owner that is gone", []Layer{{Snapshot: main}, {Snapshot: in, Parent: 0, Owner: 99999, X: 34, Y: 72}}},
		{"parent that is none", []Layer{{Snapshot: main}, {Snapshot: in, Parent: 7, Owner: own.BackendNodeID, X: 34, Y: 72}}},
		{"owner in itself", []Layer{{Snapshot: main}, {Snapshot: in, Parent: 1, Owner: own.BackendNodeID, X: 34, Y: 72}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Read(c.layers)
			if r.Text != want {
				t.Errorf("text %q, want %q", r.Text, want)
			}
			i := slices.IndexFunc(r.Lines.Lines, func(l capture.Line) bool { return l.Text == "inside" })
			if i < 0 || abs(r.Lines.Lines[i].X-34) > small || abs(r.Lines.Lines[i].Y-72) > 6 || r.Lines.Lines[i].Frame != 1 {
				t.Errorf("lines %+v", r.Lines.Lines)
			}
			if len(r.Lines.Hidden) != 1 || r.Lines.Hidden[0].Hidden != HiddenScrolled {
				t.Errorf("hidden %+v", r.Lines.Hidden)
			}
		})
	}
	hidden := Read([]Layer{{Snapshot: hide(main)}, {Snapshot: in, Owner: own.BackendNodeID}})
	if strings.Contains(hidden.Text, "inside") {
		t.Errorf("text of a hidden frame: %q", hidden.Text)
	}
}

// frameTab attaches to a frame that has a process of its own.
func frameTab(t *testing.T, b *tab, url string) (*tab, cdp.FrameID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	infos, err := chromedp.CallBrowser(ctx, target.GetTargets, target.GetTargetsParams{Filter: target.Filter{{Type: "iframe"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos.TargetInfos {
		if i.URL != url {
			continue
		}
		own, cancel := chromedp.NewContext(b.ctx, chromedp.WithTargetID(i.TargetID))
		t.Cleanup(cancel)
		if err := chromedp.Do(own); err != nil {
			t.Fatalf("attaching to %s: %v", url, err)
		}
		return &tab{t: t, ctx: own, s: chromedp.FromContext(own).Target}, cdp.FrameID(i.TargetID)
	}
	t.Fatalf("no frame %s among %+v", url, infos.TargetInfos)
	return nil, ""
}

// hide returns a copy of a snapshot in which everything is transparent.
func hide(s *domsnapshot.CaptureSnapshotResult) *domsnapshot.CaptureSnapshotResult {
	c := *s
	c.Strings = append(slices.Clone(s.Strings), "0")
	d := *s.Documents[0]
	l := *d.Layout
	l.Styles = make([]domsnapshot.ArrayOfStrings, len(l.Styles))
	for i, st := range d.Layout.Styles {
		l.Styles[i] = slices.Clone(st)
		if len(st) > styleOpacity {
			l.Styles[i][styleOpacity] = int64(len(c.Strings) - 1)
		}
	}
	d.Layout = &l
	c.Documents = append([]*domsnapshot.DocumentSnapshot{&d}, s.Documents[1:]...)
	return &c
}
