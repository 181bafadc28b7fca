// Package practice is a small, believable Chinese shop of our own, held in
// the program: inspectors train on it, `make run` captures it and the tests
// use it. Everything in it is invented and says so on every page.
//
// Life of a request: Shop.ServeHTTP counts the path, the mux finds the
// handler, and answer sends prepared bytes: with an ETag, two cookies, a
// repeated header and gzip for text, as real shops do. The bytes of a path
// are the same in every run; there is no clock and no chance in them. Pages
// under /hostile/ are the exception to good manners: each misbehaves in one
// way that captures have to survive.
//
// Trust: nobody has to be trusted by this package, and it must not be
// reachable from outside: Serve listens on loopback addresses only. A
// hostile fixture can waste the browser's time and memory, nothing else.
package practice

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Shop is the practice shop. It is an http.Handler, safe for concurrent use,
// and counts what it was asked for. Make one with New.
type Shop struct {
	mux *http.ServeMux

	mu     sync.Mutex
	served map[string]int
}

// New returns a shop that has served nothing yet. It panics when the files
// embedded in the program do not fit together, which only a change of these
// files can cause.
func New() *Shop {
	s := &Shop{mux: http.NewServeMux(), served: map[string]int{}}
	site, err := build()
	if err != nil {
		panic("practice: " + err.Error())
	}
	site.route(s.mux)
	routeHostile(s.mux, site)
	return s
}

// Handler returns a fresh shop for callers that do not need its counts.
func Handler() http.Handler { return New() }

// ServeHTTP answers one request and counts its path, whatever the method and
// whatever the outcome.
func (s *Shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.served[r.URL.Path]++
	s.mu.Unlock()
	s.mux.ServeHTTP(w, r)
}

// Served returns how often each path was asked for since New, without
// queries. The map is a copy.
func (s *Shop) Served() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.served)
}

// Serve starts a fresh shop; see Shop.Serve.
func Serve(ctx context.Context, addr string) (url string, wait func() error, err error) {
	return New().Serve(ctx, addr)
}

// Serve listens on addr (host:port; empty means 127.0.0.1 and a free port)
// and returns the shop's address with a final slash. It serves until ctx
// ends; answers that never end are then cut. wait blocks until the shop has
// closed and returns nil, or what ended it early; it may be called more than
// once. An addr that is not loopback is refused.
func (s *Shop) Serve(ctx context.Context, addr string) (url string, wait func() error, err error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	if err := loopback(addr); err != nil {
		return "", nil, err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return "", nil, fmt.Errorf("opening the practice shop at %s: %w", addr, err)
	}
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	closed := make(chan struct{})
	var ended error
	go func() {
		defer close(closed)
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			ended = fmt.Errorf("serving the practice shop at %s: %w", ln.Addr(), err)
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	wait = func() error {
		<-closed
		stop()
		return ended
	}
	return "http://" + ln.Addr().String() + "/", wait, nil
}

// loopback says why addr is not an address of this machine alone.
func loopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("reading the practice shop's address: %w", err)
	}
	if host == "localhost" {
		return nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return fmt.Errorf("reading the practice shop's address: %w", err)
	}
	if !ip.IsLoopback() {
		return fmt.Errorf("opening the practice shop at %s: only loopback addresses are allowed", addr)
	}
	return nil
}
