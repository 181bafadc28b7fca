package ntp

import (
	"encoding/binary"
	"math"
	"net"
	"testing"
	"time"

	"guzheng/capture"
)

// timeServer answers NTP requests (RFC 5905) with a clock that is off.
func timeServer(t *testing.T, off time.Duration) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 1024)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if n < 48 {
				continue
			}
			p := make([]byte, 48)
			p[0], p[1], p[2], p[3] = 4<<3|4, 2, 6, 0xEC // version 4, server, stratum 2
			copy(p[12:16], "TEST")
			now := stamp64(time.Now().Add(off))
			binary.BigEndian.PutUint64(p[16:], now)
			copy(p[24:32], buf[40:48])
			binary.BigEndian.PutUint64(p[32:], now)
			binary.BigEndian.PutUint64(p[40:], now)
			if _, err := c.WriteTo(p, from); err != nil {
				return
			}
		}
	}()
	return c.LocalAddr().String()
}

// stamp64 is the 64-bit timestamp of RFC 5905 section 6.
func stamp64(t time.Time) uint64 {
	const since1900 = 2_208_988_800
	return uint64(t.Unix()+since1900)<<32 | uint64(float64(t.Nanosecond())/1e9*(1<<32))
}

func TestMeasure(t *testing.T) {
	right, behind := timeServer(t, 0), timeServer(t, time.Hour)
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, c := range map[string]struct {
		servers  []string
		answered int
		offset   float64
		spread   float64
	}{
		"none":        {nil, 0, 0, 0},
		"no answer":   {[]string{silent.LocalAddr().String()}, 0, 0, 0},
		"right":       {[]string{right, right, silent.LocalAddr().String()}, 2, 0, 0},
		"an hour":     {[]string{behind}, 1, 3_600_000, 0},
		"disagreeing": {[]string{right, behind}, 2, 1_800_000, 3_600_000},
		"median":      {[]string{behind, right, right}, 3, 0, 3_600_000},
	} {
		t.Run(name, func(t *testing.T) {
			got := Measure(t.Context(), c.servers, 500*time.Millisecond, capture.Now)
			if got.Answered != c.answered || math.Abs(got.OffsetMS-c.offset) > 500 || math.Abs(SpreadMS(got)-c.spread) > 500 {
				t.Errorf("%+v, spread %v", got, SpreadMS(got))
			}
			if len(got.Servers) != len(c.servers) || got.At.IsZero() {
				t.Errorf("%d readings of %d servers at %s", len(got.Servers), len(c.servers), got.At)
			}
			for i, r := range got.Servers {
				if r.Server != c.servers[i] || (r.Error == "") != (r.Stratum == 2 && r.DelayMS >= 0 && r.ErrorMS > 0) {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}
