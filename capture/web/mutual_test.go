package web

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"guzheng/capture"
)

// An authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	for _, name := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR"} {
		t.Setenv(name, "") // this machine's settings are not for the facts of a test
	}
	a := &authority{pool: x509.NewCertPool()}
	a.key = newKey(t)
	a.cert = a.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Test Authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}, a.key)
	a.pool.AddCert(a.cert)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sign makes a certificate for a key; without a certificate of its own the
// authority signs itself.
func (a *authority) sign(t *testing.T, about *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	about.SerialNumber = big.NewInt(capture.Now().UnixNano())
	if about.NotAfter.IsZero() {
		about.NotBefore, about.NotAfter = capture.Now().Add(-time.Hour), capture.Now().Add(time.Hour)
	}
	parent := a.cert
	if parent == nil {
		parent = about
	}
	der, err := x509.CreateCertificate(rand.Reader, about, parent, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// server makes a certificate for 127.0.0.1 and localhost.
func (a *authority) server(t *testing.T, until time.Time) tls.Certificate {
	t.Helper()
	key := newKey(t)
	c := a.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "back office"}, DNSNames: []string{"localhost", "shop.example"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: until.Add(-time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, key)
	return tls.Certificate{Certificate: [][]byte{c.Raw, a.cert.Raw}, PrivateKey: key, Leaf: c}
}

// A holder is a client certificate with its key in a file.
type holder struct {
	file string
	cert *x509.Certificate
	der  []byte // the key, PKCS #8
	key  *ecdsa.PrivateKey
}

func (a *authority) holder(t *testing.T, until time.Time) holder {
	t.Helper()
	key := newKey(t)
	h := holder{key: key, file: filepath.Join(t.TempDir(), "client.pem")}
	h.cert = a.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Inspector Zhang"}, NotBefore: until.Add(-2 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, key)
	var err error
	if h.der, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		t.Fatal(err)
	}
	text := slices.Concat(pemOf("CERTIFICATE", h.cert.Raw), pemOf("CERTIFICATE", a.cert.Raw), pemOf("PRIVATE KEY", h.der))
	if err := os.WriteFile(h.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// certified is the order with a client certificate.
func certified(t *testing.T, o capture.Order, h holder) capture.Order {
	t.Helper()
	c, err := ClientCertificate(h.file, o.URL)
	if err != nil {
		t.Fatal(err)
	}
	o.ClientCertificate = &c
	return o
}

// An office is a server for holders of certificates alone.
type office struct {
	*httptest.Server
	host   string
	mu     sync.Mutex
	served map[string]int    // by path
	who    map[string]bool   // SHA-256 of the client certificates
	named  map[string]string // path → server name of the connection
}

// newOffice serves a page with a picture of its own and one of other.
func newOffice(t *testing.T, config *tls.Config, h2 bool, other string) *office {
	t.Helper()
	o := &office{served: map[string]int{}, who: map[string]bool{}, named: map[string]string{}}
	o.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.served[r.URL.Path]++
		o.named[r.URL.Path] = r.TLS.ServerName
		for _, c := range r.TLS.PeerCertificates[:min(1, len(r.TLS.PeerCertificates))] {
			sum := sha256.Sum256(c.Raw)
			o.who[hex.EncodeToString(sum[:])] = true
		}
		o.mu.Unlock()
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, "<!doctype html><title>back office</title><p>ORDERS 42 %s<img src=/own.svg><script src=/late.js></script>", other)
		case "/late.js":
			w.Header().Set("Content-Type", "text/javascript")
			fmt.Fprint(w, "fetch('/data.json', {method: 'POST', body: 'x'.repeat(300000)}).then(r => r.text()).then(t => {"+
				"const s = new WebSocket('wss://' + location.host + '/ws'); s.onmessage = m => { document.title = m.data + t.length }})")
		case "/ws":
			websocket.Handler(func(c *websocket.Conn) { _ = websocket.Message.Send(c, "done ") }).ServeHTTP(w, r)
		case "/data.json":
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, strings.Repeat("y", int(n)))
		default:
			w.Header().Set("Content-Type", "image/svg+xml")
			fmt.Fprint(w, `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9" fill="red"/></svg>`)
		}
	}))
	o.Server.Config.ErrorLog = log.New(io.Discard, "", 0)
	o.TLS, o.EnableHTTP2 = config, h2
	if !h2 {
		o.TLS.NextProtos = []string{"http/1.1"}
	}
	o.StartTLS()
	t.Cleanup(o.Close)
	o.host = strings.TrimPrefix(o.URL, "https://")
	return o
}

func demanding(a *authority, cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.pool}
}

