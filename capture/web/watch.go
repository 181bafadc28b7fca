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
)

// watchEvery is how often the browser's processes are looked at.
const watchEvery = 500 * time.Millisecond

// A watcher holds the browser to its limits of memory and processes. It
// looks at /proc, which needs no privilege and no cgroup; what grows between
// two looks is caught by the next one. A renderer that is too large is ended
// and leaves the browser to the others; when all of them together are too
// large, the browser is.
type watcher struct {
	p      *process
	limits capture.Limits
	done   chan struct{}
	once   sync.Once
}

func watch(p *process, limits capture.Limits) *watcher {
	w := &watcher{p: p, limits: limits, done: make(chan struct{})}
	go w.run()
	return w
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
	w.p.mu.Lock()
	n := int64(max(len(w.p.owners), 1))
	owners := make([]*visit, 0, n)
	for _, v := range w.p.owners {
		owners = append(owners, v)
	}
	w.p.mu.Unlock()
	members := group(w.p.cmd.Process.Pid)
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

// A member is one process of the browser's group.
type member struct {
	pid   int
	bytes int64 // resident and not shared with a file
}

// group lists the processes whose group is pgid.
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
