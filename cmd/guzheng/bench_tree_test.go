package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// How processor time is counted. Every tool under measurement runs as one
// process that we start, and its tree is that process with all descendants:
// the browser's zygotes, renderers and helpers too. The time of a tree is the
// sum over /proc/PID/stat of user and system time, of the process itself and of
// the children that it has waited for; a process that ended and was waited for
// is in its parent's sum, one that ended and was not is a zombie and still
// there. So that none is lost when its parent dies first, we are the subreaper
// (prctl(2), PR_SET_CHILD_SUBREAPER): orphans become our children, stay zombies
// while they are counted, and are waited for afterwards. The unit of the kernel
// is 1/100 s. The corpus server is a process of its own and never counted.

// userHertz is the unit of times in /proc/PID/stat on every Linux that Go
// supports (sysconf(_SC_CLK_TCK) is always 100 there).
const userHertz = 100

// A tree is a process under measurement with its descendants.
type tree struct {
	root int
	self int // our own process id: orphans of the tree become its children
	not  []int
}

// stat is what is needed of /proc/PID/stat.
type stat struct {
	pid, parent int
	zombie      bool
	ticks       int64 // user and system time, with that of children waited for
	own         int64 // without that
}

// readStats reads all processes of the machine.
func readStats() (map[int]stat, error) {
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	out := map[int]stat{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it has just ended
		}
		s, err := parseStat(b)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		out[s.pid] = s
	}
	return out, nil
}

// parseStat reads a line of proc(5), /proc/PID/stat. The name of the program
// stands in parentheses and may hold any character.
func parseStat(b []byte) (stat, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return stat{}, errors.New("no name of a program in it")
	}
	fields := strings.Fields(string(b[end+1:]))
	if len(fields) < 15 {
		return stat{}, errors.New("too few fields")
	}
	s := stat{zombie: fields[0] == "Z"}
	var errs [6]error
	s.pid, errs[0] = strconv.Atoi(strings.TrimSpace(string(b[:open])))
	s.parent, errs[1] = strconv.Atoi(fields[1])
	for i, f := range fields[11:15] { // utime, stime, cutime, cstime
		var n int64
		n, errs[2+i] = strconv.ParseInt(f, 10, 64)
		s.ticks += n
		if i < 2 {
			s.own += n
		}
	}
	return s, errors.Join(errs[:]...)
}

// members returns the processes of the tree, the orphans included.
func (t tree) members(all map[int]stat) []int {
	children := map[int][]int{}
	for _, s := range all {
		children[s.parent] = append(children[s.parent], s.pid)
	}
	todo := []int{t.root}
	for _, pid := range children[t.self] {
		if pid != t.root && !slices.Contains(t.not, pid) {
			todo = append(todo, pid)
		}
	}
	var out []int
	for ; len(todo) > 0; todo = todo[1:] {
		if _, ok := all[todo[0]]; ok {
			out = append(out, todo[0])
		}
		todo = append(todo, children[todo[0]]...)
	}
	return out
}

// cpu returns the processor time of the tree until now, and of it that of the
// root alone.
func (t tree) cpu() (whole, root time.Duration, err error) {
	all, err := readStats()
	if err != nil {
		return 0, 0, err
	}
	for _, pid := range t.members(all) {
		whole += time.Duration(all[pid].ticks) * time.Second / userHertz
	}
	return whole, time.Duration(all[t.root].own) * time.Second / userHertz, nil
}

// memory returns the proportional set size of the tree in bytes: what several
// processes share is counted once.
func (t tree) memory() (int64, error) {
	all, err := readStats()
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, pid := range t.members(all) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue // ended, or a zombie without memory
		}
		for line := range bytes.Lines(b) {
			if rest, ok := bytes.CutPrefix(line, []byte("Pss:")); ok {
				f := bytes.Fields(rest)
				if len(f) == 0 {
					continue
				}
				n, err := strconv.ParseInt(string(f[0]), 10, 64)
				if err != nil {
					return 0, fmt.Errorf("reading the memory of %d: %w", pid, err)
				}
				sum += n << 10
			}
		}
	}
	return sum, nil
}

