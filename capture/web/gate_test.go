package web

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestGateKind(t *testing.T) {
	var g gate
	if err := json.Unmarshal(gateWords, &g); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("骏枣 一级 500 克 ¥39.80 ", 200)
	for _, c := range []struct {
		name, text, want string
		status           int
		password         bool
	}{
		{"slider", "请按住滑块，拖动到最右边", "captcha", 200, false},
		{"english", "Checking your browser before accessing", "captcha", 503, false},
		{"too many", "", "denied", 429, false},
		{"forbidden with words", "访问被拒绝", "denied", 403, false},
		{"forbidden without", "404 not here", "", 403, false},
		{"login wall", "请先登录 手机号 密码", "login", 200, true},
		{"login link on a short page", "请登录", "", 200, false},
		{"basic", "", "login", 401, false},
		{"shop that mentions all", long + "安全验证 请先登录", "", 200, true},
		{"shop", "春山杂货店 全部商品", "", 200, false},
	} {
		if got := g.kind(c.status, c.text, c.password); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
