package sheet_test

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"guzheng/capture"
	"guzheng/report"
	"guzheng/report/sheet"
	"guzheng/report/words"
)

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

func TestTilesOfUnknownPlace(t *testing.T) {
	v := showing(nil)
	without(&v, capture.FileFull)
	tiled(&v, 3)
	wantText(t, text(t, write(t, v, "zh-CN")), "证据包存有全页分段截图 3 幅，各幅在网页中的位置没有完整记载，故未拼接显示")
	without(&v, capture.FileTile)
	wantText(t, text(t, write(t, v, "zh-CN")), "附图二　全页截图未取得该截图")
}

// TestCaptionsFindRoom wants room for the caption of a part that is from many
// tiles, as those of wide pages are.
func TestCaptionsFindRoom(t *testing.T) {
	needFonts(t)
	v, files := inTiles(t, striped(t, 4000, 9001), 700, 16)
	v.Lines.Lines = nil // a caption says so
	for _, lang := range []string{"zh-CN", "en"} {
		c, err := words.New(lang)
		if err != nil {
			t.Fatal(err)
		}
		room, takes, err := sheet.Captions(v, c)
		if err != nil || len(takes) < 2 {
			t.Fatalf("%d captions: %v", len(takes), err)
		}
		most := slices.Max(takes)
		t.Logf("%s: %.1f mm are kept, %.1f mm taken at most, %d tiles", lang, room, most, len(files))
		if most > room || most < 25 {
			t.Errorf("%s: captions take %v mm, room for %.1f", lang, takes, room)
		}
	}
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
