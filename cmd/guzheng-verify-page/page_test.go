//go:build !js

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"guzheng/capture/web"
	"guzheng/preserve/verify"
	"guzheng/preserve/wacz"
	"guzheng/preserve/wacz/wacztest"
)

const vectors = "../../preserve/testdata/vectors/"

// build compiles a command of ours.
func build(t *testing.T, out, pkg string, env ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, pkg)
	c.Env = append(os.Environ(), env...)
	if b, err := c.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", pkg, err, b)
	}
}

// makePage makes the page as make verifier-html does.
func makePage(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	wasm, page := filepath.Join(dir, "verify.wasm"), filepath.Join(dir, "verify.html")
	build(t, wasm, "guzheng/cmd/guzheng-verify-page", "GOOS=js", "GOARCH=wasm")
	if err := run([]string{"-wasm", wasm, "-glue", gluePath(t), "-version", "<test>", "-out", page}, os.Stderr); err != nil {
		t.Fatal(err)
	}
	return page
}

// gluePath is Go's own bridge between a page and a program.
func gluePath(t *testing.T) string {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js")
}

// A tab shows the page from disk.
type tab struct {
	ctx      context.Context
	verifier string
	dir      string // for files of one test
}

func openTab(t *testing.T) tab {
	t.Helper()
	if testing.Short() {
		t.Skip("short: starts Chromium")
	}
	browser, err := web.FindChromium("")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("left out: %v", err)
	}
	p := tab{dir: t.TempDir()}
	p.verifier = filepath.Join(p.dir, "guzheng-verify")
	build(t, p.verifier, "guzheng/cmd/guzheng-verify")
	page := makePage(t)
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.WindowSize(1100, 1400))
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(cancel)
	p.ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if _, err := chromedp.Run(p.ctx, chromedp.Navigate("file://"+page)); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Run(p.ctx, chromedp.WaitReady(`html[data-ready="yes"]`)); err != nil {
		t.Fatalf("the page is not ready: %v: %s", err, p.text(t, "status"))
	}
	return p
}

// eval runs a script in the page and returns what it gives.
func eval[T any](t *testing.T, p tab, script string) T {
	t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return v
}

func (p tab) text(t *testing.T, id string) string {
	t.Helper()
	return eval[string](t, p, fmt.Sprintf("document.getElementById(%q).textContent", id))
}

// choose puts files into the three fields; "" empties one.
func (p tab) choose(t *testing.T, files ...string) {
	t.Helper()
	for i, id := range []string{"#package", "#seal", "#trust"} {
		var list []string
		if i < len(files) && files[i] != "" {
			name, err := filepath.Abs(files[i])
			if err != nil {
				t.Fatal(err)
			}
			list = []string{name}
		}
		if len(list) == 0 {
			eval[any](t, p, fmt.Sprintf(`{ const f = document.querySelector(%q); f.value = ""; f.dispatchEvent(new Event("change")); null }`, id))
			continue
		}
		if _, err := chromedp.Run(p.ctx, chromedp.SetUploadFiles(id, list)); err != nil {
			t.Fatal(err)
		}
	}
}

// A seen is what the page shows of a verdict.
type seen struct {
	Verdict string
	Layers  map[string]string
	Checks  []verify.Check // without detail
	Words   string         // all of the text of the result
	Status  string
}

const look = `(() => {
  const lines = [...document.querySelectorAll("#layers li")];
  return {
    Verdict: document.getElementById("verdict").dataset.outcome ?? "",
    Layers: Object.fromEntries([...document.querySelectorAll(".layer")].map((e) => [e.dataset.layer, e.dataset.outcome])),
    Checks: lines.map((e) => ({ name: e.dataset.check, outcome: e.dataset.outcome, code: e.dataset.code, subject: e.dataset.subject })),
    Words: document.getElementById("result").innerText,
    Status: document.getElementById("status").textContent,
  };
})()`

