package sheet_test

import (
	"bytes"
	"image"
	"image/draw"
	"image/png"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"guzheng/capture"
	"guzheng/preserve/verify"
	"guzheng/report"
	"guzheng/report/sheet"
	"guzheng/report/words"
)

// dot is a small picture.
var dot = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	img := image.NewRGBA(image.Rect(0, 0, 32, 32))
	draw.Draw(img, img.Rect, image.Black, image.Point{}, draw.Src)
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return b.Bytes()
})

// plainView is a complete take of a page with nothing to remark.
func plainView() report.View {
	v := exampleView()
	v.Open = func(string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(dot())), nil }
	v.Take.State, v.Take.Reasons, v.Order.AllowPrivate = capture.Complete, nil, false
	f := &v.Facts
	f.RemoteIP, f.ShownURL, f.Redirects, f.Fonts, f.Second = "8.8.8.8", "", nil, nil, nil
	without(&v, capture.FileSecond, capture.FileSecondText, capture.FileAccessible, capture.FileWire)
	f.Counts = capture.Counts{Requests: 9, Responses: 9, Images: 3}
	v.Journal = []capture.Entry{
		{Kind: capture.EntryStep, Code: "page.navigate", Data: map[string]any{"url": shopURL}},
		{Kind: capture.EntryStep, Code: "page.settled", Data: map[string]any{"inflight": 0.0}},
		{Kind: capture.EntryStep, Code: "traffic.closed"},
	}
	return v
}

func anomaly(v *report.View, code string, kv ...any) {
	d := map[string]any{}
	for i := 0; i < len(kv); i += 2 {
		d[kv[i].(string)] = kv[i+1]
	}
	v.Journal = append(v.Journal, capture.Entry{Time: begun, Kind: capture.EntryAnomaly, Code: code, Data: d})
}

// without leaves files of the given kinds out, as a take that failed does.
func without(v *report.View, kinds ...string) {
	var rest []report.Member
	for _, m := range v.Members {
		keep := true
		for _, k := range kinds {
			keep = keep && m.Kind != k
		}
		if keep {
			rest = append(rest, m)
		}
	}
	v.Members = rest
}

// A judged view says what must and must not stand on its sheet.
type judgedView struct {
	change      func(*report.View)
	want, never []string
}

func conditionViews() map[string]judgedView {
	clear := "未见异常"
	return map[string]judgedView{
		"nothing": {func(*report.View) {}, []string{
			"页面状态：HTTP状态200OK；未见异常", "完整指应提取的内容已记录到底，不表示网页本身正常", "未经其他页面", "全部连接经由本机记录代理",
			"电子数据存储于远程服务器", "浏览器以无界面方式运行", "没有仍在等待的请求", "涉案证据按案卷保管期限保管", "日志由本机自行管理，没有第三方见证",
		}, []string{"注意：网页", "时限已到"}},
		"status": {func(v *report.View) { v.Facts.Status, v.Facts.StatusText = 404, http.StatusText(404) },
			[]string{"HTTP状态404NotFound：服务器返回错误状态"}, []string{clear}},
		"no answer":      {func(v *report.View) { v.Facts.Status = 0 }, []string{"没有记录到HTTP应答"}, []string{clear}},
		"no facts":       {func(v *report.View) { v.Facts = capture.Facts{} }, []string{"来源与环境记录未取得"}, []string{clear}},
		"failed":         {func(v *report.View) { v.Facts.Counts.Failed = 7 }, []string{"请求失败7个（其中未得到应答0个）"}, []string{clear}},
		"unanswered":     {func(v *report.View) { v.Facts.Counts.Unanswered = 2 }, []string{"其中未得到应答2个"}, []string{clear}},
		"refused":        {func(v *report.View) { v.Facts.Counts.Refused = 4 }, []string{"拒绝连接4个"}, []string{clear}},
		"truncated":      {func(v *report.View) { v.Facts.Counts.Truncated = 5 }, []string{"应答内容不完整5个"}, []string{clear}},
		"unloaded":       {func(v *report.View) { v.Facts.Counts.ImagesUnloaded = 6 }, []string{"图片未加载6张"}, []string{clear}},
		"only told":      {func(v *report.View) { anomaly(v, "images.unloaded", "count", 8.0) }, []string{"图片未加载8张"}, []string{clear}},
		"blank":          {func(v *report.View) { anomaly(v, "page.blank"); anomaly(v, "picture.blank") }, []string{"网页没有可见内容；截图为单一颜色"}, []string{clear}},
		"other":          {func(v *report.View) { anomaly(v, "popup", "url", "http://x/") }, []string{"其他情况见"}, []string{clear}},
		"partial":        {func(v *report.View) { v.Take.State = capture.Partial }, []string{"其他情况见"}, []string{clear, "完整指"}},
		"of the machine": {func(v *report.View) { anomaly(v, "officer.same"); anomaly(v, "clock.disagree", "spread_ms", 900.5) }, []string{clear}, nil},
		"stuck":          {func(v *report.View) { anomaly(v, "browser.stuck", "detail", "x") }, []string{clear}, nil},
	}
}

