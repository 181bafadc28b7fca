package sheet_test

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
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
