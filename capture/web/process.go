package web

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"

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

	mu     sync.Mutex
	owners map[cdp.BrowserContextID]*visit
	exited chan struct{}
	ended  sync.Once
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

func (p *process) own(id cdp.BrowserContextID, v *visit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v == nil {
		delete(p.owners, id)
		return
	}
	p.owners[id] = v
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
		p.remove()
	})
}

// kill ends the whole process group of the browser.
func (p *process) kill() {
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