// doubtViews are about whether the page asked for is what is shown, and shown
// in whole.
func doubtViews() map[string]judgedView {
	clear, other := "未见异常", "其他情况见"
	return map[string]judgedView{
		"captcha": {func(v *report.View) { anomaly(v, "page.gate", "kind", "captcha", "status", 200.0) },
			[]string{"显示的可能不是所提取的网页：疑似人机验证"}, []string{clear, other}},
		"login":   {func(v *report.View) { anomaly(v, "page.gate", "kind", "login") }, []string{"网页：疑似登录页"}, []string{clear, other}},
		"denied":  {func(v *report.View) { anomaly(v, "page.gate", "kind", "denied") }, []string{"网页：疑似拒绝访问页"}, []string{clear, other}},
		"unheard": {func(v *report.View) { anomaly(v, "page.gate", "kind", "queue") }, []string{"网页：queue"}, []string{clear, other}},
		"certificate": {func(v *report.View) {
			anomaly(v, "certificate.invalid", "host", "a.cn", "detail", "net::ERR_CERT_DATE_INVALID")
			anomaly(v, "certificate.accepted", "host", "a.cn")
		}, []string{"经指令接受了未通过验证的服务器证书"}, []string{clear, other}},
		"not accepted": {func(v *report.View) { anomaly(v, "certificate.invalid", "host", "a.cn") }, []string{other}, []string{clear, "经指令接受"}},
		"unstable": {func(v *report.View) { anomaly(v, "page.unstable", "similarity", 0.9996, "gone", 1.0, "come", 1.0) },
			[]string{"再次打开时网页文字不同（相似度99.9%）"}, []string{clear, other}},
		"glyphs": {func(v *report.View) { anomaly(v, "glyphs.missing", "count", 3.0, "codes", "U+20BB7") }, []string{"缺少字形的字符3个"}, []string{clear, other}},
		"glyphs by facts": {func(v *report.View) {
			v.Facts.Fonts = &capture.Fonts{Missing: []capture.Glyph{{Code: "U+20BB7", Count: 2}, {Code: "U+E001", Count: 9, Web: true}}}
		}, []string{"缺少字形的字符2个"}, []string{clear, other}},
		"seam": {func(v *report.View) {
			anomaly(v, "picture.seam", "row", 7984.0)
			anomaly(v, "picture.seam", "row", 15968.0)
		}, []string{"拼接处前后不一致2处"}, []string{clear, other}},
		"restless": {func(v *report.View) { anomaly(v, "page.restless", "moves", 6.0) }, []string{"网页反复自行跳转"}, []string{clear, other}},
		"crashed":  {func(v *report.View) { anomaly(v, "page.crashed", "type", "iframe", "url", "http://x/") }, []string{"网页进程异常终止1次"}, []string{clear, other}},
		"textless": {func(v *report.View) { anomaly(v, "text.absent") }, []string{"没有可提取的文字"}, []string{clear, other}},
		"doubt first": {func(v *report.View) {
			v.Facts.Counts.Failed = 1
			anomaly(v, "page.gate", "kind", "login")
		}, []string{"HTTP状态200OK；显示的可能不是所提取的网页：疑似登录页；请求失败1个"}, []string{clear}},
	}
}

