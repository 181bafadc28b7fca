package ordeal

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"text/template"
	"time"
)

//go:embed pages/*.html
var files embed.FS

const html = "text/html; charset=utf-8"

// A Server plays every case. Start opens one.
type Server struct {
	ctx    context.Context // ends with the server: every endless answer watches it
	cancel context.CancelFunc
	pages  *template.Template
	bomb   func() []byte
	at     map[Place]string // host:port
	key    string           // see TrustedKey
	victim *victim

	mu     sync.Mutex
	closed bool
	busy   sync.WaitGroup // answers and listeners under way
	ends   []func()       // closes what was opened
	served map[string]int
	turns  map[string]int // of cases that misbehave every second time only
}

// Start opens every listener on loopback. They serve until ctx ends or Close
// is called.
func Start(ctx context.Context) (*Server, error) {
	pages, err := template.ParseFS(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("reading the pages: %w", err)
	}
	s := &Server{pages: pages, at: map[Place]string{}, served: map[string]int{}, turns: map[string]int{}, bomb: sync.OnceValue(bomb)}
	s.ctx, s.cancel = context.WithCancel(ctx)
	if err := s.open(); err != nil {
		s.Close()
		return nil, fmt.Errorf("starting the ordeal: %w", err)
	}
	context.AfterFunc(s.ctx, s.shut)
	return s, nil
}

// open opens the listeners. The first error leaves what is open to Close.
func (s *Server) open() error {
	var err error
	if s.victim, err = s.openVictim(); err != nil {
		return err
	}
	if err := s.refusing(); err != nil {
		return err
	}
	handler := s.routes()
	for place, host := range map[Place]string{Plain: "127.0.0.1", Foreign: "127.0.0.2"} {
		if err := s.openHTTP(place, host, handler, nil); err != nil {
			return err
		}
	}
	if err := s.openConn(Wire, s.wire); err != nil {
		return err
	}
	trusted, err := newIdentity("127.0.0.1", future)
	if err != nil {
		return err
	}
	s.key = trusted.key
	if err := s.openHTTP(Secure, "127.0.0.1", handler, trusted.config("h2", "http/1.1")); err != nil {
		return err
	}
	if err := s.openConn(Frames, s.frames(trusted.config("h2"))); err != nil {
		return err
	}
	for place, of := range map[Place]struct {
		name string
		ends int
	}{SelfSigned: {"127.0.0.1", future}, Expired: {"127.0.0.1", past}, WrongHost: {"other.example", future}} {
		id, err := newIdentity(of.name, of.ends)
		if err != nil {
			return err
		}
		if err := s.openHTTP(place, "127.0.0.1", handler, id.config("http/1.1")); err != nil {
			return err
		}
	}
	s.at[Nowhere] = "no-such-shop.invalid"
	return nil
}

// Close ends every answer and listener and waits for them. It may be called
// more than once.
func (s *Server) Close() {
	s.cancel()
	s.shut()
	s.busy.Wait()
}

func (s *Server) shut() {
	s.mu.Lock()
	s.closed = true
	ends := s.ends
	s.ends = nil
	s.mu.Unlock()
	for _, end := range ends {
		end()
	}
}

// begin enters one more piece of work that Close waits for, unless the server
// is closed already.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.busy.Add(1)
	return true
}

// onEnd has f called when the server closes.
func (s *Server) onEnd(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = append(s.ends, f)
}

// Address returns the address at which c is met.
func (s *Server) Address(c Case) string {
	scheme := "http"
	switch c.Place {
	case Secure, Frames, SelfSigned, Expired, WrongHost:
		scheme = "https"
	}
	return scheme + "://" + s.at[c.Place] + c.Path
}

// Host returns host:port of a place.
func (s *Server) Host(p Place) string { return s.at[p] }

// Hosts returns host:port of everything that a capture has to be permitted to
// visit although it is not public. The victim is not among them.
func (s *Server) Hosts() []string {
	hosts := slices.Collect(maps.Values(s.at))
	slices.Sort(hosts)
	return hosts
}

// TrustedKey returns what identifies the certificate of Secure and Frames:
// the base64 SHA-256 of its SubjectPublicKeyInfo, as in RFC 7469 section 2.4
// and as Chromium's switch ignore-certificate-errors-spki-list takes it.
// Browsers hold the certificate for unknown unless they are told to trust it.
func (s *Server) TrustedKey() string { return s.key }

// Served returns how often each path was asked for, on all listeners
// together, without queries. The map is a copy.
func (s *Server) Served() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.served)
}

