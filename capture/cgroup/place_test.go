package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const self = 4711

// A fake is a hierarchy of plain files, with a kernel that obeys the rules.
type fake struct {
	t    *testing.T
	root string // of proc and the hierarchy
	uid  int
	// by path below the hierarchy
	marked map[string]bool
	owners map[string]int
	denied map[string]bool // nothing can be made or written there
}

// newFake makes the groups of a listing: a line for each with its path and
// its files, "/a cgroup.procs=1,4711 cgroup.controllers=memory,pids". All but
// the top are of type domain unless they say so themselves.
func newFake(t *testing.T, own, groups string) *fake {
	t.Helper()
	f := &fake{t: t, root: t.TempDir(), marked: map[string]bool{}, owners: map[string]int{}, denied: map[string]bool{}}
	f.file("proc/self/cgroup", "4:memory:/x\n0::"+own+"\n")
	f.file("proc/self/mountinfo", "41 31 0:38 / "+f.dir("/")+" rw,nosuid - cgroup2 cgroup2 rw\n")
	f.file("proc/"+strconv.Itoa(self)+"/stat", "")
	for line := range strings.Lines(groups) {
		w := strings.Fields(line)
		if len(w) == 0 {
			continue
		}
		for _, name := range []string{procsFile, subtree, "cgroup.controllers"} {
			f.file("cg"+w[0]+"/"+name, "")
		}
		for _, file := range w[1:] {
			name, text, _ := strings.Cut(file, "=")
			f.file("cg"+w[0]+"/"+name, strings.ReplaceAll(text, ",", "\n"))
		}
	}
	return f
}

func (f *fake) dir(group string) string { return filepath.Join(f.root, "cg", group) }

