package warc

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// maxMemory is how much of a body that cannot be read twice is held in
// memory, in bytes; the rest goes to a temporary file.
const maxMemory = 1 << 20

// errBodyChanged says that a body was another one when it was read again.
var errBodyChanged = errors.New("body has changed between its two readings")

// measure reads the body to its end, computes the digests of block and
// payload, and sees to it that the body can be read again. It returns the
// body's CRC-32.
func (w *Writer) measure(rec *record) (crc uint32, err error) {
	w.block.Reset()
	w.block.Write(w.head)
	w.payload.Reset()
	known := isSHA256(rec.sum)
	r, spooled := rec.body, false
	if r == nil {
		r = bytes.NewReader(nil)
	}
	if rec.again, spooled = rewinder(r); spooled {
		rec.again = w.spool.reader
	}
	err = w.each(r, rec.size, func(p []byte) error {
		w.block.Write(p)
		if rec.parseable && !known {
			w.payload.Write(p)
		}
		crc = crc32.Update(crc, crc32.IEEETable, p)
		if !spooled {
			return nil
		}
		return w.spool.write(p)
	})
	if err != nil {
		return 0, fmt.Errorf("reading body: %w", err)
	}
	rec.blockSum = hexSum(w.block.Sum(nil))
	if !known {
		rec.sum = hexSum(w.payload.Sum(nil))
	}
	return crc, nil
}

// rewinder returns what goes back to where r stands now; spool says that r
// cannot be read twice.
func rewinder(r io.Reader) (again func() (io.Reader, error), spool bool) {
	s, ok := r.(io.ReadSeeker)
	if !ok {
		return nil, true
	}
	start, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, true // a pipe, or what behaves like one
	}
	return func() (io.Reader, error) {
		_, err := s.Seek(start, io.SeekStart)
		return s, err
	}, false
}

// each gives all bytes of r, which must be size, to use, piece by piece.
func (w *Writer) each(r io.Reader, size int64, use func([]byte) error) error {
	var n int64
	for {
		p := w.chunk[:min(int64(len(w.chunk)), max(size-n, 0)+1)] // one more tells a longer body
		k, err := r.Read(p)
		if n += int64(k); n > size {
			return fmt.Errorf("more than %d bytes", size)
		}
		if err := use(p[:k]); err != nil {
			return err
		}
		switch {
		case err == io.EOF && n != size:
			return fmt.Errorf("%d bytes, want %d", n, size)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// copyBody reads the body again and writes it.
func (w *Writer) copyBody(to io.Writer, rec *record, want uint32) error {
	r, err := rec.again()
	if err != nil {
		return fmt.Errorf("reading body again: %w", err)
	}
	var crc uint32
	err = w.each(r, rec.size, func(p []byte) error {
		crc = crc32.Update(crc, crc32.IEEETable, p)
		_, err := to.Write(p)
		return err
	})
	if err == nil && crc != want {
		err = errBodyChanged
	}
	return err
}

// isSHA256 reports whether s is a SHA-256 value in lower-case hex.
func isSHA256(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 64
}

// A spool holds a body that cannot be read twice. Its memory is used again
// for the next one.
type spool struct {
	dir  string
	mem  []byte
	file *os.File
}

func (s *spool) write(p []byte) error {
	n := min(len(p), maxMemory-len(s.mem))
	s.mem = append(s.mem, p[:n]...)
	if p = p[n:]; len(p) == 0 {
		return nil
	}
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, "warc-*")
		if err != nil {
			return fmt.Errorf("buffering: %w", err)
		}
		s.file = f
	}
	_, err := s.file.Write(p)
	return err
}

func (s *spool) reader() (io.Reader, error) {
	if s.file == nil {
		return bytes.NewReader(s.mem), nil
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return io.MultiReader(bytes.NewReader(s.mem), s.file), nil
}

// reset empties the spool and removes its file.
func (s *spool) reset() {
	s.mem = s.mem[:0]
	if s.file != nil {
		_ = s.file.Close() // it goes anyway
		os.Remove(s.file.Name())
		s.file = nil
	}
}