// Victim returns how many connections reached the listener that none may
// reach.
func (s *Server) Victim() int { return s.victim.count() }

func (s *Server) count(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.served[path]++
}

// turn returns how often it was called for the name before.
func (s *Server) turn(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turns[name]++
	return s.turns[name] - 1
}

// routes returns the answers of the listeners that net/http serves.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{number}/{name}", s.page)
	mux.HandleFunc("GET /picture/{n}", picture)
	mux.HandleFunc("GET /plain", page("<!doctype html><title>plain</title><p>a page of good manners"))
	routeNavigation(mux, s)
	routeNetwork(mux, s)
	routeCodings(mux, s)
	routeGates(mux, s)
	routeLoad(mux)
	routeLayout(mux)
	routeContent(mux, s)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.begin() {
			return
		}
		defer s.busy.Done()
		s.count(r.URL.Path)
		mux.ServeHTTP(w, r)
	})
}

// Addresses that pages name.
type addresses struct {
	Foreign, Wire, Victim, VictimHost string
}

func (s *Server) addresses() addresses {
	return addresses{Foreign: "http://" + s.at[Foreign], Wire: "http://" + s.at[Wire], Victim: s.victim.url, VictimHost: s.victim.host}
}

// page answers with the file pages/name.html.
func (s *Server) page(w http.ResponseWriter, r *http.Request) { s.pageWith(w, r, http.StatusOK) }

func (s *Server) pageWith(w http.ResponseWriter, r *http.Request, status int) {
	b, err := s.file(r.PathValue("name"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", html)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// file returns the page of the name with the addresses filled in.
func (s *Server) file(name string) ([]byte, error) {
	var buf bytes.Buffer
	if err := s.pages.ExecuteTemplate(&buf, name+".html", s.addresses()); err != nil {
		return nil, fmt.Errorf("making page %s: %w", name, err)
	}
	return buf.Bytes(), nil
}

// page answers with the text as HTML in UTF-8.
func page(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { write(w, text) }
}

// write sends the text, as HTML unless the type is set. A client that went
// away is no concern of the server.
func write(w http.ResponseWriter, text string) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", html)
	}
	_, _ = io.WriteString(w, text)
}

// openHTTP serves h at a free port of host.
func (s *Server) openHTTP(place Place, host string, h http.Handler, tls *tlsConfig) error {
	ln, err := s.listen(net.JoinHostPort(host, "0"))
	if err != nil {
		return err
	}
	s.at[place] = ln.Addr().String()
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, TLSConfig: tls,
		ErrorLog:    log.New(io.Discard, "", 0), // clients that break off are the everyday business here
		BaseContext: func(net.Listener) context.Context { return s.ctx },
	}
	s.onEnd(func() { _ = srv.Close() })
	return s.run(func() {
		if tls != nil {
			_ = srv.ServeTLS(ln, "", "")
			return
		}
		_ = srv.Serve(ln)
	})
}

func (s *Server) listen(addr string) (net.Listener, error) {
	ln, err := (&net.ListenConfig{}).Listen(s.ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	s.onEnd(func() { ln.Close() })
	return ln, nil
}

// run starts f and has Close wait for it.
func (s *Server) run(f func()) error {
	if !s.begin() {
		return net.ErrClosed
	}
	go func() {
		defer s.busy.Done()
		f()
	}()
	return nil
}

// openConn serves each connection to a free port of 127.0.0.1 with handle.
// The connection is closed when handle returns and when the server ends.
func (s *Server) openConn(place Place, handle func(net.Conn)) error {
	ln, err := s.listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	s.at[place] = ln.Addr().String()
	return s.accept(ln, handle)
}

func (s *Server) accept(ln net.Listener, handle func(net.Conn)) error {
	return s.run(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return // closed
			}
			err = s.run(func() {
				stop := context.AfterFunc(s.ctx, func() { c.Close() })
				defer stop()
				defer c.Close()
				handle(c)
			})
			if err != nil {
				c.Close()
			}
		}
	})
}

// A victim is a service of the inner network that no page may reach.
type victim struct {
	url, host string

	mu   sync.Mutex
	seen int
}

func (v *victim) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.seen
}

func (s *Server) openVictim() (*victim, error) {
	ln, err := s.listen("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	v := &victim{url: "http://" + ln.Addr().String(), host: ln.Addr().String()}
	return v, s.accept(ln, func(net.Conn) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.seen++
	})
}
