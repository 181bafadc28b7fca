package renew

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"guzheng/preserve/tlog"
	"guzheng/preserve/tsa"
)

// packed is how many packages the benchmark has.
const packed = 100

// noLog spares the wait for a log while packages are made.
type noLog struct{}

func (noLog) Size(context.Context) (uint64, error) { return 0, nil }

func (noLog) Append(context.Context, []byte, uint64) (tlog.Entry, error) {
	return tlog.Entry{}, errors.New("no log")
}

// BenchmarkRun makes the first records of packages in a local store,
// looks through them when nothing is due, renews them, and changes the hash
// function. Memory is what is reachable when the run has ended.
func BenchmarkRun(b *testing.B) {
	home := b.TempDir()
	h, err := openHouse(home, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = h.log.Close(context.Background()) }()
	h.t = time.Now()
	h.press.Log = noLog{}
	h.fill(b, packed, h.press.Authorities[0])
	for _, step := range []struct {
		name string
		req  Request
		want int
	}{
		{"initial", Request{All: true}, packed}, {"survey", Request{}, 0},
		{"renewal", Request{All: true}, packed}, {"rehash", Request{Hash: tsa.SHA512}, packed},
	} {
		b.Run(step.name, func(b *testing.B) {
			for b.Loop() {
				step.req.Packages = h.packages()
				got, err := h.Run(b.Context(), step.req)
				if err != nil || got[0].Records != step.want {
					b.Fatal(got, err)
				}
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MB-heap")
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/packed, "µs/package")
		})
	}
	if _, err := os.Stat(filepath.Join(home, "renewals")); err != nil {
		b.Fatal(fmt.Errorf("no renewals: %w", err))
	}
}
