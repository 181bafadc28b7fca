package wacz

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sort"

	"guzheng/capture"
)

func sha256Of(b []byte) [32]byte { return sha256.Sum256(b) }

func sortRaw(files []RawFile) {
	sort.Slice(files, func(i, k int) bool { return files[i].Path < files[k].Path })
}

// newPart is bytes at hand as an entry.
func newPart(path, kind string, b []byte) part {
	h := capture.NewHasher()
	_, _ = h.Write(b)
	return part{path: path, kind: kind, bytes: b, Digest: h.Digest(), crc: crc32.ChecksumIEEE(b)}
}

// CheckFile reads a file and returns its length and SHA-256 value, without
// SM3, and its CRC-32, for Input.Checked.
func CheckFile(ctx context.Context, name string) (sum capture.Digest, crc uint32, err error) {
	h := &counted{Hash: sha256.New()}
	crc, err = readFile(ctx, name, h)
	return capture.Digest{Bytes: h.n, SHA256: hex.EncodeToString(h.Sum(nil))}, crc, err
}

// counted is a hash that knows how much it has seen.
type counted struct {
	hash.Hash
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.Hash.Write(p)
}

// readFile gives all bytes of a file to h and returns their CRC-32.
func readFile(ctx context.Context, name string, h io.Writer) (uint32, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, fmt.Errorf("hashing: %w", err)
	}
	defer f.Close()
	crc := crc32.NewIEEE()
	if err := copyAll(ctx, io.MultiWriter(h, crc), f); err != nil {
		return 0, fmt.Errorf("hashing %s: %w", name, err)
	}
	return crc.Sum32(), nil
}

// copyAll copies to the end of r or of the context. The pieces are large,
// since every one costs a call of the system.
func copyAll(ctx context.Context, w io.Writer, r io.Reader) error {
	// Neither end may offer a way past the buffer.
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, ctxReader{ctx, r}, make([]byte, 128<<10))
	return err
}

// writeZip streams the parts into out+".part", makes it durable and gives it
// its name.
func writeZip(ctx context.Context, out string, parts []part, s stamp) (d capture.Digest, err error) {
	tmp := out + ".part"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return d, fmt.Errorf("writing package: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close() // the failure before is what is told
			os.Remove(tmp)
		}
	}()
	h := capture.NewHasher()
	buf := bufio.NewWriterSize(io.MultiWriter(f, h), 1<<18)
	if err := packAll(ctx, buf, parts, s); err != nil {
		return d, err
	}
	if err := buf.Flush(); err != nil {
		return d, fmt.Errorf("writing package: %w", err)
	}
	if err := f.Sync(); err != nil {
		return d, fmt.Errorf("writing package: %w", err)
	}
	if err := f.Close(); err != nil {
		return d, fmt.Errorf("writing package: %w", err)
	}
	if err := os.Rename(tmp, out); err != nil {
		return d, fmt.Errorf("writing package: %w", err)
	}
	return h.Digest(), capture.SyncDir(filepath.Dir(out))
}

// packAll writes entries, directory and end records.
func packAll(ctx context.Context, w io.Writer, parts []part, s stamp) error {
	var at int64
	var central []byte
	for _, p := range parts {
		e := entry{name: p.path, crc: p.crc, size: p.Bytes, offset: at}
		head := localHeader(e, s)
		if _, err := w.Write(head); err != nil {
			return fmt.Errorf("writing package: %w", err)
		}
		if err := copyPart(ctx, w, p); err != nil {
			return err
		}
		at += int64(len(head)) + p.Bytes
		central = append(central, centralHeader(e, s)...)
	}
	central = append(central, endRecords(len(parts), int64(len(central)), at)...)
	if _, err := w.Write(central); err != nil {
		return fmt.Errorf("writing package: %w", err)
	}
	return nil
}

// copyPart writes the bytes of one entry and sees that they are those that
// were hashed.
func copyPart(ctx context.Context, w io.Writer, p part) error {
	var r io.Reader = bytes.NewReader(p.bytes)
	if p.from != "" {
		f, err := os.Open(p.from)
		if err != nil {
			return fmt.Errorf("packing %s: %w", p.path, err)
		}
		defer f.Close()
		r = f
	}
	h, crc := &counted{Hash: sha256.New()}, crc32.NewIEEE()
	if err := copyAll(ctx, io.MultiWriter(w, h, crc), io.LimitReader(r, p.Bytes+1)); err != nil {
		return fmt.Errorf("packing %s: %w", p.path, err)
	}
	if h.n != p.Bytes || hex.EncodeToString(h.Sum(nil)) != p.SHA256 || crc.Sum32() != p.crc {
		return fmt.Errorf("packing %s: %w", p.path, ErrChanged)
	}
	return nil
}
