package sheet_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"guzheng/capture"
	"guzheng/report"
	"guzheng/report/sheet"
	"guzheng/report/words"
)

// stepViews are entries with the sentences that they must become; an empty
// one means that the entry is told elsewhere.
func stepViews() []struct {
	code string
	data []any
	want string
} {
	return []struct {
		code string
		data []any
		want string
	}{
		{"browser.started", []any{"product", "Chrome/1", "path", "/c", "at", "2026-11-23T06:30:12.5Z"}, "使用浏览器Chrome/1（/c），其进程启动于2026-11-2314:30:12.500（北京时间）"},
		{"browser.started", []any{"product", "Chrome/1", "path", "/c"}, "启动浏览器Chrome/1（/c），使用全新的用户配置"},
		{"page.opened", []any{"context", "A1"}, "新建独立的浏览环境（browsercontext），在其中打开空白页面，不使用缓存，不经由服务后台程序"},
		{"page.opened", nil, "新建空白页面"},
		{"page.gate", []any{"kind", "denied", "status", 403.0}, "所显示的可能不是所提取的网页：疑似拒绝访问页（HTTP状态403）；提取时未采取措施绕过"},
		{"page.crashed", []any{"type", "page", "url", "http://x/"}, "网页的浏览器进程异常终止：http://x/"},
		{"worker.attached", []any{"type", "service_worker", "url", "http://x/"}, "网页启动服务后台程序（serviceworker）：http://x/"},
		{"auth.asked", []any{"url", "http://x/", "scheme", "basic", "realm", "Shop", "answered", "CancelAuth"}, "服务器要求提供用户名和密码（HTTP认证，方式basic，范围“Shop”），未予提供：http://x/"},
		{"body.truncated", []any{"url", "http://x/", "reason", "disconnect", "bytes", 7.0}, "响应内容未完整保存（连接中断，已存7字节）：http://x/"},
		{"socket.closed", []any{"url", "ws://x/", "messages", 7.0, "left", 0.0, "truncated", ""}, "套接字连接结束，保存消息7条：ws://x/"},
		{"socket.closed", []any{"url", "ws://x/", "messages", 7.0, "left", 2.0, "truncated", "length"}, "套接字连接记录结束（超过上限），保存消息7条，未保存2条：ws://x/"},
		{"browser.message", []any{"level", "error", "source", "network", "text", "404", "url", ""}, "浏览器发出错误信息（网络），原文：404；相关网址：未记录"},
		{"artefact.missing", []any{"artefact", "picture.second", "detail", "x"}, "文件未能取得：再次打开时的截图（x）"},
		{"picture.full", []any{"width", 1280.0, "height", 20000.0, "tiles", 3.0, "overlap", 16.0}, "全页截图分3幅截取完毕，合计1280×20000像素，已逐一核对相邻两幅的重叠部分（16像素）"},
		{"picture.full", []any{"width", 1280.0, "height", 2000.0, "tiles", 1.0}, "截取全页图片，1280×2000像素"},
		{"picture.seam", []any{"row", 7984.0, "rows", 2.0, "pixels", 31.0}, "全页截图像素行7985处，相邻两幅分段截图的重叠部分有2行、31个像素不一致"},
		{"picture.tile", []any{"path", "evidence/full-001.png"}, ""},
		{"thumbnail.saved", nil, ""},
		{"look.compared", []any{"similarity", 0.5, "pixels", 0.0}, "与首次滚动前所见比对：文字相似度50.0%，图片未能比对"},
		{"page.unstable", []any{"similarity", 0.9999, "gone", 1.0, "come", 2.0}, "两次打开所见文字不同：仅首次所见1行，仅再次所见2行，相似度99.9%"},
		{"wire.cut", []any{"at", begun, "bytes", 9.0}, "连接原始数据达到上限（9字节），自2026-11-2314:30:12.345（北京时间）起未再保存"},
	}
}

func TestSentences(t *testing.T) {
	c, err := words.New("zh-CN")
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range stepViews() {
		v := report.View{}
		step(&v, j.code, j.data...)
		have := squeeze(strings.Join(sheet.Steps(v, c), "\n"))
		if have != squeeze(j.want) {
			t.Errorf("%s %v: %q, want %q", j.code, j.data, have, j.want)
		}
	}
}

// TestManyEntries looks that a page cannot fill the sheet with steps, and that
// the sheet says how many there were.
func TestManyEntries(t *testing.T) {
	c, err := words.New("zh-CN")
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range []struct {
		kind, code string
		printed    int
	}{
		{capture.EntryStep, "browser.message", 3},
		{capture.EntryStep, "body.unread", 3},
		{capture.EntryStep, "socket.closed", 3},
		{capture.EntryStep, "stream.open", 3},
		{capture.EntryStep, "worker.attached", 3},
		{capture.EntryStep, "auth.asked", 3},
		{capture.EntryAnomaly, "popup", 10},
		{capture.EntryStep, "page.moved", 25}, // bounded where they are made
	} {
		v := report.View{}
		for i := range 25 {
			step(&v, j.code, "url", fmt.Sprintf("http://x/%d", i))
			v.Journal[i].Kind = j.kind
		}
		steps := sheet.Steps(v, c)
		if len(steps) != j.printed {
			t.Errorf("%s: %d printed, want %d", j.code, len(steps), j.printed)
		}
		counted := slices.ContainsFunc(steps, func(s string) bool { return strings.Contains(s, "同类情况共 25 次") })
		if counted != (j.printed < 25) {
			t.Errorf("%s: how many there are is told: %v", j.code, counted)
		}
	}
}
