package s3

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"testing"
	"time"

	"guzheng/storage"
	"guzheng/storage/s3/s3test"
	"guzheng/storage/storetest"
)

var huge = flag.Int64("huge", 300, "length of the suite's largest object, in `megabytes`")

// config reaches a bucket of a server.
func config(t testing.TB, address, bucket string) Config {
	t.Helper()
	return Config{Endpoint: address, Bucket: bucket, Style: "path", CredentialsFile: s3test.Credentials(t), TempDir: t.TempDir(), Now: time.Now}
}

func openStore(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// suite tells the suite of this driver.
func suite(t *testing.T, srv *s3test.Server, locked bool, change func(*Config)) storetest.Driver {
	return storetest.Driver{
		Open: func(t *testing.T) storage.Store {
			cfg := config(t, srv.URL, srv.Bucket(t, locked))
			change(&cfg)
			return openStore(t, cfg)
		},
		Soon: func() time.Time { return time.Now().UTC().Truncate(time.Second).Add(3 * time.Second) },
		Pass: func(t *testing.T, date time.Time) {
			// The server's clock cannot be set.
			select {
			case <-time.After(time.Until(date.Add(time.Second))):
			case <-t.Context().Done():
			}
		},
	}
}

func TestMinIO(t *testing.T) {
	srv := s3test.Start(t, s3test.MinIO)
	t.Run("locked", func(t *testing.T) {
		d := suite(t, srv, true, func(*Config) {})
		d.Huge, d.Memory = *huge<<20, 128<<20
		storetest.Run(t, d)
	})
	t.Run("in parts", func(t *testing.T) {
		d := suite(t, srv, true, func(c *Config) { c.SingleBytes = 1 })
		d.Huge, d.Memory = *huge<<20, 128<<20
		storetest.Run(t, d)
	})
	t.Run("without lock", func(t *testing.T) { storetest.Run(t, suite(t, srv, false, func(*Config) {})) })
}

func TestVersitygw(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, s3test.Versitygw)
	t.Run("locked", func(t *testing.T) { storetest.Run(t, suite(t, srv, true, func(*Config) {})) })
	t.Run("in parts", func(t *testing.T) {
		storetest.Run(t, suite(t, srv, true, func(c *Config) { c.SingleBytes = 1 }))
	})
	t.Run("without lock", func(t *testing.T) { storetest.Run(t, suite(t, srv, false, func(*Config) {})) })
}

func wantOf(b []byte) storage.Want {
	sum := sha256.Sum256(b)
	return storage.Want{Bytes: int64(len(b)), SHA256: hex.EncodeToString(sum[:]), Until: until}
}
