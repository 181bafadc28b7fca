package capture

import "time"

// Now is the only place outside the commands where the machine's clock is
// read. The value keeps Go's monotonic reading, so differences between two
// values do not jump when the clock is set.
func Now() time.Time { return time.Now() }

// Bounds of what is no jump: a clock that is being steered runs up to 500
// parts per million fast or slow (RFC 5905 section 11.3), and half a second is
// more than any reading takes.
const (
	jumpAtLeast = 500 * time.Millisecond
	jumpPPM     = 500
)

// A Jump is a moment at which the wall clock was set while something was
// being taken, or at which the machine slept: then the monotonic clock stood.
type Jump struct {
	At   time.Time `json:"at"`    // wall clock when it was noticed, UTC
	ByMS float64   `json:"by_ms"` // how far it had moved against the monotonic clock; negative: back
	Mono float64   `json:"mono"`  // seconds since the watch began, monotonic clock
}

// A Watch notices that the wall clock was set, by the monotonic reading that
// values of Now carry. A journal has one; the zero value is ready.
type Watch struct {
	first, from, last time.Time
}

// Look takes the next reading of the clock and reports a jump since the one
// before. A reading without a monotonic part tells only of going back.
func (w *Watch) Look(t time.Time) (Jump, bool) {
	if w.first.IsZero() {
		w.first, w.from, w.last = t, t, t
		return Jump{}, false
	}
	ran := t.Sub(w.from)
	by := t.Round(0).Sub(w.from.Round(0)) - ran
	back := t.Sub(w.last)
	w.last = t
	if by == 0 && back < 0 {
		by = back
	}
	if by.Abs() <= jumpAtLeast+ran.Abs()/1e6*jumpPPM {
		return Jump{}, false
	}
	w.from = t
	return Jump{At: t.UTC(), ByMS: float64(by) / float64(time.Millisecond), Mono: t.Sub(w.first).Seconds()}, true
}
