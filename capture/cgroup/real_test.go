package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// part says which part the test binary plays when it is started by a test.
const part = "GUZHENG_CGROUP_PART"

func TestMain(m *testing.M) {
	parts := map[string]func(){"": nil, "tree": tree, "sit": sit, "eaters": eaters, "eat": eat, "forks": forks, "find": lookAround}
	if play := parts[os.Getenv(part)]; play != nil {
		play()
		return
	}
	os.Exit(m.Run())
}

// sit waits to be ended; its input never comes.
func sit() { _, _ = io.Copy(io.Discard, os.Stdin) }

// again starts the binary once more, with the own input and output.
func again(play string, attr *syscall.SysProcAttr) *exec.Cmd {
	c := exec.Command("/proc/self/exe")
	c.Env = []string{part + "=" + play}
	c.Stdin, c.Stdout, c.SysProcAttr = os.Stdin, os.Stdout, attr
	return c
}

// tree starts a process that leaves session and process group.
func tree() {
	c := again("sit", &syscall.SysProcAttr{Setsid: true})
	if err := c.Start(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("child", c.Process.Pid)
	sit()
}

// eat takes memory until it is ended, and holds all of it.
func eat() {
	var held [][]byte
	for range 4096 {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		held = append(held, b)
	}
	fmt.Println("ate", len(held))
}

// eaters lets a child eat and tells how it ended.
func eaters() {
	fmt.Println("child", again("eat", nil).Run())
	sit()
}

// forks starts processes until one is refused.
func forks() {
	for i := range 1000 {
		if err := again("sit", nil).Start(); err != nil {
			fmt.Println("child", i, errors.Is(err, syscall.EAGAIN))
			break
		}
	}
	sit()
}

// lookAround looks for a place and tells of it, then of a group in it.
func lookAround() {
	p, err := Find()
	if err != nil {
		fmt.Println("child", err)
		return
	}
	g, err := p.New()
	if err == nil {
		err = errors.Join(g.Set(Limits{Memory: 1 << 30, Threads: 100}), g.End())
	}
	fmt.Println("child", filepath.Base(p.dir), strings.Join(p.held, "+"), err)
}

// place finds a real place, or skips with the reason.
func place(t *testing.T) *Place {
	t.Helper()
	p, err := Find()
	if err != nil {
		t.Skip(err)
	}
	t.Logf("place %s, held %q", p.dir, p.held)
	return p
}

// A played part: its group, what it printed first, and the rest.
type played struct {
	g    *Group
	cmd  *exec.Cmd
	line string
	out  *bufio.Reader
}

// start plays a part in a group of its own, until it has printed a line.
func start(t *testing.T, g *Group, play string, env ...string) played {
	t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Env = append(env, part+"="+play)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	g.Into(c.SysProcAttr)
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	// All that are started hold this end; when the last has ended, reading ends.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = w, os.Stderr
	if err := c.Start(); err != nil {
		if errors.Is(err, syscall.ENOSYS) {
			t.Skip("no clone3: ", err)
		}
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		stdin.Close()
		g.Kill()
		_ = c.Wait()
		_ = g.End()
		r.Close()
	})
	out := bufio.NewReader(r)
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatalf("%s said %q: %v", play, line, err)
	}
	return played{g, c, strings.TrimSpace(line), out}
}

func group(t *testing.T, p *Place, l Limits) *Group {
	t.Helper()
	g, err := p.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Set(l); err != nil {
		t.Fatal(err)
	}
	return g
}