// wayViews are about how the page was reached and watched.
func wayViews() map[string]judgedView {
	direct := "未经其他页面"
	return map[string]judgedView{
		"hops": {func(v *report.View) {
			v.Facts.Redirects = []capture.Hop{{URL: "http://a/", Status: 301, To: "http://b/"}, {URL: "http://b/", To: "http://c/", Client: true}}
			anomaly(v, "page.redirect", "from", "http://b/", "to", "http://c/", "status", 0.0)
		}, []string{"服务器重定向1次、网页自行跳转1次", "http://b/网页自行跳转至http://c/", "网页自行跳转：由http://b/转至http://c/"}, []string{direct, "状态0", "（0）"}},
		"moved":   {func(v *report.View) { anomaly(v, "page.moved", "to", "http://c/") }, []string{"其后网页自行跳转"}, []string{direct}},
		"shown":   {func(v *report.View) { v.Facts.ShownURL = "https://other.example/bank" }, []string{"网页脚本改写的地址：https://other.example/bank", "没有服务器对该地址作出应答"}, nil},
		"busy":    {func(v *report.View) { v.Journal[1].Data["inflight"] = 3 }, []string{"等待网络静止的时限已到，仍有3个请求未完成"}, []string{"没有仍在等待的请求"}},
		"outside": {func(v *report.View) { anomaly(v, "connection.outside", "url", "http://x/") }, []string{"有1个连接未经本机记录代理", "连接未经本机记录代理：http://x/"}, []string{"全部连接"}},
		"hosts": {func(v *report.View) {
			v.Facts.DNS[0].Source = "hosts"
			anomaly(v, "hosts.captured", "host", "shop.example.cn")
		}, []string{"（hosts文件指定）", "所提取网站的域名由本机hosts文件指定（shop.example.cn）"}, []string{"（域名服务器"}},
		"changed":  {func(v *report.View) { anomaly(v, "page.changed", "from", "full", "to", "end") }, []string{"注意：全页截图与提取结束之间网页文字有变化"}, nil},
		"socket":   {func(v *report.View) { anomaly(v, "target.unrecorded", "type", "service_worker", "url", "http://x/") }, []string{"网页的服务后台程序（serviceworker）未纳入网络通信记录：http://x/"}, nil},
		"popup":    {func(v *report.View) { anomaly(v, "popup", "url", "http://x/") }, []string{"网页要求打开新窗口，已阻止：http://x/"}, nil},
		"no facts": {func(v *report.View) { v.Facts = capture.Facts{} }, []string{"来源与环境记录未取得", "连接情况未记录"}, []string{"全部连接"}},
		"single": {func(v *report.View) {
			v.Facts.Clock = capture.Clock{Answered: 1, Servers: []capture.ClockReading{{Server: "a", Error: "x"}, {Server: "ntp.b.cn"}}}
			anomaly(v, "clock.single", "asked", 2.0)
		}, []string{"只有一个时间服务器（ntp.b.cn）应答"}, nil},
		"own":     {func(v *report.View) { anomaly(v, "browser.own-traffic", "refused", 3.0, "hosts", "a.cn, b.cn") }, []string{"拒绝与网页请求对应不上的联网3次（a.cn,b.cn），未作为网页内容记录"}, []string{"无关，"}},
		"machine": {func(*report.View) {}, []string{"网页所见时区Asia/Urumqi", "操作系统账户wangjian(uid1000)", "运行中的程序文件/usr/lib/chromium/chromium-headless-shell", "（域名服务器192.0.2.53:53应答，记录4条）"}, nil},
	}
}

