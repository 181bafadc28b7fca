package web

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"guzheng/capture"
	"guzheng/capture/raster"
)

// stripe is the height of one stripe of the striped page, CSS pixels.
const stripe = 100

// colourOf is the colour of a stripe: no two near each other are the same.
func colourOf(n int) [3]byte { return [3]byte{byte(n), byte(n >> 8 * 40), byte(255 - n%251)} }

// stripes is a page of a given height, the reference of which can be
// computed: coloured stripes, a header fixed to the window, a strip that
// sticks to its top, a section as high as the window, and a spinner that
// never rests.
func stripes(height int) string {
	var b strings.Builder
	b.WriteString(`<!doctype html><style>body{margin:0}i{display:block;height:100px}
		#fixed{position:fixed;top:0;left:0;width:100px;height:40px;background:#010203}
		#sticky{position:sticky;top:0;margin-left:200px;width:100px;height:50px;background:#040506;margin-bottom:-50px}
		#view{position:absolute;left:400px;top:0;width:100px;height:100vh;background:#070809}
		#spin{position:absolute;left:600px;top:20px;width:60px;height:60px;background:#fff;animation:s 1s linear infinite}
		@keyframes s{to{transform:rotate(360deg)}}</style><div id=fixed></div><div id=sticky></div><div id=view></div><div id=spin></div>`)
	for n := range height / stripe {
		c := colourOf(n)
		fmt.Fprintf(&b, "<i style=background:#%02x%02x%02x></i>", c[0], c[1], c[2])
	}
	return b.String()
}

// The picture of the whole page is what the page is: from 1,000 to 100,000
// pixels, what is fixed and what sticks once and where the window is, a
// section as high as the window no higher, no seam.
func TestPictureFull(t *testing.T) {
	if testing.Short() {
		t.Skip("short: pictures of tall pages take seconds")
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		height, err := strconv.Atoi(r.URL.Path[1:])
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, stripes(height))
	}))
	defer srv.Close()
	b := Browser{Allow: []string{strings.TrimPrefix(srv.URL, "http://")}}
	for _, c := range []struct {
		height, tiles int
		scale         float64
	}{{1_000, 0, 1}, {10_000, 2, 1}, {30_000, 4, 1}, {100_000, 13, 1}, {9_000, 2, 1.5}, {1_000, 0, 3}} {
		t.Run(fmt.Sprintf("%d at %v", c.height, c.scale), func(t *testing.T) {
			o := order(fmt.Sprintf("%s/%d", srv.URL, c.height))
			o.Viewport.Scale, o.Limits.PageHeight = c.scale, 120_000
			o.Limits.ArtefactMS, o.Limits.ScrollMS, o.Limits.TotalMS = 90_000, 90_000, 240_000
			got := collect(t, o, b)
			if got.take.State != capture.Complete || got.has(capture.EntryAnomaly, "picture.seam") || !got.has(capture.EntryStep, "animations.paused") {
				t.Errorf("%s: %v", got.take.State, got.take.Reasons)
			}
			inspect(t, got.whole(t), c.height, c.scale)
			tiles := got.tiles(t)
			_, full := got.take.File(capture.FileFull)
			if len(tiles) != c.tiles || full != (c.tiles == 0) {
				t.Errorf("%d tiles, want %d; full.png: %v", len(tiles), c.tiles, full)
			}
			if c.tiles == 0 {
				return
			}
			var b bytes.Buffer
			if _, err := raster.Stitch(&b, tiles, got.facts.Tiles[1].Overlap); err != nil {
				t.Fatal(err)
			}
			rows, err := raster.NewRows(&b)
			if err != nil {
				t.Fatal(err)
			}
			inspect(t, rows, c.height, c.scale)
		})
	}
}