// keyless holds every file of a take against the private key.
func (got taken) keyless(t *testing.T, h holder) {
	t.Helper()
	number, err := h.key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{"PKCS #8": h.der, "number": number,
		"PEM": []byte(base64.StdEncoding.EncodeToString(h.der)[:64]), "header": []byte("PRIVATE KEY"),
		"hex": []byte(hex.EncodeToString(number))}
	files := 0
	err = filepath.WalkDir(got.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".gz") {
			b = []byte(gunzipAll(t, b))
		}
		for name, s := range secrets {
			if bytes.Contains(b, s) {
				t.Errorf("%s holds the private key: %s", path, name)
			}
		}
		return nil
	})
	if err != nil || files < 3 {
		t.Errorf("%d files, %v", files, err)
	}
}

// A page for holders of certificates is captured whole over either protocol;
// the certificate goes to its host and port alone, and the facts tell of our
// own handshake.
func TestClientCertificate(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	a := newAuthority(t)
	for name, h2 := range map[string]bool{"h2": true, "http/1.1": false} {
		t.Run(name, func(t *testing.T) {
			who, cert := a.holder(t, capture.Now().Add(time.Hour)), a.server(t, capture.Now().Add(time.Hour))
			off := newOffice(t, demanding(a, cert), h2, "")
			got := collect(t, certified(t, order(off.URL+"/"), who), Browser{Allow: []string{off.host}, roots: a.pool})
			if got.take.State != capture.Complete || got.facts.Protocol != name || got.facts.Title != "done 300000" {
				t.Fatalf("%s over %s, title %q: %v", got.take.State, got.facts.Protocol, got.facts.Title, got.take.Reasons)
			}
			recorded := got.recorded(t)
			for path, n := range off.served {
				if len(recorded[off.URL+path]) != n || n != 1 {
					t.Errorf("%s served %d times, recorded %d times", path, n, len(recorded[off.URL+path]))
				}
			}
			sum := sha256.Sum256(who.cert.Raw)
			if fingerprint := hex.EncodeToString(sum[:]); len(off.who) != 1 || !off.who[fingerprint] {
				t.Errorf("the server saw %v, want %s", off.who, fingerprint)
			}
			if off.served["/ws"] != 1 {
				t.Errorf("no WebSocket among %v", off.served)
			}
			got.mutualFacts(t, off, cert)
			got.keyless(t, who)
			raw := gunzipAll(t, got.read(t, "archive/data.warc.gz"))
			if !strings.Contains(raw, "WARC-Protocol: tls/1.3\r\n") || !strings.Contains(raw, "WARC-Cipher-Suite: TLS_") {
				t.Error("the record does not tell the TLS of the guard's handshake")
			}
		})
	}
}

// mutualFacts wants the one host of the capture to be told of as the guard's.
func (got taken) mutualFacts(t *testing.T, off *office, cert tls.Certificate) {
	t.Helper()
	if len(got.facts.TLS) != 1 {
		t.Fatalf("tls: %+v", got.facts.TLS)
	}
	f := got.facts.TLS[0]
	if f.Host != off.host || f.Protocol != "TLS 1.3" || !strings.HasPrefix(f.Cipher, "TLS_") || f.Error != "" || f.OwnConnection || len(f.Chain) != 2 ||
		!bytes.Equal(got.read(t, f.Chain[0].File), cert.Leaf.Raw) {
		t.Errorf("tls: %+v", f)
	}
	g := f.Guard
	if g == nil || g.Connections == 0 || g.Asked != g.Connections || g.Presented != g.Connections || g.Roots != "system" || g.Error != "" ||
		!slices.ContainsFunc(got.facts.Browser.Flags, func(s string) bool { return strings.HasSuffix(s, "spki-list="+g.BrowserKey) }) {
		t.Errorf("guard: %+v", g)
	}
	if !got.has(capture.EntryStep, "client-certificate.ordered") || !got.has(capture.EntryAnomaly, "tls.ended") ||
		got.has(capture.EntryAnomaly, "client-certificate.unused") || got.has(capture.EntryAnomaly, "client-certificate.expired") {
		t.Error("the journal does not tell it")
	}
}

