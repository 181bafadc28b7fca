package cgroup

import (
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const hybrid = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:7 master:1 - cgroup2 cgroup2 rw,nsdelegate
`

func TestMounts(t *testing.T) {
	text := hybrid +
		"50 31 0:38 /docker/1\\040b /mnt/a\\134b\\040c\\011 ro,nosuid - cgroup2 cgroup rw\n" +
		"51 31 0:38 /../.. /mnt/x rw - cgroup2 cgroup ro\n" +
		"52 31 0:38 / relative rw - cgroup2 cgroup rw\n" +
		"53 31 0:38 / /short - cgroup2 cgroup rw\n" +
		"54 31 0:38 / /mnt/y rw - cgroup2\n" +
		"55 31 0:38 / /mnt/\\09z\\777\\ rw - cgroup2 c rw"
	want := []mount{
		{root: "/", point: "/sys/fs/cgroup/unified"},
		{root: "/docker/1 b", point: "/mnt/a\\b c\t", readOnly: true},
		{root: "/../..", point: "/mnt/x", readOnly: true},
		{root: "/", point: "/mnt/y"},
		{root: "/", point: "/mnt/\\09z\\777\\"},
	}
	if d := cmp.Diff(want, mounts([]byte(text)), cmp.AllowUnexported(mount{})); d != "" {
		t.Errorf("mounts (-want +got):\n%s", d)
	}
}

func TestOwnGroup(t *testing.T) {
	for text, want := range map[string]string{
		"9:name=systemd:/\n0::/\n": "/",
		"0::/user.slice/a:b c\n":   "/user.slice/a:b c",
		"0::/a/..b/\n":             "/a/..b",
		"0::/a (deleted)\n":        "",
		"0::/../a\n":               "",
		"0::a\n":                   "",
		"0::":                      "",
		"4:memory:/process_api\n8:pids:/\n10::/x": "",
		"": "",
	} {
		got, err := ownGroup([]byte(text))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestLocate(t *testing.T) {
	u := mount{root: "/", point: "/sys/fs/cgroup"}
	part := mount{root: "/docker/1", point: "/mnt/1"}
	for name, c := range map[string]struct {
		all        []mount
		group, dir string
	}{
		"whole":               {[]mount{u}, "/a/b", "/sys/fs/cgroup/a/b"},
		"top":                 {[]mount{u}, "/", "/sys/fs/cgroup"},
		"part":                {[]mount{part}, "/docker/1/x", "/mnt/1/x"},
		"part itself":         {[]mount{part}, "/docker/1", "/mnt/1"},
		"beside":              {[]mount{part}, "/docker/10", ""},
		"later first":         {[]mount{u, part}, "/docker/1/x", "/mnt/1/x"},
		"the one that can":    {[]mount{u, {root: "/", point: "/ro", readOnly: true}}, "/a", "/sys/fs/cgroup/a"},
		"read-only":           {[]mount{{root: "/", point: "/ro", readOnly: true}}, "/a", ""},
		"above the namespace": {[]mount{{root: "/..", point: "/x"}}, "/a", ""},
		"none":                {nil, "/", ""},
	} {
		dir, _, err := locate(c.all, c.group)
		if dir != c.dir || (err == nil) != (c.dir != "") {
			t.Errorf("%s: %q, %v, want %q", name, dir, err, c.dir)
		}
	}
}

// Whatever the files say, the directory lies below the mount.
func FuzzLocate(f *testing.F) {
	f.Add([]byte(hybrid), []byte("0::/\n"))
	f.Add([]byte("50 31 0:38 /a\\040b /mnt/x ro - cgroup2 c rw\n"), []byte("1:cpu:/\n0::/a b/c\n"))
	f.Add([]byte("50 31 0:38 /.. / rw - cgroup2\n"), []byte("0::/..\n"))
	f.Fuzz(func(t *testing.T, info, own []byte) {
		all := mounts(info)
		for _, m := range all {
			if !path.IsAbs(m.root) || !path.IsAbs(m.point) {
				t.Fatalf("not absolute: %+v", m)
			}
		}
		group, err := ownGroup(own)
		if err != nil {
			return
		}
		if group != path.Clean(group) || group[0] != '/' {
			t.Fatalf("group %q", group)
		}
		dir, m, err := locate(all, group)
		if err != nil {
			return
		}
		if rel, err := filepath.Rel(m.point, dir); err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
			t.Fatalf("%q is not below %q: %v", dir, m.point, err)
		}
	})
}

func FuzzUnescape(f *testing.F) {
	f.Add("/a\\040b")
	f.Add("\\134\\")
	f.Fuzz(func(t *testing.T, s string) {
		got := unescape(s)
		if len(got) > len(s) || !strings.Contains(s, "\\") && got != s {
			t.Fatalf("%q became %q", s, got)
		}
		var escaped strings.Builder
		for _, b := range []byte(s) {
			escaped.WriteString("\\" + string([]byte{'0' + b>>6, '0' + b>>3&7, '0' + b&7}))
		}
		if back := unescape(escaped.String()); back != s {
			t.Fatalf("%q came back as %q", s, back)
		}
	})
}
