package words_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"guzheng/report/words"

	"github.com/google/go-cmp/cmp"
)

func load(t *testing.T, lang string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(lang + ".json")
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

var hole = regexp.MustCompile(`\{\{[^}]*\}\}`)

func TestLanguagesAgree(t *testing.T) {
	zh, en := load(t, "zh-CN"), load(t, "en")
	for k, a := range zh {
		b, ok := en[k]
		if !ok {
			t.Errorf("%s is missing in en", k)
			continue
		}
		x, y := hole.FindAllString(a, -1), hole.FindAllString(b, -1)
		sort.Strings(x)
		sort.Strings(y)
		if d := cmp.Diff(x, y); d != "" {
			t.Errorf("%s: placeholders differ:\n%s", k, d)
		}
		if strings.TrimSpace(a) == "" && !strings.HasPrefix(k, "list.") || b == "" {
			t.Errorf("%s is empty", k)
		}
	}
	for k := range en {
		if _, ok := zh[k]; !ok {
			t.Errorf("%s is missing in zh-CN", k)
		}
	}
}

func TestEnglishHasNoHan(t *testing.T) {
	for k, s := range load(t, "en") {
		if strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
			t.Errorf("%s: %s", k, s)
		}
	}
}

func TestNoVerdictWords(t *testing.T) {
	for k, s := range load(t, "zh-CN") {
		for _, bad := range []string{"成功", "违法事实", "构成违法"} {
			if strings.Contains(s, bad) {
				t.Errorf("%s says %s", k, bad)
			}
		}
	}
}

