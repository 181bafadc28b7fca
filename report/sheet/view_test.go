package sheet_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"guzheng/capture"
	"guzheng/preserve/seal"
	"guzheng/preserve/tlog"
	"guzheng/preserve/verify"
	"guzheng/report"
	"guzheng/storage"

	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

var begun = time.Date(2026, 11, 23, 6, 30, 12, 345e6, time.UTC)

const shopURL = "https://shop.example.cn/goods/detail.html?id=20260001&from=%E9%A6%96%E9%A1%B5"

func sum(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }

// shop paints a long page of a shop once and returns its PNG bytes and the
// boxes of its text.
var shop = sync.OnceValues(func() ([]byte, []capture.Line) {
	raw, err := os.ReadFile("../pdf/fonts/NotoSansSC-Regular.ttf")
	if err != nil {
		panic("run make assets: " + err.Error())
	}
	f, err := opentype.Parse(raw)
	if err != nil {
		panic(err)
	}
	faces := map[int]font.Face{}
	for _, size := range []int{14, 16, 30} {
		faces[size], err = opentype.NewFace(f, &opentype.FaceOptions{Size: float64(size), DPI: 72})
		if err != nil {
			panic(err)
		}
	}
	const width, height = 1280, 5200
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	fill := func(x, y, w, h int, c color.Color) {
		draw.Draw(img, image.Rect(x, y, x+w, y+h), image.NewUniform(c), image.Point{}, draw.Src)
	}
	var lines []capture.Line
	text := func(x, y, size int, c color.Color, s string) {
		d := font.Drawer{Dst: img, Src: image.NewUniform(c), Face: faces[size], Dot: fixed.P(x, y+size)}
		w := d.MeasureString(s).Ceil()
		d.DrawString(s)
		lines = append(lines, capture.Line{X: float64(x), Y: float64(y) - 1, W: float64(w), H: float64(size)*1.3 + 1, Text: s})
	}
	fill(0, 0, width, height, color.White)
	fill(0, 0, width, 70, color.RGBA{0xb5, 0x2b, 0x27, 0xff})
	text(60, 20, 30, color.White, "卦山土特产旗舰店")
	red, dark := color.RGBA{0xc0, 0x20, 0x20, 0xff}, color.RGBA{0x33, 0x33, 0x33, 0xff}
	n := 0
	for y := 110; y < height-260; y += 380 {
		for x := 60; x < width-260; x += 300 {
			n++
			fill(x, y, 270, 230, color.RGBA{uint8(120 + n*7%120), uint8(150 + n*13%90), uint8(90 + n*29%150), 0xff})
			text(x, y+240, 16, dark, fmt.Sprintf("山西老陈醋 %d 年陈酿 500ml 装 第%d号", n%9+1, n))
			text(x, y+270, 30, red, fmt.Sprintf("¥%d.80", 10+n))
			text(x, y+312, 14, dark, "原价 ¥99.00　库存 128 件　包邮")
			text(x, y+333, 14, dark, "支持七日无理由退货，本店拥有最终解释权")
		}
	}
	for i, s := range []string{"交城县㐂来商贸有限公司　统一社会信用代码 91141122MA0XXXXX0X", "晋ICP备2026000000号-1　客服电话 0358-0000000", "营业执照　食品经营许可证　交易规则"} {
		text(60, height-150+i*24, 14, dark, s)
	}
	var buf bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&buf, img); err != nil {
		panic(err)
	}
	return buf.Bytes(), lines
})

// top is the first 800 rows of the shop's page.
var top = sync.OnceValue(func() []byte {
	full, _ := shop()
	img, err := png.Decode(bytes.NewReader(full))
	if err != nil {
		panic(err)
	}
	var buf bytes.Buffer
	sub := img.(interface {
		SubImage(image.Rectangle) image.Image
	}).SubImage(image.Rect(0, 0, 1280, 800))
	if err := png.Encode(&buf, sub); err != nil {
		panic(err)
	}
	return buf.Bytes()
})

