package web

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"guzheng/capture"
)

// The bytes of the connections are kept with the browser's secrets: another
// program decrypts them and finds what the record of the traffic says, and
// the server's signature over the handshake.
func TestWire(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Fatal("tshark is needed: make test installs it")
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("X-Price", "199")
		fmt.Fprint(w, "<!doctype html><title>wire</title><p>PRICE 199")
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	spki := sha256.Sum256(srv.Certificate().RawSubjectPublicKeyInfo)
	o := order(srv.URL + "/")
	o.Wire = true
	got := collect(t, o, Browser{Allow: []string{strings.TrimPrefix(srv.URL, "https://")},
		extra: []string{"ignore-certificate-errors-spki-list=" + base64.StdEncoding.EncodeToString(spki[:])}})
	if got.take.State != capture.Complete {
		t.Fatalf("%s: %v", got.take.State, got.take.Reasons)
	}
	name := filepath.Join(got.dir, "evidence", "wire.pcapng")
	ask := func(args ...string) string {
		out, err := exec.Command(tshark, append([]string{"-r", name}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("tshark %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if out := ask("-Y", "http2.headers.status == 200 && http2.header.name == \"x-price\"", "-T", "fields", "-e", "http2.header.value"); !strings.Contains(out, "199") {
		t.Errorf("no decrypted answer: %q", out)
	}
	if out := ask("-Y", "http2.data.data", "-T", "fields", "-e", "http2.data.data"); !strings.Contains(out, fmt.Sprintf("%x", "PRICE 199")) {
		t.Errorf("no decrypted body: %q", out)
	}
	if out := ask("-Y", "tls.handshake.type == 15"); out == "" {
		t.Error("no certificate verify message: the server's signature is missing")
	}
}
