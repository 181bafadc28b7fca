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
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"guzheng/storage"
)

// abortTime bounds the clearing up after an upload that did not succeed.
const abortTime = 10 * time.Second

// putParts stores content in parts, one of them in memory at a time, each
// with a SHA-256 value that the server compares. Nothing is there before the
// last request, which says again that the name must be free.
func (s *Store) putParts(ctx context.Context, key string, src *source, want storage.Want) (string, error) {
	// The name can only be asked for at the end; better to know before.
	if _, err := s.stat(ctx, key); err == nil || errors.Is(err, storage.ErrAltered) {
		return "", errors.New("the name is taken")
	}
	opts := s.options(want)
	opts.UserMetadata[algorithmHeader] = "SHA256"
	id, err := s.core.NewMultipartUpload(ctx, s.bucket, key, opts)
	if err != nil {
		return "", err
	}
	version, err := s.upload(ctx, key, id, src, want)
	if err != nil {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
		defer cancel()
		// Parts that stay after a failure here are not an object. A lifecycle
		// rule of the bucket may clear them away.
		_ = s.core.AbortMultipartUpload(end, s.bucket, key, id)
	}
	return version, err
}

func (s *Store) upload(ctx context.Context, key, id string, src *source, want storage.Want) (string, error) {
	buf := make([]byte, min(partSize(want.Bytes), want.Bytes))
	var parts []minio.CompletePart
	for {
		n, err := io.ReadFull(src, buf)
		if n > 0 {
			p, perr := s.part(ctx, key, id, len(parts)+1, buf[:n])
			if perr != nil {
				return "", perr
			}
			parts = append(parts, p)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return "", err
		}
	}
	var opts minio.PutObjectOptions
	opts.SetMatchETagExcept("*")
	up, err := s.core.CompleteMultipartUpload(ctx, s.bucket, key, id, parts, opts)
	if err != nil {
		return "", err
	}
	return up.VersionID, nil
}

func (s *Store) part(ctx context.Context, key, id string, number int, b []byte) (minio.CompletePart, error) {
	sum := sha256.Sum256(b)
	value := base64.StdEncoding.EncodeToString(sum[:])
	p, err := s.core.PutObjectPart(ctx, s.bucket, key, id, number, bytes.NewReader(b), int64(len(b)), minio.PutObjectPartOptions{
		Sha256Hex: hex.EncodeToString(sum[:]), DisableContentSha256: true,
		CustomHeader: http.Header{checksumHeader: {value}},
	})
	if err != nil {
		return minio.CompletePart{}, fmt.Errorf("part %d: %w", number, err)
	}
	return minio.CompletePart{PartNumber: number, ETag: p.ETag, ChecksumSHA256: value}, nil
}

// partSize keeps the number of parts within what S3 takes.
func partSize(bytes int64) int64 {
	const mib = 1 << 20
	return max(partBytes, (bytes/maxParts/mib+1)*mib)
}
