package sheet_test

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"guzheng/capture"
	"guzheng/report"
	"guzheng/report/sheet"
	"guzheng/report/words"
)

// striped is a picture with a black row here and there.
func striped(t *testing.T, width, height int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(img, img.Rect, image.White, image.Point{}, draw.Src)
	for y := 0; y < height; y += 97 {
		draw.Draw(img, image.Rect(0, y, width/2, y+1), image.Black, image.Point{}, draw.Src)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// showing is a view whose full picture is the given file.
func showing(full []byte) report.View {
	v := plainView()
	open := v.Open
	v.Open = func(path string) (io.ReadCloser, error) {
		if path == "evidence/full.png" {
			return io.NopCloser(bytes.NewReader(full)), nil
		}
		return open(path)
	}
	return v
}

// tiled adds n tiles to the list of files.
func tiled(v *report.View, n int) {
	for i := range n {
		name := fmt.Sprintf("evidence/full-%03d.png", i+1)
		v.Members = append(v.Members, report.Member{Path: name, Kind: capture.FileTile, MediaType: "image/png", Written: begun, Digest: capture.Digest{Bytes: 5, SHA256: sum(name), SM3: sum("sm3" + name)}})
	}
	v.Members = append(v.Members, report.Member{Path: "evidence/thumbnail.png", Kind: capture.FileThumbnail, MediaType: "image/png", Written: begun, Digest: capture.Digest{Bytes: 5, SHA256: sum("thumb"), SM3: sum("sm3thumb")}})
}

// inTiles is a view whose full picture is in tiles of up to most rows, which
// the caller may change, and which the facts tell.
func inTiles(t *testing.T, full []byte, most, overlap int) (report.View, map[string][]byte) {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(full))
	if err != nil {
		t.Fatal(err)
	}
	v := plainView()
	without(&v, capture.FileFull)
	v.Facts.Tiles, v.Facts.Page.Height = nil, img.Bounds().Dy()
	files := map[string][]byte{}
	part := img.(interface {
		SubImage(image.Rectangle) image.Image
	})
	size := img.Bounds().Size()
	for y := 0; y+overlap < size.Y; y += most - overlap {
		p := capture.Tile{Path: fmt.Sprintf("evidence/full-%03d.png", len(files)+1), Y: y, Width: size.X, Height: min(most, size.Y-y)}
		if y > 0 {
			p.Overlap = overlap
		}
		var b bytes.Buffer
		if err := png.Encode(&b, part.SubImage(image.Rect(0, y, size.X, y+p.Height))); err != nil {
			t.Fatal(err)
		}
		files[p.Path] = b.Bytes()
		v.Facts.Tiles = append(v.Facts.Tiles, p)
	}
	tiled(&v, len(files))
	open := v.Open
	v.Open = func(path string) (io.ReadCloser, error) {
		if b, ok := files[path]; ok {
			return io.NopCloser(bytes.NewReader(b)), nil
		}
		if strings.HasPrefix(path, "evidence/full") {
			return nil, fs.ErrNotExist
		}
		return open(path)
	}
	return v, files
}

func TestPictureInTiles(t *testing.T) {
	v, _ := inTiles(t, striped(t, 1280, 4000), 1000, 16)
	page := write(t, v, "zh-CN")
	have := text(t, page)
	wantText(t, have, "全页像素行 1 至", "，取自 evidence/full-001.png 第 1 至 1000 行（SHA-256 "+sum("evidence/full-001.png")+"）；evidence/full-002.png 第 17 至",
		"全页截图共 1280×4000 像素，截取时分为 5 幅", "显示时依次拼接", "各幅分段截图为原图，存于证据包；拼接图不另存，本页所印为供阅读的派生图",
		"至 4000，取自", "evidence/full-005.png 第 17 至 64 行（SHA-256 "+sum("evidence/full-005.png"), "全页分段截图", "附图二的原图", "拍照录像（分段截屏）")
	for _, never := range []string{"evidence/full.png", "拍照录像（全页截屏）", "拼接而成", "由分段截图拼接生成", "其余部分未取得", "未能读取"} {
		if strings.Contains(have, never) {
			t.Errorf("the sheet says %s", never)
		}
	}
	if !bytes.Equal(page, write(t, v, "zh-CN")) {
		t.Error("a second print has other bytes")
	}
	wantText(t, text(t, write(t, v, "en")), "of the whole page, from evidence/full-001.png, rows 1 to 1000 (SHA-256", "is put together from them for display", "the picture put together is not stored")
	// What the browser made in one piece is printed as before.
	have = text(t, write(t, showing(striped(t, 1280, 4000)), "zh-CN"))
	wantText(t, have, "原图 evidence/full.png，1280×4000 像素", "拍照录像（全页截屏）")
	if strings.Contains(have, "拼接") {
		t.Error("a picture of one piece is called put together")
	}
}

// TestTilesPrintTheWhole wants of tiles the very pixels that a picture of one
// piece gives: all rows of one are found in the other.
func TestTilesPrintTheWhole(t *testing.T) {
	full := striped(t, 640, 3000)
	v, files := inTiles(t, full, 700, 16)
	rowsOf := func(v report.View) (out []string) {
		for _, img := range printedPictures(t, write(t, v, "zh-CN"))[1:] {
			for y := range img.Bounds().Dy() {
				out = append(out, fmt.Sprint(img.At(1, y), img.At(600, y)))
			}
		}
		return out
	}
	v.Lines.Lines = []capture.Line{{Text: "x", W: 1, H: 20}}
	got := rowsOf(v)
	one := showing(full)
	one.Lines = v.Lines
	want := rowsOf(one)
	if len(got) != 3000 || !slices.Equal(got, want) {
		t.Errorf("%d rows are printed from %d tiles, not the same as %d of one piece", len(got), len(files), len(want))
	}
}

// printedPictures are the pictures of a document in the order of its pages,
// the viewport first.
func printedPictures(t *testing.T, document []byte) []image.Image {
	t.Helper()
	dir := t.TempDir()
	run(t, "pdfimages", "-png", save(t, document), filepath.Join(dir, "p"))
	names, err := filepath.Glob(filepath.Join(dir, "*.png"))
	if err != nil {
		t.Fatal(err)
	}
	var out []image.Image
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, img)
	}
	return out
}

