package verify_test

import (
	"crypto/sha256"
	"io"
	"os"
	"testing"
	"time"

	"guzheng/preserve/verify"
	"guzheng/preserve/wacz/wacztest"
)

// BenchmarkPackage verifies a package with 16 MiB of traffic and its seal.
// The floor is the SHA-256 value of the file.
func BenchmarkPackage(b *testing.B) {
	h := newHouse(b)
	pkg := h.build(b, wacztest.LargeWARC(b, 16<<20))
	opt := verify.Options{Trust: h.trust}
	var floor time.Duration
	for b.Loop() {
		v, err := verify.Package(b.Context(), pkg, opt)
		if err != nil || v.Outcome() != verify.Passed {
			b.Fatalf("%v\n%s", err, told(v))
		}
		b.StopTimer()
		start := time.Now()
		b.SetBytes(hashed(b, pkg))
		floor += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed())/float64(floor), "x/floor")
}

func hashed(b *testing.B, name string) int64 {
	b.Helper()
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	n, err := io.Copy(sha256.New(), f)
	if err != nil {
		b.Fatal(err)
	}
	return n
}
