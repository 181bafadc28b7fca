package main

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/providers/structs"
	"github.com/knadh/koanf/v2"
)

var update = flag.Bool("update", false, "rewrite the blocks of the README that are made from the program")

// block returns the text between two markers, without the code fence.
func block(t *testing.T, text, name string) (from, to int) {
	t.Helper()
	start := "<!-- " + name + " -->\n"
	i := strings.Index(text, start)
	if i < 0 {
		t.Fatalf("README has no block %q", name)
	}
	rest := text[i+len(start):]
	k := strings.Index(rest, "```\n<!-- end -->")
	fence := strings.Index(rest, "\n") + 1
	if k < 0 || k < fence {
		t.Fatalf("block %q of the README is not closed", name)
	}
	return i + len(start) + fence, i + len(start) + k
}

// TestReadme keeps what the README quotes equal to what is run: the exit
// codes, the check without us, the settings.
func TestReadme(t *testing.T) {
	name := filepath.Join("..", "..", "README.md")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join("testdata", "check.sh"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, quoted := range []struct{ block, want string }{
		{"exit codes", strings.TrimPrefix(exitTable, "Exit codes:\n") + "\n"},
		{"check.sh", string(script)},
	} {
		from, to := block(t, text, quoted.block)
		if text[from:to] == quoted.want {
			continue
		}
		if !*update {
			t.Errorf("block %q of the README is out of date: go test ./cmd/guzheng -run Readme -update", quoted.block)
			continue
		}
		text = text[:from] + quoted.want + text[to:]
	}
	if *update {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	settings(t, text)
}

// settings checks that the README names every setting and no other.
func settings(t *testing.T, text string) {
	t.Helper()
	from, to := block(t, text, "settings")
	told, have := koanf.New("."), koanf.New(".")
	if err := told.Load(rawbytes.Provider([]byte(text[from:to])), yaml.Parser()); err != nil {
		t.Fatal(err)
	}
	c := defaults()
	c.TSA = nil
	if err := have.Load(structs.Provider(c, "koanf"), nil); err != nil {
		t.Fatal(err)
	}
	a, b := told.Keys(), have.Keys()
	slices.Sort(a)
	slices.Sort(b)
	if !slices.Equal(a, b) {
		t.Errorf("README tells %v, the program has %v", a, b)
	}
	entries(t, told, "tsa", tsaConfig{})
	entries(t, told, "log.witnesses", witnessConfig{})
}

// entries checks that the README's example of a list names every member.
func entries(t *testing.T, told *koanf.Koanf, key string, member any) {
	t.Helper()
	one := koanf.New(".")
	if err := one.Load(structs.Provider(member, "koanf"), nil); err != nil {
		t.Fatal(err)
	}
	first, ok := told.Get(key).([]any)[0].(map[string]any)
	if !ok || len(first) != len(one.Keys()) {
		t.Errorf("README tells %v of %s, the program has %v", first, key, one.Keys())
	}
}
