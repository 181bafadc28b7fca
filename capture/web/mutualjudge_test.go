package web

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"testing"

	"guzheng/capture"
)

// newMutualFor makes a mutual for shop.example:443 that believes an authority, and a
// way to have it enter a handshake with a certificate.
func newMutualFor(t *testing.T) (*mutual, func(version uint16, c ...*x509.Certificate) error, *authority) {
	t.Helper()
	a := newAuthority(t)
	m := &mutual{key: "shop.example:443", host: "shop.example", now: capture.Now, roots: a.pool}
	var err error
	if m.shown, err = selfMade(m.host, capture.Now()); err != nil {
		t.Fatal(err)
	}
	return m, func(version uint16, c ...*x509.Certificate) error {
		_, err := m.enter(tls.ConnectionState{Version: version, CipherSuite: tls.TLS_AES_128_GCM_SHA256, PeerCertificates: c})
		return err
	}, a
}

// TestLenientWithWhatWasRefused wants the second try to accept the certificate
// that the record shows, and no other that does not hold.
func TestLenientWithWhatWasRefused(t *testing.T) {
	m, enter, a := newMutualFor(t)
	seen := a.sign(t, &x509.Certificate{DNSNames: []string{"other.example"}}, newKey(t))
	another := a.sign(t, &x509.Certificate{DNSNames: []string{"other.example"}}, newKey(t))
	if enter(tls.VersionTLS13, seen) == nil {
		t.Fatal("a certificate of another name was accepted at the first try")
	}
	m.accept()
	if err := enter(tls.VersionTLS13, seen); err != nil {
		t.Errorf("the certificate that was noted: %v", err)
	}
	if enter(tls.VersionTLS13, another) == nil {
		t.Error("a certificate that was never noted was accepted")
	}
}

// TestSpokenOnlyWhenKnown wants no version told when there were two.
func TestSpokenOnlyWhenKnown(t *testing.T) {
	m, enter, a := newMutualFor(t)
	c := a.sign(t, &x509.Certificate{DNSNames: []string{"shop.example"}}, newKey(t))
	u := &url.URL{Scheme: "https", Host: "shop.example"}
	if err := enter(tls.VersionTLS13, c); err != nil {
		t.Fatal(err)
	}
	if version, _, ok := m.spoken(u); version != "TLS 1.3" || !ok {
		t.Errorf("one handshake: %q, %v", version, ok)
	}
	if err := enter(tls.VersionTLS12, c); err != nil {
		t.Fatal(err)
	}
	if version, cipher, ok := m.spoken(u); version != "" || cipher != "" || !ok {
		t.Errorf("two versions: %q, %q, %v", version, cipher, ok)
	}
}

// TestManyChains wants a server with a chain for every connection to be told
// of without being told at length.
func TestManyChains(t *testing.T) {
	m, enter, a := newMutualFor(t)
	for range mostShakes + 4 {
		if err := enter(tls.VersionTLS13, a.sign(t, &x509.Certificate{DNSNames: []string{"shop.example"}}, newKey(t))); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(m.results()); got != mostShakes || m.more != 4 {
		t.Errorf("%d told apart, %d more", got, m.more)
	}
}

// TestTroubleOfOneServer wants a failure to be that of its port, and to be
// forgotten when TLS comes about.
func TestTroubleOfOneServer(t *testing.T) {
	m, _, _ := newMutualFor(t)
	m.failed(nil, errorText("broken"))
	if m.trouble("shop.example:443") == "" || m.trouble("shop.example:8443") != "" {
		t.Errorf("trouble %q, of another port %q", m.trouble("shop.example:443"), m.trouble("shop.example:8443"))
	}
}
