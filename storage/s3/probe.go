package s3

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"guzheng/storage"
)

// Names of our own objects; "~" cannot stand in a key, so List never shows
// them.
const (
	canaryPrefix = "~store/canary-"
	probePrefix  = "~store/probe-"
)

// A canary is locked for a day and used again on that day; a probe for as
// long as its trials take.
const (
	canaryTime = 24 * time.Hour
	probeTime  = 4 * time.Second
)

// ErrNoLock says that nothing keeps objects in this bucket from being
// removed. What is put there is kept all the same, and says storage.LockHash.
var ErrNoLock = errors.New("the bucket does not keep locked objects from being removed")

// Canary tries to remove a locked object of its own. It returns ErrNoLock
// when the bucket has no Object Lock or the object could be removed, and
// Locked is false from then on.
func (s *Store) Canary(ctx context.Context) error {
	if !s.bucketLock {
		return fmt.Errorf("bucket %s has no Object Lock: %w", s.bucket, ErrNoLock)
	}
	held, err := s.canary(ctx)
	if err != nil {
		return fmt.Errorf("trying the lock of bucket %s: %w", s.bucket, err)
	}
	if !held {
		s.refuted.Store(true)
		return fmt.Errorf("bucket %s removed an object before its date: %w", s.bucket, ErrNoLock)
	}
	return nil
}

func (s *Store) canary(ctx context.Context) (held bool, err error) {
	now := s.cfg.Now()
	for v := range s.core.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: canaryPrefix, Recursive: true, WithVersions: true}) {
		if v.Err != nil {
			return false, v.Err
		}
		i, err := s.core.StatObject(ctx, s.bucket, v.Key, minio.StatObjectOptions{VersionID: v.VersionID})
		if err == nil && now.Add(time.Minute).Before(lockedUntil(i)) {
			return s.survives(ctx, v.Key, v.VersionID)
		}
		// What has had its day is cleared away; it does not matter if it stays.
		_ = s.core.RemoveObject(ctx, s.bucket, v.Key, minio.RemoveObjectOptions{VersionID: v.VersionID})
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	key := canaryPrefix + rand.Text()
	version, err := s.small(ctx, key, probeText, now.Add(canaryTime))
	if err != nil {
		return false, err
	}
	return s.survives(ctx, key, version)
}

const probeText = "guzheng"

// small stores a few bytes under the checksum of probeText and a lock, in
// the place of nothing.
func (s *Store) small(ctx context.Context, key, text string, until time.Time) (version string, err error) {
	sum, actual := sha256.Sum256([]byte(probeText)), sha256.Sum256([]byte(text))
	o := minio.PutObjectOptions{DisableContentSha256: true,
		UserMetadata: map[string]string{checksumHeader: base64.StdEncoding.EncodeToString(sum[:])}}
	if s.bucketLock {
		o.Mode, o.RetainUntilDate = minio.Compliance, whole(until)
	}
	o.SetMatchETagExcept("*")
	up, err := s.core.PutObject(ctx, s.bucket, key, strings.NewReader(text), int64(len(text)), "", hex.EncodeToString(actual[:]), o)
	return up.VersionID, err
}

// survives tries to remove a version with every right there is, and tells
// whether it is still there. Servers refuse in different words; only what is
// there afterwards counts.
func (s *Store) survives(ctx context.Context, key, version string) (bool, error) {
	refused := s.core.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{VersionID: version, GovernanceBypass: true})
	_, err := s.core.StatObject(ctx, s.bucket, key, minio.StatObjectOptions{VersionID: version})
	switch {
	case err == nil && refused == nil:
		return false, errors.New("the removal was confirmed, and the object is still there")
	case err == nil:
		return true, nil
	case absent(err):
		return false, nil
	}
	return false, err
}