// carrierViews are about what the form claims of the files and the site.
func carrierViews() map[string]judgedView {
	failed := func(v *report.View) {
		v.Take.State, v.Take.Reasons = capture.Failed, []capture.Reason{{Code: "navigate.failed"}}
		without(v, capture.FileViewport, capture.FileFull, capture.FileDOM, capture.FileMHTML, capture.FileText, capture.FileLines, capture.FilePDF)
	}
	remote := "存储于远程服务器"
	return map[string]judgedView{
		"failed": {failed, []string{"未取得网页，所附文件为提取过程的记录", "本次未取得网页内容，仅固定提取过程"},
			[]string{remote, "拍照录像", "书式固定", "提取并打印", "原样"}},
		"no picture": {func(v *report.View) { without(v, capture.FileViewport, capture.FileFull) }, []string{"书式固定、拷贝复制，"}, []string{"拍照录像（截屏）"}},
		"practice":   {func(v *report.View) { v.Facts.RemoteIP = "127.0.0.1" }, []string{"位于本机或者内部网络（实际连接127.0.0.1）"}, []string{remote}},
		"internal":   {func(v *report.View) { v.Facts.RemoteIP = "::ffff:10.1.2.3" }, []string{"位于本机或者内部网络"}, []string{remote}},
		"carrier":    {func(v *report.View) { v.Facts.RemoteIP = "100.64.0.9" }, []string{"位于本机或者内部网络"}, []string{remote}},
		"unknown":    {func(v *report.View) { v.Facts.RemoteIP = "" }, []string{"服务器地址未记录"}, []string{remote}},
		"boxes": {func(*report.View) {}, []string{"□上述电子数据的名称、数量、校验值经核对无误", "□经核对与原件一致", "任务所载执法人员：䶮昊、李𬭎。", "打印样式和打印脚本可能使其与屏幕显示不同",
			"已解除传输编码和内容编码"}, []string{"原样"}},
		"no officer": {func(v *report.View) { v.Order.Officers = nil }, []string{"任务所载执法人员：未载明"}, nil},
		"no case":    {func(v *report.View) { v.Order.Case = "" }, nil, []string{"涉案证据"}},
		"own keys": {func(v *report.View) {
			for i, c := range v.Verdict.Checks {
				if c.Name == "seal.signer" {
					v.Verdict.Checks[i] = verify.Check{Name: c.Name, Outcome: verify.Passed}
				}
			}
		}, []string{"封签签名人、日志公钥的核对依据是本机自存的公钥"}, nil},
		"unpinned": {func(*report.View) {}, nil, []string{"本机自存的公钥"}},
	}
}

func TestClaims(t *testing.T) {
	for group, views := range map[string]map[string]judgedView{"way": wayViews(), "carrier": carrierViews(), "condition": {
		"nothing": conditionViews()["nothing"], "status": conditionViews()["status"],
	}} {
		for name, c := range views {
			t.Run(group+"/"+name, func(t *testing.T) {
				t.Parallel()
				v := plainView()
				c.change(&v)
				have := text(t, write(t, v, "zh-CN"))
				wantText(t, have, c.want...)
				for _, n := range c.never {
					if strings.Contains(have, squeeze(n)) {
						t.Errorf("the sheet says %q", n)
					}
				}
			})
		}
	}
}

// TestConditions also looks at what only the line about the page says.
func TestConditions(t *testing.T) {
	c, err := words.New("zh-CN")
	if err != nil {
		t.Fatal(err)
	}
	all := conditionViews()
	maps.Copy(all, doubtViews())
	for name, j := range all {
		if name == "nothing" || name == "status" {
			continue // they are about more than this line; TestClaims has them
		}
		v := plainView()
		j.change(&v)
		have := squeeze(strings.Join(sheet.Conditions(v, c), "；"))
		for _, w := range j.want {
			if !strings.Contains(have, squeeze(w)) {
				t.Errorf("%s: %q lacks %q", name, have, w)
			}
		}
		for _, n := range j.never {
			if strings.Contains(have, squeeze(n)) {
				t.Errorf("%s: %q has %q", name, have, n)
			}
		}
	}
}
