// Package s3 keeps objects in a bucket of an S3 server, each version locked
// by the server until its date (S3 Object Lock, mode COMPLIANCE).
//
// Life of an object: Put streams the bytes in one conditional request that
// carries their SHA-256 value, the lock and its date, and holds the last of
// them back until all of them have shown to be the wanted ones; the server
// refuses bytes with another value and a name that is taken. What it then
// says of the version (digest, mode, date) is compared and is the Object.
// Larger objects go up in parts with a value each. Everything afterwards is
// addressed by version: the object of a key is the first version that was
// stored under it, so that a delete marker or a later version laid over it
// hides nothing. Open fetches the version into a temporary file and compares
// its SHA-256 value before it hands out a byte. A bucket without lock is
// served too, with date and hold in tags; its objects say storage.LockHash.
//
// Trust: the server is trusted to enforce the lock that it reports, as far
// as Canary and Probe have seen it do so, and for availability. It cannot
// alter an object unnoticed: the SHA-256 value in the object's metadata is
// compared on every read, and who changes both is caught by the seal. Who
// holds the credentials can lay versions over an object and, in a bucket
// without lock, remove it. Who runs the server can destroy everything.
package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"guzheng/storage"
)

// ErrCredentials says that there is nothing to sign requests with.
var ErrCredentials = errors.New("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a credentials file")

// The limits of S3 (Amazon S3 User Guide, "Multipart upload limits"), and
// the size of a part where that allows it: one part is held in memory.
const (
	maxSingle = 5 << 30
	maxParts  = 10_000
	partBytes = 16 << 20
)

// tries is how often a request is made in all before its error is returned.
const tries = 3

// A Config says which bucket, and how to reach it.
type Config struct {
	// Endpoint is the server's address, http://HOST:PORT or https://….
	Endpoint string
	// Bucket has to exist. It should have been made with Object Lock, which
	// brings versioning with it.
	Bucket string
	// Region goes into signatures; empty is us-east-1.
	Region string
	// Style says where requests name the bucket: "path", "host" (virtual
	// host), or empty for what is usual at the endpoint.
	Style string
	// CAFile names a PEM file with the only roots that the server's
	// certificate may lead to; empty takes the system's.
	CAFile string
	// CredentialsFile names an INI file as Amazon's tools read it, section
	// [default]; empty takes AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
	// AWS_SESSION_TOKEN from the environment.
	CredentialsFile string
	// SingleBytes is the largest object that is put in one request, for
	// which the server itself computes the SHA-256 value; 0 is 5 GiB, the
	// most that S3 takes.
	SingleBytes int64
	// TempDir holds what Open fetches; empty is the system's.
	TempDir string
	// Now is required.
	Now func() time.Time

	wrap func(http.RoundTripper) http.RoundTripper // for tests
}

// A Store keeps objects in one bucket. It implements storage.Store,
// storage.Remover and storage.Prober.
type Store struct {
	core       *minio.Core
	cfg        Config
	bucket     string
	versioned  bool        // the bucket has versions
	bucketLock bool        // the bucket has Object Lock
	refuted    atomic.Bool // Canary saw the lock fail
}

// Open reaches the bucket and asks whether it has Object Lock. Nothing is
// written. Errors wrap ErrCredentials, and storage.ErrNotExist when there is
// no such bucket.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s, err := open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("opening bucket %s at %s: %w", cfg.Bucket, cfg.Endpoint, named(err))
	}
	return s, nil
}

func open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.SingleBytes <= 0 || cfg.SingleBytes > maxSingle {
		cfg.SingleBytes = maxSingle
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	core, err := dial(cfg)
	if err != nil {
		return nil, err
	}
	s := &Store{core: core, cfg: cfg, bucket: cfg.Bucket}
	there, err := core.BucketExists(ctx, cfg.Bucket)
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, fmt.Errorf("bucket: %w", storage.ErrNotExist)
	}
	v, err := core.GetBucketVersioning(ctx, cfg.Bucket)
	if err != nil {
		return nil, fmt.Errorf("asking for its versioning: %w", err)
	}
	s.versioned = v.Status != ""
	lock, _, _, _, err := core.GetObjectLockConfig(ctx, cfg.Bucket)
	switch {
	case err == nil:
		s.bucketLock = lock == "Enabled"
	case minio.ToErrorResponse(err).Code != "ObjectLockConfigurationNotFoundError":
		return nil, fmt.Errorf("asking for its lock: %w", err)
	}
	return s, nil
}