// exampleView is a realistic view with the hard set of characters in it.
func exampleView() report.View {
	full, lines := shop()
	v := report.View{
		Order: capture.Order{
			Format: capture.OrderFormat, ID: "GZ-20261123-7KQ4M2XD", Kind: capture.KindWeb, URL: "https://shop.example.cn/goods/detail.html?id=20260001",
			Created: begun, Case: "交市监网监〔2026〕第000123号任务", Cause: "涉嫌未公示营业执照信息", Purpose: "证明当事人在其网店首页未公示营业执照信息，并使用“最终解释权”条款",
			Officers: []capture.Officer{{Name: "䶮昊", Licence: "14112200101"}, {Name: "李𬭎", Licence: "14112200102"}},
			Party:    "交城县㐂来商贸有限公司（经营者：𠮷田）", Place: "交城县市场监督管理局网监室（交城县天宁街）", Witness: "王见证",
			AllowPrivate: true, Viewport: capture.Viewport{Width: 1280, Height: 800, Scale: 1}, Limits: capture.DefaultLimits(),
		},
		Take:    capture.Take{Format: capture.TakeFormat, State: capture.Partial, Started: begun, Finished: begun.Add(41 * time.Second), Reasons: []capture.Reason{{Code: "images.unloaded", Detail: "2 of 58"}, {Code: "deadline.settle", Detail: "after 10s, 1 request in flight"}}},
		Facts:   exampleFacts(),
		Journal: exampleJournal(),
		Lines:   capture.Lines{Format: capture.TextFormat, Page: capture.Size{Width: 1280, Height: 5200}, Lines: lines},
		Package: capture.Digest{Bytes: 9876543, SHA256: sum("package"), SM3: sum("package sm3")},
		Raw:     report.RawView{Root: sum("root"), Stamps: []report.StampView{{TSA: "practice", Practice: true, Time: begun.Add(43 * time.Second), Serial: "5f2c00aa91d3", Policy: "1.3.6.1.4.1.99999.1"}}},
		Stamps: []report.StampView{
			{TSA: "practice", Practice: true, Time: begun.Add(45 * time.Second), Serial: "5f2c00aa91d4", Policy: "1.3.6.1.4.1.99999.1"},
			{TSA: "https://tsa.example.cn/rfc3161", Error: "time-stamping at tsa.example.cn: status 503"},
		},
		Object: storage.Object{Key: "packages/2026/11/GZ-20261123-7KQ4M2XD.wacz", Bytes: 9876543, SHA256: sum("package"), Stored: begun.Add(47 * time.Second), Until: begun.AddDate(3, 0, 0), Lock: storage.LockHash},
		Seal:   exampleSeal(),
	}
	v.Entry = storage.Entry{ID: v.Order.ID, Kept: begun.Add(48 * time.Second), Package: v.Object.Key}
	v.Take.Order = v.Order.ID
	v.Verdict = exampleVerdict()
	v.Members = exampleMembers()
	v.Open = func(path string) (io.ReadCloser, error) {
		switch path {
		case "evidence/full.png":
			return io.NopCloser(bytes.NewReader(full)), nil
		case "evidence/viewport.png":
			return io.NopCloser(bytes.NewReader(top())), nil
		}
		return nil, fmt.Errorf("no %s", path)
	}
	return v
}

