package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"guzheng/capture"
	"guzheng/capture/raster"
)

// framedPage has a frame of each kind. FOREIGN is another site.
const framedPage = `<!doctype html><style>body{margin:0;height:9000px;background:#fff}iframe{border:0;position:absolute;left:100px;width:600px;height:300px}
	#bar{position:fixed;top:0;left:0;width:100%;height:60px;background:#123456}</style><div id=bar></div>
	<iframe src="FOREIGN/frame/aa0000" style="top:100px"></iframe>
	<iframe src="FOREIGN/frame/aa0011" style="top:700px;height:1000px"></iframe>
	<iframe src="/frame/bb0000" style="top:1800px"></iframe>
	<iframe src="FOREIGN/nest" style="top:2200px"></iframe>
	<iframe src="FOREIGN/frame/00cc00" style="top:3000px;height:2000px"></iframe>
	<iframe src="FOREIGN/frame/110000" style="top:5200px;width:20px;height:20px"></iframe>
	<iframe src="FOREIGN/frame/220000" style="top:5300px;visibility:hidden"></iframe>
	<div style="position:absolute;top:5700px;left:0;width:800px;height:100px;overflow:hidden"><iframe src="FOREIGN/frame/330000" style="top:200px"></iframe></div>
	<div style="position:absolute;top:5900px;left:0;width:800px;height:100px;overflow:hidden"><iframe src="FOREIGN/frame/0000dd" style="top:50px"></iframe></div>
	<iframe src="/same" style="top:6200px"></iframe>
	<iframe sandbox src="FOREIGN/frame/00eecc" style="top:6600px"></iframe>
	<script>const p = document.createElement('p'); document.body.append(p);
		p.attachShadow({mode: 'closed'}).innerHTML = '<iframe src="FOREIGN/frame/00eeee" style="border:0;position:absolute;left:-50px;top:7000px;width:600px;height:300px"></iframe>'</script>`

// framed serves framedPage and its frames.
func framed(w http.ResponseWriter, r *http.Request) {
	home, _, _ := strings.Cut(r.Host, ":")
	other := map[string]string{"127.0.0.1": "localhost", "localhost": "127.0.0.1"}[home]
	foreign := "http://" + other + strings.TrimPrefix(r.Host, home)
	w.Header().Set("Content-Type", "text/html")
	switch colour, _ := strings.CutPrefix(r.URL.Path, "/frame/"); r.URL.Path {
	case "/":
		fmt.Fprint(w, strings.ReplaceAll(framedPage, "FOREIGN", foreign))
	case "/nest":
		fmt.Fprintf(w, `<!doctype html><body style="margin:0;background:#cc00cc"><iframe src="%s/frame/cccc00" style="border:0;width:300px;height:100px"></iframe>`, foreign)
	case "/same":
		fmt.Fprintf(w, `<!doctype html><body style="margin:0"><iframe src="%s/frame/00cccc" style="border:0;width:300px;height:200px"></iframe>`, foreign)
	default:
		fmt.Fprintf(w, `<!doctype html><body style="margin:0;background:#%s">`, colour)
	}
}

// pixels counts the colours of a picture.
func pixels(t *testing.T, rows raster.Source) map[string]int {
	t.Helper()
	out := map[string]int{}
	for h := rows.Header(); ; {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		var last []byte
		n := 0
		for i := 0; i < len(row); i += h.Channels {
			if last != nil && !bytes.Equal(row[i:i+3], last) {
				out[fmt.Sprintf("%x", last)] += n
				n = 0
			}
			last = row[i : i+3]
			n++
		}
		out[fmt.Sprintf("%x", last)] += n
	}
}

