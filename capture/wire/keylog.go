package wire

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"
	"syscall"
)

const (
	// maxSecret bounds a line of the key log: the longest label, a random of
	// 32 bytes and a secret of 64, in hexadecimal, have room in it.
	maxSecret = 1 << 10
	// maxBlock bounds a secrets block; Wireshark reads no block above 16 MB.
	maxBlock = 1 << 20
	// maxKeyLog bounds what is read of a browser's key log: a connection
	// costs less than 1 KB.
	maxKeyLog = 32 << 20
	// helloSize is where the random of a ClientHello ends.
	helloSize = 43
)

// A keyLog is the lines of a TLS key log that belong to recorded connections,
// each once.
type keyLog struct {
	randoms map[string]bool // of the clients, in lower-case hexadecimal
	seen    map[string]bool
	lines   [][]byte // without line ends, in order of arrival
}

func newKeyLog() keyLog { return keyLog{randoms: map[string]bool{}, seen: map[string]bool{}} }

// hello enters a connection by the first bytes that its client sent: a
// TLSPlaintext record with a ClientHello in it, whose random stands after
// lengths and versions (RFC 8446 sections 4.1.2 and 5.1). Other bytes enter
// nothing.
func (k *keyLog) hello(first []byte) {
	const handshake, clientHello, version = 22, 1, 3
	if len(first) < helloSize || first[0] != handshake || first[1] != version || first[5] != clientHello || first[9] != version {
		return
	}
	k.randoms[hex.EncodeToString(first[11:helloSize])] = true
}

// add takes the lines that are well formed, new and of a connection that was
// entered, and returns their number. An unfinished last line is no line: it
// may lack a part of the secret.
func (k *keyLog) add(log []byte) int {
	n := 0
	for {
		line, rest, ended := bytes.Cut(log, []byte("\n"))
		if !ended {
			return n
		}
		log = rest
		line = bytes.TrimSuffix(line, []byte("\r"))
		random, ok := secretOf(line)
		if !ok || !k.randoms[random] || k.seen[string(line)] {
			continue
		}
		k.seen[string(line)] = true
		k.lines = append(k.lines, bytes.Clone(line))
		n++
	}
}

// blocks returns the lines in pieces of bounded size.
func (k *keyLog) blocks() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var b []byte
		for _, line := range k.lines {
			if len(b)+len(line) >= maxBlock {
				if !yield(b) {
					return
				}
				b = b[:0]
			}
			b = append(append(b, line...), '\n')
		}
		if len(b) > 0 {
			yield(b)
		}
	}
}

// secretOf returns the client's random of a line. A line is a label, the
// random and a secret, the last two in hexadecimal, with one space between.
func secretOf(line []byte) (random string, ok bool) {
	f := bytes.Split(line, []byte(" "))
	if len(line) > maxSecret || len(f) != 3 || len(f[0]) == 0 || len(f[1]) != 64 || len(f[2]) == 0 || len(f[2])%2 != 0 {
		return "", false
	}
	if len(bytes.Trim(f[0], "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")) > 0 || !isHex(f[1]) || !isHex(f[2]) {
		return "", false
	}
	return strings.ToLower(string(f[1])), true
}

func isHex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// ReadKeyLog reads the key log that a browser wrote. Its directory belongs to
// the browser, which may have put anything there: only a regular file is
// read, and no more of it than maxKeyLog bytes.
func ReadKeyLog(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("reading the key log: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the key log: %w", err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("reading the key log: %s is no regular file but %s: %w", name, st.Mode().Type(), fs.ErrInvalid)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyLog))
	if err != nil {
		return nil, fmt.Errorf("reading the key log: %w", err)
	}
	return b, nil
}
