package web

import (
	_ "embed"
	"encoding/json"
	"strings"
)

// gateWords are texts by which a page that stands before the shop is known.
// They are looked for in short pages only: a shop may mention a captcha.
//
//go:embed gate.json
var gateWords []byte

// A gate says what kinds of pages there are that are not the page asked for.
type gate struct {
	Longest int      `json:"longest"` // characters of text
	Captcha []string `json:"captcha"`
	Denied  []string `json:"denied"`
	Login   []string `json:"login"`
}

// noteGate names what was shown in the place of the page, as far as that can
// be told by its status and words. It is a hint for a reader and no finding;
// nothing is done to get past it.
func (v *visit) noteGate(title string, password bool) {
	var g gate
	if err := json.Unmarshal(gateWords, &g); err != nil {
		panic("web: gate.json: " + err.Error())
	}
	if kind := g.kind(v.facts.Status, title+"\n"+v.text, password); kind != "" {
		v.journal.Anomaly("page.gate", "kind", kind, "status", v.facts.Status)
	}
}

// kind returns captcha, denied or login, or nothing.
func (g gate) kind(status int, text string, password bool) string {
	text = strings.ToLower(text)
	brief := len([]rune(text)) <= g.Longest
	has := func(words []string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	switch {
	case brief && has(g.Captcha):
		return "captcha"
	case status == 429, (status == 403 || status == 503) && has(g.Denied), brief && has(g.Denied):
		return "denied"
	case brief && (password || status == 401) && has(g.Login), status == 401:
		return "login"
	}
	return ""
}
