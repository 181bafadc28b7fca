package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"guzheng/capture/web"
)

// Settings of BenchmarkPages; `make bench BENCHFLAGS='-pairs 15'` changes them.
var (
	benchPairs       = flag.Int("pairs", 7, "rounds in which every tool runs once")
	benchPages       = flag.Int("pages", 0, "pages of a round; 0 is every page once")
	benchConcurrency = flag.Int("concurrency", 2, "pages that a tool works on at a time")
	benchTools       = flag.String("tools", "F0,F1,F2,F4,G,P", "tools to be measured, in this order")
	benchSeries      = flag.String("series", "tools,growth,delay,single", "what is to be measured")
	benchCaptures    = flag.Int("captures", 200, "captures after which memory is compared with that after 20")
	benchDelay       = flag.Duration("delay", 40*time.Millisecond, "added to each response in the series with delay")
	benchDelayPairs  = flag.Int("delay-pairs", 5, "rounds of the series with delay")
	benchModules     = flag.String("modules", "../../.tools/bench/node_modules", "`directory` with npm's vue and single-file-cli")
	benchProfile     = flag.String("profile", "", "`file` for a processor profile of our process in the last round")
	benchQuiet       = flag.Bool("quiet", false, "print the table only, not each round as it ends")
)

// BenchmarkPages holds Guzheng against what a browser has to do anyway, and
// against single-file-cli, over the corpus, and prints a table with the goals.
//
// The tools run strictly in turns, round after round, so that a machine that is
// slow for a while is slow for all; compared are ratios within a round, and of
// these the median. A round in which a tool missed one response or one lazy
// picture does not count. Nothing here is a test: a goal that is not met is
// said and fails nothing.
func BenchmarkPages(b *testing.B) {
	s := prepare(b)
	t := &table{}
	all := []struct {
		name string
		run  func(context.Context, *table) error
	}{{"tools", s.tools}, {"growth", s.growth}, {"delay", s.latency}, {"single", s.single}}
	for b.Loop() {
		for _, series := range all {
			if !slices.Contains(strings.Split(*benchSeries, ","), series.name) {
				continue
			}
			if err := series.run(b.Context(), t); err != nil {
				b.Fatalf("series %s: %v", series.name, err)
			}
		}
	}
	t.print(os.Stdout)
	for _, g := range t.goals {
		if len(g.values) > 0 {
			b.ReportMetric(median(g.values), g.unit)
		}
	}
}

// prepare opens the stand in a directory that the browser's own user may
// enter.
func prepare(b *testing.B) *stand {
	subreap(b)
	browser, err := web.FindChromium("")
	if err != nil {
		b.Fatal(err)
	}
	temp, err := os.MkdirTemp("", "guzheng-bench-")
	if err == nil {
		err = os.Chmod(temp, 0o711)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(temp) })
	modules, err := filepath.Abs(*benchModules)
	if err != nil {
		b.Fatal(err)
	}
	s, err := openStand(temp, browser, modules)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.corpus.end(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// names says what the tools are, in the table.
func names(tool string) string {
	return map[string]string{
		toolLoad: "load only", toolNaive: "load, full picture", toolFast: "load, fast full picture",
		toolSame: "lazy content, fast full picture", toolOurs: "Guzheng, sealed evidence", toolPeer: "single-file-cli",
	}[tool]
}

// tools lets every tool run once in each round. Before the first round each
// runs once for its memory: reading that takes time that no timed round should
// lose, and the machine's caches are warm afterwards.
func (s *stand) tools(ctx context.Context, t *table) error {
	wanted := strings.Split(*benchTools, ",")
	if s.peer == "" {
		wanted = slices.DeleteFunc(wanted, func(name string) bool { return name == toolPeer })
		t.note("P is left out: there is no single-file-cli under %s; make bench fetches it", *benchModules)
	}
	pages := *benchPages
	if pages == 0 {
		pages = len(s.about.Pages)
	}
	t.head = fmt.Sprintf("%d pages a round, concurrency %d, %d rounds", pages, *benchConcurrency, *benchPairs)
	profile := *benchProfile
	if profile != "" {
		var err error
		if profile, err = filepath.Abs(profile); err != nil {
			return err
		}
	}
	rows := map[string]*row{}
	for round := range *benchPairs + 1 {
		for _, name := range wanted {
			o := trial{tool: name, concurrency: *benchConcurrency, pages: pages, memory: round == 0}
			if name == toolOurs && round == *benchPairs {
				o.profile = profile
			}
			r, err := s.measure(ctx, o)
			if err != nil {
				return fmt.Errorf("round %d of %s: %w", round, name, err)
			}
			tell("%-2s round %d: %4.0f ms of processor time a page, %3.0f pages a minute%s", name, round, r.perPage(), r.pace(), r.blame())
			if rows[name] == nil {
				rows[name] = &row{tool: name}
				t.rows = append(t.rows, rows[name])
			}
			if round == 0 {
				rows[name].peak = r.peak
			} else {
				rows[name].readings = append(rows[name].readings, r)
			}
		}
	}
	compare := func(unit, what, of, to string, g limit, value func(reading) float64) {
		if rows[of] == nil || rows[to] == nil {
			return
		}
		t.goals = append(t.goals, goal{unit: unit, what: what + " " + of + "/" + to, limit: g, values: ratios(rows[of], rows[to], value)})
	}
	compare("cpu/F1", "CPU per page", toolOurs, toolNaive, atMost(1.00), reading.perPage)
	compare("cpu/F4", "CPU per page", toolOurs, toolSame, atMost(1.15), reading.perPage)
	compare("pace/F1", "pages per minute", toolOurs, toolNaive, atLeast(1.00), reading.pace)
	compare("pace/F4", "pages per minute", toolOurs, toolSame, atLeast(0.87), reading.pace)
	// It starts browsers while it works, so ours is counted from its start too.
	compare("pace/P", "pages per minute, starts included", toolOurs, toolPeer, atLeast(2.50), reading.wholePace)
	return nil
}

// tell prints how it goes.
func tell(format string, a ...any) {
	if !*benchQuiet {
		fmt.Fprintf(os.Stderr, format+"\n", a...)
	}
}