// verify presses the button and waits for the end.
func (p tab) verify(t *testing.T) seen {
	t.Helper()
	eval[any](t, p, `document.getElementById("start").click()`)
	const ended = `!document.getElementById("result").hidden || (document.getElementById("stop").hidden && document.getElementById("status").textContent !== "")`
	if _, err := chromedp.Run(p.ctx, chromedp.Poll[bool](ended, chromedp.WithPollingTimeout(time.Minute))); err != nil {
		t.Fatalf("no result: %v: %s", err, p.text(t, "status"))
	}
	return eval[seen](t, p, look)
}

// program is the verdict of guzheng-verify on the same files.
func (p tab) program(t *testing.T, files ...string) verify.Verdict {
	t.Helper()
	args := []string{"--json"}
	if len(files) > 2 && files[2] != "" {
		args = append(args, "--trust", files[2])
	}
	args = append(args, files[0])
	if len(files) > 1 && files[1] != "" {
		args = append(args, files[1])
	}
	out, _ := exec.CommandContext(t.Context(), p.verifier, args...).Output() // the exit code tells the verdict again
	var v verify.Verdict
	if err := json.Unmarshal(out, &v); err != nil || len(v.Checks) == 0 {
		t.Fatalf("guzheng-verify %v: %v\n%s", args, err, out)
	}
	return v
}

// same wants the page to show every check as the program makes it.
func (p tab) same(t *testing.T, files ...string) seen {
	t.Helper()
	p.choose(t, files...)
	got := p.verify(t)
	want := p.program(t, files...)
	var checks []verify.Check
	for _, c := range want.Checks {
		c.Detail = ""
		checks = append(checks, c)
	}
	sorted := func(in []verify.Check) []verify.Check {
		out := slices.Clone(in)
		slices.SortStableFunc(out, func(a, b verify.Check) int { return strings.Compare(a.Name+a.Subject, b.Name+b.Subject) })
		return out
	}
	if d := cmp.Diff(sorted(checks), sorted(got.Checks)); d != "" || got.Verdict != string(want.Outcome()) {
		t.Errorf("%v: page says %q, guzheng-verify %q (-program +page):\n%s", files, got.Verdict, want.Outcome(), d)
	}
	if !strings.Contains(got.Words, want.Package.SHA256) || !strings.Contains(got.Words, want.Package.SM3) {
		t.Errorf("%v: the page does not show the package's digests", files)
	}
	return got
}

// inline writes the trust of the vectors as a file without paths in it.
func (p tab) inline(t *testing.T) string {
	t.Helper()
	trust, err := verify.LoadTrust(vectors + "trust.json")
	if err != nil {
		t.Fatal(err)
	}
	b, err := trust.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return p.write(t, "trust.json", b)
}

