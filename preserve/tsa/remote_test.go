package tsa

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
)

// openssl is an authority run by the openssl command.
type openssl struct {
	dir  string
	conf string
	root *x509.Certificate
}

func newOpenSSL(t *testing.T, days string) *openssl {
	t.Helper()
	o := &openssl{dir: t.TempDir()}
	write(t, o.dir, "serial", []byte("01\n"))
	o.conf = write(t, o.dir, "conf", []byte(`
[req]
distinguished_name = dn
prompt = no
[dn]
CN = test
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[tsa]
default_tsa = one
[one]
serial = `+o.dir+`/serial
crypto_device = builtin
signer_cert = `+o.dir+`/leaf.pem
certs = `+o.dir+`/root.pem
signer_key = `+o.dir+`/leaf.key
signer_digest = sha256
default_policy = 1.2.3.4.1
other_policies = 1.2.3.4.5
digests = sha1, sha256, sha512
accuracy = secs:1, millisecs:500
clock_precision_digits = 3
ess_cert_id_alg = sha256
`))
	f := func(n string) string { return filepath.Join(o.dir, n) }
	run(t, "req", "-x509", "-config", o.conf, "-extensions", "ca", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-keyout", f("root.key"), "-out", f("root.pem"), "-subj", "/CN=Test Root", "-days", "30")
	run(t, "req", "-config", o.conf, "-newkey", "rsa:2048", "-nodes", "-keyout", f("leaf.key"), "-out", f("leaf.csr"), "-subj", "/CN=Test TSA")
	run(t, "x509", "-req", "-in", f("leaf.csr"), "-CA", f("root.pem"), "-CAkey", f("root.key"), "-CAcreateserial",
		"-extfile", o.conf, "-extensions", "leaf", "-days", days, "-out", f("leaf.pem"))
	b, err := os.ReadFile(f("root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if o.root, err = x509.ParseCertificate(block.Bytes); err != nil {
		t.Fatal(err)
	}
	return o
}

// reply answers a query file with openssl ts.
func (o *openssl) reply(query []byte) ([]byte, error) {
	q := filepath.Join(o.dir, "q")
	if err := os.WriteFile(q, query, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("openssl", "ts", "-reply", "-config", o.conf, "-section", "one", "-queryfile", q)
	return cmd.Output()
}

func (o *openssl) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	out, err := o.reply(b)
	if err != nil || r.Header.Get("Content-Type") != mediaQuery {
		http.Error(w, "no", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", mediaReply)
	_, _ = w.Write(out)
}

func TestRemoteWithOpenSSL(t *testing.T) {
	o := newOpenSSL(t, "20")
	srv := httptest.NewServer(o)
	defer srv.Close()
	sum := sha256.Sum256([]byte("x"))
	s := Remote{URL: srv.URL, Now: time.Now, Policy: "1.2.3.4.5"}.Stamp(t.Context(), sum)
	if s.Pending() {
		t.Fatal(s.Error)
	}
	roots := []*x509.Certificate{o.root}
	leaf := sha256.Sum256(Check(s, sum, Trust{}).Certificates[0].Raw)
	good := Pin{Policy: "1.2.3.4.5", Name: "Test TSA", Issuer: "Test Root", CertificateSHA256: fmt.Sprintf("%x", leaf)}
	alien, _ := practice(t)
	for name, c := range map[string]struct {
		trust       Trust
		layer, want string
	}{
		"chain passed":     {Trust{Roots: roots}, LayerChain, "passed revocation.absent"},
		"identity passed":  {Trust{Roots: roots, Pins: []Pin{good}}, LayerIdentity, "passed"},
		"policy passed":    {Trust{Pins: []Pin{good}}, LayerPolicy, "passed"},
		"no root":          {Trust{}, LayerChain, "cannot tell chain.no_root"},
		"other root":       {Trust{Roots: []*x509.Certificate{alien.Root()}}, LayerChain, "failed chain.invalid"},
		"no pin":           {Trust{Roots: roots}, LayerIdentity, "cannot tell identity.not_pinned"},
		"policy pin only":  {Trust{Pins: []Pin{{Policy: "1.2.3.4.5"}}}, LayerIdentity, "cannot tell identity.not_pinned"},
		"other name":       {Trust{Pins: []Pin{{Name: "Another TSA"}}}, LayerIdentity, "failed identity.other"},
		"other policy pin": {Trust{Pins: []Pin{{Policy: "1.2.3"}}}, LayerPolicy, "failed policy.not_pinned"},
		"clock apart":      {Trust{MaxSkew: time.Nanosecond}, LayerClock, "cannot tell clock.skew"},
		"clock close":      {Trust{MaxSkew: time.Hour}, LayerClock, "passed"},
		"no limit":         {Trust{}, LayerClock, "absent"},
	} {
		if r := Check(s, sum, c.trust); state(r, c.layer) != c.want {
			t.Errorf("%s: got %s, want %s", name, state(r, c.layer), c.want)
		}
	}
	if r := Check(s, sum, Trust{Roots: roots, Pins: []Pin{good}}); r.State() != Passed || r.Practice {
		t.Errorf("nothing passes entirely:\n%s", summary(r))
	}
}

func TestRemoteRefuses(t *testing.T) {
	p, _ := practice(t)
	sum, other := sha256.Sum256([]byte("x")), sha256.Sum256([]byte("y"))
	release := make(chan struct{})
	reply := func(w http.ResponseWriter, b []byte) {
		w.Header().Set("Content-Type", mediaReply)
		_, _ = w.Write(b)
	}
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		says  string
	}{
		"html":          {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>sign in") }, "content type"},
		"html as reply": {func(w http.ResponseWriter, _ *http.Request) { reply(w, []byte("<html>sign in")) }, "token.unreadable"},
		"status":        {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "x", 503) }, "status 503"},
		"redirect":      {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", 302) }, "status 302"},
		"rejection": {func(w http.ResponseWriter, _ *http.Request) {
			b, _ := timestamp.CreateErrorResponse(timestamp.Rejection, timestamp.BadAlgorithm)
			reply(w, b)
		}, "status 2"},
		"replay of another": {func(w http.ResponseWriter, _ *http.Request) { reply(w, p.Stamp(context.Background(), sum).Response) }, "nonce.other"},
		"other imprint":     {func(w http.ResponseWriter, r *http.Request) { reply(w, p.Stamp(context.Background(), other).Response) }, "imprint.other"},
		"too long":          {func(w http.ResponseWriter, _ *http.Request) { reply(w, make([]byte, MaxResponse+1)) }, "more than"},
		"slow":              {func(http.ResponseWriter, *http.Request) { <-release }, "deadline"},
	} {
		srv := httptest.NewServer(c.serve)
		r := Remote{URL: strings.Replace(srv.URL, "http://", "http://user:secret@", 1), Now: time.Now, Timeout: 200 * time.Millisecond}
		s := r.Stamp(t.Context(), sum)
		if !s.Pending() || !strings.Contains(s.Error, c.says) {
			t.Errorf("%s: error %q, want %q", name, s.Error, c.says)
		}
		if strings.Contains(s.Error+s.TSA, "secret") {
			t.Errorf("%s: credentials in %q", name, s.Error)
		}
		if s.Imprint == "" || len(s.Request) == 0 || s.At.IsZero() {
			t.Errorf("%s: attempt is lost: %+v", name, s)
		}
		if name == "slow" {
			close(release)
		}
		srv.Close()
	}
	s := Remote{URL: "http://127.0.0.1:1", Now: time.Now}.Stamp(t.Context(), sum)
	if !s.Pending() || s.Error == "" {
		t.Error("nobody listening gives no error")
	}
}

func TestOpenSSLSHA1(t *testing.T) {
	o := newOpenSSL(t, "20")
	dir := t.TempDir()
	q := filepath.Join(dir, "q")
	run(t, "ts", "-query", "-data", write(t, dir, "data", []byte("x")), "-sha1", "-cert", "-out", q)
	req, err := os.ReadFile(q)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := o.reply(req)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("x"))
	r := Check(Stamp{TSA: "x", Request: req, Response: resp}, sum, Trust{Roots: []*x509.Certificate{o.root}})
	if state(r, LayerImprint) != "failed imprint.hash" || state(r, LayerChain) == "passed" {
		t.Errorf("SHA-1 token:\n%s", summary(r))
	}
}
