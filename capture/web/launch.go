package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/chromedp/chromedp"
)

// debianBrowsers returns the binaries that are run when none is named: the
// headless shell first, which takes half the processor time.
func debianBrowsers() []string {
	return []string{"/usr/lib/chromium/chromium-headless-shell", "/usr/lib/chromium/chromium"}
}

// FindChromium returns the browser binary: path itself when given, else
// Debian's headless shell, else Debian's chromium. The binaries are run
// directly; the wrapper in /usr/bin adds flags of its own.
func FindChromium(path string) (string, error) {
	places := debianBrowsers()
	if path != "" {
		places = []string{path}
	}
	for _, p := range places {
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("looking for %s: %w", strings.Join(places, ", "), ErrNoBrowser)
}

// A process is a running Chromium with its profile.
type process struct {
	ctx     context.Context // a chromedp context with the browser's first tab
	stop    func()
	flags   []string
	user    string
	profile string
	cmd     *exec.Cmd
}

// switches are the browser's flags in order. Each either cuts traffic that
// is not the page's, makes pictures repeatable, or keeps every frame in the
// one session that the recorder follows.
func switches(proxy string, sandbox bool) []string {
	s := []string{
		"headless",
		"proxy-server=socks5://" + proxy,
		"proxy-bypass-list=<-loopback>",
		"host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
		"disable-quic",
		"webrtc-ip-handling-policy=disable_non_proxied_udp",
		"force-webrtc-ip-handling-policy=disable_non_proxied_udp",
		"dns-prefetch-disable",
		"no-first-run",
		"no-default-browser-check",
		"no-pings",
		"disable-background-networking",
		"disable-component-update",
		"disable-domain-reliability",
		"disable-sync",
		"disable-default-apps",
		"disable-extensions",
		"disable-breakpad",
		"block-new-web-contents",
		"disable-client-side-phishing-detection",
		"metrics-recording-only",
		"disable-dev-shm-usage",
		"disable-gpu",
		"in-process-gpu",
		"hide-scrollbars",
		"mute-audio",
		"force-color-profile=srgb",
		"disable-backgrounding-occluded-windows",
		"disable-renderer-backgrounding",
		"disable-background-timer-throttling",
		"disable-site-isolation-trials",
		"disable-features=IsolateOrigins,site-per-process,Translate,OptimizationHints,MediaRouter,AutofillServerCommunication,CertificateTransparencyComponentUpdater",
		"password-store=basic",
		"use-mock-keychain",
		"lang=zh-CN",
		"accept-lang=zh-CN,zh",
	}
	if !sandbox {
		s = append(s, "no-sandbox")
	}
	return s
}

// launch starts Chromium with an empty profile. Root is never given to it:
// the process then runs under a user id that nobody else has.
func (v *visit) launch(ctx context.Context) (*process, error) {
	p := &process{}
	var err error
	if p.profile, err = os.MkdirTemp(v.browser.TempDir, "guzheng-profile-"); err != nil {
		return nil, fmt.Errorf("making a browser profile: %w", err)
	}
	cred, name, err := unprivileged(p.profile)
	if err != nil {
		os.RemoveAll(p.profile)
		return nil, err
	}
	p.user = name
	p.flags = append(switches(v.guard.Addr(), !v.order.NoSandbox), v.browser.extra...)
	opts := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(v.path),
		chromedp.UserDataDir(p.profile),
		chromedp.NoInheritEnv,
		chromedp.Env("HOME="+p.profile, "TMPDIR="+p.profile, "PATH=/usr/bin:/bin", "LANG=zh_CN.UTF-8", "LANGUAGE=zh_CN", "TZ=Asia/Shanghai"),
		chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) {
			p.cmd = cmd
			cmd.Dir = p.profile
			if cmd.SysProcAttr == nil {
				cmd.SysProcAttr = &syscall.SysProcAttr{}
			}
			cmd.SysProcAttr.Setpgid = true
			cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
			cmd.SysProcAttr.Credential = cred
		}),
		chromedp.Flag("no-sandbox", v.order.NoSandbox),
	}
	for _, f := range p.flags {
		key, value, ok := strings.Cut(f, "=")
		if ok {
			opts = append(opts, chromedp.Flag(key, value))
		} else {
			opts = append(opts, chromedp.Flag(key, true))
		}
	}
	alloc, cancelAlloc := chromedp.NewExecAllocator(ctx, opts...)
	silent := func(string, ...any) {} // what matters of the browser's messages is in the journal
	tab, cancelTab := chromedp.NewContext(alloc, chromedp.WithErrorf(silent), chromedp.WithLogf(silent))
	p.ctx = tab
	p.stop = func() {
		cancelTab()
		p.kill()
		cancelAlloc()
		removeAll(p.profile)
	}
	if err := startWithin(tab, limit(v.order.Limits.StartMS)); err != nil {
		p.stop()
		return nil, fmt.Errorf("starting %s: %w", v.path, err)
	}
	return p, nil
}

// look asks the kernel which program really runs and with which arguments: a
// script in the browser's place could have started anything.
func (p *process) look() (executable string, arguments []string) {
	if p.cmd == nil || p.cmd.Process == nil {
		return "", nil
	}
	proc := filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid))
	executable, err := os.Readlink(filepath.Join(proc, "exe"))
	if err != nil {
		executable = ""
	}
	line, err := os.ReadFile(filepath.Join(proc, "cmdline"))
	if err != nil {
		return executable, nil
	}
	return executable, strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")
}

// startWithin starts the browser; the browser's life must not be bound to
// the deadline, so the wait is ended from outside.
func startWithin(ctx context.Context, d time.Duration) error {
	done := make(chan error, 1)
	go func() { done <- chromedp.Do(ctx) }()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return context.DeadlineExceeded
	}
}

// kill ends the whole process group of the browser.
func (p *process) kill() {
	if p.cmd != nil && p.cmd.Process != nil {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
}

// removeAll removes the profile; the dying browser may still be writing to
// it, so a few tries are made.
func removeAll(dir string) {
	for range 20 {
		if err := os.RemoveAll(dir); err == nil {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
}

// unprivileged returns the credential the browser runs with: none for an
// ordinary user, and for root a user id of its own from the range that
// systemd gives to dynamic users, which no account and no process has.
func unprivileged(profile string) (*syscall.Credential, string, error) {
	if os.Getuid() != 0 {
		name := strconv.Itoa(os.Getuid())
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
		return nil, name, nil
	}
	const first, last = 61184, 65519
	for range 100 {
		id := first + rand.IntN(last-first+1)
		if _, err := user.LookupId(strconv.Itoa(id)); err == nil || userRuns(id) {
			continue
		}
		if err := os.Chown(profile, id, id); err != nil {
			return nil, "", fmt.Errorf("giving the browser profile to user %d: %w", id, err)
		}
		return &syscall.Credential{Uid: uint32(id), Gid: uint32(id)}, fmt.Sprintf("uid %d", id), nil
	}
	return nil, "", errors.New("finding a free user id for the browser: all tried are taken")
}

// userRuns reports whether a process of the user exists.
func userRuns(id int) bool {
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return true
	}
	for _, p := range procs {
		st, err := os.Stat(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return true
		}
		if sys, ok := st.Sys().(*syscall.Stat_t); ok && int(sys.Uid) == id {
			return true
		}
	}
	return false
}
