package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

var random = strings.Repeat("0a", 32)

// knowing is a key log of one recorded connection.
func knowing(random string) *keyLog {
	k := newKeyLog()
	k.randoms[random] = true
	return &k
}

// helloOf is the beginning of what a TLS client with a random sends.
func helloOf(random string) []byte {
	b, _ := hex.DecodeString("16030100c8010000c40303" + random + "20")
	return b
}

func TestKeyLog(t *testing.T) {
	good := "CLIENT_TRAFFIC_SECRET_0 " + random + " " + strings.Repeat("Fe", 48)
	for name, c := range map[string]struct {
		log  string
		want string
	}{
		"one":             {good + "\n", good + "\n"},
		"line end of DOS": {good + "\r\n", good + "\n"},
		"unfinished":      {good, ""},
		"twice":           {good + "\n" + good + "\n", good + "\n"},
		"comment":         {"# " + random + " ab\n" + good + "\n", good + "\n"},
		"of another":      {"X " + strings.Repeat("0b", 32) + " ab\n", ""},
		"upper case":      {"X " + strings.Repeat("0A", 32) + " ab\n", "X " + strings.Repeat("0A", 32) + " ab\n"},
		"empty":           {"\n\n", ""},
		"odd secret":      {"X " + random + " abc\n", ""},
		"no secret":       {"X " + random + " \n", ""},
		"short random":    {"X ab ab\n", ""},
		"lower label":     {"x " + random + " ab\n", ""},
		"more":            {"X " + random + " ab cd\n", ""},
		"not hex":         {"X " + random + " zz\n", ""},
		"long":            {"X " + random + " " + strings.Repeat("ab", 1024) + "\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			k := knowing(random)
			n := k.add([]byte(c.log))
			got := bytes.Join(collect(k), nil)
			if string(got) != c.want || n != strings.Count(c.want, "\n") {
				t.Errorf("kept %d lines %q, want %q", n, got, c.want)
			}
		})
	}
}

// A log that is read again while it grows gives each line once.
func TestKeyLogGrows(t *testing.T) {
	k := knowing(random)
	line := "X " + random + " ab\nX " + random + " cd\n"
	half := len(line) - 10
	if n := k.add([]byte(line[:half])); n != 1 {
		t.Errorf("%d lines of the first half", n)
	}
	if n := k.add([]byte(line)); n != 1 {
		t.Errorf("%d lines of the rest", n)
	}
}

// A connection is known by the hello that its client sends first, in however
// many pieces, or first after the answer of a proxy.
func TestHello(t *testing.T) {
	hello := helloOf(random)
	line := []byte("X " + random + " ab\n")
	for name, c := range map[string]struct {
		send func(*Stream)
		want int
	}{
		"whole":     {func(s *Stream) { s.Sent(hello, begun) }, 1},
		"in pieces": {func(s *Stream) { s.Sent(hello[:3], begun); s.Sent(hello[3:42], begun); s.Sent(hello[42:], begun) }, 1},
		"cut off":   {func(s *Stream) { s.Sent(hello[:42], begun) }, 0},
		"in clear":  {func(s *Stream) { s.Sent([]byte("GET / HTTP/1.1\r\n"), begun); s.Sent(hello, begun) }, 0},
		"tunnelled": {func(s *Stream) {
			s.Sent([]byte("CONNECT x:443 HTTP/1.1\r\n\r\n"), begun)
			s.Tunnelled()
			s.Sent(hello, begun)
		}, 1},
		"alert":      {func(s *Stream) { s.Sent(append([]byte{21}, hello[1:]...), begun) }, 0},
		"received":   {func(s *Stream) { s.Received(hello, begun) }, 0},
		"not a word": {func(*Stream) {}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecorder(t, io.Discard)
			s := r.Conn(near4, far4)
			c.send(s)
			s.Close(begun)
			if got := r.Secrets(line); got != c.want {
				t.Errorf("%d secrets, want %d", got, c.want)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Many secrets become several blocks, none too large, none cut inside a line.
func TestKeyLogBlocks(t *testing.T) {
	k := knowing(random)
	var log bytes.Buffer
	for i := range 8000 {
		log.WriteString("X " + random + " " + strings.Repeat("ab", 64))
		log.WriteString(strings.Repeat("00", i%7) + "\n")
		clear(k.seen)
		k.add(log.Bytes())
		log.Reset()
	}
	blocks := collect(k)
	if len(blocks) < 2 {
		t.Fatalf("%d blocks", len(blocks))
	}
	lines := 0
	for _, b := range blocks {
		lines += bytes.Count(b, []byte("\n"))
		if len(b) > maxBlock || b[len(b)-1] != '\n' {
			t.Errorf("block of %d bytes ends in %q", len(b), b[len(b)-1:])
		}
	}
	if lines != 8000 {
		t.Errorf("%d lines", lines)
	}
}

// Only a file is read, whatever lies in its place.
func TestReadKeyLog(t *testing.T) {
	dir := t.TempDir()
	name := func(s string) string { return filepath.Join(dir, s) }
	want := []byte("X " + random + " ab\n")
	if err := errors.Join(os.WriteFile(name("file"), want, 0o600), os.WriteFile(name("large"), nil, 0o600), os.Truncate(name("large"), maxKeyLog+10),
		os.Symlink(name("file"), name("link")), syscall.Mkfifo(name("fifo"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadKeyLog(name("file")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %q, %v", got, err)
	}
	if got, err := ReadKeyLog(name("large")); err != nil || len(got) != maxKeyLog {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	for bad, want := range map[string]error{"link": syscall.ELOOP, "fifo": fs.ErrInvalid, ".": fs.ErrInvalid, "none": fs.ErrNotExist} {
		if got, err := ReadKeyLog(name(bad)); !errors.Is(err, want) {
			t.Errorf("%s: read %d bytes, %v", bad, len(got), err)
		}
	}
}

func collect(k *keyLog) [][]byte {
	var out [][]byte
	for b := range k.blocks() {
		out = append(out, bytes.Clone(b))
	}
	return out
}

func FuzzKeyLog(f *testing.F) {
	f.Add([]byte("CLIENT_RANDOM " + random + " " + strings.Repeat("ab", 48) + "\n# x\n"))
	f.Add([]byte("X " + random + " ab\r\n\r\n\x00"))
	f.Fuzz(func(t *testing.T, log []byte) {
		k := knowing(random)
		n := k.add(log)
		for _, b := range collect(k) {
			for line := range bytes.Lines(b) {
				n--
				if fields := bytes.Fields(line); len(fields) != 3 || !bytes.Contains(log, bytes.TrimSuffix(line, []byte("\n"))) {
					t.Errorf("kept %q", line)
				}
			}
		}
		if n != 0 {
			t.Errorf("%d lines told too many", n)
		}
		if again := k.add(log); again != 0 {
			t.Errorf("%d lines are new the second time", again)
		}
	})
}