// Without the certificate the attempt is kept as failed, with a reason.
func TestClientCertificateMissing(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	a := newAuthority(t)
	cert := a.server(t, capture.Now().Add(time.Hour))
	for name, version := range map[string]uint16{"TLS 1.3": tls.VersionTLS13, "TLS 1.2": tls.VersionTLS12} {
		t.Run(name, func(t *testing.T) {
			config := demanding(a, cert)
			config.MaxVersion = version
			off := newOffice(t, config, true, "")
			spki := sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo)
			got := collect(t, order(off.URL+"/"), Browser{Allow: []string{off.host},
				extra: []string{"ignore-certificate-errors-spki-list=" + base64.StdEncoding.EncodeToString(spki[:])}})
			if r := got.take.Reasons; got.take.State != capture.Failed || len(r) != 1 || r[0].Code != "navigate.failed" || !strings.HasSuffix(r[0].Detail, ": the server asks for a client certificate") ||
				!got.has(capture.EntryAnomaly, "client-certificate.asked") {
				t.Errorf("%s: %v", got.take.State, r)
			}
			if len(off.served) != 0 {
				t.Errorf("served %v", off.served)
			}
		})
	}
}

// A certificate of the server that does not hold ends as it does without a
// client certificate, and the server is not given any; on demand it is noted
// and accepted.
func TestClientCertificateUntrusted(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	a, stranger := newAuthority(t), newAuthority(t)
	later := capture.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		cert   tls.Certificate
		reason string
	}{
		"unknown authority": {stranger.server(t, later), "net::ERR_CERT_AUTHORITY_INVALID: x509: "},
		"expired":           {a.server(t, capture.Now().Add(-time.Minute)), "net::ERR_CERT_DATE_INVALID: x509: "},
	} {
		t.Run(name, func(t *testing.T) {
			off := newOffice(t, demanding(a, c.cert), true, "")
			got := collect(t, certified(t, order(off.URL+"/"), a.holder(t, later)), Browser{Allow: []string{off.host}, roots: a.pool})
			r := got.take.Reasons
			if got.take.State != capture.Failed || len(r) != 1 || r[0].Code != "certificate.invalid" || !strings.HasPrefix(r[0].Detail, c.reason) {
				t.Errorf("%s: %v", got.take.State, r)
			}
			if len(got.facts.TLS) != 1 || len(off.served) != 0 {
				t.Fatalf("tls: %+v, served %v", got.facts.TLS, off.served)
			}
			f := got.facts.TLS[0]
			if !f.OwnConnection || f.Error != r[0].Detail || f.Guard == nil || f.Guard.Presented != 0 || !bytes.Equal(got.read(t, f.Chain[0].File), c.cert.Leaf.Raw) {
				t.Errorf("tls: %+v, guard %+v", f, f.Guard)
			}
			if !got.has(capture.EntryAnomaly, "certificate.refused") || got.has(capture.EntryAnomaly, "certificate.invalid") {
				t.Error("the journal does not say who refused it")
			}
		})
	}
	t.Run("accepted all the same", func(t *testing.T) {
		asked := &tls.Config{Certificates: []tls.Certificate{stranger.server(t, later)}, ClientAuth: tls.RequestClientCert}
		other := newOffice(t, asked, true, "")
		off := newOffice(t, demanding(a, stranger.server(t, later)), true, "<img src="+other.URL+"/other.svg>")
		_, port, _ := net.SplitHostPort(off.host)
		o := certified(t, order(off.URL+"/"), a.holder(t, later))
		o.AcceptInvalidTLS = true
		got := collect(t, o, Browser{Allow: []string{off.host, other.host, "localhost:" + port}, roots: a.pool})
		if got.take.State != capture.Complete || got.facts.Title != "done 300000" {
			t.Fatalf("%s: %v, %q", got.take.State, got.take.Reasons, got.facts.Title)
		}
		if other.served["/other.svg"] != 1 || len(other.who) != 0 {
			t.Errorf("the other host served %v and saw %v", other.served, other.who)
		}
		if len(got.facts.TLS) != 3 || !got.has(capture.EntryAnomaly, "certificate.accepted") {
			t.Fatalf("tls: %+v", got.facts.TLS)
		}
		for _, f := range got.facts.TLS {
			if g := f.Guard; f.Host == other.host != (g == nil) || g != nil && (f.OwnConnection != (g.Presented == 0) || f.OwnConnection != (f.Error != "")) {
				t.Errorf("tls: %+v, guard %+v", f, g)
			}
		}
	})
}

