package ledger

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// BenchmarkAppend logs events in batches, as a sequencing node gets them from
// its workers: sequenced, integrated, synced. It reports events per second;
// the goal is 10,000. The proofs are another benchmark: they cost the same
// whoever makes them, and a worker makes its own.
func BenchmarkAppend(b *testing.B) {
	for _, batch := range []int{256, 4096} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			l := benchLog(b)
			n := 0
			for b.Loop() {
				var wg sync.WaitGroup
				for range batch {
					leaf := event("bench", n)
					n++
					wg.Go(func() {
						if _, err := l.sequence(b.Context(), leaf); err != nil {
							b.Error(err)
						}
					})
				}
				wg.Wait()
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkProve makes and checks the proof of an event.
func BenchmarkProve(b *testing.B) {
	l := benchLog(b)
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			if _, err := l.sequence(b.Context(), event("p", i)); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := l.Append(b.Context(), event("last", 0), 1000); err != nil {
		b.Fatal(err)
	}
	leaf := event("p", 7)
	index, ok, err := l.Find(b.Context(), leaf, 0)
	if !ok || err != nil {
		b.Fatal(ok, err)
	}
	for b.Loop() {
		if _, err := l.prove(b.Context(), leaf, index); err != nil {
			b.Fatal(err)
		}
	}
}

func benchLog(b *testing.B) *Log {
	b.Helper()
	dir := b.TempDir()
	keys := filepath.Join(dir, "keys")
	if err := os.Mkdir(keys, 0o700); err != nil {
		b.Fatal(err)
	}
	l, err := Open(b.Context(), filepath.Join(dir, "log"), keys)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(l.cancel)
	return l
}
