package s3

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"

	"guzheng/storage"
)

// What goes with an object. The server computes the checksum of what it
// receives in one piece, compares it and returns it; the metadata is ours and
// is there for objects in parts too.
const (
	checksumHeader  = "X-Amz-Checksum-Sha256"
	algorithmHeader = "X-Amz-Checksum-Algorithm"
	digestKey       = "Guzheng-Sha256"
)

// Tags of objects in a bucket without lock.
const (
	untilTag = "guzheng-until"
	holdTag  = "guzheng-hold"
)

// Put implements storage.Store. The date is rounded up to the second, which
// is as fine as S3 has it. An answer that got lost is no loss: Put looks
// whether the object is there. It is not stored twice either, but for one
// case: a delete marker laid over it by somebody else makes servers take the
// name for free; the first version stays the object.
func (s *Store) Put(ctx context.Context, key string, content io.Reader, want storage.Want) (storage.Object, error) {
	o, err := s.put(ctx, key, content, want)
	if err != nil {
		return storage.Object{}, fmt.Errorf("storing %s: %w", label(key), named(err))
	}
	return o, nil
}

func (s *Store) put(ctx context.Context, key string, content io.Reader, want storage.Want) (storage.Object, error) {
	if err := storage.CheckKey(key); err != nil {
		return storage.Object{}, err
	}
	sum, err := hex.DecodeString(want.SHA256)
	if err != nil || len(sum) != 32 || hex.EncodeToString(sum) != want.SHA256 || want.Bytes < 0 {
		return storage.Object{}, fmt.Errorf("wanted %d bytes with sha256 %q: not a length and digest", want.Bytes, want.SHA256)
	}
	want.Until = whole(want.Until)
	if err := ctx.Err(); err != nil {
		return storage.Object{}, err
	}
	body, src := newSource(ctx, content, want)
	var version string
	if want.Bytes > s.cfg.SingleBytes {
		version, err = s.putParts(ctx, key, src, want)
	} else {
		opts := s.options(want)
		opts.UserMetadata[checksumHeader] = base64.StdEncoding.EncodeToString(sum)
		opts.SetMatchETagExcept("*")
		var up minio.UploadInfo
		// The value in the signature lets the server refuse other bytes even
		// if it knows no checksums; streaming signatures would sign chunks.
		up, err = s.core.PutObject(ctx, s.bucket, key, body, want.Bytes, "", want.SHA256, opts)
		version = up.VersionID
	}
	if err == nil {
		if !s.versioned {
			version = ""
		}
		return s.readBack(ctx, key, version, want)
	}
	if e := src.failed(); e != nil {
		return storage.Object{}, e
	}
	if e := ctx.Err(); e != nil {
		return storage.Object{}, e
	}
	// Bytes that are not the wanted ones must not pass for a second try.
	if e := src.finish(); e != nil {
		return storage.Object{}, e
	}
	return s.already(ctx, key, want, err)
}

// options are the same for objects in one piece and in parts.
func (s *Store) options(want storage.Want) minio.PutObjectOptions {
	o := minio.PutObjectOptions{
		UserMetadata:         map[string]string{digestKey: want.SHA256},
		DisableContentSha256: true, // of chunks
	}
	if s.bucketLock && !want.Until.IsZero() {
		o.Mode, o.RetainUntilDate = minio.Compliance, want.Until
	} else if !s.bucketLock {
		o.UserTags = map[string]string{untilTag: want.Until.Format(time.RFC3339)}
	}
	return o
}

// readBack returns what the server says of the version that it has just
// stored, after comparing that with what was asked for.
func (s *Store) readBack(ctx context.Context, key, version string, want storage.Want) (storage.Object, error) {
	o, err := s.head(ctx, key, version)
	switch {
	case err != nil:
	case s.versioned && o.Version != version:
		err = fmt.Errorf("%w: asked for version %s, told of %s", storage.ErrAltered, version, o.Version)
	case o.Bytes != want.Bytes || o.SHA256 != want.SHA256:
		err = fmt.Errorf("%w: stored %d bytes with sha256 %s, told of %d with %s", storage.ErrAltered, want.Bytes, want.SHA256, o.Bytes, o.SHA256)
	case o.Until.Before(want.Until):
		err = fmt.Errorf("asked for a lock until %s, told of %s", want.Until.Format(time.RFC3339), o.Until.Format(time.RFC3339))
	case s.bucketLock && !want.Until.IsZero() && o.Mode != minio.Compliance.String():
		err = fmt.Errorf("asked for the lock mode %s, told of %q", minio.Compliance, o.Mode)
	}
	if err != nil {
		return storage.Object{}, fmt.Errorf("reading back: %w", err)
	}
	return o, nil
}

// already is Put after its request came back with cause: the name is taken,
// or nobody knows whether the request was carried out.
func (s *Store) already(ctx context.Context, key string, want storage.Want, cause error) (storage.Object, error) {
	o, err := s.stat(ctx, key)
	switch {
	case errors.Is(err, storage.ErrNotExist):
		return storage.Object{}, cause
	case errors.Is(err, storage.ErrAltered):
		return storage.Object{}, fmt.Errorf("%w: %w", storage.ErrConflict, err)
	case err != nil:
		return storage.Object{}, errors.Join(cause, fmt.Errorf("looking whether it was stored: %w", err))
	case o.SHA256 != want.SHA256 || o.Bytes != want.Bytes:
		return storage.Object{}, fmt.Errorf("%w: stored with sha256 %s, given %s", storage.ErrConflict, o.SHA256, want.SHA256)
	case o.Until.Before(want.Until):
		return s.extendTo(ctx, o, want.Until)
	}
	return o, nil
}

// whole rounds a date up to the second.
func whole(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	w := t.UTC().Truncate(time.Second)
	if w.Before(t) {
		w = w.Add(time.Second)
	}
	return w
}