// Captures kept a picture that was put together beside the tiles at first.
func TestStitchedPictureIsCalledSo(t *testing.T) {
	v := showing(striped(t, 1280, 4000))
	tiled(&v, 13)
	step(&v, "picture.full", "width", 1280.0, "height", 4000.0, "tiles", 13.0, "overlap", 16.0)
	have := text(t, write(t, v, "zh-CN"))
	wantText(t, have, "像素行 1 至", "本图 evidence/full.png 由 13 幅分段截图（evidence/full-001.png 至 evidence/full-013.png）拼接而成", "1280×4000 像素", "至 4000。",
		"全页分段截图", "附图二的原图", "拍照录像（分段截屏）", "由分段截图拼接生成", "拼接图，见附图二", "首屏缩略图", "由首屏截图缩小生成", "将 13 幅分段截图（重叠 16 像素）拼接为全页截图")
	for _, never := range []string{"原图evidence/full.png", "拍照录像（全页截屏）", "见附图二）"} {
		if strings.Contains(have, never) {
			t.Errorf("the sheet says %s", never)
		}
	}
	wantText(t, text(t, write(t, v, "en")), "evidence/full.png is put together from 13 tiles (evidence/full-001.png to evidence/full-013.png)")
}

func TestTilesOfUnknownPlace(t *testing.T) {
	v := showing(nil)
	without(&v, capture.FileFull)
	tiled(&v, 3)
	wantText(t, text(t, write(t, v, "zh-CN")), "证据包存有全页分段截图 3 幅，各幅在网页中的位置没有完整记载，故未拼接显示")
	without(&v, capture.FileTile)
	wantText(t, text(t, write(t, v, "zh-CN")), "附图二　全页截图未取得该截图")
}

// TestTilesThatEndEarly wants what was pictured printed, and that it is not
// all of the page.
func TestTilesThatEndEarly(t *testing.T) {
	v, _ := inTiles(t, striped(t, 1280, 3000), 1000, 16)
	v.Facts.Page.Height = 9000
	wantText(t, text(t, write(t, v, "zh-CN")), "分段截图合计高 3000 像素，网页应截取 9000 像素，其余部分未取得", "至 3000，取自")
	v.Order.Limits.PageHeight = 3000
	if have := text(t, write(t, v, "zh-CN")); strings.Contains(have, "其余部分未取得") {
		t.Error("what was not ordered is called missing")
	}
}

// TestBrokenTiles wants the tile named that cannot be read, and nothing of
// the page printed as if it were the whole.
func TestBrokenTiles(t *testing.T) {
	full := striped(t, 1280, 4000)
	for name, harm := range map[string]func(v *report.View, files map[string][]byte){
		"cut off": func(_ *report.View, files map[string][]byte) {
			b := files["evidence/full-002.png"]
			files["evidence/full-002.png"] = b[:len(b)/2]
		},
		"CRC": func(_ *report.View, files map[string][]byte) {
			b := files["evidence/full-002.png"]
			b[len(b)-2] ^= 1
		},
		"gone": func(v *report.View, files map[string][]byte) {
			delete(files, "evidence/full-002.png")
			v.Members = slices.DeleteFunc(v.Members, func(m report.Member) bool { return m.Path == "evidence/full-002.png" })
		},
		"another size": func(v *report.View, files map[string][]byte) { v.Facts.Tiles[1].Width-- },
		"another picture": func(_ *report.View, files map[string][]byte) {
			files["evidence/full-002.png"] = striped(t, 1280, 900)
		},
		"second reading": func(v *report.View, files map[string][]byte) {
			open, n := v.Open, 0
			v.Open = func(path string) (io.ReadCloser, error) {
				// Twice for the first pass: for its size and for its rows.
				if n++; path == "evidence/full-002.png" && n > 14 {
					return io.NopCloser(bytes.NewReader(files[path][:200])), nil
				}
				return open(path)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, files := inTiles(t, full, 1000, 16)
			harm(&v, files)
			have := text(t, write(t, v, "zh-CN"))
			wantText(t, have, "证据包内的图片 evidence/full-002.png 未能读取")
			if name != "second reading" && strings.Contains(have, "全页像素行") {
				t.Error("part of a broken picture is printed")
			}
		})
	}
}

