package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func ofSeconds(n int) time.Duration { return time.Duration(n) * time.Second }

// growth has one process of ours make many captures and looks at its memory
// while it works, and after 20 and after all of them while it rests.
func (s *stand) growth(ctx context.Context, t *table) (err error) {
	const first = 20
	dir, err := s.room()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r, err := s.start(job{Tool: toolOurs, Browser: s.browser, SPKI: s.about.SPKI, Dir: dir, Concurrency: *benchConcurrency})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	w := r.tree.watch(true)
	calls := s.calls(*benchCaptures)
	early, lacks, err := s.rest(ctx, r, calls[:min(first, len(calls))])
	if err != nil {
		return err
	}
	late, more, err := s.rest(ctx, r, calls[min(first, len(calls)):])
	if err != nil {
		return err
	}
	peak, err := w.end()
	if err != nil {
		return err
	}
	for _, l := range append(lacks, more...) {
		t.note("a capture of the series of %d lacks something: %s", len(calls), l)
	}
	tell("G  memory after %d captures %d MB, after %d %d MB, at most %d MB", first, early>>20, len(calls), late>>20, peak>>20)
	t.goals = append(t.goals,
		goal{unit: "peak-MB", what: fmt.Sprintf("largest memory in %d captures, MB", len(calls)), limit: atMost(700), values: []float64{float64(peak >> 20)}, format: "%.0f"},
		goal{unit: "growth", what: fmt.Sprintf("memory after %d captures / after %d", len(calls), first), limit: atMost(1.2), values: []float64{float64(late) / float64(early)}})
	return nil
}

// rest makes calls and reads the memory of the tree when they are made: the
// median of some readings, for the browser clears up by and by. The packages
// are looked at and removed, so that the disk does not fill.
func (s *stand) rest(ctx context.Context, r *running, calls []call) (int64, []string, error) {
	got, err := r.batch(calls)
	if err != nil {
		return 0, nil, err
	}
	var sizes []float64
	tick := time.NewTicker(memoryEvery)
	defer tick.Stop()
	for range 10 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		}
		n, err := r.tree.memory()
		if err != nil {
			return 0, nil, err
		}
		sizes = append(sizes, float64(n))
	}
	lacks, err := s.check(toolOurs, calls, got)
	return int64(median(sizes)), lacks, err
}

// latency compares ours with a delay in each response and without, in turns.
func (s *stand) latency(ctx context.Context, t *table) (err error) {
	const concurrency = 4
	rows := map[time.Duration]*row{0: {}, *benchDelay: {}}
	defer func() { err = errors.Join(err, s.delay(0)) }()
	for round := range *benchDelayPairs {
		for _, d := range []time.Duration{0, *benchDelay} {
			if err := s.delay(d); err != nil {
				return err
			}
			r, err := s.measure(ctx, trial{tool: toolOurs, concurrency: concurrency, pages: len(s.about.Pages)})
			if err != nil {
				return err
			}
			tell("G  round %d with a delay of %v: %.0f pages a minute%s", round, d, r.pace(), r.blame())
			rows[d].readings = append(rows[d].readings, r)
			for _, l := range r.lacks {
				t.note("a round with a delay of %v does not count: %s", d, l)
			}
		}
	}
	t.goals = append(t.goals, goal{unit: "pace/delay", what: fmt.Sprintf("pages per minute with +%v / without, concurrency %d", *benchDelay, concurrency),
		limit: atLeast(0.9), values: ratios(rows[*benchDelay], rows[0], reading.pace)})
	return nil
}

// single compares the command that captures the practice shop, from its start
// until the sealed package is in the store and to its end, sheet and all, with
// one that loads the same page and takes a picture, in turns.
func (s *stand) single(ctx context.Context, t *table) (err error) {
	dir, err := s.room()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program := filepath.Join(dir, "guzheng")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "guzheng/cmd/guzheng").CombinedOutput(); err != nil {
		return fmt.Errorf("building guzheng: %w\n%s", err, out)
	}
	settings := filepath.Join(dir, "bench.yaml")
	if err := os.WriteFile(settings, []byte(benchSettings), 0o600); err != nil {
		return err
	}
	var sealed, whole []float64
	for round := range *benchPairs + 1 {
		ours := exec.CommandContext(ctx, program, "run", "--json", "--config", settings)
		ours.Env = append(os.Environ(), "GUZHENG_HOME="+filepath.Join(dir, "home"))
		began := time.Now()
		took, out, err := timed(ours)
		if err != nil {
			return err
		}
		var k kept
		line := strings.TrimSpace(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:])
		if err := json.Unmarshal([]byte(line), &k); err != nil || k.State != "complete" || k.Package == "" {
			return fmt.Errorf("the capture ends with %q: %w", line, err)
		}
		seal, err := os.Stat(k.Seal)
		if err != nil {
			return err
		}
		there := seal.ModTime().Sub(began)
		floor, _, err := timed(exec.CommandContext(ctx, partName, "bare", s.browser, dir))
		if err != nil {
			return err
		}
		tell("G  round %d of the single capture: sealed after %v, all after %v, bare %v", round, there, took, floor)
		if round > 0 { // the first makes keys and log
			sealed = append(sealed, there.Seconds()/floor.Seconds())
			whole = append(whole, took.Seconds()/floor.Seconds())
		}
	}
	t.goals = append(t.goals, goal{unit: "single", what: "practice shop, command to sealed package / bare command", limit: atMost(1.5), values: sealed})
	t.note("the single capture to the end of the command, with its sheet: %.2f times the bare command", median(whole))
	return nil
}

// timed runs a command and returns what it printed.
func timed(cmd *exec.Cmd) (time.Duration, string, error) {
	var said strings.Builder
	cmd.Stderr = &said
	start := time.Now()
	out, err := cmd.Output()
	took := time.Since(start)
	if err != nil {
		return 0, "", fmt.Errorf("running %s: %w\n%s", cmd.Args[0], err, said.String())
	}
	return took, string(out), nil
}
