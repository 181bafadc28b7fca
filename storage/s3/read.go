package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"guzheng/storage"
)

// inMemory is the largest object that Open keeps in memory instead of in a
// temporary file: seals, not packages.
const inMemory = 1 << 20

// Stat implements storage.Store: what the server says of the first version
// now. An object without our digest, or whose checksum by the server is
// another, gives storage.ErrAltered.
func (s *Store) Stat(ctx context.Context, key string) (storage.Object, error) {
	o, err := s.stat(ctx, key)
	if err != nil {
		return storage.Object{}, fmt.Errorf("looking up %s: %w", label(key), named(err))
	}
	return o, nil
}

func (s *Store) stat(ctx context.Context, key string) (storage.Object, error) {
	version, err := s.first(ctx, key)
	if err != nil {
		return storage.Object{}, err
	}
	return s.head(ctx, key, version)
}

// first returns the name of the oldest version of a key. Delete markers and
// later versions, which nobody who keeps to this package makes, are passed
// over.
func (s *Store) first(ctx context.Context, key string) (string, error) {
	if err := storage.CheckKey(key); err != nil {
		return "", err
	}
	versions, err := s.versions(ctx, key)
	if err != nil {
		return "", err
	}
	for i := len(versions) - 1; i >= 0; i-- {
		if !versions[i].IsDeleteMarker {
			return versions[i].VersionID, nil
		}
	}
	return "", storage.ErrNotExist
}

// versions returns the versions of a key, the last first, delete markers
// among them.
func (s *Store) versions(ctx context.Context, key string) ([]minio.ObjectInfo, error) {
	if !s.versioned {
		i, err := s.core.StatObject(ctx, s.bucket, key, minio.StatObjectOptions{})
		if absent(err) {
			return nil, nil
		}
		i.VersionID = ""
		return []minio.ObjectInfo{i}, err
	}
	var out []minio.ObjectInfo
	// A key sorts before all others that begin with it.
	for v := range s.core.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: key, Recursive: true, WithVersions: true, MaxKeys: 20}) {
		if v.Err != nil {
			return nil, v.Err
		}
		if v.Key != key {
			break
		}
		out = append(out, v)
	}
	return out, ctx.Err()
}

// head asks for one version. An empty name means the only one, in a bucket
// without versions.
func (s *Store) head(ctx context.Context, key, version string) (storage.Object, error) {
	i, err := s.core.StatObject(ctx, s.bucket, key, minio.StatObjectOptions{VersionID: version, Checksum: true})
	if err != nil {
		if absent(err) {
			err = fmt.Errorf("%w: %w", storage.ErrNotExist, err)
		}
		return storage.Object{}, err
	}
	return s.object(ctx, key, i)
}

// object reads an Object out of the answer to HEAD.
func (s *Store) object(ctx context.Context, key string, i minio.ObjectInfo) (storage.Object, error) {
	h := i.Headers
	o := storage.Object{
		Key: key, Bytes: i.Size, SHA256: h.Get("X-Amz-Meta-" + digestKey), Stored: i.LastModified.UTC(),
		Version: s.version(i), Mode: h.Get("X-Amz-Object-Lock-Mode"), Hold: onHold(i),
		Lock: storage.LockHash,
	}
	if b, err := hex.DecodeString(o.SHA256); err != nil || len(b) != sha256.Size {
		return storage.Object{}, fmt.Errorf("%w: there is no record of its digest", storage.ErrAltered)
	}
	if err := agrees(i.ChecksumSHA256, o.SHA256); err != nil {
		return storage.Object{}, err
	}
	o.Until = lockedUntil(i)
	if !s.bucketLock {
		return s.tagged(ctx, o)
	}
	if s.Locked() && o.Mode == minio.Compliance.String() {
		o.Lock = storage.LockStore
	}
	return o, nil
}

func onHold(i minio.ObjectInfo) bool { return i.Headers.Get("X-Amz-Object-Lock-Legal-Hold") == "ON" }

