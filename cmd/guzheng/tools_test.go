package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"guzheng/preserve/tlog/ledger"
	"guzheng/preserve/tlog/witness/witnesstest"
)

// lastField returns a member of the last JSON object in text.
func lastField(text, key string) (string, error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	var object map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &object); err != nil {
		return "", fmt.Errorf("last line %q: %w", lines[len(lines)-1], err)
	}
	v, ok := object[key]
	if !ok {
		return "", fmt.Errorf("no %s in %v", key, object)
	}
	return fmt.Sprint(v), nil
}

// freeAddress sets $NAME to a loopback address where nobody listens.
func freeAddress(ts *testscript.TestScript, _ bool, a []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(a[0], ln.Addr().String())
	ts.Check(ln.Close())
}

// startTSA starts a time-stamping authority made by openssl: tsa ADDRESS DIR
// puts its root into DIR/root.pem.
func startTSA(ts *testscript.TestScript, _ bool, a []string) {
	dir := ts.MkAbs(a[1])
	ts.Check(makeTSA(dir))
	ln, err := net.Listen("tcp", a[0])
	ts.Check(err)
	srv := &http.Server{Handler: tsaHandler(dir)}
	go func() { _ = srv.Serve(ln) }()
	ts.Defer(func() { srv.Close() })
}

const tsaSettings = `[tsa]
default_tsa = a
[a]
serial = serial
signer_digest = sha256
default_policy = 1.2.3.4.5
digests = sha256, sm3
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[leaf]
extendedKeyUsage = critical,timeStamping
keyUsage = critical,digitalSignature
basicConstraints = CA:FALSE
`

// makeTSA makes root and leaf of an authority with openssl.
func makeTSA(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{"tsa.cnf": tsaSettings, "serial": "01\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, line := range []string{
		"req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -days 2 -subj /CN=Test-Root",
		"req -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.csr -subj /CN=Test-TSA",
		"x509 -req -in leaf.csr -CA root.pem -CAkey root.key -set_serial 7 -days 1 -extfile tsa.cnf -extensions leaf -out leaf.pem",
	} {
		if err := openssl(dir, strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}

func openssl(dir string, args ...string) error {
	c := exec.Command("openssl", args...)
	c.Dir = dir
	if b, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("openssl %s: %w\n%s", strings.Join(args, " "), err, b)
	}
	return nil
}

// tsaHandler answers RFC 3161 requests with openssl ts -reply.
func tsaHandler(dir string) http.Handler {
	var one sync.Mutex // it has one file for all queries
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one.Lock()
		defer one.Unlock()
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "query"), b, 0o644)
		}
		if err == nil {
			err = openssl(dir, "ts", "-reply", "-config", "tsa.cnf", "-section", "a", "-queryfile", "query",
				"-signer", "leaf.pem", "-inkey", "leaf.key", "-chain", "root.pem", "-out", "reply")
		}
		if err == nil {
			b, err = os.ReadFile(filepath.Join(dir, "reply"))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = w.Write(b)
	})
}

// startWitness serves a practice witness of the log under GUZHENG_HOME and
// writes a configuration that requires it: witness CONFIG UP. It answers 503
// until there is a file named UP.
func startWitness(ts *testscript.TestScript, _ bool, a []string) {
	key, err := ledger.Verifier(filepath.Join(ts.Getenv("GUZHENG_HOME"), "keys"))
	ts.Check(err)
	w, err := witnesstest.New("w.example", time.Now, key)
	ts.Check(err)
	up := ts.MkAbs(a[1])
	srv := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		_, err := os.Stat(up)
		w.SetDown(err != nil)
		w.ServeHTTP(out, r)
	}))
	ts.Defer(srv.Close)
	b, err := os.ReadFile(filepath.Join(ts.Getenv("GUZHENG_HOME"), "config.yaml"))
	ts.Check(err)
	b = fmt.Appendf(b, "log:\n  require: true\n  witnesses:\n    - key: %s\n      url: %s\n", w.Key, srv.URL)
	ts.Check(os.WriteFile(ts.MkAbs(a[0]), b, 0o644))
}
