package dir

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
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
