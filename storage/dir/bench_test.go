package dir

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"guzheng/storage"
)

// BenchmarkOpen opens an object of 16 MiB, which compares all its bytes with
// the record before the first one is handed out. The floor is the SHA-256
// value of a plain file with the same bytes.
func BenchmarkOpen(b *testing.B) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	sum := sha256.Sum256(content)
	s := openStore(b, b.TempDir())
	want := storage.Want{Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), Until: until}
	if _, err := s.Put(b.Context(), "k", bytes.NewReader(content), want); err != nil {
		b.Fatal(err)
	}
	plain := filepath.Join(b.TempDir(), "plain")
	if err := os.WriteFile(plain, content, 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(content)))
	var floor time.Duration
	for b.Loop() {
		c, _, err := s.Open(b.Context(), "k")
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		start := time.Now()
		hashed(b, plain)
		floor += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed())/float64(floor), "x/floor")
}

func hashed(b *testing.B, name string) {
	b.Helper()
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(sha256.New(), f); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPut stores an object of 16 MiB; x/floor is the time of a copy with
// fsync, as cp and sync would make, divided by ours, which also hashes, reads
// back and writes a record.
func BenchmarkPut(b *testing.B) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	sum := sha256.Sum256(content)
	s := openStore(b, b.TempDir())
	want := storage.Want{Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), Until: until}
	to := b.TempDir()
	b.SetBytes(int64(len(content)))
	var floor time.Duration
	n := 0
	for b.Loop() {
		n++
		if _, err := s.Put(b.Context(), fmt.Sprintf("k%d", n), bytes.NewReader(content), want); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		start := time.Now()
		copied(b, filepath.Join(to, fmt.Sprint(n)), content)
		floor += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(floor)/float64(b.Elapsed()), "x/floor")
}

func copied(b *testing.B, name string, content []byte) {
	b.Helper()
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		b.Fatal(err)
	}
}
