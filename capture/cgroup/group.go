package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// endTries times endWaitMS is how long End waits for the members to be gone.
const (
	endTries  = 40
	endWaitMS = 50
)

// A Group is a control group for one program. Its methods may be called from
// several goroutines, and on nil, which is a group that nothing is in.
type Group struct {
	dir    string
	fd     *os.File
	write  func(name, text string) error
	memory bool // has the controller
	pids   bool

	mu  sync.Mutex
	set Limits
}

// Limits are what a group is held to; 0 is no limit.
type Limits struct {
	Memory  int64 // bytes
	Threads int   // of all processes together
}

// Held says what the kernel holds a group by.
type Held struct {
	Memory  bool // memory.max is as it was set, or lower
	Threads bool // pids.max is
	Kill    bool // one write ends all members
}

// Events counts what the kernel did to a group, since it was made.
type Events struct {
	Full    int64 // times that an allocation did not fit into memory.max (memory.events, oom)
	Killed  int64 // members that were ended for want of memory, the machine's too (oom_kill)
	Refused int64 // processes and threads that were refused (pids.events, max)
	Peak    int64 // the most memory ever, bytes; 0 when not known (memory.peak, Linux 5.19)
}

// Into has the program that is started with attr begin in the group. Starting
// it fails where the kernel has no clone3 (Linux 5.7) or denies it.
func (g *Group) Into(attr *syscall.SysProcAttr) {
	if g != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, int(g.fd.Fd())
	}
}

// Set sets limits, if they are not set already. What is over a limit of
// memory that becomes lower is ended.
func (g *Group) Set(l Limits) error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.set == l {
		return nil
	}
	g.set = l
	var err error
	if g.memory {
		err = g.put("memory.max", l.Memory)
	}
	if g.pids {
		err = errors.Join(err, g.put("pids.max", int64(l.Threads)))
	}
	return err
}

func (g *Group) put(name string, n int64) error {
	text := "max"
	if n > 0 {
		text = strconv.FormatInt(n, 10)
	}
	if err := g.write(filepath.Join(g.dir, name), text); err != nil {
		return fmt.Errorf("setting a limit: %w", err)
	}
	return nil
}

// Held reads back what holds now: somebody else may have changed it.
func (g *Group) Held() Held {
	if g == nil {
		return Held{}
	}
	g.mu.Lock()
	l := g.set
	g.mu.Unlock()
	return Held{
		Memory:  l.Memory > 0 && g.within("memory.max", l.Memory),
		Threads: l.Threads > 0 && g.within("pids.max", int64(l.Threads)),
		Kill:    syscall.Access(filepath.Join(g.dir, killFile), 2) == nil,
	}
}

func (g *Group) within(name string, most int64) bool {
	f := words(filepath.Join(g.dir, name))
	if len(f) != 1 {
		return false
	}
	n, err := strconv.ParseInt(f[0], 10, 64)
	return err == nil && n <= most
}

// Events reads the counters. Those of a controller that the group does not
// have are 0.
func (g *Group) Events() Events {
	if g == nil {
		return Events{}
	}
	read := func(name string) map[string]int64 {
		b, err := os.ReadFile(filepath.Join(g.dir, name))
		if err != nil {
			return nil
		}
		return numbers(b)
	}
	m := read("memory.events")
	e := Events{Full: m["oom"], Killed: m["oom_kill"], Refused: read("pids.events")["max"]}
	if f := words(filepath.Join(g.dir, "memory.peak")); len(f) == 1 {
		if n, err := strconv.ParseInt(f[0], 10, 64); err == nil {
			e.Peak = n
		}
	}
	return e
}

// Members lists the process ids in the group, without those that have ended.
// It is false when they cannot be told.
func (g *Group) Members() ([]int, bool) {
	if g == nil {
		return nil, false
	}
	b, err := os.ReadFile(filepath.Join(g.dir, procsFile))
	if err != nil {
		return nil, false
	}
	var out []int
	for _, f := range strings.Fields(string(b)) {
		// 0 is a process of another PID namespace.
		if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
			out = append(out, pid)
		}
	}
	return out, true
}

// Kill ends every member; new ones of theirs too, where the kernel has
// cgroup.kill (Linux 5.14).
func (g *Group) Kill() {
	if g == nil || g.write(filepath.Join(g.dir, killFile), "1") == nil {
		return
	}
	members, _ := g.Members()
	for _, pid := range members {
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone already is as good
	}
}

// End ends every member, waits until the kernel says that nobody is left, and
// removes the group. It gives up after two seconds; the next Find then tries.
func (g *Group) End() error {
	if g == nil {
		return nil
	}
	defer g.fd.Close()
	if err := g.empty(); err != nil {
		return fmt.Errorf("ending the group %s: %w", filepath.Base(g.dir), err)
	}
	if err := syscall.Rmdir(g.dir); err != nil {
		return fmt.Errorf("removing the group %s: %w", filepath.Base(g.dir), err)
	}
	return nil
}

// empty kills until cgroup.events says "populated 0". The kernel announces
// each change of that file, so no time is lost.
func (g *Group) empty() error {
	fd, err := syscall.Open(filepath.Join(g.dir, eventsFile), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(fd) }()
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(ep) }()
	watched := false
	for range endTries {
		var b [512]byte
		n, err := syscall.Pread(fd, b[:], 0)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return err
		}
		if populated, ok := numbers(b[:max(n, 0)])["populated"]; ok && populated == 0 {
			return nil
		}
		g.Kill()
		if !watched {
			if err := syscall.EpollCtl(ep, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLPRI}); err != nil {
				return err
			}
			watched = true
		}
		var got [1]syscall.EpollEvent
		if _, err := syscall.EpollWait(ep, got[:], endWaitMS); err != nil && !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
	return errors.New("somebody is left in it")
}
