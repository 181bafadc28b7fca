package s3

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"guzheng/storage"
	"guzheng/storage/s3/s3test"
	"guzheng/storage/storetest"
)

var until = time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC)

func put(t testing.TB, s *Store, key, content string) (storage.Object, error) {
	t.Helper()
	o, err := s.Put(t.Context(), key, strings.NewReader(content), wantOf([]byte(content)))
	return o, err
}

// TestFaults breaks the line to MinIO.
func TestFaults(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, s3test.MinIO)
	storetest.Faults(t, func(t *testing.T) (storage.Store, *storetest.Line) {
		line := storetest.NewLine(t, srv.URL)
		return openStore(t, config(t, line.URL, srv.Bucket(t, true))), line
	})
	t.Run("stored once", func(t *testing.T) {
		line := storetest.NewLine(t, srv.URL)
		bucket := srv.Bucket(t, true)
		s := openStore(t, config(t, line.URL, bucket))
		line.Break(http.MethodPut, 0, 0, storetest.Lost)
		if _, err := put(t, s, "k", "content"); err != nil {
			t.Errorf("Put = %v", err)
		}
		if v, err := s.versions(t.Context(), "k"); len(v) != 1 || err != nil {
			t.Errorf("%d versions, %v", len(v), err)
		}
	})
	t.Run("in parts", func(t *testing.T) { faultyParts(t, srv) })
}

// faultyParts breaks uploads of three parts.
func faultyParts(t *testing.T, srv *s3test.Server) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 2*partBytes/16+1000)
	for name, c := range map[string]struct {
		method      string
		first, many int
		fault       storetest.Fault
		want        bool
	}{
		"part answered 503 once":           {http.MethodPut, 1, 1, storetest.Answers(503, "SlowDown"), true},
		"part's answer lost":               {http.MethodPut, 1, 1, storetest.Lost, true},
		"part changed on the way":          {http.MethodPut, 1, 0, storetest.FlipRequest(1000), false},
		"credentials refused midway":       {http.MethodPut, 1, 0, storetest.Answers(403, "InvalidAccessKeyId"), false},
		"answer to the last request lost":  {http.MethodPost, 1, 1, storetest.Lost, true},
		"answers to last requests lost":    {http.MethodPost, 1, 0, storetest.Lost, true},
		"last request refused":             {http.MethodPost, 1, 0, storetest.Answers(500, "InternalError"), false},
		"answer to the first request lost": {http.MethodPost, 0, 1, storetest.Lost, true},
	} {
		t.Run(name, func(t *testing.T) {
			line := storetest.NewLine(t, srv.URL)
			cfg := config(t, line.URL, srv.Bucket(t, true))
			cfg.SingleBytes = 1
			s := openStore(t, cfg)
			line.Break(c.method, c.first, c.many, c.fault)
			o, err := s.Put(t.Context(), "k", bytes.NewReader(content), wantOf(content))
			if line.Mend() == 0 {
				t.Fatal("nothing was broken")
			}
			if (err == nil) != c.want {
				t.Errorf("Put = %v, want success: %v", err, c.want)
			}
			if err != nil {
				if _, err := s.Stat(t.Context(), "k"); !errors.Is(err, storage.ErrNotExist) {
					t.Errorf("Stat = %v, want ErrNotExist", err)
				}
			}
			if o, err = s.Put(t.Context(), "k", bytes.NewReader(content), wantOf(content)); err != nil || o.Lock != storage.LockStore {
				t.Errorf("Put again = %+v, %v", o, err)
			}
			if v, err := s.versions(t.Context(), "k"); len(v) != 1 || err != nil {
				t.Errorf("%d versions, %v", len(v), err)
			}
		})
	}
}

