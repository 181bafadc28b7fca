package web

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"

	"guzheng/capture"
	"guzheng/capture/cgroup"
	"guzheng/capture/web/devtools"
)

// A process is a running Chromium with its profile.
type process struct {
	conn    *devtools.Conn
	cmd     *exec.Cmd
	flags   []string
	user    string
	profile string
	keys    string // file with the TLS secrets, when they were asked for
	started time.Time
	product string
	agent   string
	hash    func() string // digest of the running program
	watch   *watcher
	group   *cgroup.Group // nil where there can be none, and
	why     string        // that is

	mu     sync.Mutex
	owners map[cdp.BrowserContextID]*visit
	exited chan struct{}
	ended  sync.Once
}

// confine makes a control group for the browser, where that is allowed, with
// the limits of one capture.
func (p *process) confine(v *visit) {
	place, err := v.pool.groups()
	if err == nil {
		p.group, err = place.New()
	}
	// What the kernel does not take is seen when the limits are read back.
	_ = p.group.Set(groupLimits(v.order.Limits, 1))
	if err != nil {
		p.why = err.Error()
	}
}

// run starts the program in its control group, and without one where the
// kernel does not allow that.
func (p *process) run(command func() *exec.Cmd) error {
	p.cmd = command()
	p.group.Into(p.cmd.SysProcAttr)
	err := p.cmd.Start()
	if err == nil || p.group == nil {
		return err
	}
	_ = p.group.End()
	p.group, p.cmd = nil, command()
	p.why = "starting in a control group: " + err.Error()
	return p.cmd.Start()
}

// route hands a target that appeared in a context to the visit that owns it.
func (p *process) route(e devtools.Event) {
	if e.Method != target.AttachedToTarget.Method {
		return
	}
	v, err := e.Decode()
	at, ok := v.(*target.EventAttachedToTarget)
	if err != nil || !ok {
		return
	}
	p.mu.Lock()
	owner := p.owners[at.TargetInfo.BrowserContextID]
	p.mu.Unlock()
	s := p.conn.Child(at.SessionID)
	if owner == nil || s == nil {
		return // the browser's own first tab, or one of a capture that has ended
	}
	s.Handle(owner.enqueue)
	owner.enqueue(devtools.Event{Session: s, Method: e.Method, Params: e.Params})
}

// own notes which visit a context belongs to; nil when to none any more. What
// the kernel did until now is told to those who were there. Limits grow at
// once, and shrink at the watcher's next look, when what the context had is
// given back.
func (p *process) own(id cdp.BrowserContextID, v *visit) {
	p.watch.account()
	p.mu.Lock()
	if v == nil {
		delete(p.owners, id)
	} else {
		p.owners[id] = v
	}
	p.mu.Unlock()
	if v != nil {
		p.watch.hold()
	}
}

// visits lists those under way.
func (p *process) visits() []*visit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Values(p.owners))
}

// holding says what holds the browser to its limits at this moment.
func (p *process) holding() *capture.Holding {
	by := func(kernel bool) string {
		if kernel {
			return "cgroup"
		}
		return "proc"
	}
	h := p.group.Held()
	return &capture.Holding{Memory: by(h.Memory), Processes: by(h.Threads), End: by(h.Kill), Why: p.why}
}

// gone reports whether the browser has ended.
func (p *process) gone() bool {
	select {
	case <-p.conn.Gone():
		return true
	case <-p.exited:
		return true
	default:
		return false
	}
}

// executable asks the kernel which program really runs: a script in the
// browser's place could have started anything.
func (p *process) executable(path string) string {
	if name, err := os.Readlink(p.proc("exe")); err == nil {
		return name
	}
	return path
}

// arguments are those of the running program.
func (p *process) arguments() []string {
	line, err := os.ReadFile(p.proc("cmdline"))
	if err != nil {
		return p.flags
	}
	all := strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")
	return all[1:]
}

func (p *process) proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), name)
}

// stop ends the browser and everything it started, and removes its profile.
func (p *process) stop() {
	p.ended.Do(func() {
		if p.watch != nil {
			p.watch.stop()
		}
		_ = p.conn.Close()
		p.kill()
		<-p.exited
		p.reap()
		_ = p.group.End() // one that is left is removed by the next run
		p.remove()
	})
}

// kill ends the browser and everything it started: its control group, and
// its process group, which is all that is known of it without the former.
func (p *process) kill() {
	p.group.Kill()
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
}

// reap collects members of the group that became our children.
func (p *process) reap() {
	for {
		pid, err := syscall.Wait4(-p.cmd.Process.Pid, nil, syscall.WNOHANG, nil)
		if pid <= 0 || err != nil {
			return
		}
	}
}

// remove removes the profile; a dying process may still be writing to it, so
// a few tries are made.
func (p *process) remove() {
	for range 20 {
		if err := os.RemoveAll(p.profile); err == nil {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
}
