package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// maxLines bounds a source file that is not a test.
const maxLines = 400

// verifierReaches is all of ours that guzheng-verify may be made of, beside
// packages below preserve/internal.
var verifierReaches = []string{
	"capture", "capture/warc",
	"preserve/wacz", "preserve/seal", "preserve/tsa", "preserve/tlog", "preserve/ers", "preserve/verify",
}

// bound are the concrete parts that only the commands may put in.
var bound = []string{
	"capture/web", "capture/mail", "capture/database", "capture/file", "capture/screen", "capture/practice",
	"capture/practice/corpus", "capture/ordeal",
	"storage/dir", "storage/s3", "storage/index", "storage/queue",
}

// alone are packages that know the machine and nothing of ours.
var alone = []string{"capture/cgroup"}

// A house is what the rules are about, read from the sources alone.
type house struct {
	uses     []use               // imports of ours, in source order
	packages map[string]bool     // folder → has a package comment
	calls    []string            // FILE:LINE of uses of time.Now outside tests
	long     []string            // FILE:LINE where a file becomes too long
	reach    map[string][]string // folder → folders it imports outside tests
}

// A use is one import of ours. From and To are folders, "capture/web".
type use struct {
	at, from, to string
	test         bool
}

// TestArrows holds the sources against the arrows between the rooms.
func TestArrows(t *testing.T) {
	root := os.DirFS("../..")
	module, err := modulePath(root)
	if err != nil {
		t.Fatal(err)
	}
	h, err := readHouse(root, module)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.packages) < 20 {
		t.Fatalf("only %d packages found", len(h.packages))
	}
	for _, complaint := range h.complaints() {
		t.Error(complaint)
	}
}

// TestArrowsNotice builds a house against the rules and wants every breach
// to be named with its place.
func TestArrowsNotice(t *testing.T) {
	src := func(name, rest string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("// Package " + name + " is.\npackage " + name + "\n" + rest)}
	}
	files := fstest.MapFS{
		"capture/a.go":                src("capture", `import "m/storage"`),
		"capture/a_test.go":           src("capture", `import "m/report"`),
		"capture/web/a.go":            src("web", "import \"m/capture\"\nimport _ \"m/capture/cgroup\"\nimport clock \"time\"\nvar now = clock.Now"),
		"capture/warc/a.go":           src("warc", `import "m/capture/web"`),
		"capture/cgroup/a.go":         src("cgroup", `import "m/capture"`),
		"capture/take/a.go":           src("take", `import "m/capture/cgroup"`),
		"capture/practice/a.go":       src("practice", ""),
		"capture/clock.go":            src("capture", "import \"time\"\nvar now = time.Now()"),
		"storage/a.go":                src("storage", ""),
		"storage/dir/a.go":            src("dir", "import \"m/storage\"\n"+strings.Repeat("\n", maxLines)),
		"storage/storetest/a.go":      src("storetest", ""),
		"preserve/a.go":               src("preserve", "import \"m/capture/practice\"\nimport \"m/storage/dir\"\nimport \"m/report\""),
		"preserve/a_test.go":          src("preserve", "import \"m/storage/dir\"\nimport \"m/capture/practice\""),
		"preserve/verify/a.go":        src("verify", "import \"m/capture\"\nimport \"m/preserve/tlog/ledger\""),
		"preserve/tlog/ledger/a.go":   src("ledger", ""),
		"preserve/internal/x/a.go":    src("x", ""),
		"report/a.go":                 src("report", "import \"m/capture\"\nimport \"m/capture/warc\"\nimport \"m/storage/storetest\"\nimport \"m/capture/raster\""),
		"capture/raster/a.go":         src("raster", ""),
		"report/mute/a.go":            {Data: []byte("package mute\n")},
		"cmd/guzheng/a.go":            src("main", "import \"m/capture/web\"\nimport \"m/storage/index\"\nimport \"time\"\nvar now = time.Now"),
		"cmd/guzheng-verify/a.go":     src("main", "import \"m/preserve/verify\"\nimport \"m/preserve/internal/x\""),
		"elsewhere/a.go":              src("elsewhere", `import "m/capture"`),
		"report/testdata/a.go":        src("ignored", `import "m/cmd/guzheng"`),
		"node_modules/x/a.go":         src("ignored", `import "m/cmd/guzheng"`),
		".tools/x/a.go":               src("ignored", `import "m/cmd/guzheng"`),
		"storage/index/a.go":          src("index", `import "m/storage"`),
		"storage/index/index_test.go": src("index", `import "m/capture"`),
	}
	h, err := readHouse(files, "m")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"capture/a.go:3: capture imports storage: no arrow leads there",
		"capture/cgroup/a.go:3: capture/cgroup imports capture: it may know none of ours",
		"capture/take/a.go:3: capture/take imports capture/cgroup: only capture/web may",
		"capture/warc/a.go:3: capture/warc imports capture/web: only cmd may",
		"capture/web/a.go:6: time.Now; take a clock",
		"cmd/guzheng-verify: reaches preserve/tlog/ledger by preserve/verify",
		"cmd/guzheng-verify: reaches storage by capture",
		"elsewhere/a.go:3: elsewhere imports capture: no arrow leads there",
		"preserve/a.go:3: preserve imports capture/practice: only cmd may",
		"preserve/a.go:4: preserve imports storage/dir: only cmd may",
		"preserve/a.go:5: preserve imports report: no arrow leads there",
		"report/a.go:4: report imports capture/warc: no arrow leads there",
		"report/a.go:5: report imports storage/storetest: only tests may",
		"report/mute: no package comment",
		"storage/dir/a.go:401: more than 400 lines",
	}
	circle := "rooms in a circle: capture (capture/a_test.go:3) → report (report/a.go:3) → capture"
	got := h.complaints()
	if !slices.Contains(got, circle) {
		t.Errorf("the circle that a test closes is not noticed: %q", got)
	}
	got = slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(s, "rooms") })
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("complaints (-want +got):\n%s", d)
	}
}

