package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// startBackOffice serves a page to holders of a client certificate alone:
// backoffice NAME sets $NAME to its address, SSL_CERT_FILE to its authority,
// and writes client.pem and files like it that are not usable.
func startBackOffice(ts *testscript.TestScript, _ bool, a []string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	now := time.Now()
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Back Office"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	ts.Check(err)
	c, err := x509.ParseCertificate(der)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	foreign, err := x509.MarshalPKCS8PrivateKey(other)
	ts.Check(err)
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	cert := block("CERTIFICATE", der)
	for name, text := range map[string]string{
		"authority.pem": cert,
		"client.pem":    cert + block("PRIVATE KEY", private),
		"keyless.pem":   cert,
		"encrypted.pem": cert + block("ENCRYPTED PRIVATE KEY", private),
		"other.pem":     cert + block("PRIVATE KEY", foreign),
		"words.pem":     "no PEM at all\n",
	} {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>back office</title><p>ORDERS 42")
	}))
	roots := x509.NewCertPool()
	roots.AddCert(c)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots}
	srv.StartTLS()
	ts.Defer(srv.Close)
	ts.Setenv(a[0], srv.URL)
	ts.Setenv("SSL_CERT_FILE", ts.MkAbs("authority.pem"))
}