// Probe implements storage.Prober on objects of its own below ~store/probe-.
func (s *Store) Probe(ctx context.Context) (storage.Proof, error) {
	p := storage.Proof{Format: storage.ProofFormat, Time: s.cfg.Now().UTC(),
		Store: "s3://" + s.bucket + " at " + strings.TrimRight(s.cfg.Endpoint, "/")}
	key := probePrefix + rand.Text()
	for _, trial := range []func(context.Context, string, *storage.Proof) error{s.tryNames, s.tryLock} {
		if err := trial(ctx, key, &p); err != nil {
			return storage.Proof{}, fmt.Errorf("probing bucket %s: %w", s.bucket, err)
		}
	}
	return p, nil
}

func said(err error, otherwise string) string {
	if err == nil {
		return otherwise
	}
	return err.Error()
}

// tryNames puts a second object under a taken name, and bytes under a value
// that is not theirs.
func (s *Store) tryNames(ctx context.Context, key string, p *storage.Proof) error {
	until := s.cfg.Now().Add(probeTime)
	if _, err := s.small(ctx, key+"-name", probeText, until); err != nil {
		return err
	}
	_, err := s.small(ctx, key+"-name", probeText, until)
	p.Trials = append(p.Trials, storage.Trial{Name: storage.TrialCreateOnly, Held: taken(err), Detail: said(err, "it was stored")})
	_, err = s.small(ctx, key+"-sum", "altered", until)
	_, there := s.core.StatObject(ctx, s.bucket, key+"-sum", minio.StatObjectOptions{})
	if there != nil && !absent(there) {
		return there
	}
	p.Trials = append(p.Trials, storage.Trial{Name: storage.TrialChecksum, Held: err != nil && there != nil, Detail: said(err, "it was stored")})
	return nil
}

// tryLock tries to remove and to shorten before the date, and to remove
// after it under a hold.
func (s *Store) tryLock(ctx context.Context, key string, p *storage.Proof) error {
	add := func(name string, held bool, detail string) {
		p.Trials = append(p.Trials, storage.Trial{Name: name, Held: held, Detail: detail})
	}
	if !s.bucketLock {
		for _, name := range []string{storage.TrialDelete, storage.TrialShorten, storage.TrialHold} {
			add(name, false, "the bucket has no Object Lock")
		}
		return nil
	}
	until := whole(s.cfg.Now().Add(probeTime))
	version, err := s.small(ctx, key, probeText, until)
	if err != nil {
		return err
	}
	held, err := s.survives(ctx, key, version)
	if err != nil {
		return err
	}
	add(storage.TrialDelete, held, "")
	if !held {
		add(storage.TrialShorten, false, "the object could be removed")
		add(storage.TrialHold, false, "the object could be removed")
		return nil
	}
	earlier, mode := until.Add(-2*time.Second), minio.Compliance
	shortened := s.core.PutObjectRetention(ctx, s.bucket, key, minio.PutObjectRetentionOptions{
		Mode: &mode, RetainUntilDate: &earlier, VersionID: version, GovernanceBypass: true})
	i, err := s.core.StatObject(ctx, s.bucket, key, minio.StatObjectOptions{VersionID: version})
	if err != nil {
		return err
	}
	add(storage.TrialShorten, !lockedUntil(i).Before(until), said(shortened, "it was accepted"))
	return s.tryHold(ctx, key, version, until, p)
}

func (s *Store) tryHold(ctx context.Context, key, version string, until time.Time, p *storage.Proof) error {
	on, off := minio.LegalHoldEnabled, minio.LegalHoldDisabled
	set := s.core.PutObjectLegalHold(ctx, s.bucket, key, minio.PutObjectLegalHoldOptions{Status: &on, VersionID: version})
	if set != nil {
		p.Trials = append(p.Trials, storage.Trial{Name: storage.TrialHold, Detail: set.Error()})
		return nil
	}
	// Servers compare with their own clock, and some by the second.
	wait := time.NewTimer(until.Add(time.Second).Sub(s.cfg.Now()))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	held, err := s.survives(ctx, key, version)
	if err != nil {
		return err
	}
	p.Trials = append(p.Trials, storage.Trial{Name: storage.TrialHold, Held: held})
	// It does not matter if the probe stays.
	_ = s.core.PutObjectLegalHold(ctx, s.bucket, key, minio.PutObjectLegalHoldOptions{Status: &off, VersionID: version})
	_ = s.core.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{VersionID: version})
	return nil
}
