package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"guzheng/storage"
)

// blockBytes is what a source reads at once; it holds two blocks.
const blockBytes = 256 << 10

// A source is the body of a request: content that turns out not to be what
// is wanted ends in an error before its last block is out, so that the
// server never has a whole object of it.
type source struct {
	// The client may go on reading for a moment after its request has
	// returned.
	mu    sync.Mutex
	alive func() error
	r     io.Reader
	want  storage.Want

	sum   hash.Hash
	n     int64  // bytes read
	ready []byte // may go out
	held  []byte // may go out when more has come
	bufs  [2][]byte
	turn  int  // which of bufs is neither ready nor held
	ended bool // everything was read and is what is wanted
	err   error
}

// newSource returns the body for content, and what to read and to finish. A
// body that can begin again is an io.Seeker, which is what makes a client
// try again.
func newSource(ctx context.Context, content io.Reader, want storage.Want) (io.Reader, *source) {
	s := &source{alive: ctx.Err, r: content, want: want}
	s.reset()
	if from, ok := content.(io.ReadSeeker); ok {
		if at, err := from.Seek(0, io.SeekCurrent); err == nil {
			return &again{s, from, at}, s
		}
	}
	return s, s
}

func (s *source) reset() {
	s.sum, s.n, s.ended = sha256.New(), 0, false
	s.ready, s.held, s.turn = nil, nil, 0
}

func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.ready) == 0 {
		if s.ended && len(s.held) == 0 {
			return 0, io.EOF
		}
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.ready)
	s.ready = s.ready[n:]
	return n, nil
}

// next lets the held block out and reads one more to hold.
func (s *source) next() error {
	if s.err != nil {
		return s.err
	}
	if s.ended {
		s.ready, s.held = s.held, nil
		return nil
	}
	if s.bufs[s.turn] == nil {
		s.bufs[s.turn] = make([]byte, min(blockBytes, s.want.Bytes+1))
	}
	buf := s.bufs[s.turn]
	s.turn ^= 1
	n, err := io.ReadFull(s.r, buf)
	s.sum.Write(buf[:n])
	s.n += int64(n)
	switch {
	case s.n > s.want.Bytes:
		s.err = fmt.Errorf("content has more than the wanted %d bytes", s.want.Bytes)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		s.ended = true
		if got := hex.EncodeToString(s.sum.Sum(nil)); s.n != s.want.Bytes || got != s.want.SHA256 {
			s.err = fmt.Errorf("content has %d bytes with sha256 %s, wanted %d with %s", s.n, got, s.want.Bytes, s.want.SHA256)
		}
	case err != nil:
		s.err = err
	}
	if s.err == nil {
		s.err = s.alive() // before anything more goes out
	}
	if s.err != nil {
		return s.err
	}
	s.ready, s.held = s.held, buf[:n]
	return nil
}

// finish reads what the client left and returns why the content is not what
// is wanted.
func (s *source) finish() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.ended && s.err == nil {
		_ = s.next() // it keeps its error
	}
	return s.err
}

// failed returns the content's own error, without reading on.
func (s *source) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// again is a source whose content can be read again.
type again struct {
	*source
	from io.Seeker
	at   int64
}

// Seek goes back to the start and nowhere else.
func (a *again) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekStart {
		return 0, errors.New("a body is read from its start")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return 0, a.err // bytes that were not the wanted ones do not get better
	}
	if _, err := a.from.Seek(a.at, io.SeekStart); err != nil {
		return 0, err
	}
	a.reset()
	return 0, nil
}
