package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"syscall/js"

	"guzheng/preserve/verify"
)

// main runs in a worker of the page. The worker's global "guzheng" has size
// (bytes of the package), read(offset, length, done), which puts bytes of the
// package into the Uint8Array buffer and calls done with their number, or -1,
// seal and trust (a Uint8Array or null each) and tell(text), which takes the
// result as JSON.
func main() {
	page := js.Global().Get("guzheng")
	b, err := json.Marshal(answer(page))
	if err != nil {
		b, _ = json.Marshal(result{Error: err.Error()})
	}
	page.Call("tell", string(b))
}

// answer verifies what the page was given.
func answer(page js.Value) result {
	opt := verify.Options{Seal: given(page.Get("seal"))}
	if trust := given(page.Get("trust")); trust != nil {
		var err error
		if opt.Trust, err = verify.ParseTrust(trust); err != nil {
			return result{Error: err.Error()}
		}
	}
	r := newSlices(page)
	v, err := verify.Read(context.Background(), r, r.size, opt)
	if err != nil {
		return result{Error: err.Error()}
	}
	out := result{Verdict: v, Outcome: v.Outcome()}
	out.gather(r, r.size, opt.Seal)
	return out
}

// given copies a Uint8Array; null stays nil.
func given(v js.Value) []byte {
	if v.IsNull() || v.IsUndefined() {
		return nil
	}
	b := make([]byte, v.Length())
	js.CopyBytesToGo(b, v)
	return b
}

// Of the package so much is in memory at a time: blocks of a MiB, as many as
// there are places that are read at once, and some.
const (
	blockSize = 1 << 20
	maxBlocks = 8
)

// slices reads the package in slices that the page cuts out of the file. They
// come in one buffer: an object of its own for each would be kept until Go
// happens to finalize it.
type slices struct {
	read   js.Value
	buffer js.Value
	done   js.Func
	got    chan int // what done was called with
	size   int64

	mu     sync.Mutex // a reader waits for the page, and others run meanwhile
	blocks []block    // the most recently used last
}

type block struct {
	at    int64
	bytes []byte
}

func newSlices(page js.Value) *slices {
	s := &slices{read: page.Get("read"), buffer: page.Get("buffer"), size: int64(page.Get("size").Float()), got: make(chan int, 1)}
	s.done = js.FuncOf(func(_ js.Value, args []js.Value) any {
		s.got <- args[0].Int()
		return nil
	})
	return s
}

// errRead says that the browser did not give out a part of the file.
var errRead = errors.New("the browser did not read the package; it may have been moved or changed")

// ReadAt implements io.ReaderAt.
func (s *slices) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= s.size {
			return n, io.EOF
		}
		b, err := s.block(at - at%blockSize)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], b.bytes[at-b.at:])
	}
	return n, nil
}

// block returns the block that begins at a place, from memory or the page.
func (s *slices) block(at int64) (block, error) {
	for i, b := range s.blocks {
		if b.at == at {
			s.blocks = append(append(s.blocks[:i:i], s.blocks[i+1:]...), b)
			return b, nil
		}
	}
	b := block{at: at}
	if len(s.blocks) >= maxBlocks {
		b.bytes, s.blocks = s.blocks[0].bytes[:0], s.blocks[1:]
	}
	want := min(blockSize, s.size-at)
	s.read.Invoke(float64(at), float64(want), s.done)
	if n := <-s.got; int64(n) != want {
		return block{}, errRead
	}
	b.bytes = append(b.bytes, make([]byte, want)...)
	js.CopyBytesToGo(b.bytes, s.buffer)
	s.blocks = append(s.blocks, b)
	return b, nil
}