func TestT(t *testing.T) {
	zh, err := words.New("zh-CN")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, got, want string
	}{
		{"filled", zh.T("journal.page.navigate", map[string]any{"url": "http://a/?b=<c>&d={{.x}}"}), "打开网址 http://a/?b=<c>&d={{.x}}"},
		{"missing value", zh.T("journal.page.navigate"), "打开网址 未记录"},
		{"number from JSON", zh.T("journal.images.unloaded", map[string]any{"count": 12000000.0}), "有 12000000 张图片未加载"},
		{"missing key", zh.T("no.such"), "[no.such]"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
	for tag, want := range map[string]string{"zh": "zh-CN", "zh-Hans-CN": "zh-CN", "en-GB": "en"} {
		if c, err := words.New(tag); err != nil || c.Lang() != want {
			t.Errorf("New(%q) = %v, %v; want %s", tag, c, err, want)
		}
	}
	for _, tag := range []string{"", "fr", "??"} {
		if _, err := words.New(tag); err == nil {
			t.Errorf("New(%q) gave a catalogue", tag)
		}
	}
}

// prefixes are the documented beginnings of keys that end in a code.
var prefixes = []string{"state.", "reason.", "journal.", "file.", "method.", "check.", "checkcode.", "outcome.", "cli.", "numeral.", "lock.", "source.", "moment.", "target.", "custody.kind.", "custody.class.",
	"gate.", "cut.", "auth.", "level.", "message.", "artefact."}

func documented(s string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// sources parses every Go file of the repository that is not a test.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	root := "../.."
	out := map[string]*ast.File{}
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if n := e.Name(); p != root && (strings.HasPrefix(n, ".") || n == "node_modules" || n == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(set, p, nil, parser.ParseComments)
		if err != nil {
			t.Logf("not parsed: %v", err)
			return nil
		}
		out[p] = f
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}

// keyCall reports whether a call looks up its first argument: a method T, or
// a local function w, or one of the sheet's helpers that take keys.
func keyCall(c *ast.CallExpr) bool {
	switch f := c.Fun.(type) {
	case *ast.SelectorExpr:
		return f.Sel.Name == "T" || f.Sel.Name == "note" || f.Sel.Name == "head" || f.Sel.Name == "line"
	case *ast.Ident:
		return f.Name == "w"
	}
	return false
}

func TestKeysInSourcesExist(t *testing.T) {
	zh := load(t, "zh-CN")
	n := 0
	for path, file := range sources(t) {
		ast.Inspect(file, func(node ast.Node) bool {
			c, ok := node.(*ast.CallExpr)
			if !ok || len(c.Args) == 0 || !keyCall(c) {
				return true
			}
			for i, arg := range c.Args {
				if s, ok := literal(arg); ok && strings.Contains(s, ".") {
					n++
					if _, ok := zh[s]; !ok {
						t.Errorf("%s: key %q has no words", path, s)
					}
				}
				if b, ok := arg.(*ast.BinaryExpr); ok && i == 0 {
					if s, ok := literal(b.X); ok && !documented(s) {
						t.Errorf("%s: key prefix %q is not documented", path, s)
					}
				}
			}
			return true
		})
	}
	if n < 100 {
		t.Errorf("only %d keys found in the sources; the search is broken", n)
	}
}

// TestCodesInSourcesHaveWords finds the codes that other packages write into
// journals and reasons.
func TestCodesInSourcesHaveWords(t *testing.T) {
	zh := load(t, "zh-CN")
	found := map[string]bool{}
	need := func(path, key string) {
		found[key[:strings.Index(key, ".")]] = true
		if _, ok := zh[key]; !ok {
			t.Errorf("%s: %s has no words", path, key)
		}
	}
	for path, file := range sources(t) {
		if !strings.Contains(path, "/capture/") {
			continue
		}
		ast.Inspect(file, func(node ast.Node) bool {
			switch x := node.(type) {
			case *ast.CallExpr:
				sel, ok := x.Fun.(*ast.SelectorExpr)
				if !ok || len(x.Args) == 0 {
					return true
				}
				if s, ok := literal(x.Args[0]); ok {
					for _, k := range keysOf(sel.Sel.Name, s) {
						need(path, k)
					}
				}
			case *ast.CompositeLit:
				if !isReason(x.Type) {
					return true
				}
				for _, e := range x.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok && kv.Key.(*ast.Ident).Name == "Code" {
						if s, ok := literal(kv.Value); ok {
							need(path, "reason."+s)
						}
					}
				}
			}
			return true
		})
	}
	for _, kind := range []string{"journal", "reason", "artefact"} {
		if !found[kind] {
			t.Errorf("no %s codes found in the sources; the search is broken", kind)
		}
	}
}

// keysOf returns the keys that a call of capture/web's helpers needs, by its
// first argument. A name made of several parts, as that of an artefact with
// an address, is printed as it is.
func keysOf(helper, code string) []string {
	switch helper {
	case "Step", "Anomaly":
		return []string{"journal." + code}
	case "because", "fail", "reason":
		return []string{"reason." + code}
	case "overLimit":
		return []string{"journal." + code, "reason." + code}
	case "keep":
		return []string{"journal." + code + ".saved", "artefact." + code}
	case "missing":
		return []string{"artefact." + code}
	}
	return nil
}

// TestCodesOfDataHaveWords lists the codes that stand in entries' data.
func TestCodesOfDataHaveWords(t *testing.T) {
	zh := load(t, "zh-CN")
	for prefix, codes := range map[string][]string{
		"gate.":          {"captcha", "denied", "login"},
		"auth.":          {"ProvideCredentials", "CancelAuth"},
		"cut.":           {"length", "time", "disconnect", "unspecified"}, // WARC 1.1 section 5.13
		"moment.":        {"viewport", "full", "end"},
		"level.":         {"error", "warning"},
		"custody.kind.":  {"classified", "held", "released", "proposed", "approved", "withdrawn", "disposed"},
		"custody.class.": {"sweep", "finding", "case", "archive", "permanent"},
		"target.":        {"page", "iframe", "frame", "worker", "shared_worker", "service_worker", "webtransport", "other"},
		"message.":       {"xml", "javascript", "network", "storage", "rendering", "security", "deprecation", "worker", "violation", "intervention", "recommendation", "other"},
	} {
		for _, c := range codes {
			if _, ok := zh[prefix+c]; !ok {
				t.Errorf("%s%s has no words", prefix, c)
			}
		}
	}
}

func isReason(e ast.Expr) bool {
	switch x := e.(type) {
	case *ast.Ident:
		return x.Name == "Reason"
	case *ast.SelectorExpr:
		return x.Sel.Name == "Reason"
	}
	return false
}

// TestNoHanInSources keeps sentences in the catalogues.
func TestNoHanInSources(t *testing.T) {
	for path, file := range sources(t) {
		if strings.HasSuffix(filepath.Dir(path), "test") {
			continue // a suite that other packages' tests run, such as storetest
		}
		check := func(what, s string) {
			if strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
				t.Errorf("%s: %s holds Han characters: %s", path, what, s)
			}
		}
		for _, g := range file.Comments {
			check("comment", g.Text())
		}
		ast.Inspect(file, func(node ast.Node) bool {
			switch x := node.(type) {
			case *ast.BasicLit:
				check("literal", x.Value)
				if s, ok := literal(x); ok {
					check("escaped literal", s)
				}
			case *ast.Ident:
				check("name", x.Name)
			}
			return true
		})
	}
}
