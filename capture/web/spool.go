package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
)

// spoolMemory is how much of one body is held in memory, in bytes; the rest
// goes to a file.
const spoolMemory = 256 << 10

// A spool is a body on its way into the take: in memory while it is small,
// in a file without a name afterwards. The zero value is empty.
type spool struct {
	size int64
	mem  []byte
	file *os.File
	hash hash.Hash
}

// add appends b. dir is where a file is made when there has to be one.
func (s *spool) add(dir string, b []byte) error {
	if s.hash == nil {
		s.hash = sha256.New()
	}
	if s.file == nil && len(s.mem)+len(b) <= spoolMemory {
		s.mem = append(s.mem, b...)
		s.size += int64(len(b))
		s.hash.Write(b)
		return nil
	}
	if s.file == nil {
		f, err := os.CreateTemp(dir, "body-*")
		if err != nil {
			return err
		}
		if err := os.Remove(f.Name()); err != nil {
			return errors.Join(err, f.Close())
		}
		if _, err := f.Write(s.mem); err != nil {
			return errors.Join(err, f.Close())
		}
		s.file, s.mem = f, nil
	}
	n, err := s.file.Write(b)
	s.size += int64(n)
	s.hash.Write(b[:n])
	return err
}

// sum is the SHA-256 value, in hex, of the bytes as they arrived; nothing
// when none did.
func (s *spool) sum() string {
	if s.hash == nil {
		return ""
	}
	return hex.EncodeToString(s.hash.Sum(nil))
}

// reader reads the body from its beginning.
func (s *spool) reader() io.ReadSeeker {
	if s.file == nil {
		return bytes.NewReader(s.mem)
	}
	return io.NewSectionReader(s.file, 0, s.size)
}

// head returns a copy of the first n bytes, or of all when there are fewer.
func (s *spool) head(n int64) []byte {
	b, err := io.ReadAll(io.LimitReader(s.reader(), n))
	if err != nil {
		return nil
	}
	return b
}

// drop forgets the body.
func (s *spool) drop() {
	if s.file != nil {
		_ = s.file.Close() // read only from here on, and already without a name
	}
	*s = spool{}
}