// lockedUntil is the zero time where the server tells of no date, or of one
// that cannot be read: then nothing is claimed.
func lockedUntil(i minio.ObjectInfo) time.Time {
	t, err := time.Parse(time.RFC3339, i.Headers.Get("X-Amz-Object-Lock-Retain-Until-Date"))
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

func (s *Store) version(i minio.ObjectInfo) string {
	if !s.versioned {
		return "" // some servers call it "null"
	}
	return i.VersionID
}

// agrees compares the server's checksum of the whole object with ours. Of an
// object in parts the server has one over the parts, "…-N", which says
// nothing of ours.
func agrees(checksum, digest string) error {
	if checksum == "" || strings.Contains(checksum, "-") {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(checksum)
	if err != nil || hex.EncodeToString(b) != digest {
		return fmt.Errorf("%w: stored with sha256 %s, the store has %x", storage.ErrAltered, digest, b)
	}
	return nil
}

// Open implements storage.Store. The object is fetched into a temporary file
// that has no name where the system allows that, and its digest compared.
func (s *Store) Open(ctx context.Context, key string) (storage.Content, storage.Object, error) {
	c, o, err := s.openChecked(ctx, key)
	if err != nil {
		return nil, storage.Object{}, fmt.Errorf("opening %s: %w", label(key), named(err))
	}
	return c, o, nil
}

func (s *Store) openChecked(ctx context.Context, key string) (storage.Content, storage.Object, error) {
	version, err := s.first(ctx, key)
	if err != nil {
		return nil, storage.Object{}, err
	}
	// Not all servers tell of the lock when they send the bytes.
	o, err := s.head(ctx, key, version)
	if err != nil {
		return nil, storage.Object{}, err
	}
	body, _, _, err := s.core.GetObject(ctx, s.bucket, key, minio.GetObjectOptions{VersionID: version})
	if err != nil {
		if absent(err) {
			err = fmt.Errorf("%w: %w", storage.ErrNotExist, err)
		}
		return nil, storage.Object{}, err
	}
	defer body.Close()
	c, err := s.room(o.Bytes)
	if err != nil {
		return nil, storage.Object{}, err
	}
	if err := fill(ctx, c, body, o); err != nil {
		_ = c.Close() // it held nothing that anybody has seen
		return nil, storage.Object{}, err
	}
	return c, o, nil
}

// fill copies the body and compares length and digest.
func fill(ctx context.Context, c content, body io.Reader, o storage.Object) error {
	h := sha256.New()
	to := struct{ io.Writer }{io.MultiWriter(c, h)}
	n, err := io.CopyBuffer(to, struct{ io.Reader }{body}, make([]byte, blockBytes))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("fetching: %w", err)
	}
	if sum := hex.EncodeToString(h.Sum(nil)); n != o.Bytes || sum != o.SHA256 {
		return fmt.Errorf("%w: stored %d bytes with sha256 %s, fetched %d with %s", storage.ErrAltered, o.Bytes, o.SHA256, n, sum)
	}
	return c.rewind()
}

// A content is where Open puts what it fetches.
type content interface {
	storage.Content
	io.Writer
	rewind() error
}

func (s *Store) room(size int64) (content, error) {
	if size <= inMemory {
		return &memory{}, nil
	}
	f, err := os.CreateTemp(s.cfg.TempDir, "guzheng-object-*")
	if err != nil {
		return nil, err
	}
	if runtime.GOOS == "windows" {
		return &file{f, f.Name()}, nil
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &file{f, ""}, nil
}

type memory struct {
	bytes.Buffer
	*bytes.Reader
}

func (m *memory) Read(p []byte) (int, error)  { return m.Reader.Read(p) }
func (m *memory) Write(p []byte) (int, error) { return m.Buffer.Write(p) }
func (m *memory) Close() error                { return nil }
func (m *memory) rewind() error               { m.Reader = bytes.NewReader(m.Bytes()); return nil }

type file struct {
	*os.File
	name string // empty once it has none
}

func (f *file) rewind() error { _, err := f.Seek(0, io.SeekStart); return err }

func (f *file) Close() error {
	err := f.File.Close()
	if f.name != "" {
		err = errors.Join(err, os.Remove(f.name))
	}
	return err
}

// List implements storage.Store, with a request for each object. One that
// cannot be told about is yielded with its error and only its key, and the
// listing goes on; names that are no keys are passed over.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 && storage.CheckKey(prefix[:i]) != nil {
			return // no key begins like this, and servers refuse to be asked
		}
		var last minio.ObjectInfo // the oldest version so far of its key
		send := func() bool {
			if last.Key == "" || storage.CheckKey(last.Key) != nil {
				return true
			}
			o, err := s.head(ctx, last.Key, last.VersionID)
			if errors.Is(err, storage.ErrNotExist) {
				return true // it has been removed meanwhile
			}
			if err != nil {
				o, err = storage.Object{Key: last.Key}, fmt.Errorf("listing %q: %w", prefix, named(err))
			}
			return yield(o, err)
		}
		for v := range s.core.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true, WithVersions: s.versioned}) {
			if v.Err != nil {
				yield(storage.Object{}, fmt.Errorf("listing %q: %w", prefix, named(v.Err)))
				return
			}
			if v.Key != last.Key && !send() {
				return
			}
			if v.Key != last.Key {
				last = minio.ObjectInfo{}
			}
			if !v.IsDeleteMarker {
				last = v
			}
			if !s.versioned {
				last.VersionID = ""
			}
		}
		if err := ctx.Err(); err != nil {
			yield(storage.Object{}, fmt.Errorf("listing %q: %w", prefix, named(err)))
			return
		}
		send()
	}
}

// label is the key as it may stand in a message.
func label(key string) string {
	if storage.CheckKey(key) != nil {
		return strconv.Quote(key)
	}
	return key
}
