package web

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"os/user"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"guzheng/capture"
	"guzheng/capture/ntp"
)

// clockTolerance is the offset beyond which the clock is worth a warning.
const clockTolerance = time.Second

// preflight notes everything about order, machine and clock that a reader
// must know before the page is opened.
//
// The clock is compared while the browser works; the func that is returned
// waits for that.
func (v *visit) preflight(ctx context.Context) (clock func()) {
	o := v.order
	switch len(o.Officers) {
	case 0:
		v.journal.Anomaly("officer.missing")
	case 1:
		v.journal.Anomaly("officer.single")
	default:
		if o.Officers[0].Name == o.Officers[1].Name || o.Officers[0].Licence == o.Officers[1].Licence {
			v.journal.Anomaly("officer.same")
		}
	}
	if o.Purpose == "" {
		v.journal.Anomaly("purpose.missing")
	}
	if o.NoSandbox {
		v.journal.Anomaly("sandbox.off")
	}
	if o.AllowPrivate {
		v.journal.Anomaly("private.allowed")
	}
	v.facts.Tool, v.facts.Machine = v.pool.browser.Tool, machine()
	v.facts.Proxy.Environment = proxyVariables()
	if len(v.facts.Proxy.Environment) > 0 {
		v.journal.Anomaly("proxy.environment", "names", strings.Join(v.facts.Proxy.Environment, ", "))
	}
	v.facts.HostsFile = hostsFile("/etc/hosts")
	if n := len(v.facts.HostsFile.Entries); n > 0 {
		v.journal.Anomaly("hosts.entries", "count", n)
	}
	if host := hostOf(o.URL); names(v.facts.HostsFile.Entries, host) {
		v.journal.Anomaly("hosts.captured", "host", host)
	}
	v.facts.Browser = capture.Browser{Path: v.path, Executable: v.path, Sandbox: !o.NoSandbox}
	v.journal.Step("environment.inspected", "browser", v.path, "tool_sha256", v.facts.Tool.SHA256)
	measured := make(chan capture.Clock, 1)
	ask := func() capture.Clock {
		return ntp.Measure(ctx, v.pool.browser.NTP, capture.MS(o.Limits.ClockMS), v.now)
	}
	go func() { measured <- ask() }()
	return func() {
		v.clock(<-measured)
		// What the servers told of the clock is void once it was set.
		if v.facts.Clock.Jumps = v.journal.Jumps(); len(v.facts.Clock.Jumps) > 0 && len(v.pool.browser.NTP) > 0 {
			after := ask()
			v.facts.Clock.After = &after
			v.journal.Step("clock.again", "asked", len(after.Servers), "answered", after.Answered, "offset_ms", after.OffsetMS)
		}
	}
}

// clock notes how this machine's clock compares with the servers'.
func (v *visit) clock(c capture.Clock) {
	v.facts.Clock = c
	v.journal.Step("clock.measured", "asked", len(c.Servers), "answered", c.Answered, "offset_ms", c.OffsetMS)
	if c.Answered == 0 {
		v.journal.Anomaly("clock.unanswered", "asked", len(c.Servers))
		return
	}
	if c.Answered == 1 && len(c.Servers) > 1 {
		v.journal.Anomaly("clock.single", "asked", len(c.Servers))
	}
	if spread := ntp.SpreadMS(c); spread > float64(clockTolerance.Milliseconds()) {
		v.journal.Anomaly("clock.disagree", "spread_ms", spread)
	}
	if offset := time.Duration(c.OffsetMS * float64(time.Millisecond)); offset.Abs() > clockTolerance {
		v.journal.Anomaly("clock.offset", "offset_ms", c.OffsetMS)
	}
}

// machine describes the computer.
func machine() capture.Machine {
	m := capture.Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, TimeZone: zone(), Account: account()}
	m.Hostname, _ = os.Hostname()
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	if b, err := os.ReadFile("/etc/os-release"); err == nil {
		for line := range strings.Lines(string(b)) {
			if val, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
				m.OS = strings.Trim(strings.TrimSpace(val), `"`)
			}
		}
	}
	addrs, err := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && err == nil && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			m.Addresses = append(m.Addresses, n.IP.String())
		}
	}
	if b, err := os.ReadFile("/etc/resolv.conf"); err == nil {
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
				m.Resolvers = append(m.Resolvers, f[1])
			}
		}
	}
	return m
}

// account names the operating-system account and, where sudo was used, the
// one behind it.
func account() string {
	name := "uid " + strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username + " (" + name + ")"
	}
	if behind := os.Getenv("SUDO_USER"); behind != "" {
		name += ", sudo by " + behind
	}
	return name
}

func zone() string {
	name, offset := capture.Now().Zone()
	return name + " " + time.Unix(0, 0).In(time.FixedZone(name, offset)).Format("-07:00")
}

// proxyVariables lists the proxy variables that are set. They are not used.
func proxyVariables() []string {
	var out []string
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		switch strings.ToLower(name) {
		case "http_proxy", "https_proxy", "all_proxy", "ftp_proxy":
			if value != "" {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// hostsFile reads the hosts file and lists the lines that map anything but
// this machine's own names.
func hostsFile(path string) capture.Hosts {
	h := capture.Hosts{Path: path}
	b, err := os.ReadFile(path)
	if err != nil {
		h.Error = err.Error()
		return h
	}
	g, err := capture.DigestOf(bytes.NewReader(b))
	if err == nil {
		h.SHA256 = g.SHA256
	}
	own, _ := os.Hostname()
	sc := bufio.NewScanner(bytes.NewReader(b))
	for sc.Scan() {
		line, _, _ := strings.Cut(sc.Text(), "#")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		if foreign(f[0], f[1:], own) {
			h.Entries = append(h.Entries, strings.Join(f, " "))
		}
	}
	return h
}

// foreign reports whether a line of the hosts file is anything but the usual
// names of this machine for a loopback or multicast address.
func foreign(address string, names []string, own string) bool {
	a, err := netip.ParseAddr(address)
	if err != nil || !a.IsLoopback() && !a.IsMulticast() && a != netip.IPv6Unspecified() && address != "fe00::" && address != "ff00::0" {
		return true
	}
	usual := []string{own, "localhost", "localhost.localdomain", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback",
		"ip6-localnet", "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters", "ip6-allhosts"}
	return slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(usual, n) })
}

// names reports whether entries of the hosts file name a host.
func names(entries []string, hostport string) bool {
	host := withoutPort(hostport)
	return slices.ContainsFunc(entries, func(e string) bool {
		return slices.ContainsFunc(strings.Fields(e)[1:], func(n string) bool { return strings.EqualFold(n, host) })
	})
}