// TestInsider does with the store's own credentials what hides or replaces
// an object where no lock is asked.
func TestInsider(t *testing.T) {
	t.Parallel()
	for _, kind := range []s3test.Kind{s3test.MinIO, s3test.Versitygw} {
		t.Run(string(kind), func(t *testing.T) {
			srv := s3test.Start(t, kind)
			bucket := srv.Bucket(t, true)
			s := openStore(t, config(t, srv.URL, bucket))
			first, err := put(t, s, "k", "content")
			if err != nil {
				t.Fatal(err)
			}
			still := func(what string) {
				t.Helper()
				c, o, err := s.Open(t.Context(), "k")
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				defer c.Close()
				if kind == s3test.Versitygw {
					// It keeps the lock of a version that is not the latest,
					// and does not tell of it: nothing is claimed then.
					if o.Lock != storage.LockHash || o.Mode != "" {
						t.Errorf("%s: versitygw tells of a lock: %+v", what, o)
					}
					o.Lock, o.Mode, o.Until = first.Lock, first.Mode, first.Until
				}
				if d := cmp.Diff(first, o); d != "" {
					t.Errorf("%s (-before +after):\n%s", what, d)
				}
			}
			if _, err := srv.Client.PutObject(t.Context(), bucket, "foreign", strings.NewReader("later"), 5, minio.PutObjectOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Stat(t.Context(), "foreign"); !errors.Is(err, storage.ErrAltered) {
				t.Errorf("Stat of what we did not store = %v, want ErrAltered", err)
			}
			if err := srv.Client.RemoveObject(t.Context(), bucket, "k", minio.RemoveObjectOptions{}); err != nil {
				t.Errorf("laying a delete marker: %v", err)
			}
			still("under a delete marker")
			if _, err := put(t, s, "k", "changed"); kind == s3test.Versitygw && !errors.Is(err, storage.ErrConflict) {
				t.Errorf("Put over a delete marker = %v", err)
			}
			if _, err := srv.Client.PutObject(t.Context(), bucket, "k", strings.NewReader("later"), 5, minio.PutObjectOptions{}); err != nil {
				t.Errorf("laying a version over it: %v", err)
			}
			still("under a later version")
			if held, err := s.survives(t.Context(), "k", first.Version); !held || err != nil {
				t.Errorf("under a later version the first can be removed: %v", err)
			}
			if kind == s3test.Versitygw {
				return
			}
			if o, err := s.Extend(t.Context(), "k", until.AddDate(1, 0, 0)); err != nil || o.Version != first.Version {
				t.Errorf("Extend = %+v, %v", o, err)
			}
			if err := s.Remove(t.Context(), "k"); !errors.Is(err, storage.ErrRetained) {
				t.Errorf("Remove = %v", err)
			}
		})
	}
}

// TestProbe holds the two servers against each other. Where versitygw
// differs from MinIO, and so from Amazon's documentation, stands here.
func TestProbe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind   s3test.Kind
		locked bool
		held   map[string]bool
		lock   storage.Lock
	}{
		{s3test.MinIO, true, map[string]bool{"create-only": true, "checksum": true, "delete": true, "shorten": true, "hold": true}, storage.LockStore},
		{s3test.MinIO, false, map[string]bool{"create-only": true, "checksum": true, "delete": false, "shorten": false, "hold": false}, storage.LockHash},
		// Once the date has passed, versitygw removes what is on hold
		// (auth/object_lock.go looks at the date first).
		{s3test.Versitygw, true, map[string]bool{"create-only": true, "checksum": true, "delete": true, "shorten": true, "hold": false}, storage.LockStore},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			t.Parallel()
			srv := s3test.Start(t, c.kind)
			s := openStore(t, config(t, srv.URL, srv.Bucket(t, c.locked)))
			p, err := s.Probe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]bool{}
			for _, trial := range p.Trials {
				got[trial.Name] = trial.Held
			}
			if d := cmp.Diff(c.held, got); d != "" || p.Lock() != c.lock {
				t.Errorf("held (-want +got):\n%s%+v, %s", d, p, p.Lock())
			}
			for o, err := range s.List(t.Context(), "") {
				t.Errorf("List shows %+v, %v", o, err)
			}
		})
	}
}

