package storetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
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

// huge streams an object that exists nowhere as a whole.
func (d Driver) huge(t *testing.T, s storage.Store) {
	size := d.Huge
	if size == 0 {
		size = 32 << 20
	}
	h := sha256.New()
	if _, err := io.CopyN(h, &counter{}, size); err != nil {
		t.Fatal(err)
	}
	w := storage.Want{Bytes: size, SHA256: hex.EncodeToString(h.Sum(nil)), Until: until}
	used := peak(t, func() {
		if _, err := s.Put(t.Context(), "huge", io.LimitReader(&counter{}, size), w); err != nil {
			t.Fatal(err)
		}
		d.readHuge(t, s, w)
	})
	t.Logf("%d bytes stored and read in at most %d bytes of memory", size, used)
	if d.Memory > 0 && used > d.Memory {
		t.Errorf("%d bytes of memory, at most %d allowed", used, d.Memory)
	}
}

func (d Driver) readHuge(t *testing.T, s storage.Store, w storage.Want) {
	c, _, err := s.Open(t.Context(), "huge")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	h := sha256.New()
	if n, err := io.Copy(h, c); err != nil || n != w.Bytes || hex.EncodeToString(h.Sum(nil)) != w.SHA256 {
		t.Errorf("read %d bytes, %v, sha256 %x", n, err, h.Sum(nil))
	}
	p, q := make([]byte, 5000), make([]byte, 5000)
	off := w.Bytes/2 + 3
	if _, err := c.ReadAt(p, off); err != nil {
		t.Fatal(err)
	}
	if _, err := (&counter{n: uint64(off)}).Read(q); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(p, q) {
		t.Error("a range in the middle differs")
	}
}

// peak returns the most memory that this process occupied during f, in
// bytes: resident memory where the kernel tells, else what the runtime has
// from the system.
func peak(t *testing.T, f func()) int64 {
	t.Helper()
	debug.FreeOSMemory()
	// 5 resets the high-water mark, see proc_pid_clear_refs(5).
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Logf("resident memory is not told here: %v", err)
		f()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.Sys)
	}
	f()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	var kb int64
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatalf("reading VmHWM: %v", err)
	}
	return kb << 10
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