func (f *fake) file(name, text string) {
	name = filepath.Join(f.root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fake) group(dir string) string {
	return "/" + strings.Trim(strings.TrimPrefix(dir, f.dir("/")), "/")
}

func (f *fake) host() host {
	return host{proc: filepath.Join(f.root, "proc"), pid: self, uid: f.uid,
		mark:  func(dir string) bool { return f.marked[f.group(dir)] },
		owner: func(dir string) int { return f.owners[f.group(dir)] },
		mkdir: func(dir string) error {
			if f.denied[f.group(filepath.Dir(dir))] {
				return os.ErrPermission
			}
			return os.Mkdir(dir, 0o755)
		},
		write: f.write,
	}
}

// write does what the kernel would.
func (f *fake) write(name, text string) error {
	dir := filepath.Dir(name)
	top := f.group(dir) == "/"
	switch base := filepath.Base(name); base {
	case subtree:
		if len(words(filepath.Join(dir, procsFile))) > 0 && !top {
			return errors.New("busy")
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(name, append(b, " "+strings.TrimPrefix(text, "+")...), 0o644)
	case procsFile:
		// Out of wherever it is.
		_ = filepath.WalkDir(f.dir("/"), func(p string, _ os.DirEntry, err error) error {
			if filepath.Base(p) == procsFile {
				left := slices.DeleteFunc(words(p), func(s string) bool { return s == text })
				return os.WriteFile(p, []byte(strings.Join(left, "\n")), 0o644)
			}
			return err
		})
		return os.WriteFile(name, []byte(text), 0o644)
	default:
		return write(name, text)
	}
}

func TestFind(t *testing.T) {
	const all = "cgroup.controllers=cpu,memory,pids"
	const on = "cgroup.subtree_control=memory,pids"
	for name, c := range map[string]struct {
		own, groups string
		edit        func(*fake)
		where       string // the place; "" when there is none
		held        []string
		moved       bool
	}{
		"hybrid machine, no controllers": {own: "/", groups: "/ cgroup.procs=1,4711 cgroup.controllers=hugetlb", where: "/"},
		"top of the hierarchy":           {own: "/", groups: "/ cgroup.procs=1,4711 " + all, where: "/", held: wanted()},
		"only pids":                      {own: "/", groups: "/ cgroup.procs=1,4711 cgroup.controllers=pids", where: "/", held: []string{pids}},
		"top of a namespace is not the top": {own: "/", groups: "/ cgroup.type=domain cgroup.procs=1,4711 " + all,
			where: "/"},
		"ordinary user at a top that is not theirs": {own: "/", groups: "/ cgroup.procs=1,4711 " + all,
			edit: func(f *fake) { f.uid = 1000; f.denied["/"] = true }},
		"root in a session of systemd": {own: "/user.slice/s.scope", groups: "/ " + all + " " + on + "\n/user.slice cgroup.type=domain " + all + " " + on +
			"\n/user.slice/s.scope cgroup.type=domain cgroup.procs=4711,4712 " + all, where: "/", held: wanted()},
		"root in a service with a limit of its own": {own: "/system.slice/g.service", groups: "/ " + all + " " + on + "\n/system.slice cgroup.type=domain " + all + " " + on +
			"\n/system.slice/g.service cgroup.type=domain memory.max=1073741824 cgroup.procs=4711 " + all, where: "/system.slice/g.service"},
		"root below a slice with a limit": {own: "/system.slice/g.service", groups: "/ " + all + " " + on + "\n/system.slice cgroup.type=domain cpu.max=50000,100000 " + all + " " + on +
			"\n/system.slice/g.service cgroup.type=domain memory.max=max cpu.max=max,100000 cgroup.procs=4711 " + all, where: "/system.slice/g.service"},
		"service with Delegate=yes": {own: "/system.slice/g.service", groups: "/ " + all + " " + on + "\n/system.slice cgroup.type=domain " + all + " " + on +
			"\n/system.slice/g.service cgroup.type=domain memory.max=1073741824 cgroup.procs=4711 " + all,
			edit: func(f *fake) { f.marked["/system.slice/g.service"] = true }, where: "/system.slice/g.service", held: wanted(), moved: true},
		"service with DelegateSubgroup=": {own: "/system.slice/g.service/main", groups: "/ " + all + " " + on + "\n/system.slice cgroup.type=domain " + all + " " + on +
			"\n/system.slice/g.service cgroup.type=domain " + all + "\n/system.slice/g.service/main cgroup.type=domain cgroup.procs=4711 " + all,
			edit: func(f *fake) { f.marked["/system.slice/g.service"] = true }, where: "/system.slice/g.service", held: wanted()},
		"delegated and not alone": {own: "/g", groups: "/ cgroup.type=domain " + all + "\n/g cgroup.type=domain cgroup.procs=4711,4712 " + all,
			edit: func(f *fake) { f.marked["/g"] = true }, where: "/g"},
		"session of a user": {own: "/user.slice/user@1000.service/app.slice/t.scope", groups: "/ " + all + " " + on + "\n/user.slice cgroup.type=domain " + all + " " + on +
			"\n/user.slice/user@1000.service cgroup.type=domain " + all + " " + on +
			"\n/user.slice/user@1000.service/app.slice cgroup.type=domain " + all +
			"\n/user.slice/user@1000.service/app.slice/t.scope cgroup.type=domain cgroup.procs=4711,4712 " + all,
			edit: func(f *fake) {
				f.uid = 1000
				for _, g := range []string{"/user.slice/user@1000.service", "/user.slice/user@1000.service/app.slice", "/user.slice/user@1000.service/app.slice/t.scope"} {
					f.owners[g] = 1000
				}
				f.denied["/user.slice"], f.denied["/"] = true, true
			}, where: "/user.slice/user@1000.service/app.slice", held: wanted()},
		"more above than near": {own: "/a/b/c", groups: "/ \n/a cgroup.type=domain " + all + "\n/a/b cgroup.type=domain cgroup.controllers=pids" +
			"\n/a/b/c cgroup.type=domain cgroup.procs=4711,4712 ",
			edit: func(f *fake) { f.marked["/a"], f.marked["/a/b"] = true, true }, where: "/a", held: wanted()},
		"the better one is denied": {own: "/a/b/c", groups: "/ \n/a cgroup.type=domain " + all + "\n/a/b cgroup.type=domain cgroup.controllers=pids" +
			"\n/a/b/c cgroup.type=domain cgroup.procs=4711,4712 ",
			edit: func(f *fake) { f.marked["/a"], f.marked["/a/b"], f.denied["/a"] = true, true, true }, where: "/a/b", held: []string{pids}},
		"session over ssh": {own: "/user.slice/s.scope", groups: "/ " + all + " " + on + "\n/user.slice cgroup.type=domain " + all + " " + on +
			"\n/user.slice/s.scope cgroup.type=domain cgroup.procs=4711,4712 " + all,
			edit: func(f *fake) {
				f.uid, f.owners["/"] = 1000, 0
				f.denied["/"], f.denied["/user.slice"], f.denied["/user.slice/s.scope"] = true, true, true
			}},
		"nothing mounted": {own: "/", groups: "/ cgroup.procs=4711", edit: func(f *fake) { f.file("proc/self/mountinfo", "31 23 0:28 / /sys rw - sysfs sysfs rw\n") }},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, c.own, c.groups)
			if c.edit != nil {
				c.edit(f)
			}
			p, err := find(f.host())
			if c.where == "" {
				if !errors.Is(err, ErrNone) {
					t.Fatalf("a place: %+v, %v", p, err)
				}
				t.Log(err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := f.group(p.dir); got != c.where {
				t.Errorf("place %s, want %s", got, c.where)
			}
			if d := cmp.Diff(c.held, p.held); d != "" {
				t.Errorf("held (-want +got):\n%s", d)
			}
			tool := filepath.Join(p.dir, "guzheng-4711-tool", procsFile)
			if got := slices.Contains(words(tool), "4711"); got != c.moved {
				t.Errorf("moved: %v", got)
			}
			if !c.moved && !slices.Contains(words(filepath.Join(f.dir(c.own), procsFile)), "4711") {
				t.Error("the tool is not where it was")
			}
			left, err := filepath.Glob(filepath.Join(p.dir, prefix+"*"))
			if err != nil || !c.moved && len(left) > 0 {
				t.Errorf("left behind: %q, %v", left, err)
			}
		})
	}
}

func TestSweep(t *testing.T) {
	f := newFake(t, "/", "/ cgroup.procs=4711")
	f.file("proc/99/stat", "99 (Z) Z) S 1 99")
	f.file("proc/95/stat", "95 (a) b) Z 1 95")
	f.file("cg/guzheng-98-0badcafe/cgroup.procs", "1") // not empty: the kernel refuses, and so does a plain directory
	for _, name := range []string{"guzheng-97-0badcafe", "guzheng-96-tool", "guzheng-95-0badcafe", "guzheng-99-0badcafe", "guzheng-4711-0badcafe", "guzheng-x-0badcafe", "guzheng-9x-0", "other-97-0"} {
		if err := os.Mkdir(f.dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := find(f.host()); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(f.dir("/"))
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		if e.IsDir() {
			left = append(left, e.Name())
		}
	}
	want := []string{"guzheng-4711-0badcafe", "guzheng-98-0badcafe", "guzheng-99-0badcafe", "guzheng-9x-0", "guzheng-x-0badcafe", "other-97-0"}
	if d := cmp.Diff(want, left); d != "" {
		t.Errorf("left (-want +got):\n%s", d)
	}
}