// Locked tells whether the bucket has Object Lock and Canary has not seen it
// fail.
func (s *Store) Locked() bool { return s.bucketLock && !s.refuted.Load() }

// Location names the object as a person and other tools would:
// s3://BUCKET/KEY, with the version when it is known.
func (s *Store) Location(o storage.Object) string {
	l := "s3://" + s.bucket + "/" + o.Key
	if o.Version != "" {
		l += "?versionId=" + url.QueryEscape(o.Version)
	}
	return l
}

func dial(cfg Config) (*minio.Core, error) {
	u, err := url.Parse(cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return nil, fmt.Errorf("endpoint %q is not http(s)://HOST[:PORT]", cfg.Endpoint)
	}
	look, ok := map[string]minio.BucketLookupType{
		"": minio.BucketLookupAuto, "path": minio.BucketLookupPath, "host": minio.BucketLookupDNS,
	}[cfg.Style]
	if !ok {
		return nil, fmt.Errorf(`style %q is neither "path" nor "host"`, cfg.Style)
	}
	creds, err := secret(cfg.CredentialsFile)
	if err != nil {
		return nil, err
	}
	transport, err := transport(cfg, u.Scheme == "https")
	if err != nil {
		return nil, err
	}
	return minio.NewCore(u.Host, &minio.Options{
		Creds: creds, Secure: u.Scheme == "https", Transport: transport, Region: cfg.Region,
		BucketLookup: look, MaxRetries: tries,
	})
}

// secret finds the credentials and makes sure that there are any: without,
// requests would go out unsigned.
func secret(file string) (*credentials.Credentials, error) {
	c := credentials.NewEnvAWS()
	if file != "" {
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("reading credentials: %w", err)
		}
		c = credentials.NewFileAWSCredentials(file, "default")
	}
	v, err := c.GetWithContext(nil)
	if err != nil {
		return nil, fmt.Errorf("reading credentials: %w", err)
	}
	if v.AccessKeyID == "" || v.SecretAccessKey == "" {
		return nil, ErrCredentials
	}
	return c, nil
}

func transport(cfg Config, secure bool) (http.RoundTripper, error) {
	t, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, err
	}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading roots: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading roots: no certificate in %s", cfg.CAFile)
		}
		if t.TLSClientConfig == nil {
			t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		t.TLSClientConfig.RootCAs = roots
	}
	if cfg.wrap != nil {
		return cfg.wrap(t), nil
	}
	return t, nil
}

// code returns what the server called an error, and its status.
func code(err error) (string, int) {
	r := minio.ToErrorResponse(err)
	return r.Code, r.StatusCode
}

// named adds storage.ErrUnavailable to what a server or a line says, unless
// it has a name already.
func named(err error) error {
	for _, known := range []error{storage.ErrNotExist, storage.ErrConflict, storage.ErrAltered, storage.ErrShorten, storage.ErrRetained, context.Canceled} {
		if errors.Is(err, known) {
			return err
		}
	}
	var answer minio.ErrorResponse
	var line *url.Error
	if errors.As(err, &answer) || errors.As(err, &line) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	}
	return err
}

// absent tells whether the server says that there is no such object or
// version.
func absent(err error) bool {
	c, status := code(err)
	return c == "NoSuchKey" || c == "NoSuchVersion" || status == http.StatusNotFound && c != "NoSuchBucket"
}

// taken tells whether the server says that the name is.
func taken(err error) bool {
	c, status := code(err)
	return status == http.StatusPreconditionFailed || c == "PreconditionFailed"
}
