package web

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"guzheng/capture"
)

// A mutual is what the guard needs to end TLS for one host and port, with the
// client certificate of an order (mutual TLS). The browser has no store for
// such certificates, so the handshake with the server is the guard's; the
// browser speaks TLS with the guard, under a key that was made for this
// capture and that this browser alone was told to believe. Who had that key's
// certificate could put it into a chain of his own and be believed as well: it
// is sent over loopback only, to the browser, and no page can read it there.
//
// The methods of a nil mutual say that it ends nothing.
type mutual struct {
	key      string // host:port
	host     string
	identity tls.Certificate
	now      func() time.Time
	timeout  time.Duration // of a handshake

	// Both are set before the browser is started.
	roots *x509.CertPool // that the server's chain must lead to; nil are the system's
	wire  bool           // the secrets of the connections are kept

	shown    tls.Certificate // the browser believes it
	stranger tls.Certificate // the browser refuses it, as the guard refused the server's

	mu      sync.Mutex
	lenient bool // the order's second try: a certificate that was refused before is accepted
	shakes  []*handshake
	more    int    // handshakes that came to something else, beyond mostShakes
	why     string // how the last handshake failed
	secrets bytes.Buffer
}

// mostShakes bounds the handshakes that are told apart: a server may send
// another chain on every connection.
const mostShakes = 16

// A handshake sums up the handshakes with the server that came to the same.
type handshake struct {
	version, cipher uint16
	chain           [][]byte
	refused         string // why the chain does not hold; empty when it was accepted
	tls             capture.GuardTLS
}

// newMutual returns nothing when the order names no client certificate.
func newMutual(order capture.Order, now func() time.Time) (*mutual, error) {
	identity, err := orderedIdentity(order)
	if identity == nil || err != nil {
		return nil, err
	}
	m := &mutual{key: order.ClientCertificate.Host, identity: *identity, now: now, timeout: capture.MS(order.Limits.NavigateMS)}
	if m.host, _, err = net.SplitHostPort(m.key); err != nil {
		return nil, fmt.Errorf("reading the host of the client certificate: %w", err)
	}
	if m.shown, err = selfMade(m.host, now()); err == nil {
		m.stranger, err = selfMade(m.host, now())
	}
	return m, err
}