func exampleFacts() capture.Facts {
	return capture.Facts{
		Format: capture.FactsFormat, RequestedURL: "https://shop.example.cn/goods/detail.html?id=20260001", FinalURL: shopURL,
		ShownURL:  "https://shop.example.cn/goods/detail/20260001/official",
		Redirects: []capture.Hop{{URL: "https://shop.example.cn/goods/detail.html?id=20260001", Status: 302, To: "https://shop.example.cn/enter"}, {URL: "https://shop.example.cn/enter", To: shopURL, Client: true}},
		Status:    200, StatusText: "OK", Protocol: "h2", RemoteIP: "203.0.113.25", RemotePort: 443, ContentType: "text/html; charset=utf-8",
		Title:   "卦山土特产旗舰店😀 山西老陈醋\u202e\u200b 𠮷祥如意",
		Charset: capture.Charset{Header: "utf-8", Meta: "gbk", Used: "UTF-8"},
		TLS: []capture.TLSHost{{Host: "shop.example.cn", Protocol: "TLS 1.3", Cipher: "AES_128_GCM", Chain: []capture.Certificate{{File: "evidence/tls/shop.example.cn-0.der", Subject: "CN=shop.example.cn", Issuer: "CN=Example CA,O=Example,C=CN", Serial: "04a1b2c3d4e5f6",
			NotBefore: begun.AddDate(0, -2, 0), NotAfter: begun.AddDate(0, 1, 0), SHA256: sum("cert")}}}},
		DNS:      []capture.DNSAnswer{{Host: "shop.example.cn", Addresses: []string{"203.0.113.25", "203.0.113.26"}, Dialled: "203.0.113.25:443", At: begun.Add(time.Second), Source: "dns", Server: "192.0.2.53:53", Records: make([]string, 4)}, {Host: "img.example.cn", Addresses: []string{"203.0.113.40"}}},
		Viewport: capture.Viewport{Width: 1280, Height: 800, Scale: 1}, Page: capture.Size{Width: 1280, Height: 5200},
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36", Languages: "zh-CN,zh",
		Browser: capture.Browser{Product: "HeadlessChrome/156.0.7788.32", Path: "/usr/lib/chromium/headless_shell", SHA256: sum("browser"), Sandbox: true, User: "guzheng-chrome",
			Executable: "/usr/lib/chromium/chromium-headless-shell", TimeZone: "Asia/Urumqi", Started: begun.Add(-20 * time.Minute), Context: "5E1B", Opened: begun.Add(2 * time.Second)},
		Fonts: &capture.Fonts{Used: []capture.Font{{Family: "Noto Sans CJK SC"}, {Family: "Noto Serif CJK SC"}, {Family: "DejaVu Sans"}},
			Missing: []capture.Glyph{{Code: "U+20BB7", Count: 2}, {Code: "U+1F600", Count: 1}}},
		Second:    &capture.SecondLook{At: begun.Add(35 * time.Second), Status: 200, Similarity: 0.9871, Gone: make([]string, 2), Come: make([]string, 3), Pixels: 4211},
		Tool:      capture.Tool{Name: "guzheng", Version: "0.1.0", SHA256: sum("tool"), Go: "go1.26.8"},
		Machine:   capture.Machine{Hostname: "wangjian-01", OS: "Debian GNU/Linux 12", Kernel: "6.1.0-32-amd64", Arch: "amd64", TimeZone: "Asia/Shanghai", Account: "wangjian (uid 1000)", Addresses: []string{"192.0.2.10"}, Resolvers: []string{"192.0.2.53"}},
		Proxy:     capture.ProxyUse{Guard: "127.0.0.1:41233"},
		HostsFile: capture.Hosts{Path: "/etc/hosts", SHA256: sum("hosts")},
		Clock:     capture.Clock{Servers: []capture.ClockReading{{Server: "ntp.ntsc.ac.cn", Error: "timeout"}, {Server: "ntp.aliyun.com", Error: "timeout"}}},
		Counts:    capture.Counts{Requests: 96, Responses: 94, Failed: 2, Refused: 1, Unanswered: 1, BodyBytes: 7654321, Images: 58, ImagesUnloaded: 2, ScrollSteps: 7},
	}
}