// TestDivergences asserts what else versitygw does not do as MinIO does, so
// that a version that does is noticed.
func TestDivergences(t *testing.T) {
	t.Parallel()
	for kind, same := range map[s3test.Kind]bool{s3test.MinIO: true, s3test.Versitygw: false} {
		t.Run(string(kind), func(t *testing.T) {
			srv := s3test.Start(t, kind)
			bucket := srv.Bucket(t, true)
			s := openStore(t, config(t, srv.URL, bucket))
			o, err := put(t, s, "k", "content")
			if err != nil {
				t.Fatal(err)
			}
			_, _, retention := srv.Client.GetObjectRetention(t.Context(), bucket, "k", o.Version)
			_, info, _, err := s.core.GetObject(t.Context(), bucket, "k", minio.GetObjectOptions{VersionID: o.Version})
			if err != nil {
				t.Fatal(err)
			}
			if err := srv.Client.RemoveObject(t.Context(), bucket, "k", minio.RemoveObjectOptions{}); err != nil {
				t.Fatal(err)
			}
			_, over := s.core.PutObject(t.Context(), bucket, "k", strings.NewReader("content"), 7, "", wantOf([]byte("content")).SHA256, s.conditional())
			for name, got := range map[string]bool{
				"GetObjectRetention can be read":       retention == nil,
				"GET tells of the lock":                info.Headers.Get("X-Amz-Object-Lock-Mode") != "",
				"a name under a delete marker is free": over == nil,
			} {
				if got != same {
					t.Errorf("%s: %v, want %v", name, got, same)
				}
			}
		})
	}
}

func (s *Store) conditional() minio.PutObjectOptions {
	o := s.options(storage.Want{Until: until})
	o.SetMatchETagExcept("*")
	return o
}

func TestCanary(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, s3test.MinIO)
	s := openStore(t, config(t, srv.URL, srv.Bucket(t, true)))
	for range 2 {
		if err := s.Canary(t.Context()); err != nil || !s.Locked() {
			t.Errorf("Canary = %v, locked %v", err, s.Locked())
		}
	}
	n := 0
	for range srv.Client.ListObjects(t.Context(), s.bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		n++
	}
	if n != 1 {
		t.Errorf("%d versions after two canaries, want the first used again", n)
	}
	open := openStore(t, config(t, srv.URL, srv.Bucket(t, false)))
	if err := open.Canary(t.Context()); !errors.Is(err, ErrNoLock) {
		t.Errorf("Canary of a bucket without lock = %v", err)
	}
	// A server that says that it locks and does not.
	liar := openStore(t, config(t, srv.URL, open.bucket))
	liar.versioned = true
	if held, err := liar.canary(t.Context()); held || err != nil {
		t.Errorf("canary without a lock: held %v, %v", held, err)
	}
}

// TestReach opens a bucket over TLS with roots of our own, and by virtual
// host.
func TestReach(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, s3test.MinIO)
	bucket := srv.Bucket(t, true)
	to, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host }})
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // a refused certificate is what is tested
	front.StartTLS()
	defer front.Close()
	cfg := config(t, front.URL, bucket)
	if _, err := Open(t.Context(), cfg); err == nil {
		t.Error("Open trusted a certificate without a root")
	}
	cfg.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(cfg.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := put(t, openStore(t, cfg), "tls", "content"); err != nil {
		t.Errorf("over TLS: %v", err)
	}
	cfg = config(t, "http://s3.test", bucket)
	cfg.Style = "host"
	var asked string
	cfg.wrap = func(http.RoundTripper) http.RoundTripper {
		return &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			asked = address
			return (&net.Dialer{}).DialContext(ctx, network, to.Host)
		}}
	}
	if _, err := put(t, openStore(t, cfg), "host", "content"); err != nil || asked != bucket+".s3.test:80" {
		t.Errorf("by virtual host: %v, asked %s", err, asked)
	}
}

func TestOpenRefuses(t *testing.T) {
	srv := s3test.Start(t, s3test.MinIO)
	bucket := srv.Bucket(t, true)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_ACCESS_KEY", "")
	for name, c := range map[string]struct {
		change func(*Config)
		want   error
	}{
		"no such bucket":      {func(c *Config) { c.Bucket = "no-such-bucket" }, storage.ErrNotExist},
		"no credentials":      {func(c *Config) { c.CredentialsFile = "" }, ErrCredentials},
		"no credentials file": {func(c *Config) { c.CredentialsFile = "/no/such/file" }, os.ErrNotExist},
		"no scheme":           {func(c *Config) { c.Endpoint = "127.0.0.1:9000" }, nil},
		"no such style":       {func(c *Config) { c.Style = "guest" }, nil},
		"no such roots":       {func(c *Config) { c.CAFile = "/no/such/file" }, os.ErrNotExist},
	} {
		cfg := config(t, srv.URL, bucket)
		c.change(&cfg)
		if _, err := Open(t.Context(), cfg); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", s3test.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3test.SecretKey)
	cfg := config(t, srv.URL, bucket)
	cfg.CredentialsFile = ""
	openStore(t, cfg)
}