func (p tab) write(t *testing.T, name string, b []byte) string {
	t.Helper()
	name = filepath.Join(p.dir, name)
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestPage opens the page from disk in Chromium and holds it against
// guzheng-verify.
func TestPage(t *testing.T) {
	p := openTab(t)
	trust := p.inline(t)
	t.Run("good", func(t *testing.T) { p.good(t, trust) })
	t.Run("flipped", func(t *testing.T) { p.flipped(t, trust) })
	t.Run("vectors", func(t *testing.T) { p.vectors(t, trust) })
	t.Run("large", func(t *testing.T) { p.large(t, trust) })
	t.Run("drop", func(t *testing.T) { p.drop(t, trust) })
	t.Run("unusable", p.unusable)
	t.Run("network", p.network)
}

func (p tab) good(t *testing.T, trust string) {
	got := p.same(t, vectors+"good.wacz", vectors+"good.seal.json", trust)
	want := map[string]string{"package": "passed", "seal": "passed", "raw": "passed", "stamp": "passed", "log": "passed"}
	if d := cmp.Diff(want, got.Layers); d != "" || got.Verdict != "passed" {
		t.Errorf("%s: %s", got.Verdict, d)
	}
	if strings.Contains(got.Words, "page.") {
		t.Errorf("a key without words is shown:\n%s", got.Words)
	}
	for _, words := range []string{"各项核验均已通过", "证据包完整，其中每一个文件与封存时一致。", "GZ-20260504-TEST0001", "https://tsa.example/", "2026-05-04 11:02:01", "29f8fe74f38c49d49810cec736a26732a30bff2e64827b709a1c63340d4f7181", "log.example/test"} {
		if !strings.Contains(got.Words, words) {
			t.Errorf("the page does not say %q:\n%s", words, got.Words)
		}
	}
	p.picture(t, "good.png")
	// Without a trust file nobody is believed, and nothing is red.
	got = p.same(t, vectors+"good.wacz", vectors+"good.seal.json")
	want = map[string]string{"package": "passed", "seal": "cannot tell", "raw": "cannot tell", "stamp": "cannot tell", "log": "cannot tell"}
	if d := cmp.Diff(want, got.Layers); d != "" || got.Verdict != "cannot tell" {
		t.Errorf("%s: %s", got.Verdict, d)
	}
	eval[any](t, p, `document.getElementById("language").click()`)
	if s := eval[seen](t, p, look); !strings.Contains(s.Words, "it is not known who signed") {
		t.Errorf("not in English: %s", s.Words)
	}
	eval[any](t, p, `document.getElementById("language").click()`)
}

// flipped changes one bit in package, seal and trust.
func (p tab) flipped(t *testing.T, trust string) {
	pkg, err := os.ReadFile(vectors + "good.wacz")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := os.ReadFile(vectors + "good.seal.json")
	if err != nil {
		t.Fatal(err)
	}
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	got := p.same(t, p.write(t, "flipped.wacz", flip(pkg, len(pkg)/2)), vectors+"good.seal.json", trust)
	if got.Layers["package"] != "failed" || got.Layers["seal"] != "failed" || got.Layers["stamp"] != "failed" {
		t.Errorf("a bit of the package: %v", got.Layers)
	}
	p.picture(t, "flipped.png")
	got = p.same(t, vectors+"good.wacz", p.write(t, "flipped.seal.json", flip(sealed, bytes.Index(sealed, []byte(`"value": "`))+30)), trust)
	if got.Layers["package"] != "passed" || got.Layers["seal"] != "failed" {
		t.Errorf("a bit of the seal: %v", got.Layers)
	}
	got = p.same(t, p.write(t, "cut.wacz", pkg[:len(pkg)-1]), vectors+"good.seal.json", trust)
	if got.Layers["package"] != "failed" {
		t.Errorf("a byte less: %v", got.Layers)
	}
	b, err := os.ReadFile(trust)
	if err != nil {
		t.Fatal(err)
	}
	got = p.same(t, vectors+"good.wacz", vectors+"good.seal.json", p.write(t, "other.json", bytes.ReplaceAll(b, []byte("29f8fe"), []byte("39f8fe"))))
	if want := map[string]string{"package": "passed", "seal": "failed", "raw": "passed", "stamp": "passed", "log": "passed"}; !cmp.Equal(want, got.Layers) {
		t.Errorf("wrong trust: %v", got.Layers)
	}
}

// vectors shows packages that fall in different ways: for each check one that
// fails there first.
func (p tab) vectors(t *testing.T, trust string) {
	all, err := filepath.Glob(vectors + "*.wacz")
	if err != nil || len(all) < 20 {
		t.Fatalf("%d vectors, %v", len(all), err)
	}
	seen := map[string]bool{}
	for _, pkg := range all {
		sealed, err := verify.NewestSeal(pkg)
		if err != nil {
			t.Fatal(err)
		}
		checks := p.program(t, pkg, sealed, trust).Checks
		i := slices.IndexFunc(checks, func(c verify.Check) bool { return c.Outcome != verify.Passed })
		if i < 0 || seen[checks[i].Name] {
			continue // of the sound ones the test before has one
		}
		seen[checks[i].Name] = true
		p.same(t, pkg, sealed, trust)
	}
	if len(seen) < 8 {
		t.Errorf("only %d kinds of packages: %v", len(seen), seen)
	}
}

// large is a package of more slices than are held at a time, whole and with
// the last byte of a slice changed.
func (p tab) large(t *testing.T, trust string) {
	dir := filepath.Join(t.TempDir(), "take")
	take := wacztest.Take(t, dir, wacztest.LargeWARC(t, 12<<20))
	name := filepath.Join(p.dir, "large.wacz")
	in := wacztest.Input(t, dir, take, func([32]byte) []byte { return []byte("[]\n") })
	if _, err := wacz.Write(t.Context(), name, in); err != nil {
		t.Fatal(err)
	}
	if got := p.same(t, name, "", trust); got.Layers["package"] != "passed" || got.Verdict != "cannot tell" {
		t.Errorf("%s: %v", got.Verdict, got.Layers)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[10<<20-1] ^= 1
	if got := p.same(t, p.write(t, "large-flipped.wacz", b), "", trust); got.Layers["package"] != "failed" {
		t.Errorf("%s: %v", got.Verdict, got.Layers)
	}
}

// drop lets files fall on the page, in any order, with others among them.
func (p tab) drop(t *testing.T, trust string) {
	p.choose(t, vectors+"good.wacz", vectors+"good.seal.json", trust)
	eval[any](t, p, `(() => {
	  const d = new DataTransfer();
	  for (const id of ["trust", "seal", "package"]) {
	    const field = document.getElementById(id);
	    for (const f of field.files) d.items.add(f);
	    field.value = "";
	    field.dispatchEvent(new Event("change"));
	  }
	  d.items.add(new File(["{}"], "GZ-1.seal-9.json"));
	  d.items.add(new File(["x"], "page.pdf"));
	  document.dispatchEvent(new DragEvent("drop", { dataTransfer: d, bubbles: true, cancelable: true }));
	})()`)
	const named = `document.getElementById("package-name").textContent + " " + document.getElementById("seal-name").textContent + " " + document.getElementById("trust-name").textContent`
	if _, err := chromedp.Run(p.ctx, chromedp.Poll[bool](`(`+named+`) === "good.wacz good.seal.json trust.json"`, chromedp.WithPollingTimeout(10*time.Second))); err != nil {
		t.Fatalf("%v: %s", err, eval[string](t, p, named))
	}
	if got := p.verify(t); got.Verdict != "passed" {
		t.Errorf("%+v", got)
	}
	// Other files: the result is gone, and with another package its seal.
	const other = `(() => {
	  const d = new DataTransfer();
	  d.items.add(new File(["x"], %q));
	  document.dispatchEvent(new DragEvent("drop", { dataTransfer: d, bubbles: true, cancelable: true }));
	})()`
	for _, c := range []struct{ name, want string }{
		{"notes.txt", "good.wacz good.seal.json trust.json true 没有认出证据包、封签或者信任文件。请拖入文件，不要拖入文件夹。"},
		{"other.wacz", "other.wacz  trust.json true "},
	} {
		eval[any](t, p, fmt.Sprintf(other, c.name))
		state := named + ` + " " + document.getElementById("result").hidden + " " + document.getElementById("status").textContent`
		if _, err := chromedp.Run(p.ctx, chromedp.Poll[bool](fmt.Sprintf("(%s) === %q", state, c.want), chromedp.WithPollingTimeout(10*time.Second))); err != nil {
			t.Errorf("%s: %v: %q", c.name, err, eval[string](t, p, state))
		}
	}
}

// TestWords wants a sentence for every key that the page names.
func TestWords(t *testing.T) {
	said, err := catalogues()
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]map[string]string
	if err := json.Unmarshal([]byte(said), &all); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, name := range []string{"page.html", "page.js"} {
		b, err := parts.ReadFile("page/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"(page\.[a-z0-9.]*[a-z0-9])"`).FindAllStringSubmatch(string(b), -1) {
			keys = append(keys, m[1])
		}
	}
	if len(keys) < 30 {
		t.Fatalf("only %d keys found; the search is broken", len(keys))
	}
	for _, outcome := range []string{"passed", "failed", "cannot tell"} {
		keys = append(keys, "outcome."+outcome, "page.verdict."+outcome)
		for _, layer := range []string{"package", "seal", "raw", "stamp", "log"} {
			keys = append(keys, "page.layer."+layer, "page.layer."+layer+"."+outcome)
		}
	}
	for _, lang := range []string{"zh-CN", "en"} {
		for _, key := range keys {
			if all[lang][key] == "" {
				t.Errorf("%s: %s has no words", lang, key)
			}
		}
	}
	if got := all["en"]["page.running"]; !strings.Contains(got, "{{.read}}") {
		t.Errorf("a placeholder is gone: %q", got)
	}
}

// unusable gives the page what it cannot read: that is said, and no verdict.
func (p tab) unusable(t *testing.T) {
	bad := p.write(t, "bad.json", []byte(`{"format": "guzheng-trust/1", "tsa": {"roots": ["root.pem"]}}`))
	p.choose(t, vectors+"good.wacz", vectors+"good.seal.json", bad)
	eval[any](t, p, `document.getElementById("verdict").dataset.outcome = ""`)
	if got := p.verify(t); got.Verdict != "" || !strings.Contains(got.Status, "核验没有完成") || !strings.Contains(got.Status, "not a PEM text") {
		t.Errorf("%+v", got)
	}
	empty := p.write(t, "empty.wacz", nil)
	p.same(t, empty, vectors+"good.seal.json")
}

// network wants the page to be unable to reach anybody.
func (p tab) network(t *testing.T) {
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Access-Control-Allow-Origin", "*")
	}))
	defer srv.Close()
	for _, way := range []string{
		`fetch(%q).then(() => "went out", () => "refused")`,
		`new Promise((r) => { const i = new Image(); i.onload = i.onerror = () => r("refused"); i.src = %q; })`,
		`new Promise((r) => { const w = new Worker(URL.createObjectURL(new Blob(["fetch(\"" + %q + "\").then(() => postMessage('went out'), () => postMessage('refused'))"]))); w.onmessage = (e) => r(e.data); })`,
		`new Promise((r) => { const s = document.createElement("script"); s.onload = s.onerror = () => r("refused"); s.src = %q; document.body.append(s); })`,
	} {
		if got := eval[string](t, p, fmt.Sprintf(way, srv.URL+"/x")); got != "refused" {
			t.Errorf("%s: %s", way, got)
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("%d requests went out", n)
	}
}

