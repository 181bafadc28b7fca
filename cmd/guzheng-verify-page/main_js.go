package main

import (
	"context"
	"encoding/json"
	"io"
	"syscall/js"

	"guzheng/preserve/verify"
)

// main runs in a worker of the page. The worker's global "guzheng" has size
// (bytes of the package), read(offset, length), which puts bytes of the package
// into the Uint8Array buffer, seal and trust (a Uint8Array or null each) and
// tell(text), which takes the result as JSON.
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
	r := &slices{read: page.Get("read"), buffer: page.Get("buffer"), size: int64(page.Get("size").Float())}
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
// come in one buffer: an object of its own for each would not be freed before
// the end, as nothing else runs while the package is read.
type slices struct {
	read   js.Value
	buffer js.Value
	size   int64
	blocks []block // the most recently used last
}

type block struct {
	at    int64
	bytes []byte
}

// ReadAt implements io.ReaderAt. There is one thread, so it needs no lock.
func (s *slices) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= s.size {
			return n, io.EOF
		}
		b := s.block(at - at%blockSize)
		if at-b.at >= int64(len(b.bytes)) {
			return n, io.ErrUnexpectedEOF // the file became shorter
		}
		n += copy(p[n:], b.bytes[at-b.at:])
	}
	return n, nil
}

func (s *slices) block(at int64) block {
	for i, b := range s.blocks {
		if b.at == at {
			s.blocks = append(append(s.blocks[:i:i], s.blocks[i+1:]...), b)
			return b
		}
	}
	b := block{at: at}
	if len(s.blocks) >= maxBlocks {
		b.bytes, s.blocks = s.blocks[0].bytes[:0], s.blocks[1:]
	}
	n := s.read.Invoke(float64(at), min(blockSize, s.size-at)).Int()
	b.bytes = append(b.bytes, make([]byte, n)...)
	js.CopyBytesToGo(b.bytes, s.buffer)
	s.blocks = append(s.blocks, b)
	return b
}
