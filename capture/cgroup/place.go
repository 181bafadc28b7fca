package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// A host is the machine as this package sees it; tests put their own in.
type host struct {
	proc  string // where /proc is
	pid   int    // own
	uid   int    // own, effective
	mark  func(dir string) bool
	owner func(dir string) int
	mkdir func(dir string) error
	write func(name, text string) error
}

func kernel() host {
	return host{proc: "/proc", pid: os.Getpid(), uid: os.Geteuid(), mark: marked, owner: owner,
		mkdir: func(dir string) error { return os.Mkdir(dir, 0o755) }, write: write}
}

// marked reports whether systemd marked the group as delegated
// (systemd.resource-control(5), Delegate=).
func marked(dir string) bool {
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		var b [8]byte
		n, err := syscall.Getxattr(dir, name, b[:])
		if err == nil && string(b[:n]) == "1" {
			return true
		}
	}
	return false
}

// owner returns the user id that a directory belongs to, or -1.
func owner(dir string) int {
	st, err := os.Stat(dir)
	if err != nil {
		return -1
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return int(sys.Uid)
	}
	return -1
}

// write writes to a file of the hierarchy, in one call and making none.
func write(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// alive reports whether there may be such a process. One that has ended and
// was not yet reaped is none: what starts the tool anew may be quicker.
func (h host) alive(pid int) bool {
	stat, err := os.ReadFile(filepath.Join(h.proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	// The name, in parentheses, may hold anything; the state follows.
	rest := strings.TrimSpace(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// A level is a group on the way from the own one to the mount.
type level struct {
	dir         string
	top         bool     // of the whole hierarchy, which may have processes and children
	given       bool     // marked as delegated
	owner       int      // user id
	occupied    bool     // has processes
	alone       bool     // this one is the only one
	limited     bool     // holds memory or processor time to less than all
	controllers []string // that it has
	enabled     []string // that its children have
}

// levels reads the groups from the own one up to the mount.
func (h host) levels() ([]level, error) {
	text, err := os.ReadFile(filepath.Join(h.proc, "self", "cgroup"))
	if err != nil {
		return nil, fmt.Errorf("reading the own group: %w", err)
	}
	group, err := ownGroup(text)
	if err != nil {
		return nil, err
	}
	if text, err = os.ReadFile(filepath.Join(h.proc, "self", "mountinfo")); err != nil {
		return nil, fmt.Errorf("reading the mounts: %w", err)
	}
	dir, m, err := locate(mounts(text), group)
	if err != nil {
		return nil, err
	}
	var out []level
	for {
		if _, err := os.Stat(filepath.Join(dir, procsFile)); err != nil {
			return nil, fmt.Errorf("looking at the own group: %w", err)
		}
		out = append(out, h.level(dir, dir == m.point && m.root == "/"))
		if dir == m.point || len(dir) <= len(m.point) {
			return out, nil
		}
		dir = filepath.Dir(dir)
	}
}

// level reads one group. The top of a cgroup namespace looks like the top of
// the hierarchy and is none: only the latter has no type.
func (h host) level(dir string, top bool) level {
	l := level{dir: dir, given: h.mark(dir), owner: h.owner(dir),
		controllers: words(filepath.Join(dir, "cgroup.controllers")), enabled: words(filepath.Join(dir, subtree))}
	if _, err := os.Stat(filepath.Join(dir, "cgroup.type")); top && errors.Is(err, fs.ErrNotExist) {
		l.top = true
	}
	// Of a group of threads the list cannot be read; it is of no use.
	procs, err := os.ReadFile(filepath.Join(dir, procsFile))
	members := strings.Fields(string(procs))
	l.occupied = err != nil || len(members) > 0
	l.alone = err == nil && len(members) == 1 && members[0] == strconv.Itoa(h.pid)
	for _, name := range []string{"memory.max", "memory.high", "cpu.max"} {
		f := words(filepath.Join(dir, name))
		l.limited = l.limited || len(f) > 0 && f[0] != "max"
	}
	for _, name := range []string{"cpuset.cpus", "io.max"} {
		l.limited = l.limited || len(words(filepath.Join(dir, name))) > 0
	}
	return l
}

// A choice is a place to try.
type choice struct {
	dir    string
	leave  bool     // move the tool out of it first
	enable []string // for its children, where they are not yet
	gain   int      // controllers that its children would have
}

// plan lists the places to try, the best first; see the package's own words.
// The last is the own group, with what its children have anyway.
func plan(levels []level, uid int) []choice {
	own := levels[0]
	var all []choice
	if own.given && own.alone && !own.top {
		all = append(all, own.choice(true))
	}
	for i, l := range levels {
		if i > 0 && levels[i-1].limited {
			break
		}
		if l.free(uid) {
			all = append(all, l.choice(false))
		}
	}
	// What is no better than the own group is not worth leaving it.
	all = slices.DeleteFunc(all, func(c choice) bool { return c.gain == 0 })
	slices.SortStableFunc(all, func(a, b choice) int { return b.gain - a.gain })
	return append(all, choice{dir: own.dir})
}

// free reports whether the user may have groups with controllers here.
func (l level) free(uid int) bool {
	mine := l.given || l.top
	if uid != 0 {
		mine = l.given || l.owner == uid
	}
	return mine && (l.top || !l.occupied)
}

// choice says what a place would have to be given, and what for.
func (l level) choice(leave bool) choice {
	c := choice{dir: l.dir, leave: leave}
	for _, name := range wanted() {
		on := slices.Contains(l.enabled, name)
		if !on && !slices.Contains(l.controllers, name) {
			continue
		}
		c.gain++
		if !on {
			c.enable = append(c.enable, name)
		}
	}
	return c
}