// TestWidePicture wants a picture wider than print can show made smaller,
// with the rows of the original in the captions.
func TestWidePicture(t *testing.T) {
	v := showing(striped(t, 3099, 9001))
	have := text(t, write(t, v, "zh-CN"))
	wantText(t, have, "像素行 1 至", "至 9001。原图", "3099×9001 像素", "本图宽 3099 像素，印制时缩小为 3072 像素")
	// Slices follow each other in the rows of the original.
	var from, to, last int
	for _, part := range strings.Split(have, "像素行")[1:] {
		if n, _ := fmt.Sscanf(part, "%d至%d", &from, &to); n == 2 {
			if from > last+1 || from < last-2 || to <= last {
				t.Errorf("rows %d to %d after row %d", from, to, last)
			}
			last = to
		}
	}
	if last != 9001 {
		t.Errorf("the last row is %d", last)
	}
}

func TestBrokenPictures(t *testing.T) {
	full := striped(t, 1280, 4000)
	flipped := slices.Clone(full)
	flipped[len(flipped)-2] ^= 1 // in the CRC of the end, behind all pixels
	var gray bytes.Buffer
	if err := png.Encode(&gray, image.NewGray(image.Rect(0, 0, 30, 30))); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"cut off": full[:len(full)/2], "CRC": flipped, "nothing": nil, "another kind": gray.Bytes()} {
		t.Run(name, func(t *testing.T) {
			v := plainView()
			v.Open = func(string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
			have := text(t, write(t, v, "zh-CN"))
			wantText(t, have, "证据包内的图片 evidence/full.png 未能读取", "证据包内的图片 evidence/viewport.png 未能读取")
			if strings.Contains(have, "像素行") || strings.Contains(have, "×4000像素") {
				t.Error("part of a broken picture is printed")
			}
		})
	}
}

// TestPictureThatChanges wants a sheet even when the second reading gives
// other bytes than the first.
func TestPictureThatChanges(t *testing.T) {
	full := striped(t, 1280, 4000)
	for name, second := range map[string][]byte{"cut off": full[:len(full)/2], "another size": striped(t, 1280, 4400)} {
		t.Run(name, func(t *testing.T) {
			v := plainView()
			open, n := v.Open, 0
			v.Open = func(path string) (io.ReadCloser, error) {
				if path != "evidence/full.png" {
					return open(path)
				}
				if n++; n > 1 {
					return io.NopCloser(bytes.NewReader(second)), nil
				}
				return io.NopCloser(bytes.NewReader(full)), nil
			}
			wantText(t, text(t, write(t, v, "zh-CN")), "证据包内的图片 evidence/full.png 未能读取")
		})
	}
}

// A gauge notes how much memory is in use while something is read or written.
type gauge struct{ peak uint64 }

func (g *gauge) look() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	g.peak = max(g.peak, m.HeapInuse)
}

type gaugedReader struct {
	io.ReadCloser
	g *gauge
}

func (r gaugedReader) Read(p []byte) (int, error) { r.g.look(); return r.ReadCloser.Read(p) }

type gaugedWriter struct {
	n int
	g *gauge
}

func (w *gaugedWriter) Write(p []byte) (int, error) { w.g.look(); w.n += len(p); return len(p), nil }

// TestTallPageInLittleMemory prints a page of 100,000 rows, 512 MB of pixels.
func TestTallPageInLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes several seconds")
	}
	needFonts(t)
	page, _ := shop()
	top()
	const count = 20 // tiles of 5,200 rows, less 3,800 in all
	g := &gauge{}
	v := exampleView()
	without(&v, capture.FileFull)
	tiled(&v, count)
	for i := range count {
		p := capture.Tile{Path: fmt.Sprintf("evidence/full-%03d.png", i+1), Y: i * 5000, Width: 1280, Height: 5200}
		if i > 0 {
			p.Overlap = 200
		}
		v.Facts.Tiles = append(v.Facts.Tiles, p)
	}
	height := v.Facts.Tiles[count-1].Y + 5200
	open := v.Open
	v.Open = func(path string) (io.ReadCloser, error) {
		if !strings.HasPrefix(path, "evidence/full-") {
			return open(path)
		}
		return gaugedReader{io.NopCloser(bytes.NewReader(page)), g}, nil
	}
	c, err := words.New("zh-CN")
	if err != nil {
		t.Fatal(err)
	}
	out := &gaugedWriter{g: g}
	runtime.GC()
	if err := sheet.Write(out, v, c); err != nil {
		t.Fatal(err)
	}
	const most = 128 << 20
	t.Logf("%v rows, %d bytes of PDF, %d MB in use at most", height, out.n, g.peak>>20)
	if height < 100_000 || g.peak > most {
		t.Errorf("%d MB in use for %d rows, more than %d", g.peak>>20, height, most>>20)
	}
}