func modulePath(root fs.FS) (string, error) {
	b, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(name), nil
		}
	}
	return "", fmt.Errorf("no module line in go.mod")
}

// readHouse parses every Go file below root, whatever system it is for.
func readHouse(root fs.FS, module string) (*house, error) {
	h := &house{packages: map[string]bool{}, reach: map[string][]string{}}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := d.Name()
			if base != "." && (base[0] == '.' || base[0] == '_' || base == "testdata" || base == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		return h.readFile(root, module, name)
	})
	return h, err
}

func (h *house) readFile(root fs.FS, module, name string) error {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	folder, test := path.Dir(name), strings.HasSuffix(name, "_test.go")
	mode := parser.ImportsOnly | parser.ParseComments
	clock := !test && name != "capture/clock.go" && !strings.HasPrefix(folder, "cmd/")
	if clock {
		mode = parser.SkipObjectResolution
	}
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, text, mode|parser.ParseComments)
	if err != nil {
		return err
	}
	place := func(p token.Pos) string { return fmt.Sprintf("%s:%d", name, set.Position(p).Line) }
	if !test {
		h.packages[folder] = h.packages[folder] || f.Doc.Text() != ""
		if n := bytes.Count(text, []byte("\n")); n > maxLines {
			h.long = append(h.long, fmt.Sprintf("%s:%d", name, maxLines+1))
		}
	}
	for _, spec := range f.Imports {
		what, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		if what == "time" && clock {
			h.readClock(f, spec, place)
		}
		to, ours := strings.CutPrefix(what, module+"/")
		if !ours {
			continue
		}
		h.uses = append(h.uses, use{at: place(spec.Pos()), from: folder, to: to, test: test})
		if !test && !slices.Contains(h.reach[folder], to) {
			h.reach[folder] = append(h.reach[folder], to)
		}
	}
	return nil
}

