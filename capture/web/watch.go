package web

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"guzheng/capture"
	"guzheng/capture/cgroup"
)

// watchEvery is how often the browser's processes are looked at.
const watchEvery = 500 * time.Millisecond

// threadsEach is how many threads each allowed process may have: the kernel
// counts threads. A browser's own process has some 40.
const threadsEach = 64

// A watcher holds the browser to its limits of memory and processes. It
// looks at /proc, which needs no privilege and no cgroup; what grows between
// two looks is caught by the next one. A renderer that is too large is ended
// and leaves the browser to the others; when all of them together are too
// large, the browser is. Where the browser has a control group, the kernel
// holds it to the same limits at every moment, and the watcher tells what the
// kernel did.
type watcher struct {
	p      *process
	limits capture.Limits
	done   chan struct{}
	once   sync.Once

	mu   sync.Mutex
	told cgroup.Events // of which the captures have heard

	setting sync.Mutex // the number of captures and the limits made from it go together
}

func watch(p *process, limits capture.Limits) *watcher {
	w := &watcher{p: p, limits: limits, done: make(chan struct{})}
	go w.run()
	return w
}

// hold sets the limits of the browser's group for the captures that it has.
func (w *watcher) hold() {
	w.setting.Lock()
	defer w.setting.Unlock()
	// What the kernel does not take is seen when the limits are read back.
	_ = w.p.group.Set(groupLimits(w.limits, len(w.p.visits())))
}

// groupLimits are those of a browser with n captures. One that has none is
// there for the next.
func groupLimits(l capture.Limits, n int) cgroup.Limits {
	n = max(n, 1)
	return cgroup.Limits{Memory: l.MemoryBytes * int64(n), Threads: l.Processes * n * threadsEach}
}

// account tells the captures under way what the kernel did to the browser
// since the last time.
func (w *watcher) account() {
	owners := w.p.visits()
	w.mu.Lock()
	told, next := news(w.p.group.Events(), w.told, groupLimits(w.limits, len(owners)).Memory)
	w.told = next
	w.mu.Unlock()
	for _, v := range owners {
		for code, n := range told {
			v.overLimit(code, n)
		}
	}
}

// news says what is new in now, by code, and of what the captures then have
// heard; limit is what the group's memory may be. That a member was ended
// although the group was not full is the doing of the machine, or of a group
// above. The kernel counts that a group is full before it ends anybody, so
// that is kept until somebody is.
func news(now, last cgroup.Events, limit int64) (map[string]int64, cgroup.Events) {
	told := map[string]int64{}
	if now.Refused > last.Refused {
		told["limit.threads"] = now.Refused - last.Refused
	}
	if now.Killed <= last.Killed {
		now.Full, now.Killed = last.Full, last.Killed
		return told, now
	}
	switch {
	case now.Full <= last.Full:
		told["machine.memory"] = now.Killed - last.Killed
	case now.Peak > 0:
		told["limit.memory"] = now.Peak
	default:
		told["limit.memory"] = limit
	}
	return told, now
}

func (w *watcher) stop() { w.once.Do(func() { close(w.done) }) }

func (w *watcher) run() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.done:
			return
		case <-w.p.exited:
			return
		case <-tick.C:
			w.look()
		}
	}
}

// look ends what is over the limits. The limits are for one capture; a
// browser with several has several times as much.
func (w *watcher) look() {
	w.account()
	w.hold()
	owners := w.p.visits()
	n := int64(max(len(owners), 1))
	members := w.p.members()
	var sum int64
	var worst member
	for _, m := range members {
		sum += m.bytes
		if m.pid != w.p.cmd.Process.Pid && m.bytes > worst.bytes {
			worst = m
		}
	}
	memory, processes := w.limits.MemoryBytes*n, w.limits.Processes*int(n)
	switch {
	case memory > 0 && sum > memory && worst.pid != 0 && worst.bytes > w.limits.MemoryBytes/2:
		for _, v := range owners {
			v.overLimit("limit.memory", sum)
		}
		endProcess(worst.pid)
	case memory > 0 && sum > memory, processes > 0 && len(members) > processes:
		for _, v := range owners {
			if len(members) > processes {
				v.overLimit("limit.processes", int64(len(members)))
			} else {
				v.overLimit("limit.memory", sum)
			}
		}
		w.p.kill()
	}
}

// overLimit notes that the browser was, or a part of it, ended for what it
// took.
func (v *visit) overLimit(code string, n int64) {
	if v.once(code) {
		v.journal.Anomaly(code, "value", n)
		v.because(code, strconv.FormatInt(n, 10))
	}
}

// A member is one process of the browser.
type member struct {
	pid   int
	bytes int64 // resident and not shared with a file
}

// members lists the processes of the browser: those in its control group,
// which nothing leaves, else those in its process group.
func (p *process) members() []member {
	pids, ok := p.group.Members()
	if !ok {
		return group(p.cmd.Process.Pid)
	}
	out := make([]member, 0, len(pids))
	for _, pid := range pids {
		out = append(out, member{pid, resident(filepath.Join("/proc", strconv.Itoa(pid), "status"))})
	}
	return out
}

// group lists the processes whose process group is pgid.
func group(pgid int) []member {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	var out []member
	for _, d := range dirs {
		stat, err := os.ReadFile(filepath.Join(d, "stat"))
		if err != nil {
			continue // ended meanwhile
		}
		// The name, in parentheses, may hold anything; what follows is numbers.
		f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(f) < 3 || f[2] != strconv.Itoa(pgid) || f[0] == "Z" {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil {
			continue
		}
		out = append(out, member{pid, resident(filepath.Join(d, "status"))})
	}
	return out
}

// resident reads RssAnon of a status file, in bytes.
func resident(name string) int64 {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	var n int64
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		f := strings.Fields(sc.Text())
		if len(f) == 3 && f[0] == "RssAnon:" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			if err == nil {
				n += kb << 10
			}
		}
	}
	return n
}

// endProcess ends one process.
func endProcess(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill() // gone already is as good
	}
}