// picture keeps a picture of the page beside the test's results.
func (p tab) picture(t *testing.T, name string) {
	t.Helper()
	b, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Logf("no picture: %v", err)
		return
	}
	name = filepath.Join(t.ArtifactDir(), name)
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Error(err)
	}
	t.Logf("picture of the page: %s", name)
}

// TestAssemble wants the policy to name the scripts as they stand in the page.
func TestAssemble(t *testing.T) {
	glue, err := os.ReadFile(gluePath(t))
	if err != nil {
		t.Fatal(err)
	}
	page, err := assemble([]byte("core"), glue, "<v>")
	if err != nil {
		t.Fatal(err)
	}
	again, err := assemble([]byte("core"), glue, "<v>")
	if err != nil || !bytes.Equal(page, again) {
		t.Error("the same parts give another page")
	}
	text := string(page)
	for tag, n := range map[string]int{"<script": 4, "</script>": 4, "<style>": 1, "&lt;v&gt;": 1} {
		if strings.Count(text, tag) != n {
			t.Errorf("%s: %d times, want %d", tag, strings.Count(text, tag), n)
		}
	}
	between := func(from, to string) string {
		_, rest, _ := strings.Cut(text, from)
		s, _, _ := strings.Cut(rest, to)
		return s
	}
	for kind, s := range map[string]string{"script-src": between("<script>", "</script>"), "style-src": between("<style>", "</style>")} {
		if want := kind + " '" + hash(s) + "'"; !strings.Contains(text, want) {
			t.Errorf("the policy has no %s", want)
		}
	}
	if _, err := assemble(nil, []byte("x = '</script>'"), ""); err == nil {
		t.Error("glue with an end tag was taken")
	}
}