func exampleJournal() []capture.Entry {
	var out []capture.Entry
	at := begun
	add := func(kind, code string, kv ...any) {
		d := map[string]any{}
		for i := 0; i < len(kv); i += 2 {
			d[kv[i].(string)] = kv[i+1]
		}
		at = at.Add(873 * time.Millisecond)
		out = append(out, capture.Entry{Seq: len(out), Time: at, Kind: kind, Code: code, Data: d})
	}
	step, odd := capture.EntryStep, capture.EntryAnomaly
	add(step, "order.accepted")
	add(capture.EntryFile, "file.closed", "path", "evidence/order.json")
	add(step, "environment.inspected")
	add(odd, "clock.unanswered")
	add(step, "proxy.started", "address", "127.0.0.1:41233")
	add(step, "browser.started", "product", "HeadlessChrome/156.0.7788.32", "path", "/usr/lib/chromium/headless_shell", "sandbox", true, "user", "guzheng-chrome", "at", "2026-11-23T06:10:12.345Z")
	add(step, "page.opened", "context", "5E1B", "cache", "off", "service_workers", "bypassed")
	add(step, "page.navigate", "url", "https://shop.example.cn/goods/detail.html?id=20260001")
	add(step, "page.redirect", "from", "https://shop.example.cn/goods/detail.html?id=20260001", "to", "https://shop.example.cn/enter", "status", 302.0)
	add(step, "page.redirect", "from", "https://shop.example.cn/enter", "to", shopURL, "status", 0.0)
	add(step, "page.response", "url", shopURL, "status", 200.0)
	add(odd, "charset.mismatch", "declared", "gbk", "used", "UTF-8")
	add(odd, "dialog", "type", "alert", "text", "活动最终解释权归本店所有！\n本活动一经参与，概不退换。")
	add(step, "page.loaded")
	add(step, "page.settled", "inflight", 1.0)
	add(odd, "deadline.settle")
	add(step, "scroll.started", "height", 5200.0)
	for i := range 7 {
		add(capture.EntryProgress, "scroll.step", "n", float64(i+1), "y", float64(i*800))
	}
	add(step, "scroll.finished", "steps", 7.0, "height", 5200.0, "images", 58.0, "unloaded", 2.0)
	add(odd, "images.unloaded", "count", 2.0)
	add(capture.EntryRefused, "request.refused", "host", "update.example.com:443", "reason", "browser's own traffic")
	add(odd, "request.failed", "url", "https://img.example.cn/lazy/58.jpg", "reason", "net::ERR_TIMED_OUT")
	add(odd, "popup", "url", "https://ad.example.com/win")
	add(odd, "target.unrecorded", "type", "webtransport", "url", "https://chat.example.cn/im")
	for i := range 5 {
		add(step, "browser.message", "level", "error", "source", "network", "text", "Failed to load resource: the server responded with a status of 404 ()", "url", fmt.Sprintf("https://img.example.cn/icon/%d.png", i))
	}
	add(step, "worker.attached", "type", "worker", "url", "https://shop.example.cn/price.js")
	add(odd, "glyphs.missing", "count", 3.0, "codes", "U+20BB7 U+1F600")
	add(odd, "page.changed", "from", "viewport", "to", "full")
	add(odd, "request.failed", "url", "https://img.example.cn/lazy/59.jpg", "reason", "no answer before the capture ended")
	add(step, "picture.viewport", "width", 1280.0, "height", 800.0)
	add(step, "picture.full", "width", 1280.0, "height", 5200.0)
	for _, p := range []string{"evidence/viewport.png", "evidence/full.png"} {
		add(capture.EntryFile, "file.closed", "path", p)
	}
	add(step, "dom.saved")
	add(step, "mhtml.saved")
	add(step, "text.saved")
	add(step, "pdf.saved")
	add(step, "tls.saved", "hosts", 2.0)
	for _, p := range []string{"evidence/dom.html", "evidence/page.mhtml", "evidence/text.txt", "evidence/lines.json", "evidence/page.pdf", "evidence/tls/shop.example.cn-0.der", "evidence/tls/shop.example.cn-1.der", "archive/data.warc.gz"} {
		add(capture.EntryFile, "file.closed", "path", p)
	}
	add(step, "look.second", "page_id", "6f9d1c52-58a6-4b06-9d0e-0c2b7f6a1e33")
	add(step, "look.compared", "similarity", 0.9871, "pixels", 4211.0)
	add(odd, "page.unstable", "similarity", 0.9871, "gone", 2.0, "come", 3.0)
	add(step, "socket.closed", "url", "wss://chat.example.cn/im", "messages", 48.0, "left", 0.0, "truncated", "time")
	add(step, "wire.secrets", "lines", 36.0)
	add(step, "traffic.closed", "requests", 96.0, "responses", 94.0, "failed", 2.0, "refused", 1.0)
	add(step, "browser.own-traffic", "refused", 3.0, "hosts", "update.example.com, safe.example.com")
	add(step, "browser.closed")
	add(step, "take.closed", "state", "partial")
	return out
}

func exampleSeal() seal.Seal {
	return seal.Seal{
		Format: seal.Format, ID: "GZ-20261123-7KQ4M2XD",
		Signature: seal.Signature{Algorithm: "ecdsa-p384-sha256", KeyID: sum("key")},
		Log: tlog.Entry{Origin: "guzheng.local/log", Verifier: "guzheng.local/log+7a1b2c3d+AbcDEFghiJKLmnoPQRstuVWXyz0123456789+/abcdE=", Index: 41,
			Checkpoint: "guzheng.local/log\n42\nqL0/Q8bZb0u0QnV6iTn1hN7QJcZ2mQv9b1x0pFqv3xk=\n\n\u2014 guzheng.local/log ehssPU2Zy9yq2nVtHHx1B0mT3l0h0Wq0b9m8k1w2e3r4t5y6u7i8o9p0a1s2d3f4g5h6j7k8l9zA==\n"},
	}
}

