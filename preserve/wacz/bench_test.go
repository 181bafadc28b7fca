package wacz_test

import (
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"guzheng/preserve/wacz"
	"guzheng/preserve/wacz/wacztest"
)

// BenchmarkWrite packages a take with 16 MiB of traffic. The floor is what
// no packer can do without: reading the same bytes once, hashing them with
// SHA-256, writing them and having them on disk.
func BenchmarkWrite(b *testing.B) {
	dir := b.TempDir()
	take := wacztest.Take(b, filepath.Join(dir, "take"), wacztest.LargeWARC(b, 16<<20))
	in := wacztest.Input(b, filepath.Join(dir, "take"), take, nil)
	out := filepath.Join(dir, "bench.wacz")
	var floor time.Duration
	for b.Loop() {
		sum, err := wacz.Write(b.Context(), out, in)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		b.SetBytes(sum.Digest.Bytes)
		start := time.Now()
		copyHashed(b, out, filepath.Join(dir, "floor"))
		floor += time.Since(start)
		if err := os.Remove(out); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed())/float64(floor), "x/floor")
}

func copyHashed(b *testing.B, from, to string) {
	b.Helper()
	r, err := os.Open(from)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(io.MultiWriter(w, sha256.New()), r); err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(w.Sync(), w.Close()); err != nil {
		b.Fatal(err)
	}
}
