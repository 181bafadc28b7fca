package ers_test

import (
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"guzheng/preserve/ers"
	"guzheng/preserve/tsa"
)

// batch is how many packages one token is to be good for.
const batch = 100_000

// BenchmarkBatch makes the records of a whole batch from one token: groups of
// two data objects, tree, path, DER. It tells the bytes that stayed reachable.
func BenchmarkBatch(b *testing.B) {
	c := newClock()
	a, _, _ := authorities(b, c)
	group := func(i int) ers.Group {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(i))
		g, err := ers.Initial(tsa.SHA256, [][]byte{tsa.SHA256.Sum(n[:]), tsa.SHA256.Sum(n[:], n[:])})
		if err != nil {
			b.Fatal(err)
		}
		return g
	}
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		tree := ers.NewTree(tsa.SHA256)
		for i := range batch {
			tree.Add(group(i).Leaf())
		}
		token := read(b, a.StampImprint(b.Context(), tsa.Imprint{Hash: tsa.SHA256, Value: tree.Root()}))
		size := 0
		for i := range batch {
			r, err := ers.Record{}.With(group(i), tree.Path(i), token)
			if err != nil {
				b.Fatal(err)
			}
			der, err := r.Encode()
			if err != nil {
				b.Fatal(err)
			}
			size += len(der)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(size)/batch, "bytes/record")
		b.ReportMetric(float64(after.HeapAlloc)/(1<<20)-float64(before.HeapAlloc)/(1<<20), "MB-kept")
		runtime.KeepAlive(tree)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/batch, "µs/record")
}

// BenchmarkValidate validates the record of a package in a batch of 100,000,
// new and after a life with two renewals and two changes of hash function.
func BenchmarkValidate(b *testing.B) {
	data := objects()
	records, trust, c := life(b, data, 1, 1<<10)
	for name, r := range map[string]ers.Record{"new": records[0], "old": records[len(records)-1]} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if got := r.Validate(data, trust, time.Time{}); got.State() != tsa.Passed {
					b.Fatal(got)
				}
			}
		})
	}
	_ = c
}
