package capture

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// set returns a reading of the clock as it would be had somebody moved the
// wall clock: its monotonic part stays. No function of package time does so;
// the layout is looked at before it is relied on.
func set(t *testing.T, at time.Time, by time.Duration) time.Time {
	t.Helper()
	v := (*struct {
		wall uint64 // a bit, 33 bits of seconds, 30 bits of nanoseconds
		ext  int64  // monotonic
		loc  *time.Location
	})(unsafe.Pointer(&at))
	before := at
	if v.wall>>63 != 1 {
		t.Fatal("a reading of the clock has no monotonic part")
	}
	v.wall = uint64(int64(v.wall) + int64(by/time.Second)<<30)
	if d := at.Round(0).Sub(before.Round(0)); d != by || at.Sub(before) != 0 {
		t.Fatalf("package time has another layout: wall %s, monotonic %s", d, at.Sub(before))
	}
	return at
}

type closing struct{ io.Writer }

func (closing) Close() error { return nil }

// A clock that jumps back an hour in the middle of a capture.
func TestClockJumps(t *testing.T) {
	var b bytes.Buffer
	offset := time.Duration(0)
	j := NewJournal(closing{&b}, func() time.Time { return set(t, Now(), offset) }, nil)
	j.Step("one")
	offset = -time.Hour
	j.Step("two")
	j.Step("three")
	offset = time.Hour
	j.Anomaly("four")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	entries, _, err := ReadJournal(&b)
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for i, e := range entries {
		codes = append(codes, e.Code)
		if e.Seq != i || e.Mono < 0 || e.Mono > 60 {
			t.Errorf("entry %+v", e)
		}
	}
	if got := strings.Join(codes, " "); got != "one clock.jumped two three clock.jumped four" {
		t.Fatal(got)
	}
	jumps := j.Jumps()
	if len(jumps) != 2 {
		t.Fatalf("%+v", jumps)
	}
	for i, by := range []float64{-3_600_000, 7_200_000} {
		if d := jumps[i].ByMS - by; d < -1 || d > 1 {
			t.Errorf("jump %d by %f ms", i, jumps[i].ByMS)
		}
		if e := entries[1+3*i]; e.Kind != EntryAnomaly || e.Data["by_ms"] != jumps[i].ByMS || !e.Time.Equal(jumps[i].At) {
			t.Errorf("entry %+v, jump %+v", e, jumps[i])
		}
	}
}

func TestWatch(t *testing.T) {
	start := Now()
	bare := start.Round(0)
	at := func(mono, by time.Duration) time.Time { return set(t, start.Add(mono), by) }
	for name, c := range map[string]struct {
		readings []time.Time
		jumps    int
	}{
		"steady":                     {[]time.Time{start, at(time.Minute, 0), at(time.Hour, 0)}, 0},
		"steered within its bounds":  {[]time.Time{start, at(10*time.Hour, 18*time.Second)}, 0},
		"steered too fast":           {[]time.Time{start, at(time.Minute, 2*time.Second)}, 1},
		"set back":                   {[]time.Time{start, at(time.Second, -time.Hour)}, 1},
		"set once, told once":        {[]time.Time{start, at(time.Second, -time.Hour), at(time.Minute, -time.Hour)}, 1},
		"set and set again":          {[]time.Time{start, at(time.Second, -time.Hour), at(time.Minute, 0)}, 2},
		"no monotonic part":          {[]time.Time{bare, bare.Add(time.Hour)}, 0},
		"no monotonic part, back":    {[]time.Time{bare, bare.Add(time.Minute), bare}, 1},
		"the monotonic part as well": {[]time.Time{start, start.Add(-time.Hour)}, 1},
		"a clock that stands":        {[]time.Time{bare, bare, bare}, 0},
	} {
		var w Watch
		n := 0
		for _, r := range c.readings {
			if _, ok := w.Look(r); ok {
				n++
			}
		}
		if n != c.jumps {
			t.Errorf("%s: %d jumps", name, n)
		}
	}
}
