package practice

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// ask sends one GET to h without following redirects.
func ask(t *testing.T, h http.Handler, target string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPagesSayWhatTheyMust(t *testing.T) {
	s := New()
	for path, want := range map[string][]string{
		"/":               {"练习用虚构店铺", `href="/licence"`, "晋ICP备00000000号-1", "data-src", "¥39.90"},
		"/product/zaojun": {"¥39.90", "<del>¥59.90</del>", "袋（1千克）", "库存 326 件", "运费", "配送范围", "支付方式", "签收次日起算", "生产者", "质量", "商品评价"},
		"/licence":        {"91141122MA0K1A2B03", "企业类型", "法定代表人", "住所", "注册资本", "/pic/licence.png", "练习用虚构店铺"},
		"/returns":        {"签收商品的次日起七日内"},
		"/terms":          {"服务协议"},
		"/faulty":         {"一经售出概不退换", "最终解释权归本店所有", "checked", "¥19.90", "有意设置"},
		"/faulty/item":    {"¥29.90", "不退不换"},
		"/hostile/names":  {"㐂", "䶮", "𠮷", "𬭎", "😀"},
		"/hostile/":       {"/hostile/overlap"},
	} {
		r := ask(t, s, path)
		if r.StatusCode != http.StatusOK {
			t.Errorf("GET %s: status %d", path, r.StatusCode)
		}
		body := text(t, r)
		for _, w := range want {
			if !strings.Contains(body, w) {
				t.Errorf("GET %s: %q is missing", path, w)
			}
		}
	}
	if body := text(t, ask(t, s, "/faulty")); strings.Contains(body, "执照") || strings.Contains(body, "ICP") {
		t.Error("the faulty page shows a licence")
	}
}

func TestHomePointsAtThingsThatExist(t *testing.T) {
	s := New()
	body := text(t, ask(t, s, "/"))
	if n := strings.Count(body, `class="card"`); n < 12 {
		t.Errorf("%d goods on the home page, want 12 or more", n)
	}
	for _, mark := range []string{`href="/`, `src="/`, `data-src="/`} {
		for rest := body; ; {
			_, after, ok := strings.Cut(rest, mark)
			if !ok {
				break
			}
			target, _, _ := strings.Cut(after, `"`)
			target, _, _ = strings.Cut(target, "#")
			if r := ask(t, s, "/"+target); r.StatusCode != http.StatusOK {
				t.Errorf("home page points at /%s: status %d", target, r.StatusCode)
			}
			rest = after
		}
	}
	var late []struct{ ID, Pic string }
	if err := json.Unmarshal([]byte(text(t, ask(t, s, "/api/late.json"))), &late); err != nil {
		t.Fatal(err)
	}
	for _, g := range late {
		for _, p := range []string{"/product/" + g.ID, "/pic/" + g.Pic} {
			if r := ask(t, s, p); r.StatusCode != http.StatusOK {
				t.Errorf("recommendation points at %s: status %d", p, r.StatusCode)
			}
		}
	}
}

func TestCodesCheck(t *testing.T) {
	var shop owner
	if err := load("shop.json", &shop); err != nil {
		t.Fatal(err)
	}
	const set = "0123456789ABCDEFGHJKLMNPQRTUWXY"
	sum, weight := 0, 1
	for _, c := range shop.Code[:17] {
		sum += strings.IndexRune(set, c) * weight
		weight = weight * 3 % 31
	}
	if got := set[(31-sum%31)%31]; got != shop.Code[17] {
		t.Errorf("credit code %s: check character %c", shop.Code, got)
	}
	p := 10
	for _, c := range shop.Food[2:15] {
		if p = (p + int(c-'0')) % 10; p == 0 {
			p = 10
		}
		p = p * 2 % 11
	}
	if got := byte('0' + (11-p)%10); got != shop.Food[15] {
		t.Errorf("food licence %s: check digit %c", shop.Food, got)
	}
}

func TestAnswersAreTheSameEveryTime(t *testing.T) {
	a, b := New(), New()
	for _, path := range []string{"/", "/product/hetao", "/pic/licence.png", "/api/late.json", "/hostile/tall"} {
		for _, enc := range []string{"", "gzip"} {
			x, y := ask(t, a, path, "Accept-Encoding", enc), ask(t, b, path, "Accept-Encoding", enc)
			if d := cmp.Diff(x.Header, y.Header); d != "" {
				t.Errorf("%s headers differ: %s", path, d)
			}
			if text(t, x) != text(t, y) {
				t.Errorf("%s differs between two shops", path)
			}
		}
	}
}

func TestHeadersThatCapturesMustKeep(t *testing.T) {
	s := New()
	r := ask(t, s, "/", "Accept-Encoding", "gzip, br")
	if n := len(r.Header.Values("Set-Cookie")); n != 2 {
		t.Errorf("%d Set-Cookie lines, want 2", n)
	}
	if n := len(r.Header.Values("X-Practice-Shop")); n != 2 {
		t.Errorf("%d X-Practice-Shop lines, want 2", n)
	}
	if r.Header.Get("Cache-Control") == "" || r.Header.Get("ETag") == "" {
		t.Error("Cache-Control or ETag is missing")
	}
	if r.Header.Get("Content-Encoding") != "gzip" {
		t.Fatal("text is not packed")
	}
	zr, err := gzip.NewReader(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	if plain := text(t, ask(t, s, "/")); plain != string(packed) {
		t.Error("packed and plain bodies differ")
	}
	if r := ask(t, s, "/", "If-None-Match", r.Header.Get("ETag")); r.StatusCode != http.StatusNotModified {
		t.Errorf("known ETag: status %d, want 304", r.StatusCode)
	}
	if r := ask(t, s, "/pic/zaojun.jpg", "Accept-Encoding", "gzip"); r.Header.Get("Content-Encoding") != "" {
		t.Error("a picture is packed")
	}
}

func TestGBKPage(t *testing.T) {
	r := ask(t, New(), "/gbk")
	if got := r.Header.Get("Content-Type"); got != "text/html" {
		t.Errorf("Content-Type %q, want no charset", got)
	}
	raw := text(t, r)
	if strings.Contains(raw, "交城") {
		t.Error("the page is UTF-8")
	}
	got, err := simplifiedchinese.GB18030.NewDecoder().String(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"交城土产目录", "㐂", "䶮", "𠮷", "𬭎", "charset=gb18030"} {
		if !strings.Contains(got, want) {
			t.Errorf("decoded page lacks %q", want)
		}
	}
}

func TestPicturesAreSound(t *testing.T) {
	list, err := files.ReadDir("site/pic")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, e := range list {
		b, err := files.ReadFile("site/pic/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		total += len(b)
		if strings.HasSuffix(e.Name(), ".svg") {
			continue
		}
		if _, _, err := image.Decode(bytes.NewReader(b)); err != nil {
			t.Errorf("%s: %v", e.Name(), err)
		}
	}
	if total > 400_000 {
		t.Errorf("pictures take %d bytes, want at most 400000", total)
	}
}

func TestHostileAnswers(t *testing.T) {
	s := New()
	for path, want := range map[string]struct {
		status int
		name   string
		value  string
	}{
		"/redirect":           {302, "Location", "/redirect/moved"},
		"/redirect/moved":     {301, "Location", "/"},
		"/hostile/loop":       {302, "Location", "/hostile/loop/again"},
		"/hostile/loop/again": {302, "Location", "/hostile/loop"},
		"/hostile/download":   {200, "Content-Disposition", `attachment; filename="prices.csv"`},
		"/hostile/status/503": {503, "Content-Type", html},
		"/hostile/status/204": {204, "Content-Type", ""},
		"/hostile/status/99":  {404, "", ""},
		"/hostile/blank":      {200, "Content-Length", "0"},
		"/nowhere":            {404, "Content-Type", html},
	} {
		r := ask(t, s, path)
		if r.StatusCode != want.status || r.Header.Get(want.name) != want.value {
			t.Errorf("GET %s: %d %s %q, want %d %q", path, r.StatusCode, want.name, r.Header.Get(want.name), want.status, want.value)
		}
	}
	a, b := text(t, ask(t, s, "/hostile/endless/more?page=0")), text(t, ask(t, s, "/hostile/endless/more?page=900"))
	if a == b || !json.Valid([]byte(b)) {
		t.Errorf("the endless list repeats or is no JSON: %s", b)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/echo", strings.NewReader("abc")))
	const sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if got, want := w.Body.String(), `{"length":3,"sha256":"`+sum+"\"}\n"; got != want {
		t.Errorf("echo said %s, want %s", got, want)
	}
}

func TestServedCountsEveryRequest(t *testing.T) {
	s := New()
	ask(t, s, "/")
	ask(t, s, "/?q=1")
	ask(t, s, "/nowhere")
	got := s.Served()
	if d := cmp.Diff(map[string]int{"/": 2, "/nowhere": 1}, got); d != "" {
		t.Error(d)
	}
	got["/"] = 9
	if s.Served()["/"] != 2 {
		t.Error("the caller changed the shop's counts")
	}
}

// TestServeEndsAnswersThatNeverEnd starts a body that never ends and wants the
// shop to close all the same when its context does.
func TestServeEndsAnswersThatNeverEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url, wait, err := New().Serve(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"hostile/slow/stuck.jpg", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	first := make([]byte, 2)
	if _, err := io.ReadFull(r.Body, first); err != nil || first[0] != 0xff {
		t.Fatalf("first bytes %x: %v", first, err)
	}
	cancel()
	if err := wait(); err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, r.Body); err == nil {
		t.Error("the stuck body ended as if it were complete")
	}
}

func TestServeRefusesForeignAddresses(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:80", "[::]:0", "shop.example:80", "nonsense"} {
		if _, _, err := Serve(t.Context(), addr); err == nil {
			t.Errorf("Serve(%q) did not refuse", addr)
		}
	}
}
