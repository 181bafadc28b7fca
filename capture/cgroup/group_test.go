package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// plain is a group of plain files.
func plain(t *testing.T, files map[string]string) *Group {
	t.Helper()
	// What is written to a file of the kernel takes the place of what was there.
	whole := func(name, text string) error {
		return errors.Join(os.Truncate(name, 0), write(name, text))
	}
	g := &Group{dir: t.TempDir(), write: whole, memory: true, pids: true}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(g.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func TestSet(t *testing.T) {
	g := plain(t, map[string]string{"memory.max": "max\n", "pids.max": "max\n", killFile: ""})
	if d := cmp.Diff(Held{Kill: true}, g.Held()); d != "" {
		t.Errorf("before (-want +got):\n%s", d)
	}
	if err := g.Set(Limits{Memory: 1 << 30, Threads: 640}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Held{Memory: true, Threads: true, Kill: true}, g.Held()); d != "" {
		t.Errorf("set (-want +got):\n%s", d)
	}
	for name, edit := range map[string]string{"memory.max": "1073745920\n", "pids.max": "max\n"} {
		if err := os.WriteFile(filepath.Join(g.dir, name), []byte(edit), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(Held{Kill: true}, g.Held()); d != "" {
		t.Errorf("lifted by another (-want +got):\n%s", d)
	}
	if err := g.Set(Limits{}); err != nil {
		t.Fatal(err)
	}
	if got := words(filepath.Join(g.dir, "memory.max")); len(got) != 1 || got[0] != "max" {
		t.Errorf("no limit is %q", got)
	}
}

// A controller that is not there is no reason not to hold the other.
func TestSetInPart(t *testing.T) {
	g := plain(t, map[string]string{"pids.max": "max"})
	if err := g.Set(Limits{Memory: 1, Threads: 2}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no memory.max: %v", err)
	}
	if d := cmp.Diff(Held{Threads: true}, g.Held()); d != "" {
		t.Errorf("held (-want +got):\n%s", d)
	}
}

func TestEvents(t *testing.T) {
	g := plain(t, map[string]string{
		"memory.events": "low 0\nhigh 0\nmax 96\noom 3\noom_kill 2\noom_group_kill 0\n",
		"pids.events":   "max 7\n", "memory.peak": "1073741824\n",
	})
	if d := cmp.Diff(Events{Full: 3, Killed: 2, Refused: 7, Peak: 1 << 30}, g.Events()); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if e := plain(t, nil).Events(); e != (Events{}) {
		t.Errorf("of nothing: %+v", e)
	}
}

func TestMembers(t *testing.T) {
	got, ok := plain(t, map[string]string{procsFile: "12\n0\n345\n"}).Members()
	if d := cmp.Diff([]int{12, 345}, got); d != "" || !ok {
		t.Errorf("members (-want +got):\n%s", d)
	}
	if got, ok := plain(t, nil).Members(); ok {
		t.Errorf("members that cannot be told: %v", got)
	}
}

// Without a group everything may be called and holds nothing.
func TestNoGroup(t *testing.T) {
	var g *Group
	var attr syscall.SysProcAttr
	g.Into(&attr)
	g.Kill()
	_, ok := g.Members()
	if err := errors.Join(g.Set(Limits{Memory: 1}), g.End()); err != nil || ok || attr.UseCgroupFD || g.Held() != (Held{}) || g.Events() != (Events{}) {
		t.Errorf("a group: %v", err)
	}
}

func FuzzNumbers(f *testing.F) {
	f.Add([]byte("low 0\nhigh 0\nmax 96\noom 3\noom_kill 2\n"))
	f.Add([]byte("populated 1\nfrozen 0"))
	f.Add([]byte("max 99999999999999999999\nmax\n\n a  b c\nmax -1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, n := range numbers(b) {
			if name == "" || strings.ContainsAny(name, " \n\t") {
				t.Fatalf("%q is %d", name, n)
			}
		}
	})
}
