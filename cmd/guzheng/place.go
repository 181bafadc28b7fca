package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"guzheng/capture"
	"guzheng/preserve"
	"guzheng/storage"
	"guzheng/storage/dir"
	"guzheng/storage/s3"
)

// storeConfig says where evidence is kept. Credentials are in no setting:
// they come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
// AWS_SESSION_TOKEN) or from a file that a setting names.
type storeConfig struct {
	// Kind is dir, a local directory, or s3, a bucket.
	Kind string `koanf:"kind"`
	// Path is the directory; empty is store under GUZHENG_HOME.
	Path string `koanf:"path"`
	// Endpoint, Bucket, Region and Style are those of s3.Config.
	Endpoint string `koanf:"endpoint"`
	Bucket   string `koanf:"bucket"`
	Region   string `koanf:"region"`
	Style    string `koanf:"style"`
	// CAFile and CredentialsFile too, relative to the configuration's
	// directory.
	CAFile          string `koanf:"ca_file"`
	CredentialsFile string `koanf:"credentials_file"`
	// SingleMegabytes is the largest object that goes up in one request; 0
	// is all that S3 takes.
	SingleMegabytes int64 `koanf:"single_megabytes"`
}

// anchor makes the file names relative to the directory of the file that
// they stand in.
func (c *storeConfig) anchor(dir string) {
	for _, name := range []*string{&c.Path, &c.CAFile, &c.CredentialsFile} {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(dir, *name)
		}
	}
}

func (c storeConfig) check(file string) error {
	switch c.Kind {
	case "dir":
		return nil
	case "s3":
		if c.Endpoint == "" || c.Bucket == "" {
			return fail(exitUsage, "", "configuration %s: store: s3 needs endpoint and bucket", file)
		}
		return nil
	}
	return fail(exitUsage, "use dir or s3", "configuration %s: store: kind %q", file, c.Kind)
}

// A keep is a store with all that drivers can.
type keep interface {
	storage.Store
	storage.Remover
	storage.Prober
}

// openKeep opens the store of a configuration. standard is the directory of
// one that names none.
func openKeep(ctx context.Context, c storeConfig, standard, temp string) (keep, error) {
	if c.Kind == "s3" {
		s, err := s3.Open(ctx, s3.Config{Endpoint: c.Endpoint, Bucket: c.Bucket, Region: c.Region, Style: c.Style,
			CAFile: c.CAFile, CredentialsFile: c.CredentialsFile, SingleBytes: c.SingleMegabytes << 20, TempDir: temp, Now: capture.Now})
		if errors.Is(err, s3.ErrCredentials) {
			return nil, fail(exitUsage, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or store.credentials_file", "opening store: %w", err)
		}
		if err != nil {
			return nil, fail(exitStorage, "check endpoint, bucket and credentials: guzheng doctor store", "opening store: %w", err)
		}
		return s, nil
	}
	if c.Path != "" {
		standard = c.Path
	}
	s, err := dir.Open(standard, capture.Now)
	if err != nil {
		return nil, fail(exitStorage, "check permissions and free space under "+filepath.Dir(standard), "opening store: %w", err)
	}
	return s, nil
}

// tryLock warns, loudly, when nothing keeps what is about to be stored from
// being removed although a bucket was configured for that.
func (h *home) tryLock(ctx context.Context) error {
	s, ok := h.store.(*s3.Store)
	if !ok || h.tried {
		return nil
	}
	err := s.Canary(ctx)
	if errors.Is(err, s3.ErrNoLock) {
		const line = "guzheng: ****************************************************************\n"
		fmt.Fprintf(h.err, "%sguzheng: WARNING: %s\nguzheng: evidence is kept there all the same; anybody with the right to delete can\nguzheng: remove it. Use a bucket made with Object Lock. Sheets say: hash only.\n%s", line, plain(err.Error()), line)
		err = nil
	}
	if err != nil {
		return fail(exitStorage, "guzheng doctor store", "%w", err)
	}
	h.tried = true
	return nil
}

// where names an object as people and other tools find it.
func (h *home) where(o storage.Object) string {
	switch s := h.store.(type) {
	case *dir.Store:
		if p, err := s.Path(o.Key); err == nil {
			return p
		}
	case *s3.Store:
		return s.Location(o)
	}
	return o.Key
}

// local returns the name of a file with the bytes of a package, its seals
// beside it, for what reads files. That of a directory is the store's own,
// altered or not; from a bucket both are fetched, checked, and removed when
// the home is closed.
func (h *home) local(ctx context.Context, key string) (string, error) {
	if s, ok := h.store.(*dir.Store); ok {
		return s.Path(key)
	}
	to, err := h.scratch()
	if err != nil {
		return "", err
	}
	if err := h.fetch(ctx, key, to); err != nil {
		return "", err
	}
	for _, beside := range []string{".seal", ".evidence"} {
		for o, err := range h.store.List(ctx, strings.TrimSuffix(key, ".wacz")+beside) {
			if err == nil {
				err = h.fetch(ctx, o.Key, to)
			}
			if err != nil {
				return "", err
			}
		}
	}
	return filepath.Join(to, path.Base(key)), nil
}

// copies is where objects are fetched to.
func (h *home) copies() string { return filepath.Join(h.dir, "copies") }

// scratch makes a directory that Close removes. Those of processes that were
// killed go when they are a day old.
func (h *home) scratch() (string, error) {
	if err := os.MkdirAll(h.copies(), 0o700); err != nil {
		return "", err
	}
	old, err := os.ReadDir(h.copies())
	if err != nil {
		return "", err
	}
	for _, e := range old {
		if info, err := e.Info(); err == nil && capture.Now().Sub(info.ModTime()) > 24*time.Hour {
			os.RemoveAll(filepath.Join(h.copies(), e.Name()))
		}
	}
	to, err := os.MkdirTemp(h.copies(), "")
	if err != nil {
		return "", err
	}
	h.closer = append(h.closer, func() error { return os.RemoveAll(to) })
	return to, nil
}

func (h *home) fetch(ctx context.Context, key, to string) error {
	c, _, err := h.store.Open(ctx, key)
	if err != nil {
		return err
	}
	defer c.Close()
	f, err := os.OpenFile(filepath.Join(to, path.Base(key)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, c)
	return errors.Join(err, f.Close())
}

// A receipt is what the store said of package and seal when it had them:
// version, lock mode and date as read back.
type receipt struct {
	Format  string         `json:"format"` // "guzheng-receipt/1"
	Package storage.Object `json:"package"`
	Seal    storage.Object `json:"seal"`
}

// writeReceipt keeps the read-back of a record under GUZHENG_HOME/receipts.
func (h *home) writeReceipt(rec preserve.Record) error {
	b, err := json.MarshalIndent(receipt{"guzheng-receipt/1", rec.Package, rec.Seal}, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Join(h.dir, "receipts")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return capture.WriteFile(filepath.Join(dir, rec.Order.ID+".json"), append(b, '\n'))
}
