package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// A table is what the benchmark found.
type table struct {
	head  string
	rows  []*row
	goals []goal
	notes []string
}

// A row is what a tool took, round by round.
type row struct {
	tool     string
	readings []reading
	peak     int64
}

// A goal is a figure that was wanted and the values that were had, one for
// each round that counts.
type goal struct {
	unit   string // in the benchmark's own line
	what   string
	limit  limit
	values []float64
	format string // of values; empty is that of a ratio
}

// A limit is a bound of a goal.
type limit struct {
	value float64
	least bool
}

func atMost(v float64) limit  { return limit{value: v} }
func atLeast(v float64) limit { return limit{value: v, least: true} }

func (l limit) met(v float64) bool {
	if l.least {
		return v >= l.value
	}
	return v <= l.value
}

// median of at least one value.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// ratios divides what two tools took in the same round, for rounds in which
// both count.
func ratios(of, to *row, value func(reading) float64) []float64 {
	var out []float64
	for i := range min(len(of.readings), len(to.readings)) {
		a, b := of.readings[i], to.readings[i]
		if len(a.lacks) == 0 && len(b.lacks) == 0 && value(b) > 0 {
			out = append(out, value(a)/value(b))
		}
	}
	return out
}

// counting are the values of the rounds that count.
func (r *row) counting(value func(reading) float64) []float64 {
	var out []float64
	for _, one := range r.readings {
		if len(one.lacks) == 0 {
			out = append(out, value(one))
		}
	}
	return out
}

// note adds a remark that is printed below.
func (t *table) note(format string, a ...any) { t.notes = append(t.notes, fmt.Sprintf(format, a...)) }

func (t *table) print(w io.Writer) {
	if len(t.rows) > 0 {
		fmt.Fprintf(w, "\n%s; medians\n", t.head)
		fmt.Fprintf(w, "%-38s %12s %9s %13s %9s %8s\n", "", "CPU ms/page", "of it Go", "pages/minute", "peak MB", "rounds")
	}
	for _, r := range t.rows {
		figure := func(value func(reading) float64) string {
			if v := r.counting(value); len(v) > 0 {
				return fmt.Sprintf("%.0f", median(v))
			}
			return "-"
		}
		own := "-"
		if r.tool != toolPeer {
			own = figure(reading.ownPerPage)
		}
		fmt.Fprintf(w, "%-38s %12s %9s %13s %9d %8s\n", r.tool+" "+names(r.tool), figure(reading.perPage), own, figure(reading.pace), r.peak>>20,
			fmt.Sprintf("%d of %d", len(r.counting(reading.pace)), len(r.readings)))
		for _, one := range r.readings {
			if len(one.lacks) > 0 {
				t.note("a round of %s does not count: %s", r.tool, strings.Join(one.lacks, "; "))
			}
		}
	}
	if len(t.goals) > 0 {
		fmt.Fprintf(w, "\n%-52s %8s %18s %10s\n", "", "median", "rounds from-to", "goal")
	}
	for _, g := range t.goals {
		fmt.Fprintln(w, g)
	}
	for _, n := range t.notes {
		fmt.Fprintln(w, n)
	}
	fmt.Fprintln(w)
}

// String is the goal's line in the table.
func (g goal) String() string {
	format := g.format
	if format == "" {
		format = "%.2f"
	}
	sign := "<="
	if g.limit.least {
		sign = ">="
	}
	bound := sign + " " + fmt.Sprintf(format, g.limit.value)
	if len(g.values) == 0 {
		return fmt.Sprintf("%-52s %8s %18s %10s  no round counts", g.what, "-", "-", bound)
	}
	m, verdict := median(g.values), "NOT MET"
	if g.limit.met(m) {
		verdict = "MET"
	}
	spread := fmt.Sprintf(format+" - "+format, slices.Min(g.values), slices.Max(g.values))
	return fmt.Sprintf("%-52s %8s %18s %10s  %s", g.what, fmt.Sprintf(format, m), spread, bound, verdict)
}

func TestTable(t *testing.T) {
	second := func(cpu int, lacks ...string) reading {
		return reading{pages: 1, cpu: ofSeconds(cpu), wall: ofSeconds(cpu), lacks: lacks}
	}
	of := &row{tool: toolOurs, readings: []reading{second(2), second(3), second(9, "a picture"), second(8)}, peak: 5 << 20}
	to := &row{tool: toolNaive, readings: []reading{second(2), second(2), second(1), second(1, "all")}}
	if got := ratios(of, to, reading.perPage); len(got) != 2 || got[0] != 1 || got[1] != 1.5 {
		t.Errorf("ratios %v, want 1 and 1.5: rounds that do not count are left out", got)
	}
	var b strings.Builder
	tab := &table{head: "HEAD", rows: []*row{of, to}, goals: []goal{
		{what: "A", limit: atMost(1.2), values: []float64{1, 1.5}},
		{what: "B", limit: atLeast(1.2), values: []float64{1, 1.5}},
		{what: "C", limit: atMost(1.25), values: []float64{1, 1.5}},
		{what: "D", limit: atMost(700), values: []float64{650}, format: "%.0f"},
		{what: "E", limit: atMost(1)},
	}}
	tab.print(&b)
	for _, want := range []string{
		"HEAD; medians", "3000", "3 of 4", "a round of G does not count: a picture", "a round of F1 does not count: all",
		"1.00 - 1.50    <= 1.20  NOT MET", ">= 1.20  MET", "<= 1.25  MET", "650 - 650     <= 700  MET", "no round counts",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("median %v, want 2.5", got)
	}
}