// clear ends what is left of the tree and takes it off the process table. The
// root stays on it, for who started it to wait for.
func (t tree) clear() error {
	for range 500 {
		all, err := readStats()
		if err != nil {
			return err
		}
		left := slices.DeleteFunc(t.members(all), func(pid int) bool { return pid == t.root && all[pid].zombie })
		if len(left) == 0 {
			return nil
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			if all[pid].parent == t.self && pid != t.root {
				_, _ = syscall.Wait4(pid, nil, 0, nil)
			}
		}
		<-time.After(10 * time.Millisecond)
	}
	return fmt.Errorf("processes of %d are left", t.root)
}

// subreap makes us the parent of orphans until the benchmark or test ends:
// other tests look for processes that are gone, and a zombie is not.
func subreap(tb testing.TB) {
	tb.Helper()
	set := func(on uintptr) {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, on, 0, 0, 0); err != nil {
			tb.Fatalf("prctl: %v", err)
		}
	}
	set(1)
	tb.Cleanup(func() { set(0) })
}

// A watch reads the memory of a tree from time to time.
type watch struct {
	stop chan struct{}
	done sync.WaitGroup
	peak int64
	err  error
}

// memoryEvery is how often memory is read. One reading takes the kernel tens
// of milliseconds, so rounds that are timed do without.
const memoryEvery = 200 * time.Millisecond

// watch begins to read; a watch that is not wanted reads nothing.
func (t tree) watch(wanted bool) *watch {
	w := &watch{stop: make(chan struct{})}
	if !wanted {
		return w
	}
	w.done.Go(func() {
		tick := time.NewTicker(memoryEvery)
		defer tick.Stop()
		for {
			select {
			case <-w.stop:
				return
			case <-tick.C:
				var n int64
				if n, w.err = t.memory(); w.err != nil {
					return
				}
				w.peak = max(w.peak, n)
			}
		}
	})
	return w
}

// end returns the largest reading.
func (w *watch) end() (int64, error) {
	close(w.stop)
	w.done.Wait()
	return w.peak, w.err
}

// TestTreeTime counts a tree whose parts end in every way there is: waited
// for, orphaned while running, and dead before their parent.
func TestTreeTime(t *testing.T) {
	subreap(t)
	t.Setenv("BURN", `i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done`)
	for _, c := range []struct{ name, script string }{
		{"itself", `eval "$BURN"; echo done; read x`},
		{"child waited for", `sh -c "$BURN"; echo done; read x`},
		{"grandchild waited for", `sh -c 'sh -c "$BURN"; true'; echo done; read x`},
		{"orphan", `(sh -c "$BURN; echo done; sleep 60" &) ; read x`},
		{"zombie orphan", `(sh -c "$BURN; echo done" &) ; read x`},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command("sh", "-c", c.script)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			tr := tree{root: cmd.Process.Pid, self: os.Getpid()}
			if _, err := out.Read(make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
			got, _, err := tr.cpu()
			if err != nil {
				t.Fatal(err)
			}
			// The loop takes longer than one unit on any machine.
			if got < 2*time.Second/userHertz {
				t.Errorf("%v of processor time; the loop is not in it", got)
			}
			if size, err := tr.memory(); err != nil || size < 50<<10 {
				t.Errorf("memory %d, %v", size, err)
			}
			if _, err := in.Write([]byte("\n")); err != nil {
				t.Fatal(err)
			}
			if err := tr.clear(); err != nil {
				t.Error(err)
			}
			_ = cmd.Wait() // ended or was killed
		})
	}
}

func TestParseStat(t *testing.T) {
	line := "42 (a b) c) (d) S 7 42 42 0 -1 4194304 1 2 3 4 10 20 300 4000 20 0 1 0 5 6 7"
	got, err := parseStat([]byte(line))
	if want := (stat{pid: 42, parent: 7, ticks: 4330, own: 30}); got != want || err != nil {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "42", "42 (x", "42 (x) S 1 2", "x (y) S 7 42 42 0 -1 4194304 1 2 3 4 10 20 300 4000 20"} {
		if got, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}