// selfMade makes a certificate for the browser, with a key of its own.
func selfMade(host string, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a key for the browser: %w", err)
	}
	const sign = x509.KeyUsageDigitalSignature
	about := &x509.Certificate{SerialNumber: new(big.Int).SetInt64(now.UnixNano()), Subject: pkix.Name{CommonName: "guzheng guard"}, KeyUsage: sign,
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(24 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if ip := net.ParseIP(host); ip != nil {
		about.IPAddresses = []net.IP{ip}
	} else {
		about.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a certificate for the browser: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// browserKey names the key that the browser believes, as its switch wants it.
func (m *mutual) browserKey() string {
	sum := sha256.Sum256(m.shown.Leaf.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// ends reports whether TLS to a host:port is ended by the guard.
func (m *mutual) ends(key string) bool { return m != nil && m.key == key }

// endsFor reports the same of an address.
func (m *mutual) endsFor(u *url.URL) bool {
	return m != nil && (u.Scheme == "https" || u.Scheme == "wss") && m.ends(dialKey(u))
}

// accept has the certificates accepted that were refused until now: those
// that the record shows, and no other that does not hold.
func (m *mutual) accept() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lenient = true
}

// An untrusted error says why a server's chain does not hold.
type untrusted struct{ err error }

func (u *untrusted) Error() string { return u.err.Error() }
func (u *untrusted) Unwrap() error { return u.err }

// shake makes the handshake with the server on conn. The protocols are those
// that the browser offers and that the guard passes on without reading them.
func (m *mutual) shake(ctx context.Context, conn net.Conn, protocols []string) (back *tls.Conn, seen *handshake, err error) {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	config := &tls.Config{ServerName: m.host, MinVersion: tls.VersionTLS12, NextProtos: protocols, Time: m.now,
		// The chain is judged in VerifyConnection, where it is also noted.
		InsecureSkipVerify: true,
		// A server may ask only when it knows which page is wanted. The
		// library allows no other certificate of the server then.
		Renegotiation: tls.RenegotiateOnceAsClient,
		VerifyConnection: func(s tls.ConnectionState) error {
			if seen != nil {
				return nil
			}
			var err error
			seen, err = m.enter(s)
			return err
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			seen.tls.Asked++
			seen.tls.Presented++
			return &m.identity, nil
		}}
	if m.wire {
		config.KeyLogWriter = (*keyLogWriter)(m)
	}
	back = tls.Client(conn, config)
	if err := back.HandshakeContext(ctx); err != nil {
		m.failed(seen, err)
		return nil, seen, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.why = ""
	return back, seen, nil
}

// enter judges and notes what a server sent, before it is sent anything.
func (m *mutual) enter(s tls.ConnectionState) (*handshake, error) {
	h := &handshake{version: s.Version, cipher: s.CipherSuite}
	others := x509.NewCertPool()
	for i, c := range s.PeerCertificates {
		h.chain = append(h.chain, c.Raw)
		if i > 0 {
			others.AddCert(c)
		}
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: m.host, Roots: m.roots, Intermediates: others, CurrentTime: m.now()})
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lenient && m.wasRefused(h) {
		err = nil
	}
	if err != nil {
		h.refused, err = refusal(err), &untrusted{err}
	}
	for _, old := range m.shakes {
		if old.version == h.version && old.cipher == h.cipher && old.refused == h.refused && slices.EqualFunc(old.chain, h.chain, bytes.Equal) {
			old.tls.Connections++
			return old, err
		}
	}
	if len(m.shakes) == mostShakes {
		m.more++
		return h, err
	}
	h.tls = capture.GuardTLS{Connections: 1, BrowserKey: m.browserKey(), Roots: "system"}
	if names := rootVariables(); len(names) > 0 {
		h.tls.Roots = strings.Join(names, ", ")
	}
	m.shakes = append(m.shakes, h)
	return h, err
}

// wasRefused reports whether the server's own certificate is one that was
// refused and noted before. The lock is held.
func (m *mutual) wasRefused(h *handshake) bool {
	return slices.ContainsFunc(m.shakes, func(old *handshake) bool {
		return old.refused != "" && bytes.Equal(old.chain[0], h.chain[0])
	})
}

// rootVariables names the environment variables that put other roots in the
// place of the system's (package crypto/x509).
func rootVariables() []string {
	return slices.DeleteFunc([]string{"SSL_CERT_FILE", "SSL_CERT_DIR"}, func(name string) bool { return os.Getenv(name) == "" })
}

// refusal puts why a chain does not hold into the browser's words, with the
// library's behind.
func refusal(err error) string {
	code := "net::ERR_CERT_INVALID"
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		code = "net::ERR_CERT_AUTHORITY_INVALID"
	case errors.As(err, &name):
		code = "net::ERR_CERT_COMMON_NAME_INVALID"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		code = "net::ERR_CERT_DATE_INVALID"
	}
	return code + ": " + short(err.Error(), 300)
}

// failed notes why TLS with the server came to nothing, or was broken off
// after the handshake.
func (m *mutual) failed(seen *handshake, err error) {
	var u *untrusted
	if errors.As(err, &u) {
		return // told as what it is
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.why = "TLS with " + m.key + ": " + err.Error()
	if seen != nil {
		seen.tls.Error = short(err.Error(), 300)
	}
}

// trouble returns why the last try of TLS with a host:port did not come about
// or was broken off by the server, if so.
func (m *mutual) trouble(key string) string {
	if !m.ends(key) {
		return ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.why
}

// results returns what came of the handshakes until now.
func (m *mutual) results() []handshake {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []handshake
	for _, h := range m.shakes {
		out = append(out, *h)
	}
	return out
}

// spoken returns TLS version and cipher suite of the connections that an
// address was fetched on, when they were the guard's. They are empty when
// the server spoke differently on different connections: which of them an
// exchange went over is not known.
func (m *mutual) spoken(u *url.URL) (version, cipher string, ok bool) {
	if !m.endsFor(u) {
		return "", "", false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var one *handshake
	for _, h := range m.shakes {
		switch {
		case h.refused != "":
		case m.more > 0 || one != nil && (one.version != h.version || one.cipher != h.cipher):
			return "", "", true
		default:
			one = h
		}
	}
	if one == nil {
		return "", "", true
	}
	return tls.VersionName(one.version), tls.CipherSuiteName(one.cipher), true
}

// A keyLogWriter is where a mutual keeps the secrets of its connections.
type keyLogWriter mutual

func (k *keyLogWriter) Write(line []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.secrets.Write(line)
}

// keyLog returns the secrets of the connections, when they were wanted.
func (m *mutual) keyLog() []byte {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.secrets.Bytes())
}
