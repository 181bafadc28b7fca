package storetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"guzheng/storage"
)

func list(t *testing.T, s storage.Store) {
	all := []string{"A", "a-b", "a.b/c", "a/b/c", "a/b/d", "a/bc", "a0", "a_b", "b/x.json", "b/x.meta.json"}
	for i := range all {
		put(t, s, all[(i*7)%len(all)], all[i])
	}
	for prefix, want := range map[string][]string{
		"":        all,
		"a":       all[1:8],
		"a/":      all[3:6],
		"a/b":     all[3:6],
		"a/b/":    all[3:5],
		"a/b/c":   all[3:4],
		"b/x.":    all[8:],
		"a/b/c/":  nil,
		"none":    nil,
		"none/a":  nil,
		"../":     nil,
		"a/../b/": nil,
		"/":       nil,
		"~":       nil,
	} {
		if d := cmp.Diff(want, keys(t, s, prefix)); d != "" {
			t.Errorf("List(%q) (-want +got):\n%s", prefix, d)
		}
	}
}

func listStop(t *testing.T, s storage.Store) {
	for i := range 5 {
		put(t, s, fmt.Sprintf("d%d/k", i), "content")
	}
	n := 0
	for _, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("yielded %d objects after a break at 2", n)
	}
}

func readAt(t *testing.T, s storage.Store) {
	put(t, s, "k", "0123456789")
	c, _, err := s.Open(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, r := range []struct {
		off  int64
		n    int
		want string
		err  error
	}{
		{0, 4, "0123", nil}, {3, 4, "3456", nil}, {0, 10, "0123456789", nil},
		{8, 4, "89", io.EOF}, {10, 1, "", io.EOF}, {20, 1, "", io.EOF},
	} {
		p := make([]byte, r.n)
		n, err := c.ReadAt(p, r.off)
		if string(p[:n]) != r.want || (r.err != nil && !errors.Is(err, r.err)) || (r.err == nil && n < r.n) {
			t.Errorf("ReadAt(%d bytes, %d) = %q, %v; want %q, %v", r.n, r.off, p[:n], err, r.want, r.err)
		}
	}
	// ReadAt leaves the position of Read alone.
	if b, err := io.ReadAll(c); err != nil || string(b) != "0123456789" {
		t.Errorf("ReadAll after ReadAt = %q, %v", b, err)
	}
}

// large streams 32 MB that exist nowhere as a whole.
func large(t *testing.T, s storage.Store) {
	const size = 32 << 20
	h := sha256.New()
	if _, err := io.CopyN(h, &counter{}, size); err != nil {
		t.Fatal(err)
	}
	w := storage.Want{Bytes: size, SHA256: hex.EncodeToString(h.Sum(nil)), Until: until}
	if _, err := s.Put(t.Context(), "large", io.LimitReader(&counter{}, size), w); err != nil {
		t.Fatal(err)
	}
	c, _, err := s.Open(t.Context(), "large")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	h.Reset()
	if n, err := io.Copy(h, c); err != nil || n != size || hex.EncodeToString(h.Sum(nil)) != w.SHA256 {
		t.Errorf("read %d bytes, %v, sha256 %x", n, err, h.Sum(nil))
	}
	p, q := make([]byte, 5000), make([]byte, 5000)
	const off = 16<<20 + 3
	if _, err := c.ReadAt(p, off); err != nil {
		t.Fatal(err)
	}
	if _, err := (&counter{n: off}).Read(q); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(p, q) {
		t.Error("a range in the middle differs")
	}
}

// A counter yields bytes that depend on their position, without end.
type counter struct{ n uint64 }

func (c *counter) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(c.n*2654435761>>13) ^ byte(c.n>>20)
		c.n++
	}
	return len(p), nil
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
