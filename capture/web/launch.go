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
	"sync"
	"syscall"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"

	"guzheng/capture"
	"guzheng/capture/web/devtools"
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

// nowhere is the proxy of whatever the browser does by itself: nothing
// listens there. Each capture's context has the guard as its own proxy.
const nowhere = "127.0.0.1:9"

// switches are the browser's flags in order. Beside the way that we speak to
// it, each either cuts traffic that is not the page's or makes pictures
// repeatable.
func switches(sandbox bool) []string {
	s := []string{
		"headless",
		"remote-debugging-pipe=cbor",
		"proxy-server=socks5://" + nowhere,
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
		"disable-hang-monitor",
		"disable-ipc-flooding-protection",
		"disable-features=Translate,OptimizationHints,MediaRouter,AutofillServerCommunication,CertificateTransparencyComponentUpdater",
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
func (b Browser) launch(ctx context.Context, v *visit) (*process, error) {
	p := &process{owners: map[cdp.BrowserContextID]*visit{}, exited: make(chan struct{}), started: b.Now()}
	var err error
	if p.profile, err = os.MkdirTemp(b.TempDir, "guzheng-profile-"); err != nil {
		return nil, fmt.Errorf("making a browser profile: %w", err)
	}
	p.flags = append(switches(!v.order.NoSandbox), b.extra...)
	p.flags = append(p.flags, v.endTLS(b)...)
	if v.order.Wire {
		p.keys = filepath.Join(p.profile, "keys.log")
		p.flags = append(p.flags, "ssl-key-log-file="+p.keys)
	}
	p.confine(v)
	if err := p.start(v.path); err != nil {
		_ = p.group.End()
		p.remove()
		return nil, fmt.Errorf("starting %s: %w", v.path, err)
	}
	ready, cancel := context.WithTimeout(context.WithoutCancel(ctx), capture.MS(v.order.Limits.StartMS))
	defer cancel()
	p.watch = watch(p, v.order.Limits)
	if err := p.greet(ready); err != nil {
		p.stop()
		return nil, fmt.Errorf("starting %s: %w", v.path, err)
	}
	p.hash = sync.OnceValue(func() string { return capture.FileSHA256(p.executable(v.path)) })
	go p.hash()
	return p, nil
}

// start runs the binary with the two ends of its pipes (file descriptors 3
// and 4) in a process group of its own.
func (p *process) start(path string) error {
	cred, name, err := unprivileged(p.profile)
	if err != nil {
		return err
	}
	p.user = name
	commands, w, err := os.Pipe()
	if err != nil {
		return err
	}
	r, replies, err := os.Pipe()
	if err != nil {
		return errors.Join(err, commands.Close(), w.Close())
	}
	args := []string{"--user-data-dir=" + p.profile}
	for _, f := range p.flags {
		args = append(args, "--"+f)
	}
	err = p.run(func() *exec.Cmd {
		c := exec.Command(path, append(args, "about:blank")...)
		c.ExtraFiles = []*os.File{commands, replies}
		c.Dir = p.profile
		c.Env = []string{"HOME=" + p.profile, "TMPDIR=" + p.profile, "PATH=/usr/bin:/bin",
			"LANG=zh_CN.UTF-8", "LANGUAGE=zh_CN", "TZ=Asia/Shanghai"}
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: cred}
		return c
	})
	closed := errors.Join(commands.Close(), replies.Close())
	if err != nil {
		return errors.Join(err, closed, r.Close(), w.Close())
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is of no use: it is always killed
		close(p.exited)
	}()
	p.conn = devtools.Open(r, w, p.route)
	return closed
}

// greet waits until the browser answers and has it announce every target
// held, so that each is instrumented before its first request.
func (p *process) greet(ctx context.Context) error {
	ver, err := cdp.Call(ctx, p.conn.Browser(), browser.GetVersion, cdp.Empty{})
	if err != nil {
		return err
	}
	p.product, p.agent = ver.Product, ver.UserAgent
	_, err = cdp.Call(ctx, p.conn.Browser(), target.SetAutoAttach, target.SetAutoAttachParams{
		AutoAttach: true, WaitForDebuggerOnStart: true, Flatten: new(true)})
	return err
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

// noteBrowser writes down which program runs, and that the context of this
// visit is new and empty.
func (v *visit) noteBrowser(p *process) {
	b := &v.facts.Browser
	b.User, b.Flags, b.Executable, b.Product = p.user, p.arguments(), p.executable(v.path), p.product
	b.Started, b.Limits = p.started.UTC(), p.holding()
	v.facts.UserAgent = p.agent
	known := false
	for _, d := range debianBrowsers() {
		known = known || d == b.Executable
	}
	if !known {
		v.journal.Anomaly("browser.other", "path", v.path, "executable", b.Executable)
	}
	v.journal.Step("browser.started", "product", p.product, "path", v.path, "sandbox", !v.order.NoSandbox, "user", p.user,
		"at", p.started.UTC().Format(time.RFC3339Nano))
}
