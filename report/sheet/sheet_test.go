package sheet_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"guzheng/capture"
	"guzheng/preserve/verify"
	"guzheng/report"
	"guzheng/report/sheet"
	"guzheng/report/words"
)

func write(t *testing.T, v report.View, lang string) []byte {
	t.Helper()
	needFonts(t)
	c, err := words.New(lang)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := sheet.Write(&b, v, c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func save(t *testing.T, b []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "sheet.pdf")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// run needs a program of the test machine.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed: %v", name, err)
	}
	var complaint bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s%s", name, args, err, out, &complaint)
	}
	return string(out)
}

// text returns the text layer without any white space, and with the pages
// in order.
func text(t *testing.T, b []byte) string {
	t.Helper()
	return squeeze(run(t, "pdftotext", "-raw", save(t, b), "-"))
}

func wantText(t *testing.T, have string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(have, squeeze(w)) {
			t.Errorf("not in the text layer: %q", w)
		}
	}
}

// printed is the Chinese sheet of the example view, made once.
var printed = sync.OnceValues(func() ([]byte, error) {
	c, err := words.New("zh-CN")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = sheet.Write(&b, exampleView(), c)
	return b.Bytes(), err
})

func example(t *testing.T) []byte {
	t.Helper()
	needFonts(t)
	b, err := printed()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// quickView is the example with a small picture.
func quickView() report.View {
	v := exampleView()
	open := v.Open
	v.Open = func(path string) (io.ReadCloser, error) { return open(strings.Replace(path, "full", "viewport", 1)) }
	return v
}

func TestTextLayerHasEveryValue(t *testing.T) {
	v := exampleView()
	have := text(t, example(t))
	o, f := v.Order, v.Facts
	wantText(t, have, "电子数据证据提取笔录", "电子数据证据清单", o.ID, o.Case, o.Cause, o.Purpose, o.Place, o.Witness,
		"䶮昊", "李𬭎", "14112200101", "14112200102", "交城县㐂来商贸有限公司",
		// No glyph in the font, so visible code points.
		"[U+20BB7]田", "卦山土特产旗舰店[U+1F600]", "山西老陈醋[U+202E][U+200B]",
		"2026年11月23日14时30分12秒", "2026年11月23日14时30分53秒", f.RequestedURL, f.FinalURL, f.RemoteIP, f.UserAgent,
		f.Browser.Product, f.Browser.SHA256, f.Tool.SHA256, f.Machine.Hostname, f.Proxy.Guard, f.TLS[0].Chain[0].SHA256, f.TLS[0].Chain[0].Issuer,
		v.Package.SHA256, v.Package.SM3, "9,876,543", v.Object.Key, v.Raw.Root, v.Seal.Signature.KeyID, v.Seal.Log.Verifier, v.Seal.Log.Checkpoint,
		"5f2c00aa91d3", "5f2c00aa91d4", "status 503", "活动最终解释权归本店所有！[U+000A]本活动一经参与", "以下空白",
		"缺少字形的字符 3 个", "再次打开时网页文字不同（相似度 98.7%）", "（同类情况共 5 次，其余见 journal.jsonl）",
		"页面无障碍信息", "再次打开的首屏截图", "再次打开的页面文字", "连接原始数据", "来源：本机记录代理经手的连接", "逐字节记录各连接往来的数据")
	for _, m := range v.Members {
		wantText(t, have, m.SHA256, m.SM3, m.Path, m.MediaType)
	}
	// All but take, facts, journal, order, package and proofs are of the page.
	if n, want := strings.Count(have, "网页数据"), len(v.Members)-10; n != want {
		t.Errorf("%d files are called page data, want %d", n, want)
	}
	if n := strings.Count(have, "第1页共"); n != 1 {
		t.Errorf("page 1 is numbered %d times", n)
	}
	if strings.Contains(have, "[sheet.") || strings.Contains(have, "[label.") || strings.Contains(have, "novalue") {
		t.Error("a key or a hole was printed instead of a sentence")
	}
}

func TestWarningsStandOnTheSheet(t *testing.T) {
	v := quickView()
	v.Order.Officers, v.Order.Purpose, v.Order.NoSandbox = v.Order.Officers[:1], "", true
	have := text(t, write(t, v, "zh-CN"))
	wantText(t, have, "只写明一名执法人员", "没有写明证明对象", "没有时间服务器应答", "关闭沙箱", "允许连接本机或者内部网络",
		"本机自带的练习时间戳服务签发", "没有第三方参与", "结果为“部分”", "部分图片未加载", "签名公钥属于何人未经预先指定", "无法判断")
	for _, never := range []string{"成功", "核验通过"} {
		if strings.Contains(have, never) {
			t.Errorf("the sheet says %s", never)
		}
	}
	v.Take.State, v.Take.Reasons = capture.Complete, nil
	if strings.Contains(text(t, write(t, v, "zh-CN")), "结果为“部分”") {
		t.Error("a complete take is called partial")
	}
}

func TestFailedCheckIsPrinted(t *testing.T) {
	v := quickView()
	v.Verdict.Checks = append(v.Verdict.Checks, verify.Check{Name: "files.sha256", Subject: "evidence/dom.html", Outcome: verify.Failed, Code: "file.changed"})
	wantText(t, text(t, write(t, v, "zh-CN")), "未通过 1 项", "evidence/dom.html：文件与清册所载校验值不一致")
}

func TestSameBytes(t *testing.T) {
	if !bytes.Equal(example(t), write(t, exampleView(), "zh-CN")) {
		t.Error("two runs differ")
	}
}

func TestStructureIsSound(t *testing.T) {
	name := save(t, example(t))
	run(t, "qpdf", "--check", name)
	if info := run(t, "pdfinfo", name); !strings.Contains(info, "A4") || !strings.Contains(info, "GZ-20261123-7KQ4M2XD") {
		t.Errorf("pdfinfo says:\n%s", info)
	}
	for _, line := range strings.Split(run(t, "pdffonts", name), "\n")[2:] {
		if f := strings.Fields(line); len(f) > 4 && !strings.Contains(line, "yes no  yes") {
			t.Errorf("font not embedded with text: %s", line)
		}
	}
}

func TestCodeReads(t *testing.T) {
	v := exampleView()
	name, base := save(t, example(t)), filepath.Join(t.TempDir(), "page")
	run(t, "pdftoppm", "-r", "150", "-gray", "-png", "-singlefile", "-f", "2", "-l", "2", name, base)
	want := "guzheng:" + v.Order.ID + " sha256:" + v.Package.SHA256
	if got := run(t, "zbarimg", "-q", "--raw", base+".png"); strings.TrimSpace(got) != want {
		t.Errorf("read %q, want %q", got, want)
	}
}

func TestEnglish(t *testing.T) {
	v := quickView()
	have := text(t, write(t, v, "en"))
	wantText(t, have, "Record of Extraction of Electronic Data Evidence", "Page 1 of", v.Package.SM3, "李𬭎", "no third party took part")
}

// oddViews are changes to a view that must not break the document.
func oddViews() map[string]func(*report.View) {
	long := "https://a.example.cn/" + strings.Repeat("%E4%BA%A4%E5%9F%8E/", 700)
	return map[string]func(*report.View){
		"empty": func(v *report.View) { *v = report.View{} },
		"failed take": func(v *report.View) {
			v.Take.State, v.Take.Reasons = capture.Failed, []capture.Reason{{Code: "navigate.failed", Detail: "net::ERR_NAME_NOT_RESOLVED"}, {Code: "never.heard.of"}}
			v.Members, v.Lines, v.Facts.FinalURL, v.Facts.TLS = v.Members[:3], capture.Lines{}, "", nil
			v.Journal = append(v.Journal[:10], capture.Entry{Kind: capture.EntryAnomaly, Code: "never.heard.of", Data: map[string]any{"a": 1.0}})
		},
		"long texts": func(v *report.View) {
			v.Order.URL, v.Facts.RequestedURL, v.Facts.FinalURL = long, long, long
			v.Facts.Title = strings.Repeat("特价！", 3000)
			v.Order.Purpose, v.Order.Party = strings.Repeat("证明", 600), strings.Repeat("x", 900)
			v.Take.Reasons = []capture.Reason{{Code: "deadline.total", Detail: strings.Repeat("y", 4000)}}
		},
		"many files": func(v *report.View) {
			for i := range 100 {
				m := v.Members[0]
				m.Path = fmt.Sprintf("evidence/%03d-%s", i, strings.Repeat("长", i*3))
				v.Members = append(v.Members, m)
			}
		},
		"many entries": func(v *report.View) {
			for i := range 600 {
				v.Journal = append(v.Journal, capture.Entry{Time: begun.Add(time.Duration(i) * time.Second), Kind: capture.EntryAnomaly, Code: "popup", Data: map[string]any{"url": long}})
			}
		},
		"unreadable pictures": func(v *report.View) {
			for i := range v.Members {
				v.Members[i].Path = "gone/" + v.Members[i].Path
			}
		},
		"no lines": func(v *report.View) { v.Lines = capture.Lines{} },
		"odd entry": func(v *report.View) {
			v.Journal = append(v.Journal, capture.Entry{Kind: "x\x00", Code: "dialog", Data: map[string]any{"text": []any{"a", nil, true, map[string]any{"b": 1e300}}}})
		},
	}
}

func TestOddViews(t *testing.T) {
	for name, change := range oddViews() {
		t.Run(name, func(t *testing.T) {
			v := quickView()
			if name == "no lines" {
				v = exampleView()
			}
			change(&v)
			for _, lang := range words.Languages() {
				if testing.Short() && lang != "zh-CN" {
					continue
				}
				b := write(t, v, lang)
				run(t, "qpdf", "--check", save(t, b))
				if name == "unreadable pictures" && lang == "zh-CN" {
					wantText(t, text(t, b), "未能读取")
				}
				if name == "failed take" && lang == "zh-CN" {
					wantText(t, text(t, b), "未能打开网页（net::ERR_NAME_NOT_RESOLVED）", "未取得该截图", "never.heard.of")
				}
				if name == "long texts" && lang == "zh-CN" {
					wantText(t, text(t, b), "全文共")
				}
			}
		})
	}
}

// TestOnlyReads fails when printing changes the view.
func TestOnlyReads(t *testing.T) {
	v, same := quickView(), quickView()
	write(t, v, "zh-CN")
	v.Open, same.Open = nil, nil
	if !reflect.DeepEqual(v, same) {
		t.Error("the view was changed")
	}
}

// TestInspect leaves sheets where GUZHENG_SHEET says, to be looked at.
func TestInspect(t *testing.T) {
	name := os.Getenv("GUZHENG_SHEET")
	if name == "" {
		t.Skip("GUZHENG_SHEET is not set; nothing to leave")
	}
	status, failed, doubt := plainView(), plainView(), exampleView()
	doubtful(&doubt)
	conditionViews()["status"].change(&status)
	carrierViews()["own keys"].change(&status)
	carrierViews()["failed"].change(&failed)
	for lang, end := range map[string]string{"zh-CN": "", "en": ".en"} {
		for kind, v := range map[string]report.View{"": exampleView(), ".status": status, ".failed": failed, ".doubt": doubt} {
			if err := os.WriteFile(strings.TrimSuffix(name, ".pdf")+kind+end+".pdf", write(t, v, lang), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}
