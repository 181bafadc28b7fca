package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"guzheng/capture"
)

// A teed connection tells the recorder what passes, as the guard does.
type teed struct {
	net.Conn
	s *Stream
}

func (c *teed) Write(p []byte) (int, error) {
	c.s.Sent(p, capture.Now())
	return c.Conn.Write(p)
}

func (c *teed) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.s.Received(p[:n], capture.Now())
	return n, err
}

func (c *teed) Close() error {
	c.s.Close(capture.Now())
	return c.Conn.Close()
}

const body = "what the shop answered, "

// recorded fetches a page through a recorder and returns the capture file,
// with the secrets if wanted.
func recorded(t *testing.T, address string, version uint16, h2, secrets bool) string {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, strings.Repeat(body, 3000))
	}))
	srv.Listener.Close()
	srv.Listener, srv.EnableHTTP2 = ln, h2
	srv.StartTLS()
	defer srv.Close()

	name := filepath.Join(t.TempDir(), "wire.pcapng")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rec, err := New(file, name+".spool", capture.Now, "a test")
	if err != nil {
		t.Fatal(err)
	}
	var keys bytes.Buffer
	client := srv.Client()
	transport := client.Transport.(*http.Transport)
	transport.ForceAttemptHTTP2 = h2
	transport.TLSClientConfig.KeyLogWriter = &keys
	transport.TLSClientConfig.MaxVersion = version
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &teed{c, rec.Conn(c.LocalAddr(), c.RemoteAddr())}, nil
	}
	res, err := client.Get(srv.URL + "/page.txt")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(res.Body); err != nil || !strings.HasSuffix(string(b), body) {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	res.Body.Close()
	transport.CloseIdleConnections()
	if secrets && rec.Secrets(keys.Bytes()) == 0 {
		t.Fatalf("no secrets in %q", keys.String())
	}
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// tshark asks the independent reader.
func tshark(t *testing.T, file string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed")
	}
	args = append([]string{"-r", file, "-n", "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"}, args...)
	cmd := exec.CommandContext(t.Context(), path, args...)
	var told bytes.Buffer
	cmd.Stderr = &told
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark %q: %v\n%s", args, err, told.String())
	}
	return strings.TrimSpace(string(out))
}

// Wireshark's reader finds a flawless conversation, opens it with the
// secrets inside the file, in one pass, and finds the page and what the
// server signed.
func TestJudgedByWireshark(t *testing.T) {
	if testing.Short() {
		t.Skip("starts tshark several times")
	}
	for name, c := range map[string]struct {
		address string
		version uint16
		h2      bool
		signed  string // the handshake message with the server's signature
	}{
		"TLS 1.3, HTTP/2":   {"127.0.0.1:0", tls.VersionTLS13, true, "tls.handshake.type == 15"},
		"TLS 1.3, HTTP/1.1": {"[::1]:0", tls.VersionTLS13, false, "tls.handshake.type == 15"},
		"TLS 1.2, HTTP/1.1": {"127.0.0.1:0", tls.VersionTLS12, false, "tls.handshake.type == 12"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := recorded(t, c.address, c.version, c.h2, true)
			if got := tshark(t, file, "-Y", "tcp.analysis.flags || _ws.malformed || tcp.checksum.status != 1 || (ip && ip.checksum.status != 1)"); got != "" {
				t.Errorf("found fault with:\n%s", got)
			}
			if got := tshark(t, file, "-Y", c.signed+" && tls.handshake.sig_hash_alg", "-T", "fields", "-e", "tcp.srcport"); got == "" {
				t.Error("no signature of the server")
			}
			if got, want := page(t, file, c.h2), strings.Repeat(body, 3000); got != want {
				t.Errorf("found %d bytes of the page, want %d", len(got), len(want))
			}
		})
	}
}

// page returns the body that tshark finds. It exports objects of HTTP/1.1
// alone, so the other is read from the field that holds it reassembled.
func page(t *testing.T, file string, h2 bool) string {
	t.Helper()
	if h2 {
		got := tshark(t, file, "-Y", "http2.body.reassembled.data", "-T", "fields", "-e", "http2.body.reassembled.data")
		b, err := hex.DecodeString(got)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	objects := t.TempDir()
	tshark(t, file, "-q", "--export-objects", "http,"+objects)
	b, err := os.ReadFile(filepath.Join(objects, "page.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Without the secrets the same reader sees that there is something and not
// what.
func TestSealedWithoutSecrets(t *testing.T) {
	if testing.Short() {
		t.Skip("starts tshark")
	}
	file := recorded(t, "127.0.0.1:0", tls.VersionTLS13, true, false)
	if got := tshark(t, file, "-Y", "tls.handshake.type == 2", "-T", "fields", "-e", "frame.number"); got == "" {
		t.Error("no server hello")
	}
	if got := tshark(t, file, "-Y", "http || http2 || tls.handshake.type == 15"); got != "" {
		t.Errorf("read without secrets:\n%s", got)
	}
}