func exampleVerdict() verify.Verdict {
	var v verify.Verdict
	add := func(name string, o verify.Outcome, subject, code string) {
		v.Checks = append(v.Checks, verify.Check{Name: name, Outcome: o, Subject: subject, Code: code})
	}
	add("zip", verify.Passed, "", "")
	add("datapackage", verify.Passed, "", "")
	for i := range 20 {
		add("files.sha256", verify.Passed, fmt.Sprintf("file-%d", i), "")
		add("files.sm3", verify.Passed, fmt.Sprintf("file-%d", i), "")
	}
	for _, n := range []string{"take", "raw.root", "raw.stamp.imprint", "raw.stamp.signature", "warc", "index", "pages", "package.signature", "seal.present", "seal.digest", "seal.signature"} {
		add(n, verify.Passed, "", "")
	}
	add("seal.signer", verify.Unknown, sum("key"), "signer.unpinned")
	for _, n := range []string{"stamp.imprint", "stamp.nonce", "stamp.policy", "stamp.signature"} {
		add(n, verify.Passed, "practice", "")
	}
	add("stamp.identity", verify.Unknown, "practice", "stamp.practice")
	add("stamp.signature", verify.Unknown, "https://tsa.example.cn/rfc3161", "stamp.pending")
	add("log.leaf", verify.Passed, "", "")
	add("log.inclusion", verify.Passed, "", "")
	add("log.checkpoint", verify.Passed, "", "")
	add("log.key", verify.Unknown, "", "log.unpinned")
	return v
}

func exampleMembers() []report.Member {
	var out []report.Member
	add := func(path, kind, media string, n int64) {
		out = append(out, report.Member{Path: path, Kind: kind, MediaType: media, Written: begun.Add(time.Duration(20+len(out)) * time.Second), Digest: capture.Digest{Bytes: n, SHA256: sum(path), SM3: sum(path + " sm3")}})
	}
	add("archive/data.warc.gz", capture.FileWARC, "application/warc", 7891234)
	add("datapackage.json", "", "application/json", 9123)
	add("datapackage-digest.json", "", "application/json", 812)
	add("evidence/dom.html", capture.FileDOM, "text/html; charset=utf-8", 188231)
	add("evidence/facts.json", capture.FileFacts, "application/json", 12093)
	add("evidence/full.png", capture.FileFull, "image/png", 1403222)
	add("evidence/journal.jsonl", capture.FileJournal, "application/jsonl", 20321)
	add("evidence/lines.json", capture.FileLines, "application/json", 44021)
	add("evidence/order.json", capture.FileOrder, "application/json", 1322)
	add("evidence/page.mhtml", capture.FileMHTML, "multipart/related", 6012345)
	add("evidence/page.pdf", capture.FilePDF, "application/pdf", 823113)
	add("proofs/raw.json", "", "application/json", 4011)
	add("evidence/text.txt", capture.FileText, "text/plain; charset=utf-8", 20118)
	for i := range 8 {
		add(fmt.Sprintf("evidence/tls/shop.example.cn-%d.der", i), capture.FileCertificate, "application/pkix-cert", int64(1500+i))
	}
	add("evidence/viewport.png", capture.FileViewport, "image/png", 312000)
	add("evidence/thumbnail.png", capture.FileThumbnail, "image/png", 41200)
	add("evidence/second.png", capture.FileSecond, "image/png", 312400)
	add("evidence/second.txt", capture.FileSecondText, "text/plain; charset=utf-8", 20202)
	add("evidence/accessibility.json", capture.FileAccessible, "application/json", 88231)
	add("evidence/wire.pcapng", capture.FileWire, "application/x-pcapng", 8812345)
	add("indexes/index.cdx", "", "text/x-cdxj", 30112)
	add("pages/pages.jsonl", "", "application/jsonl", 512)
	add("evidence/take.json", "", "application/json", 6021)
	add("proofs/raw-stamps.json", "", "application/json", 5120)
	return out
}

func needFonts(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("../pdf/fonts/NotoSansSC-Regular.ttf"); err != nil {
		t.Fatal("fonts missing: run make assets")
	}
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), "") }
