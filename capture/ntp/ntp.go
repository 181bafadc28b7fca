// Package ntp compares this machine's clock with time servers (RFC 5905).
//
// Life of a comparison: Measure asks all servers at once, once each, and
// returns every answer with offset, delay, stratum and bound of error, and
// every failure with its reason, in the order of the servers; the offset that
// stands for all is the median. It sets no clock. Any source calls it at the
// start of a take and again when the clock was set meanwhile (capture.Watch).
//
// Trust: the answers are not authenticated. Whoever is on the way to a server
// can make it tell any time; to shift the median takes more than half of those
// that answer. A kiss of death, an unsynchronized server and a zero stratum
// are no answers.
package ntp

import (
	"context"
	"sort"
	"sync"
	"time"

	"github.com/beevik/ntp"

	"guzheng/capture"
)

// Measure asks the servers within d, or until ctx ends. Now is this machine's
// clock, for the time that the comparison is told under.
func Measure(ctx context.Context, servers []string, d time.Duration, now func() time.Time) capture.Clock {
	if deadline, ok := ctx.Deadline(); ok {
		d = min(d, time.Until(deadline))
	}
	c := capture.Clock{At: now().UTC(), Servers: make([]capture.ClockReading, len(servers))}
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { c.Servers[i] = ask(s, d) })
	}
	wg.Wait()
	var offsets []float64
	for _, r := range c.Servers {
		if r.Error == "" {
			offsets = append(offsets, r.OffsetMS)
		}
	}
	if c.Answered = len(offsets); c.Answered > 0 {
		sort.Float64s(offsets)
		mid := len(offsets) / 2
		c.OffsetMS = offsets[mid]
		if len(offsets)%2 == 0 {
			c.OffsetMS = (offsets[mid-1] + offsets[mid]) / 2
		}
	}
	return c
}

// SpreadMS is how far the answers are apart, in milliseconds.
func SpreadMS(c capture.Clock) float64 {
	low, high, any := 0.0, 0.0, false
	for _, r := range c.Servers {
		if r.Error != "" {
			continue
		}
		if !any {
			low, high, any = r.OffsetMS, r.OffsetMS, true
		}
		low, high = min(low, r.OffsetMS), max(high, r.OffsetMS)
	}
	return high - low
}

func ask(server string, d time.Duration) capture.ClockReading {
	r := capture.ClockReading{Server: server}
	res, err := ntp.QueryWithOptions(server, ntp.QueryOptions{Timeout: d})
	if err == nil {
		err = res.Validate()
	}
	if err != nil {
		r.Error = err.Error()
		return r
	}
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	r.OffsetMS, r.DelayMS, r.ErrorMS = ms(res.ClockOffset), ms(res.RTT), ms(res.RootDistance)
	r.Stratum = int(res.Stratum)
	return r
}