// tiles are the parts of the picture, where the facts say that they lie.
func (got taken) tiles(t *testing.T) []raster.Tile {
	t.Helper()
	var out []raster.Tile
	bottom := 0
	for i, p := range got.facts.Tiles {
		b := got.read(t, p.Path)
		head, err := raster.ReadHeader(bytes.NewReader(b))
		if err != nil || head.Width != p.Width || head.Height != p.Height || p.Y != bottom-p.Overlap || (p.Overlap >= 16) != (i > 0) {
			t.Errorf("tile of %+v below row %d: %+v, %v", head, bottom, p, err)
		}
		bottom = p.Y + p.Height
		out = append(out, raster.Tile{Name: p.Path, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }})
	}
	for _, f := range got.take.Files {
		if f.Kind == capture.FileTile && !slices.ContainsFunc(got.facts.Tiles, func(p capture.Tile) bool { return p.Path == f.Path }) {
			t.Errorf("the facts do not tell where %s lies", f.Path)
		}
	}
	return out
}

// whole is the picture of the whole page: of one piece, or joined from tiles.
func (got taken) whole(t *testing.T) raster.Source {
	t.Helper()
	tiles := got.tiles(t)
	if len(tiles) == 0 {
		rows, err := raster.NewRows(bytes.NewReader(got.read(t, "evidence/full.png")))
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	overlap := 0
	if len(tiles) > 1 {
		overlap = got.facts.Tiles[1].Overlap
	}
	j, err := raster.Join(tiles, overlap)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// inspect holds every stripe of the picture against the page.
func inspect(t *testing.T, rows raster.Source, height int, scale float64) {
	t.Helper()
	head := rows.Header()
	if head.Width != int(1280*scale) || head.Height != int(float64(height)*scale) {
		t.Fatalf("%+v for %d pixels at %v", head, height, scale)
	}
	bad := 0
	for y := range head.Height {
		row, err := rows.Next()
		if err != nil {
			t.Fatal(err)
		}
		at := func(x float64) [3]byte {
			i := int(x*scale) * head.Channels
			return [3]byte{row[i], row[i+1], row[i+2]}
		}
		page := (float64(y) + 0.5) / scale // CSS pixels
		if edge := page - float64(int(page/stripe)*stripe); edge < 1 || edge > stripe-1 {
			continue // blended where a stripe ends between two device pixels
		}
		ground := colourOf(int(page / stripe))
		want := map[float64][3]byte{50: ground, 250: ground, 450: ground, 1000: ground}
		if page < 40 {
			want[50] = [3]byte{1, 2, 3}
		}
		if page < 50 {
			want[250] = [3]byte{4, 5, 6}
		}
		if page < 800 {
			want[450] = [3]byte{7, 8, 9}
		}
		if near(page, 40) || near(page, 50) || near(page, 800) {
			continue
		}
		for x, w := range want {
			if at(x) != w && bad < 5 {
				bad++
				t.Errorf("pixel %v,%v is %v, want %v", x, page, at(x), w)
			}
		}
	}
}

// A page that goes on changing shows different things where tiles meet. That
// is told and the tiles are kept as they are.
func TestSeamsAreTold(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	// Every picture waits for a frame of this page.
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><div id=p style="height:9000px"></div><script>
			let n = 0; const turn = () => { p.style.background = "#" + (n = (n + 7) % 4096).toString(16).padStart(3, "0"); requestAnimationFrame(turn) }; turn()</script>`)
	}))
	defer srv.Close()
	got := collect(t, order(srv.URL+"/"), Browser{Allow: []string{strings.TrimPrefix(srv.URL, "http://")}})
	report, err := raster.Stitch(io.Discard, got.tiles(t), got.facts.Tiles[1].Overlap)
	if err != nil || report.Differing() != 1 || !got.has(capture.EntryAnomaly, "picture.seam") || !got.has(capture.EntryStep, "picture.full") {
		t.Errorf("%+v, %v; %s %v", report, err, got.take.State, got.take.Reasons)
	}
	if _, ok := got.take.File(capture.FileFull); ok {
		t.Error("a picture put together is kept")
	}
}

func near(a, b float64) bool { return a > b-1 && a < b+1 }