// Another name or port of the same machine is offered nothing.
func TestClientCertificateElsewhere(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	a := newAuthority(t)
	later := capture.Now().Add(time.Hour)
	cert := a.server(t, later)
	config := &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: a.pool}
	var names sync.Map
	config.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		names.Store(h.ServerName, true)
		return nil, nil
	}
	other := `<script>document.write('<img src=https://localhost:' + location.port + '/name.svg>')</script>`
	off := newOffice(t, config, true, other)
	_, port, _ := net.SplitHostPort(off.host)
	got := collect(t, certified(t, order(off.URL+"/"), a.holder(t, later)), Browser{Allow: []string{off.host, "localhost:" + port}, roots: a.pool})
	if _, tried := names.Load("localhost"); !tried || off.served["/name.svg"] != 0 {
		t.Errorf("the other name was not tried, or served: %v", off.served)
	}
	if len(off.who) != 1 || got.facts.TLS[0].Guard.Presented != got.facts.TLS[0].Guard.Connections {
		t.Errorf("the server saw %v", off.who)
	}
	if !slices.ContainsFunc(got.facts.Failed, func(f capture.Failure) bool {
		return strings.HasPrefix(f.URL, "https://localhost") && strings.Contains(f.Reason, "ERR_CERT_AUTHORITY_INVALID")
	}) {
		t.Errorf("failed: %+v", got.facts.Failed)
	}
}

// A server that does not accept the certificate is told of with its words, and
// one that has run out is presented and told of.
func TestClientCertificateRejected(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	a := newAuthority(t)
	for name, version := range map[string]uint16{"TLS 1.3": tls.VersionTLS13, "TLS 1.2": tls.VersionTLS12} {
		t.Run(name, func(t *testing.T) {
			config := demanding(a, a.server(t, capture.Now().Add(time.Hour)))
			config.MaxVersion = version
			off := newOffice(t, config, true, "")
			who := a.holder(t, capture.Now().Add(-time.Minute))
			got := collect(t, certified(t, order(off.URL+"/"), who), Browser{Allow: []string{off.host}, roots: a.pool})
			r := got.take.Reasons
			if got.take.State != capture.Failed || len(r) != 1 || r[0].Code != "navigate.failed" || !strings.Contains(r[0].Detail, "remote error: tls: ") {
				t.Errorf("%s: %v", got.take.State, r)
			}
			if !got.has(capture.EntryAnomaly, "client-certificate.expired") || !got.has(capture.EntryAnomaly, "tls.ended") {
				t.Error("the journal does not tell it")
			}
			if f := got.facts.TLS; len(f) != 1 || f[0].Guard.Presented == 0 || !strings.Contains(f[0].Guard.Error, "remote error") || f[0].Protocol != name {
				t.Errorf("tls: %+v", f)
			}
			got.keyless(t, who)
		})
	}
}

// A server that asks for nothing is given nothing, and the journal says so.
func TestClientCertificateUnasked(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	a := newAuthority(t)
	off := newOffice(t, &tls.Config{Certificates: []tls.Certificate{a.server(t, capture.Now().Add(time.Hour))}, MaxVersion: tls.VersionTLS12}, true, "")
	got := collect(t, certified(t, order(off.URL+"/"), a.holder(t, capture.Now().Add(time.Hour))), Browser{Allow: []string{off.host}, roots: a.pool})
	if got.take.State != capture.Complete || len(off.who) != 0 || !got.has(capture.EntryAnomaly, "client-certificate.unused") {
		t.Errorf("%s: %v, the server saw %v", got.take.State, got.take.Reasons, off.who)
	}
	if f := got.facts.TLS; len(f) != 1 || f[0].Protocol != "TLS 1.2" || f[0].Guard.Connections == 0 || f[0].Guard.Asked != 0 {
		t.Errorf("tls: %+v", f)
	}
}

// What such a browser was told to believe reaches no other capture: it serves
// that one alone.
func TestClientCertificateOwnBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the home page alone is captured")
	}
	a := newAuthority(t)
	off := newOffice(t, demanding(a, a.server(t, capture.Now().Add(time.Hour))), true, "")
	_, srv, b := shop(t)
	b.Allow, b.roots, b.TempDir = append(b.Allow, off.host), a.pool, openDir(t)
	p := NewPool(b, 10)
	defer p.Close()
	var started []time.Time
	for i, o := range []capture.Order{order(srv.URL + "/gbk"), certified(t, order(off.URL+"/"), a.holder(t, capture.Now().Add(time.Hour))), order(srv.URL + "/gbk")} {
		got := taken{dir: filepath.Join(t.TempDir(), "take")}
		var err error
		if got.take, err = p.Collect(t.Context(), o, got.dir); err != nil || got.take.State != capture.Complete {
			t.Fatalf("%s: %v %v", got.take.State, got.take.Reasons, err)
		}
		f := got.readFacts(t).Browser
		started = append(started, f.Started)
		if strings.Contains(strings.Join(f.Flags, " "), "spki-list") != (i == 1) {
			t.Errorf("switches of capture %d: %v", i, f.Flags)
		}
	}
	if !started[0].Equal(started[2]) || started[0].Equal(started[1]) {
		t.Errorf("started %v", started)
	}
}
