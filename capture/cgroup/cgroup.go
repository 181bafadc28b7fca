// Package cgroup runs a program and everything it starts in a control group
// of its own (cgroup v2), where the kernel itself holds it to its limits of
// memory and of processes, counts what it refused, and ends all of it at
// once. Where that is not allowed it says why, and the caller goes on
// without. Kernel documentation: admin-guide/cgroup-v2.rst, whose sections
// are named below.
//
// Life of a group:
//
//	Find     the v2 hierarchy, this process's own group in it, and the place
//	         where groups may be made; what killed runs left there is removed
//	New      a directory guzheng-PID-RANDOM; no swap
//	Set      memory.max and pids.max, again when they change
//	Into     the program begins its life inside (clone3), with no moment outside
//	Events   how often the kernel refused memory or a process, or ended one
//	Kill     cgroup.kill: all members, whatever they made of themselves
//	End      until cgroup.events says that nobody is left; the directory goes
//
// Where a place may be ("No Internal Process Constraint", "Delegation"): only
// a group without processes of its own, or the top of the hierarchy, can have
// memory and pids enabled for its children. So Find looks, in this order, at
//
//  1. its own group, when systemd marked it as delegated (Delegate=yes) and
//     nobody else is in it: this process then moves itself one level down,
//     into guzheng-PID-tool, which is what such a unit is meant to do. In no
//     other case is any process moved;
//  2. the nearest group above that may be used and has no processes: one that
//     is marked as delegated, or owned by this ordinary user, such as the
//     slices of a systemd user session, or for root the top. A group that
//     limits memory or processor time is never left, so that nothing is held
//     less than it was;
//  3. its own group, without memory and pids: what is in it is then known
//     and can be ended whole, and is not limited by it.
//
// A controller that was enabled for children stays enabled. Of what the
// groups are not: pids.max counts threads, and memory.max counts files in the
// page cache and kernel memory too, of which the kernel lets go before it
// ends anything.
//
// Trust: /proc and the hierarchy are the kernel's word. Whoever may write to
// the group's files can lift its limits: root, and when the tool runs as an
// ordinary user any program of that user outside a sandbox, the browser's
// own first process among them. Held reads the limits back, and whoever needs
// more looks at the processes as well. A program in another PID namespace
// that uses the same place may lose a group that it has just made and not yet
// filled; it then goes on without.
package cgroup

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// ErrNone is the reason when there is nowhere to make a group.
var ErrNone = errors.New("no control group can be made")

const (
	prefix     = "guzheng-" // of the groups' names, followed by a process id
	memory     = "memory"
	pids       = "pids"
	procsFile  = "cgroup.procs"
	subtree    = "cgroup.subtree_control"
	killFile   = "cgroup.kill"
	eventsFile = "cgroup.events"
)

// wanted are the controllers that limits are held with.
func wanted() []string { return []string{memory, pids} }

// A Place is a group below which groups may be made.
type Place struct {
	host host
	dir  string
	held []string // controllers that its children have
}

// Find returns the place for this process's groups, having enabled there what
// may be enabled, and removes what killed runs left. The error wraps ErrNone
// and says what is in the way.
func Find() (*Place, error) { return find(kernel()) }

func find(h host) (*Place, error) {
	levels, err := h.levels()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	var in error
	for _, c := range plan(levels, h.uid) {
		p, err := h.settle(c)
		if err == nil {
			p.sweep()
			return p, nil
		}
		in = errors.Join(in, err)
	}
	return nil, fmt.Errorf("%w: %w", ErrNone, in)
}

// settle makes sure that groups can be made in a place and enables what it
// can. A controller that cannot be enabled is done without.
func (h host) settle(c choice) (*Place, error) {
	p := &Place{host: h, dir: c.dir}
	probe, err := p.make()
	if err != nil {
		return nil, err
	}
	if err := os.Remove(probe); err != nil {
		return nil, fmt.Errorf("removing a group just made: %w", err)
	}
	if c.leave {
		tool := filepath.Join(c.dir, prefix+strconv.Itoa(h.pid)+"-tool")
		if err := h.mkdir(tool); err != nil {
			return nil, fmt.Errorf("making a group for the tool: %w", err)
		}
		if err := h.write(filepath.Join(tool, procsFile), strconv.Itoa(h.pid)); err != nil {
			os.Remove(tool)
			return nil, fmt.Errorf("moving the tool into its group: %w", err)
		}
	}
	for _, name := range c.enable {
		// Refused when somebody came in meanwhile; what holds is read below.
		_ = h.write(filepath.Join(c.dir, subtree), "+"+name)
	}
	enabled := words(filepath.Join(c.dir, subtree))
	for _, name := range wanted() {
		if slices.Contains(enabled, name) {
			p.held = append(p.held, name)
		}
	}
	return p, nil
}

// make makes an empty group.
func (p *Place) make() (string, error) {
	var b [4]byte
	// crypto/rand.Read never returns an error (Go 1.24 and later).
	_, _ = rand.Read(b[:])
	dir := filepath.Join(p.dir, prefix+strconv.Itoa(p.host.pid)+"-"+hex.EncodeToString(b[:]))
	if err := p.host.mkdir(dir); err != nil {
		return "", fmt.Errorf("making a group: %w", err)
	}
	return dir, nil
}

// sweep removes groups of runs that are over. A group with somebody in it
// cannot be removed, so that nobody's is.
func (p *Place) sweep() {
	left, err := filepath.Glob(filepath.Join(p.dir, prefix+"[0-9]*-*"))
	if err != nil {
		return
	}
	for _, dir := range left {
		name, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), prefix), "-")
		pid, err := strconv.Atoi(name)
		if err != nil || p.host.alive(pid) {
			continue
		}
		_ = syscall.Rmdir(dir)
	}
}

// New makes a group. It is empty and without limits until Set.
func (p *Place) New() (*Group, error) {
	dir, err := p.make()
	if err != nil {
		return nil, err
	}
	fd, err := os.Open(dir)
	if err != nil {
		os.Remove(dir)
		return nil, fmt.Errorf("opening a group: %w", err)
	}
	g := &Group{dir: dir, fd: fd, write: p.host.write,
		memory: slices.Contains(p.held, memory), pids: slices.Contains(p.held, pids)}
	if g.memory {
		// Without it what is over the limit goes to swap and is not noticed.
		// There is no such file where there is no swap.
		_ = g.write(filepath.Join(dir, "memory.swap.max"), "0")
	}
	return g, nil
}

// words reads a file of words; none when it cannot be read.
func words(name string) []string {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	return strings.Fields(string(b))
}

// numbers reads a file of lines with a name and a number each ("Flat keyed").
// Lines of another form are left out.
func numbers(b []byte) map[string]int64 {
	out := map[string]int64{}
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) != 2 {
			continue
		}
		if n, err := strconv.ParseInt(string(f[1]), 10, 64); err == nil {
			out[string(f[0])] = n
		}
	}
	return out
}
