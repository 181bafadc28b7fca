package sheet_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"guzheng/capture"
	"guzheng/report"
)

// withFrames adds pictures of frames to a view; the facts do not tell of the
// last one.
func withFrames(v *report.View, files map[string][]byte) {
	for i := range len(files) {
		name := fmt.Sprintf("evidence/frame-%03d.png", i+1)
		v.Members = append(v.Members, report.Member{Path: name, Kind: capture.FileFrame, MediaType: "image/png", Written: begun, Digest: capture.Digest{Bytes: 5, SHA256: sum(name), SM3: sum("sm3" + name)}})
		if i < len(files)-1 {
			v.Facts.Frames = append(v.Facts.Frames, capture.FramePicture{Path: name, Frame: i + 1, URL: "http://pay.example/" + strings.Repeat("x", i*400),
				X: 100, Y: 1500 + i, Width: 600, Height: 300, Pixels: capture.Size{Width: 600, Height: 300}})
		}
	}
	open := v.Open
	v.Open = func(path string) (io.ReadCloser, error) {
		if b, ok := files[path]; ok {
			return io.NopCloser(bytes.NewReader(b)), nil
		}
		return open(path)
	}
}

// Pictures of frames are listed with their digests and printed after the
// whole page, each with its place; one that cannot be read is named.
func TestFramePictures(t *testing.T) {
	v := plainView()
	withFrames(&v, map[string][]byte{"evidence/frame-001.png": striped(t, 600, 300), "evidence/frame-002.png": striped(t, 600, 5000),
		"evidence/frame-003.png": []byte("no picture"), "evidence/frame-004.png": striped(t, 40, 40)})
	step(&v, "picture.frames", "frames", 3.0, "pictures", 4.0)
	zh := text(t, write(t, v, "zh-CN"))
	wantText(t, zh, "附图三　其他网站框架的截图", "框架 1：http://pay.example/。位于网页左起 100 像素、上起 1500 像素处，宽 600 像素，高 300 像素",
		"原图 evidence/frame-001.png，600×300 像素", sum("evidence/frame-001.png"), sum("sm3evidence/frame-004.png"), "600×5000 像素", "…。位于网页左起 100 像素、上起 1501",
		"证据包内的图片 evidence/frame-003.png 未能读取", "原图 evidence/frame-004.png，40×40 像素，其所属框架和在网页中的位置没有记载", "见附图三", "拍照录像（框架截屏）",
		"网页中有 3 个其他网站的框架位于首屏之外", "其他网站的框架在本图中未绘出（空白），另行截取，见附图三")
	if strings.Index(zh, "附图三") < strings.LastIndex(zh, "附图二　全页截图") {
		t.Error("frames are printed before the whole page")
	}
	wantText(t, text(t, write(t, v, "en")), "Figure 3 Frames of other sites", "Frame 1: http://pay.example/. It lies 100 pixels from the left and 1500 pixels from the top")
	plain := plainView()
	if have := text(t, write(t, plain, "zh-CN")); strings.Contains(have, "附图三") {
		t.Error("a sheet without frames has a figure for them")
	}
}
