package preserve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"guzheng/capture"
)

// BenchmarkKeep keeps a take with 16 MiB of pictures: hashed again, stamped,
// packaged, sealed, logged, stored. The floor is one durable copy of the
// package, hashed on the way.
func BenchmarkKeep(b *testing.B) {
	home := b.TempDir()
	k, log, err := keeper(home)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := log.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	picture := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	berth, floor := fill(b, home, newOrder(), picture), time.Duration(0)
	for b.Loop() {
		r, err := k.Keep(b.Context(), berth)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		b.SetBytes(r.Package.Bytes)
		start := time.Now()
		copyHashed(b, filepath.Join(berth, packageFile), filepath.Join(home, "floor"))
		floor += time.Since(start)
		if err := os.RemoveAll(berth); err != nil {
			b.Fatal(err)
		}
		berth = fill(b, home, newOrder(), picture)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed())/float64(floor), "x/floor")
}

// newOrder is an order with a number of its own.
func newOrder() capture.Order {
	o := testOrder()
	o.ID = capture.NewID(o.Created)
	return o
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
