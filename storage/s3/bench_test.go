package s3

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"guzheng/storage/s3/s3test"
)

// BenchmarkPut stores objects in MinIO; x/floor is the time of a bare
// minio-go PutObject of the same bytes into the same bucket, without
// condition, lock or read-back, divided by ours.
func BenchmarkPut(b *testing.B) {
	srv := s3test.Start(b, s3test.MinIO)
	for _, size := range []int{2 << 20, 32 << 20} {
		b.Run(fmt.Sprintf("%dMB", size>>20), func(b *testing.B) {
			bucket := srv.Bucket(b, true)
			s := openStore(b, config(b, srv.URL, bucket))
			content := bytes.Repeat([]byte("0123456789abcdef"), size/16)
			want := wantOf(content)
			b.SetBytes(int64(size))
			var floor time.Duration
			n := 0
			for b.Loop() {
				n++
				if _, err := s.Put(b.Context(), fmt.Sprintf("ours/%d", n), bytes.NewReader(content), want); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				start := time.Now()
				if _, err := s.core.Client.PutObject(b.Context(), bucket, fmt.Sprintf("bare/%d", n), bytes.NewReader(content), int64(size),
					minio.PutObjectOptions{}); err != nil {
					b.Fatal(err)
				}
				floor += time.Since(start)
				b.StartTimer()
			}
			b.ReportMetric(float64(floor)/float64(b.Elapsed()), "x/floor")
		})
	}
}