// readClock notes every time.Now in a file, called or passed on.
func (h *house) readClock(f *ast.File, spec *ast.ImportSpec, place func(token.Pos) string) {
	name := "time"
	if spec.Name != nil {
		name = spec.Name.Name
	}
	ast.Inspect(f, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok || s.Sel.Name != "Now" {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && x.Name == name {
			h.calls = append(h.calls, place(s.Pos()))
		}
		return true
	})
}

// complaints returns what is against the rules, sorted.
func (h *house) complaints() []string {
	var out []string
	for _, u := range h.uses {
		if why := forbidden(u); why != "" && !u.test {
			out = append(out, u.at+": "+u.from+" imports "+u.to+why)
		}
	}
	for folder, told := range h.packages {
		if !told {
			out = append(out, folder+": no package comment")
		}
	}
	for _, at := range h.calls {
		out = append(out, at+": time.Now; take a clock")
	}
	for _, at := range h.long {
		out = append(out, fmt.Sprintf("%s: more than %d lines", at, maxLines))
	}
	out = append(out, h.verifier()...)
	out = append(out, h.circles()...)
	slices.Sort(out)
	return out
}

func room(folder string) string {
	r, _, _ := strings.Cut(folder, "/")
	return r
}

// forbidden says why an arrow is not in the plan of the house, or nothing.
func forbidden(u use) string {
	from, to := room(u.from), room(u.to)
	switch {
	case strings.HasSuffix(u.to, "test"):
		return ": only tests may"
	case to == "cmd":
		return ": nobody may"
	case slices.Contains(alone, u.from):
		return ": it may know none of ours"
	case slices.Contains(alone, u.to) && u.from != "capture/web":
		return ": only capture/web may"
	case from == "cmd":
		return ""
	case slices.Contains(bound, u.to):
		return ": only cmd may"
	case from == to && (from == "capture" || from == "storage" || from == "preserve" || from == "report"):
		return ""
	}
	// capture/warc and capture/raster know a format each and no source: what
	// they read is the same bytes before and after a take is kept. A sheet
	// prints pictures of pages that are too tall to be held whole.
	allowed := map[string][]string{
		"preserve": {"capture", "capture/warc", "storage"},
		"report":   {"capture", "capture/raster", "storage"},
	}[from]
	if slices.Contains(allowed, u.to) || from == "report" && to == "preserve" {
		return ""
	}
	return ": no arrow leads there"
}

// verifier names what guzheng-verify is made of and should not be, with the
// package that brings it in.
func (h *house) verifier() []string {
	const start = "cmd/guzheng-verify"
	var out []string
	seen := map[string]bool{start: true}
	for todo := []string{start}; len(todo) > 0; todo = todo[1:] {
		for _, to := range h.reach[todo[0]] {
			if seen[to] {
				continue
			}
			seen[to] = true
			todo = append(todo, to)
			if !slices.Contains(verifierReaches, to) && !strings.HasPrefix(to, "preserve/internal/") {
				out = append(out, start+": reaches "+to+" by "+todo[0])
			}
		}
	}
	return out
}

// circles names rooms that lead back to themselves when the imports of tests
// count too: a test that closes a circle ties the rooms together as much as
// the code would.
func (h *house) circles() []string {
	arrows := map[string]map[string]string{} // from → to → place
	for _, u := range h.uses {
		from, to := room(u.from), room(u.to)
		if from == to {
			continue
		}
		if arrows[from] == nil {
			arrows[from] = map[string]string{}
		}
		if arrows[from][to] == "" {
			arrows[from][to] = u.at
		}
	}
	var out []string
	var walk func(way, told []string)
	walk = func(way, told []string) {
		here := way[len(way)-1]
		for to, at := range arrows[here] {
			step := append(slices.Clone(told), here+" ("+at+")")
			if to == way[0] {
				out = append(out, "rooms in a circle: "+strings.Join(step, " → ")+" → "+to)
			} else if !slices.Contains(way, to) && to > way[0] {
				walk(append(slices.Clone(way), to), step)
			}
		}
	}
	for from := range arrows {
		walk([]string{from}, nil)
	}
	return out
}