// Whatever a program makes of its children, all end with the group.
func TestReal(t *testing.T) {
	p := place(t)
	g := group(t, p, Limits{Memory: 1 << 30, Threads: 1000})
	got := start(t, g, "tree")
	child, err := strconv.Atoi(strings.TrimPrefix(got.line, "child "))
	if err != nil {
		t.Fatalf("said %q", got.line)
	}
	if pgid, err := syscall.Getpgid(child); err != nil || pgid == got.cmd.Process.Pid {
		t.Fatalf("the child is still of process group %d: %v", pgid, err)
	}
	members, ok := g.Members()
	if !ok || len(members) != 2 || members[0]+members[1] != child+got.cmd.Process.Pid {
		t.Errorf("members %v, want %d and %d", members, got.cmd.Process.Pid, child)
	}
	held := g.Held()
	t.Logf("held %+v", held)
	if held.Memory != slices.Contains(p.held, memory) || held.Threads != slices.Contains(p.held, pids) {
		t.Errorf("held %+v in a place with %q", held, p.held)
	}
	if err := g.End(); err != nil {
		t.Fatal(err)
	}
	if rest, err := got.out.ReadString('\n'); !errors.Is(err, io.EOF) {
		t.Errorf("somebody still holds the pipe: %q, %v", rest, err)
	}
	if _, err := os.Stat(g.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory: %v", err)
	}
	if err := got.cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the program ended with %v", err)
	}
}

// A group without cgroup.kill, as before Linux 5.14, is emptied one by one.
func TestRealWithoutKill(t *testing.T) {
	g := group(t, place(t), Limits{})
	g.write = func(name, text string) error {
		if filepath.Base(name) == killFile {
			return fs.ErrNotExist
		}
		return write(name, text)
	}
	got := start(t, g, "tree")
	if err := g.End(); err != nil {
		t.Fatal(err)
	}
	if _, err := got.out.ReadString('\n'); !errors.Is(err, io.EOF) {
		t.Errorf("somebody still holds the pipe: %v", err)
	}
}

// Of those over the limit of memory the largest is ended, the others are not.
func TestRealMemory(t *testing.T) {
	p := place(t)
	if !slices.Contains(p.held, memory) {
		t.Skipf("memory cannot be held in %s", p.dir)
	}
	g := group(t, p, Limits{Memory: 64 << 20})
	got := start(t, g, "eaters")
	if got.line != "child signal: killed" {
		t.Errorf("said %q", got.line)
	}
	e := g.Events()
	t.Logf("%+v", e)
	if e.Full < 1 || e.Killed != 1 || e.Peak > 64<<20 || e.Peak != 0 && e.Peak < 60<<20 {
		t.Errorf("events %+v", e)
	}
	if members, _ := g.Members(); len(members) != 1 || members[0] != got.cmd.Process.Pid {
		t.Errorf("members %v, want the parent %d", members, got.cmd.Process.Pid)
	}
}

func TestRealThreads(t *testing.T) {
	p := place(t)
	if !slices.Contains(p.held, pids) {
		t.Skipf("processes cannot be held in %s", p.dir)
	}
	g := group(t, p, Limits{Threads: 60})
	got := start(t, g, "forks")
	if !strings.HasSuffix(got.line, " true") {
		t.Errorf("said %q", got.line)
	}
	if e := g.Events(); e.Refused < 1 {
		t.Errorf("events %+v after %q", e, got.line)
	}
}

// A unit with Delegate=yes has the tool in its own group: it makes room.
func TestRealDelegated(t *testing.T) {
	p := place(t)
	if len(p.held) == 0 {
		t.Skipf("no controller can be passed on in %s", p.dir)
	}
	g := group(t, p, Limits{})
	if err := syscall.Setxattr(g.dir, "trusted.delegate", []byte("1"), 0); err != nil {
		t.Skipf("marking a group as delegated: %v", err)
	}
	got := start(t, g, "find")
	want := fmt.Sprintf("child %s %s <nil>", filepath.Base(g.dir), strings.Join(p.held, "+"))
	if got.line != want {
		t.Errorf("said %q, want %q", got.line, want)
	}
	if err := got.cmd.Wait(); err != nil {
		t.Error(err)
	}
	tool := filepath.Join(g.dir, prefix+strconv.Itoa(got.cmd.Process.Pid)+"-tool")
	if err := syscall.Rmdir(tool); err != nil {
		t.Errorf("the tool's own group: %v", err)
	}
}
