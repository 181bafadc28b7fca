package web

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	ask := got.asking(t, tshark)
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

// asking has tshark read the wire record.
func (got taken) asking(t *testing.T, tshark string) func(args ...string) string {
	name := filepath.Join(got.dir, "evidence", "wire.pcapng")
	return func(args ...string) string {
		t.Helper()
		out, err := exec.Command(tshark, append([]string{"-r", name}, args...)...).Output() // root is warned on stderr
		if err != nil {
			t.Fatalf("tshark %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
}

// With a client certificate the bytes are those between guard and server, and
// the guard's own secrets decrypt them: the certificates of both are inside.
func TestWireClientCertificate(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Fatal("tshark is needed: make test installs it")
	}
	a := newAuthority(t)
	later := capture.Now().Add(time.Hour)
	for name, version := range map[string]uint16{"TLS 1.3": tls.VersionTLS13, "TLS 1.2": tls.VersionTLS12} {
		t.Run(name, func(t *testing.T) {
			who, cert := a.holder(t, later), a.server(t, later)
			config := demanding(a, cert)
			config.MaxVersion = version
			off := newOffice(t, config, true, "")
			o := certified(t, order(off.URL+"/"), who)
			o.Wire = true
			got := collect(t, o, Browser{Allow: []string{off.host}, roots: a.pool})
			if got.take.State != capture.Complete || got.has(capture.EntryAnomaly, "wire.secrets-unplaced") || !got.has(capture.EntryStep, "wire.secrets") {
				t.Fatalf("%s: %v", got.take.State, got.take.Reasons)
			}
			ask := got.asking(t, tshark)
			if out := ask("-Y", "http2.data.data", "-T", "fields", "-e", "http2.data.data"); !strings.Contains(out, fmt.Sprintf("%x", "ORDERS 42")) {
				t.Errorf("no decrypted body: %.200q", out)
			}
			out := ask("-Y", "tls.handshake.type == 11", "-T", "fields", "-e", "tls.handshake.certificate")
			for what, der := range map[string][]byte{"server's": cert.Leaf.Raw, "client's": who.cert.Raw} {
				if !strings.Contains(out, fmt.Sprintf("%x", der)) {
					t.Errorf("the %s certificate is not in the handshake", what)
				}
			}
			if port := off.host[strings.LastIndexByte(off.host, ':')+1:]; ask("-Y", "tcp && !(tcp.port == "+port+")") != "" {
				t.Error("bytes of another connection than the server's")
			}
			got.keyless(t, who)
		})
	}
}
