// Package corpus serves heavy shop pages of our own making, for measuring:
// a home page, lists, an article, a shop front with a frame, a Vue
// application, and a page of some 20,000 pixels with 120 pictures that load
// lazily. They come from twelve loopback addresses over TLS and HTTP/2, as the
// pages of a large shop come from its hosts for documents, styles, pictures,
// fonts, interfaces and counting.
//
// Life of a visit: whoever measures opens Page.Visit(token), and every address
// in the answer carries the token on, so that visits at the same time are told
// apart. The handler looks the content up by host and path, puts the token in,
// waits for the delay if there is one, sends, and notes what it sent.
// Server.Missing then says which responses of the page that visit did not get:
// a run that lacks one has measured something else and does not count.
//
// Trust: this is the measure, so nothing of ours takes part in it; it imports
// none of our packages. It listens on loopback only. The contents are the same
// in every run (there is no clock and no chance in them), the certificates are
// new in each. A visitor that asks for every address without showing the page
// would be believed; pictures and packages are checked by whoever measures.
package corpus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what a corpus needs to be started.
type Options struct {
	Now   func() time.Time // for the dates of the certificates; must be set
	Delay time.Duration    // waited before each response; see Server.SetDelay
	Vue   string           // file vue.runtime.global.prod.js of npm's vue; empty leaves the page "spa" out
}

// A Page is one of the pages and all that belongs to it.
type Page struct {
	Name      string     `json:"name"`
	URL       string     `json:"url"`    // without a visit; see Visit
	Height    int        `json:"height"` // CSS pixels that it has at least when 1280 wide, all pictures loaded
	Resources []Resource `json:"resources"`
}

// A Resource is one response that a complete visit gets.
type Resource struct {
	URL   string `json:"url"`   // without the visit
	Type  string `json:"type"`  // media type
	Bytes int    `json:"bytes"` // of the content, without content coding
	Lazy  bool   `json:"lazy"`  // the load event does not wait for it
}

// Visit returns the address of the page for one visit. The token has up to 40
// letters, digits, dots and hyphens.
func (p Page) Visit(token string) string { return p.URL + "?" + visitKey + "=" + token }

// Server is a running corpus, safe for concurrent use. Close ends it.
type Server struct {
	pages    []Page
	contents map[string]*content // by host:port and path
	delay    atomic.Int64
	identity *identity
	server   *http.Server
	serving  sync.WaitGroup

	mu     sync.Mutex
	served map[string]map[string]int // visit → address → times sent whole
}

// Start makes the contents, which takes about two seconds of both cores, and
// serves them until ctx ends or Close is called.
func Start(ctx context.Context, o Options) (*Server, error) {
	s := &Server{contents: map[string]*content{}, served: map[string]map[string]int{}}
	s.SetDelay(o.Delay)
	listeners, hosts, err := listen(ctx)
	if err != nil {
		return nil, err
	}
	closeAll := func() {
		for _, ln := range listeners {
			_ = ln.Close()
		}
	}
	if s.pages, err = build(hosts, o.Vue, s.contents); err != nil {
		closeAll()
		return nil, err
	}
	if s.identity, err = newIdentity(addresses(), o.Now()); err != nil {
		closeAll()
		return nil, err
	}
	s.server = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          quiet(),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{s.identity.leaf}, MinVersion: tls.VersionTLS12},
	}
	for _, ln := range listeners {
		s.serving.Go(func() { _ = s.server.ServeTLS(ln, "", "") }) // ends with Close
	}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	return s, nil
}

// Close ends the server and its connections.
func (s *Server) Close() error {
	err := s.server.Close()
	s.serving.Wait()
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("closing the corpus: %w", err)
	}
	return nil
}

// Pages returns the pages in a fixed order.
func (s *Server) Pages() []Page { return slices.Clone(s.pages) }

// SPKI returns the SHA-256 of the certificate's public key in base64, as
// Chromium's --ignore-certificate-errors-spki-list wants it.
func (s *Server) SPKI() string { return s.identity.spki }

// Pool returns the authority that the certificate ends in.
func (s *Server) Pool() *x509.CertPool { return s.identity.pool }

// SetDelay changes what is waited before each response from now on.
func (s *Server) SetDelay(d time.Duration) { s.delay.Store(int64(d)) }

// Expected returns the addresses of all responses of a page, sorted, and
// nothing for a page that there is not.
func (s *Server) Expected(page string) []string { return s.resources(page, true) }

func (s *Server) resources(page string, lazy bool) []string {
	var out []string
	for _, p := range s.pages {
		if p.Name != page {
			continue
		}
		for _, r := range p.Resources {
			if lazy || !r.Lazy {
				out = append(out, r.URL)
			}
		}
	}
	slices.Sort(out)
	return out
}

// Served returns the addresses that were sent whole in a visit, sorted and
// each once.
func (s *Server) Served(visit string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for address := range s.served[visit] {
		out = append(out, address)
	}
	slices.Sort(out)
	return out
}

// Missing returns what a visit of the page did not get. Without lazy only
// what the load event waits for is asked about.
func (s *Server) Missing(page, visit string, lazy bool) []string {
	served := s.Served(visit)
	return slices.DeleteFunc(s.resources(page, lazy), func(address string) bool {
		_, ok := slices.BinarySearch(served, address)
		return ok
	})
}

// Forget drops the notes about a visit.
func (s *Server) Forget(visit string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.served, visit)
}

// note remembers that address was sent.
func (s *Server) note(visit, address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.served[visit] == nil {
		s.served[visit] = map[string]int{}
	}
	s.served[visit][address]++
}

// Roles of the hosts. Documents come from two shops.
const (
	shopHost = iota
	brandHost
	styleHost
	scriptHost
	pictureHost // the first of four
	fontHost    = pictureHost + 4
	answerHost  = fontHost + 1
	countHost   = answerHost + 1
	frameHost   = countHost + 1
	hostCount   = frameHost + 1
)

// addresses returns one loopback address for each role. 127.0.0.1 is left to
// others.
func addresses() []net.IP {
	var out []net.IP
	for i := range hostCount {
		out = append(out, net.IPv4(127, 0, 0, byte(2+i)))
	}
	return out
}

// listen opens a port at each address and returns host:port by role.
func listen(ctx context.Context) (listeners []net.Listener, hosts []string, err error) {
	for _, ip := range addresses() {
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(ip.String(), "0"))
		if err != nil {
			for _, open := range listeners {
				_ = open.Close()
			}
			return nil, nil, fmt.Errorf("opening the corpus at %s: %w", ip, err)
		}
		listeners = append(listeners, ln)
		hosts = append(hosts, ln.Addr().String())
	}
	return listeners, hosts, nil
}
