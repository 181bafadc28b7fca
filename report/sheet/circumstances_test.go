package sheet_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"guzheng/capture"
	"guzheng/report"
	"guzheng/report/sheet"
	"guzheng/report/words"
)

// rowViews say what a row about source or environment must tell. A row that
// is wanted empty must not be there.
func rowViews() map[string]struct {
	label       string
	change      func(*report.View)
	want, never []string
} {
	type view = struct {
		label       string
		change      func(*report.View)
		want, never []string
	}
	at := begun.Add(-time.Hour)
	own := capture.TLSHost{Host: "shop.example.cn", Protocol: "TLS 1.2", Error: "net::ERR_CERT_AUTHORITY_INVALID", OwnConnection: true,
		Chain: []capture.Certificate{{Subject: "CN=own", SHA256: sum("own")}}}
	// guarded is what the guard's own handshake came to, refused or not.
	guarded := func(v *report.View, refused string) {
		t := own
		t.Error, t.OwnConnection = refused, refused != ""
		t.Guard = &capture.GuardTLS{Connections: 2, Certificate: sum("client"), Asked: 2, Presented: 2}
		if refused != "" {
			t.Guard.Presented = 0
		}
		v.Facts.TLS = append(v.Facts.TLS[:0:0], t)
	}
	upstream := func(v *report.View) {
		v.Facts.Proxy.Upstream, v.Facts.RemoteIP, v.Facts.RemotePort = "10.0.0.8:3128", "", 0
		v.Facts.DNS = []capture.DNSAnswer{{Host: "shop.example.cn", Addresses: []string{"203.0.113.25"}, Source: "dns", Check: true}}
	}
	return map[string]view{
		"upstream, answer": {"服务器应答", upstream, []string{"经上级代理10.0.0.8:3128连接，服务器地址无从知悉"}, []string{"端口", "未记录"}},
		"upstream, names":  {"域名解析", upstream, []string{"在本机解析为203.0.113.25", "仅用于排除内部地址；实际由上级代理解析并连接"}, []string{"实际连接"}},
		"upstream, no name": {"域名解析", func(v *report.View) { upstream(v); v.Facts.DNS[0].Error = "timeout" },
			[]string{"在本机未能解析（timeout", "实际由上级代理解析并连接"}, nil},
		"upstream, guard": {"清洁性检查", upstream, []string{"浏览器设为经由本机记录代理127.0.0.1:41233，再经任务指定的上级代理10.0.0.8:3128联网"}, []string{"全部连接"}},
		"name server": {"域名解析", func(v *report.View) {
			v.Facts.DNS[0].Server, v.Facts.DNS[0].Records = "192.0.2.53:53", []string{"a", "b", "c"}
		},
			[]string{"（域名服务器192.0.2.53:53应答，记录3条），实际连接203.0.113.25:443"}, nil},
		"certificate refused": {"加密连接与证书", func(v *report.View) { v.Facts.TLS = []capture.TLSHost{own} },
			[]string{"浏览器未认可服务器证书（net::ERR_CERT_AUTHORITY_INVALID），以下由本工具随后另行连接取得：TLS1.2；证书主体CN=own"}, nil},
		"certificate accepted": {"加密连接与证书", func(v *report.View) { v.Facts.TLS = append([]capture.TLSHost{own}, v.Facts.TLS...) },
			[]string{"TLS1.3；证书主体CN=shop.example.cn", "浏览器未认可该证书（net::ERR_CERT_AUTHORITY_INVALID），按任务指令接受后打开"}, []string{"CN=own", "另行连接"}},
		"certificate not had": {"加密连接与证书", func(v *report.View) { own := own; own.Chain = nil; v.Facts.TLS = []capture.TLSHost{own} },
			[]string{"证书链未取得：net::ERR_CERT_AUTHORITY_INVALID"}, nil},
		"guard's handshake": {"加密连接与证书", func(v *report.View) { guarded(v, "") },
			[]string{"TLS1.2；证书主体CN=own", "因任务指定客户端证书（SHA-256" + sum("client") + "），与该主机的加密连接在本机记录代理处终结", "该主机的数据由本工具解密后记录；服务器要求客户端证书2次，出示2次"}, []string{"浏览器未认可"}},
		"guard refused": {"加密连接与证书", func(v *report.View) { guarded(v, "net::ERR_CERT_DATE_INVALID") },
			[]string{"本机记录代理未认可服务器证书（net::ERR_CERT_DATE_INVALID），未向其出示客户端证书，也未发出请求；以下为该次握手所得：TLS1.2；证书主体CN=own"}, []string{"浏览器未认可", "解密"}},
		"guard accepted": {"加密连接与证书", func(v *report.View) {
			guarded(v, "")
			accepted := v.Facts.TLS[0]
			guarded(v, "x509")
			v.Facts.TLS = append(v.Facts.TLS, accepted)
		}, []string{"由本工具解密后记录", "本机记录代理未认可该证书（x509），按任务指令接受后打开"}, []string{"浏览器未认可"}},
		"client certificate": {"进入步骤", func(v *report.View) { guarded(v, "") },
			[]string{"应服务器要求出示了任务指定的客户端证书，未经其他页面"}, []string{"未经登录"}},
		"client certificate not presented": {"进入步骤", func(v *report.View) { guarded(v, "x509") }, []string{"未经登录"}, nil},
		"certificate and password": {"进入步骤", func(v *report.View) {
			guarded(v, "")
			step(v, "auth.asked", "url", shopURL, "answered", "ProvideCredentials")
		}, []string{"应服务器要求出示了任务指定的客户端证书，并应服务器要求提供了任务指定的用户名和密码"}, []string{"未经登录"}},
		"strangers": {"进入步骤", func(*report.View) {}, []string{"打开请求网址，未经登录，未经其他页面"}, nil},
		"declined": {"进入步骤", func(v *report.View) { step(v, "auth.asked", "url", shopURL, "answered", "CancelAuth") },
			[]string{"未经登录"}, nil},
		"password": {"进入步骤", func(v *report.View) { step(v, "auth.asked", "url", shopURL, "answered", "ProvideCredentials") },
			[]string{"应服务器要求提供了任务指定的用户名和密码（HTTP基本认证），未经其他页面"}, []string{"未经登录"}},
		"context": {"浏览器状态", func(v *report.View) { v.Facts.Browser.Started, v.Facts.Browser.Opened = at, begun },
			[]string{"新建独立的浏览环境（browsercontext），建立时间2026-11-2314:30:12.345", "建立时无历史记录、无缓存、无登录", "进程启动于2026-11-2313:30:12.345", "沙箱开启"}, []string{"每次提取新建用户配置"}},
		"older package": {"浏览器状态", func(v *report.View) { v.Facts.Browser.Started, v.Facts.Browser.Opened = time.Time{}, time.Time{} }, []string{"每次提取新建用户配置"}, []string{"浏览环境", "未记录"}},
		"visitor": {"访问设定", func(v *report.View) {
			v.Order.Visitor = capture.Visitor{Mobile: true, UserAgent: "Phone/1", Languages: "en", Location: &capture.Location{Latitude: 37.55, Longitude: 112.16, Accuracy: 50}}
		}, []string{"按移动设备显示（模拟触摸屏）；浏览器标识由任务指定，不是浏览器自身的标识；语言由任务指定为en；", "纬度37.55，经度112.16，精度50米"}, nil},
		"no visitor":   {"访问设定", func(*report.View) {}, nil, nil},
		"older answer": {"域名解析", func(v *report.View) { v.Facts.DNS[0].Server = "" }, []string{"（域名服务器应答），实际连接"}, nil},
		"fonts": {"显示字体", func(v *report.View) {
			v.Facts.Fonts = &capture.Fonts{Used: []capture.Font{{Family: "Noto Sans CJK SC", PostScript: "a"}, {Family: "Noto Sans CJK SC", PostScript: "b"}, {Family: "DejaVu Sans"}},
				Missing: []capture.Glyph{{Code: "U+20BB7", Count: 2}, {Code: "U+2A6D7", Count: 1}, {Code: "U+E001", Count: 9, Web: true}}}
		}, []string{"查得实际使用2种（NotoSansCJKSC、DejaVuSans）；缺少字形的字符3个（U+20BB7、U+2A6D7）"}, []string{"E001", "等"}},
		"many fonts": {"显示字体", func(v *report.View) {
			v.Facts.Fonts = &capture.Fonts{Unknown: "x"}
			for i := range 9 {
				v.Facts.Fonts.Used = append(v.Facts.Fonts.Used, capture.Font{Family: fmt.Sprintf("F%d", i)})
			}
		}, []string{"9种（F0、F1、F2、F3、F4、F5等）；有无字符缺少字形无法判断"}, []string{"F6"}},
		"no fonts":      {"显示字体", func(*report.View) {}, nil, nil},
		"fonts unasked": {"显示字体", func(v *report.View) { v.Facts.Fonts = &capture.Fonts{Styles: 3} }, []string{"所用字体未能查明"}, nil},
		"second": {"再次打开比对", func(v *report.View) {
			v.Members = append(v.Members, report.Member{Path: "evidence/second.png", Kind: capture.FileSecond})
			v.Facts.Second = &capture.SecondLook{At: begun, Status: 200, Similarity: 0.98765, Gone: make([]string, 3), Come: make([]string, 20), Pixels: 4211}
		}, []string{"2026-11-2314:30:12.345（北京时间）再次打开（未滚动），状态200，文字相似度98.7%，仅首次所见3行，仅再次所见20行以上，首屏图片相差4211个像素"}, nil},
		"second without picture": {"再次打开比对", func(v *report.View) { v.Facts.Second = &capture.SecondLook{At: begun, Similarity: 1} },
			[]string{"状态未记录，文字相似度100.0%，仅首次所见0行"}, []string{"像素"}},
		"second failed": {"再次打开比对", func(v *report.View) { v.Facts.Second = &capture.SecondLook{At: begun, Error: "net::ERR_TIMED_OUT"} },
			[]string{"再次打开，未能比对：net::ERR_TIMED_OUT"}, []string{"相似度"}},
		"no second": {"再次打开比对", func(*report.View) {}, nil, nil},
		"wire": {"连接原始记录", func(v *report.View) {
			v.Members = append(v.Members, report.Member{Path: "evidence/wire.pcapng", Kind: capture.FileWire})
			step(v, "wire.secrets", "lines", 12.0)
			anomaly(v, "wire.cut", "at", "2026-11-23T06:30:40Z", "bytes", 9.0)
		}, []string{"存入evidence/wire.pcapng，附加密连接的会话密钥12条；自2026-11-2314:30:40.000（北京时间）起未再保存"}, nil},
		"no wire": {"连接原始记录", func(*report.View) {}, nil, nil},
	}
}

