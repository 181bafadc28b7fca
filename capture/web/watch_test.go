package web

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"guzheng/capture"
	"guzheng/capture/cgroup"
)

// What the kernel did is told once, to the right account.
func TestNews(t *testing.T) {
	const limit = 1 << 30
	var last cgroup.Events
	for _, step := range []struct {
		name string
		now  cgroup.Events
		want map[string]int64
	}{
		{"nothing", cgroup.Events{Peak: 500}, nil},
		{"full, nobody ended yet", cgroup.Events{Full: 1, Peak: limit}, nil},
		{"ended for that", cgroup.Events{Full: 1, Killed: 1, Peak: limit}, map[string]int64{"limit.memory": limit}},
		{"told already", cgroup.Events{Full: 1, Killed: 1, Peak: limit}, nil},
		{"ended by the machine", cgroup.Events{Full: 1, Killed: 3, Peak: limit}, map[string]int64{"machine.memory": 2}},
		{"refused", cgroup.Events{Full: 1, Killed: 3, Refused: 4}, map[string]int64{"limit.threads": 4}},
		{"a kernel that knows no peak", cgroup.Events{Full: 3, Killed: 4, Refused: 5}, map[string]int64{"limit.threads": 1, "limit.memory": limit}},
		{"the group is gone", cgroup.Events{}, nil},
	} {
		told, next := news(step.now, last, limit)
		if step.want == nil {
			step.want = map[string]int64{}
		}
		if d := cmp.Diff(step.want, told); d != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, d)
		}
		last = next
	}
}

// The limits of a group are those of the captures in it.
func TestGroupLimits(t *testing.T) {
	l := capture.Limits{MemoryBytes: 1 << 30, Processes: 40}
	for n, want := range []cgroup.Limits{{Memory: 1 << 30, Threads: 2560}, {Memory: 1 << 30, Threads: 2560}, {Memory: 2 << 30, Threads: 5120}} {
		if d := cmp.Diff(want, groupLimits(l, n)); d != "" {
			t.Errorf("%d captures (-want +got):\n%s", n, d)
		}
	}
}

// A browser that has a control group is all in it, the facts say by what it
// is held, and no group is left.
func TestHolding(t *testing.T) {
	if testing.Short() {
		t.Skip("short: starts a browser")
	}
	path, err := FindChromium("")
	if err != nil {
		t.Skip(err)
	}
	p := NewPool(Browser{}, 1)
	v := &visit{pool: p, path: path, order: order("http://127.0.0.1/"), guard: &guard{}}
	proc, err := p.browser.launch(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proc.stop)
	h := proc.holding()
	t.Logf("%+v", *h)
	if h.End != "cgroup" {
		if h.Why == "" || h.Memory != "proc" || h.Processes != "proc" {
			t.Errorf("no reason: %+v", *h)
		}
		t.Skip("the browser has no control group: ", h.Why)
	}
	held := map[int]bool{}
	for _, m := range proc.members() {
		held[m.pid] = m.bytes > 0
	}
	for _, m := range group(proc.cmd.Process.Pid) {
		if _, ok := held[m.pid]; !ok {
			t.Errorf("process %d of the browser's process group is outside of its control group", m.pid)
		}
	}
	if !held[proc.cmd.Process.Pid] {
		t.Error("the browser's first process takes no memory")
	}
	proc.stop()
	if left, ok := proc.group.Members(); ok {
		t.Errorf("the group is left, with %v", left)
	}
}