// Frames of other sites below the window, which the picture of the page
// leaves blank, have pictures of their own, whether or not the browser gives
// each site a process. What is drawn in the whole has none.
func TestPictureForeign(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	real, err := FindChromium("")
	if err != nil {
		t.Fatal(err)
	}
	isolating := filepath.Join(openDir(t), "browser")
	if err := os.WriteFile(isolating, []byte("#!/bin/sh\nexec "+real+` "$@" --site-per-process`+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, browser string
		scale         float64
	}{{"one process", "", 1}, {"one process at 2", "", 2}, {"a process for each site", isolating, 1}} {
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(framed))
			defer srv.Close()
			host := strings.TrimPrefix(srv.URL, "http://")
			o := order(srv.URL + "/")
			o.Viewport.Scale = c.scale
			got := collect(t, o, Browser{Path: c.browser, Allow: []string{host, strings.Replace(host, "127.0.0.1", "localhost", 1)}})
			if got.take.State != capture.Complete || !got.has(capture.EntryAnomaly, "picture.frames") {
				t.Errorf("%s: %v", got.take.State, got.take.Reasons)
			}
			got.checkFrames(t, c.scale)
			whole := pixels(t, got.whole(t))
			for colour, n := range map[string]float64{"aa0000": 600 * 300, "aa0011": 600 * 1000, "bb0000": 600 * 300, "cc00cc": 0, "00cc00": 0, "00cccc": 0, "00eeee": 0} {
				if want := int(n * c.scale * c.scale); whole[colour] != want {
					t.Errorf("%d pixels of %s in the whole, want %d", whole[colour], colour, want)
				}
			}
		})
	}
}

// checkFrames holds the pictures of frames against framedPage.
func (got taken) checkFrames(t *testing.T, scale float64) {
	t.Helper()
	want := []struct {
		url, colours  string
		frame, x, y   int
		width, height int
	}{
		{"/nest", "cc00cc 150000 cccc00 30000", 1, 100, 2200, 600, 300},
		{"/frame/00cc00", "00cc00 384000", 2, 100, 3000, 600, 640},
		{"/frame/00cc00", "00cc00 384000", 2, 100, 3640, 600, 640},
		{"/frame/00cc00", "00cc00 384000", 2, 100, 4280, 600, 640},
		{"/frame/00cc00", "00cc00 48000", 2, 100, 4920, 600, 80},
		{"/frame/0000dd", "0000dd 30000", 3, 100, 5950, 600, 50},
		{"/frame/00cccc", "00cccc 60000", 4, 100, 6200, 300, 200},
		{"/frame/00eecc", "00eecc 180000", 5, 100, 6600, 600, 300},
		{"/frame/00eeee", "00eeee 165000", 6, 0, 7000, 550, 300},
	}
	if len(got.facts.Frames) != len(want) {
		t.Fatalf("%d pictures, want %d: %+v", len(got.facts.Frames), len(want), got.facts.Frames)
	}
	for i, w := range want {
		f := got.facts.Frames[i]
		if f.Frame != w.frame || f.X != w.x || f.Y != w.y || f.Width != w.width || f.Height != w.height || !strings.HasSuffix(f.URL, w.url) {
			t.Errorf("picture %d: %+v, want %+v", i, f, w)
		}
		rows, err := raster.NewRows(bytes.NewReader(got.read(t, f.Path)))
		if err != nil {
			t.Fatal(err)
		}
		if h := rows.Header(); h.Width != f.Pixels.Width || h.Height != f.Pixels.Height || h.Width != int(float64(w.width)*scale) {
			t.Errorf("%s: %+v, facts say %+v", f.Path, h, f)
		}
		have := pixels(t, rows)
		for part := strings.Fields(w.colours); len(part) > 0; part = part[2:] {
			if n := fmt.Sprint(float64(have[part[0]]) / scale / scale); n != part[1] {
				t.Errorf("%s: %s pixels of %s, want %s; all: %v", f.Path, n, part[0], part[1], have)
			}
		}
		if file, ok := got.take.File(capture.FileFrame); !ok || file.Path == "" {
			t.Error("the take does not list the pictures")
		}
	}
}

// Of more frames than the limit, the first are pictured and the rest told.
func TestManyForeign(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Path != "/" {
			fmt.Fprint(w, `<!doctype html><p>frame`)
			return
		}
		fmt.Fprint(w, `<!doctype html><div style="height:1500px"></div>`, strings.Repeat(`<iframe sandbox src="/frame" width=50 height=50></iframe>`, mostForeign+2))
	}))
	defer srv.Close()
	got := collect(t, order(srv.URL+"/"), Browser{Allow: []string{strings.TrimPrefix(srv.URL, "http://")}})
	if len(got.facts.Frames) != mostForeign || got.take.State != capture.Partial || !got.has(capture.EntryAnomaly, "limit.foreign") {
		t.Errorf("%d pictures, %s: %v", len(got.facts.Frames), got.take.State, got.take.Reasons)
	}
	for _, r := range got.take.Reasons {
		if r.Code != "limit.foreign" {
			t.Errorf("reason %+v", r)
		}
	}
}