func step(v *report.View, code string, kv ...any) {
	anomaly(v, code, kv...)
	v.Journal[len(v.Journal)-1].Kind = capture.EntryStep
}

func TestRows(t *testing.T) {
	c, err := words.New("zh-CN")
	if err != nil {
		t.Fatal(err)
	}
	for name, j := range rowViews() {
		v := plainView()
		j.change(&v)
		rows := sheet.Rows(v, c)
		i := slices.IndexFunc(rows, func(r [2]string) bool { return r[0] == j.label })
		if j.want == nil {
			if i >= 0 {
				t.Errorf("%s: there is a row %q", name, rows[i])
			}
			continue
		}
		if i < 0 {
			t.Errorf("%s: no row %q", name, j.label)
			continue
		}
		have := squeeze(rows[i][1])
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

// TestUpstreamIsAWeakness also looks that nothing is said without one.
func TestUpstreamIsAWeakness(t *testing.T) {
	c, err := words.New("zh-CN")
	if err != nil {
		t.Fatal(err)
	}
	const told = "全部连接经由任务指定的上级代理，所记录的地址不是网站服务器的地址"
	v := plainView()
	if all := strings.Join(sheet.Weaknesses(v, c), "\n"); strings.Contains(all, told) {
		t.Error("an upstream proxy is told of where none was used")
	}
	v.Facts.Proxy.Upstream = "10.0.0.8:3128"
	if all := strings.Join(sheet.Weaknesses(v, c), "\n"); !strings.Contains(all, told) {
		t.Errorf("the remarks do not tell of the upstream proxy:\n%s", all)
	}
}

// TestReasonsInWords covers codes inside the machine's account of a reason.
func TestReasonsInWords(t *testing.T) {
	c, err := words.New("zh-CN")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct{ code, detail, want string }{
		{"target.unrecorded", "webtransport https://x/", "（数据流连接（WebTransport） https://x/）"},
		{"body.truncated", "time https://x/", "（至提取结束尚未完毕 https://x/）"},
		{"artefact.missing", "picture.full: tile at 0: closed", "（全页截图: tile at 0: closed）"},
		{"deadline.artefact", "pdf", "（网页打印件）"},
		{"deadline.artefact", "text of https://x/", "（text of https://x/）"},
		{"limit.height", "picture", "（全页截图）"},
		{"limit.height", "40000 of 50000 pixels", "（40000 of 50000 pixels）"},
		{"page.crashed", "frame https://x/", "（内嵌页面 https://x/）"},
		{"images.unloaded", "2 of 58", "（2 of 58）"},
	} {
		v := plainView()
		v.Take.State, v.Take.Reasons = capture.Partial, []capture.Reason{{Code: r.code, Detail: r.detail}}
		if all := strings.Join(sheet.Weaknesses(v, c), "\n"); !strings.Contains(all, r.want) {
			t.Errorf("%s %q: no %q in\n%s", r.code, r.detail, r.want, all)
		}
	}
}

// doubtful makes a view of a page behind a proxy that stood behind a gate.
func doubtful(v *report.View) {
	rows := rowViews()
	for _, name := range []string{"upstream, answer", "certificate accepted", "password", "visitor", "wire"} {
		rows[name].change(v)
	}
	for _, name := range []string{"captcha", "certificate", "seam", "restless", "crashed", "textless"} {
		doubtViews()[name].change(v)
	}
}
