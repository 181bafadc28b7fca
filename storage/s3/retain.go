package s3

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/tags"

	"guzheng/storage"
)

// Extend implements storage.Store.
func (s *Store) Extend(ctx context.Context, key string, until time.Time) (storage.Object, error) {
	o, err := s.stat(ctx, key)
	if err == nil {
		o, err = s.extendTo(ctx, o, until)
	}
	if err != nil {
		return storage.Object{}, fmt.Errorf("extending retention of %s: %w", label(key), named(err))
	}
	return o, nil
}

func (s *Store) extendTo(ctx context.Context, o storage.Object, until time.Time) (storage.Object, error) {
	until = whole(until)
	switch {
	case until.Before(o.Until):
		return storage.Object{}, fmt.Errorf("%w: from %s to %s", storage.ErrShorten, o.Until.Format(time.RFC3339), until.Format(time.RFC3339))
	case until.Equal(o.Until) && (!s.bucketLock || o.Mode == minio.Compliance.String()):
		return o, nil
	}
	var err error
	if s.bucketLock {
		mode := minio.Compliance
		err = s.core.PutObjectRetention(ctx, s.bucket, o.Key, minio.PutObjectRetentionOptions{
			Mode: &mode, RetainUntilDate: &until, VersionID: o.Version})
	} else {
		err = s.tag(ctx, o, untilTag, until.Format(time.RFC3339))
	}
	if err != nil {
		return storage.Object{}, err
	}
	return s.readBack(ctx, o.Key, o.Version, storage.Want{Bytes: o.Bytes, SHA256: o.SHA256, Until: until})
}

// Hold implements storage.Store.
func (s *Store) Hold(ctx context.Context, key string, on bool) (storage.Object, error) {
	o, err := s.hold(ctx, key, on)
	if err != nil {
		return storage.Object{}, fmt.Errorf("setting the hold of %s: %w", label(key), named(err))
	}
	return o, nil
}

func (s *Store) hold(ctx context.Context, key string, on bool) (storage.Object, error) {
	o, err := s.stat(ctx, key)
	if err != nil || o.Hold == on {
		return o, err
	}
	status, value := minio.LegalHoldDisabled, "off"
	if on {
		status, value = minio.LegalHoldEnabled, "on"
	}
	if s.bucketLock {
		err = s.core.PutObjectLegalHold(ctx, s.bucket, key, minio.PutObjectLegalHoldOptions{Status: &status, VersionID: o.Version})
	} else {
		err = s.tag(ctx, o, holdTag, value)
	}
	if err != nil {
		return storage.Object{}, err
	}
	o, err = s.head(ctx, key, o.Version)
	if err == nil && o.Hold != on {
		err = fmt.Errorf("reading back: asked for a hold that is %s, told of another", value)
	}
	return o, err
}

// tag sets one tag of a version; two at once may lose one of them.
func (s *Store) tag(ctx context.Context, o storage.Object, name, value string) error {
	have, err := s.tags(ctx, o)
	if err != nil {
		return err
	}
	all := maps.Clone(have)
	if all == nil {
		all = map[string]string{}
	}
	all[name] = value
	t, err := tags.NewTags(all, true)
	if err != nil {
		return err
	}
	return s.core.PutObjectTagging(ctx, s.bucket, o.Key, t, minio.PutObjectTaggingOptions{VersionID: o.Version})
}

func (s *Store) tags(ctx context.Context, o storage.Object) (map[string]string, error) {
	t, err := s.core.GetObjectTagging(ctx, s.bucket, o.Key, minio.GetObjectTaggingOptions{VersionID: o.Version})
	if err != nil {
		if c, _ := code(err); c == "NoSuchTagSet" || c == "NoSuchTagSetError" {
			return nil, nil
		}
		return nil, fmt.Errorf("asking for its tags: %w", err)
	}
	return t.ToMap(), nil
}

// tagged fills in date and hold of an object in a bucket without lock.
func (s *Store) tagged(ctx context.Context, o storage.Object) (storage.Object, error) {
	t, err := s.tags(ctx, o)
	if err != nil {
		return storage.Object{}, err
	}
	if date := t[untilTag]; date != "" {
		if o.Until, err = time.Parse(time.RFC3339, date); err != nil {
			return storage.Object{}, fmt.Errorf("reading the date of its retention: %w", err)
		}
		o.Until = o.Until.UTC()
	}
	o.Hold = t[holdTag] == "on"
	return o, nil
}

// Remove implements storage.Remover. All versions go, the first one last, so
// that the object is there until all of it is gone; each is asked about
// before any is removed.
func (s *Store) Remove(ctx context.Context, key string) error {
	if err := s.remove(ctx, key); err != nil {
		return fmt.Errorf("removing %s: %w", label(key), named(err))
	}
	return nil
}

func (s *Store) remove(ctx context.Context, key string) error {
	o, err := s.stat(ctx, key)
	if err != nil {
		return err
	}
	if err := s.free(o.Hold, o.Until); err != nil {
		return err
	}
	versions, err := s.versions(ctx, key)
	if err != nil {
		return err
	}
	for _, v := range versions {
		if v.IsDeleteMarker {
			continue
		}
		i, err := s.core.StatObject(ctx, s.bucket, key, minio.StatObjectOptions{VersionID: v.VersionID})
		if err != nil {
			return err
		}
		if err := s.free(onHold(i), lockedUntil(i)); err != nil {
			return err
		}
	}
	for _, v := range versions {
		err := s.core.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{VersionID: v.VersionID})
		if refusal(err) {
			return fmt.Errorf("%w: %w", storage.ErrRetained, err)
		}
		if err != nil {
			return err
		}
	}
	if _, err := s.stat(ctx, key); !errors.Is(err, storage.ErrNotExist) {
		return errors.Join(errors.New("it is still there"), err)
	}
	return nil
}

// free returns nil when neither hold nor date retains an object.
func (s *Store) free(hold bool, until time.Time) error {
	switch {
	case hold:
		return fmt.Errorf("%w: a legal hold is on it", storage.ErrRetained)
	case s.cfg.Now().Before(until):
		return fmt.Errorf("%w until %s", storage.ErrRetained, until.Format(time.RFC3339))
	}
	return nil
}

// refusal tells whether a server says no to a removal because of a lock;
// each has its own words for it.
func refusal(err error) bool {
	c, _ := code(err)
	return c == "AccessDenied" || c == "ObjectLocked" || c == "InvalidRequest"
}
