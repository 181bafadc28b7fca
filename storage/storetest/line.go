package storetest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// A Line is an HTTP proxy on loopback between a driver and its server, with
// faults that a test sets. It leaves requests and answers as they are
// otherwise, the Host field included, so that signatures hold.
type Line struct {
	URL string // where the driver finds its server

	mu    sync.Mutex
	fault func(*http.Request) Fault
	hits  int
}

// A Fault does to one exchange what a bad line does. pass is the exchange
// without a fault.
type Fault func(w http.ResponseWriter, r *http.Request, pass http.Handler)

// NewLine lays a line to the server at the address target.
func NewLine(t testing.TB, target string) *Line {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
		},
		// A request that a fault broke ends without an answer.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	l := &Line{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := l.pick(r); f != nil {
			f(w, r, proxy)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	l.URL = srv.URL
	return l
}

func (l *Line) pick(r *http.Request) Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault == nil {
		return nil
	}
	f := l.fault(r)
	if f != nil {
		l.hits++
	}
	return f
}

// Break does f to the requests with this method, from the first+1st on and
// to so many of them (0: all). It replaces what was set before.
func (l *Line) Break(method string, first, many int, f Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	l.hits = 0
	l.fault = func(r *http.Request) Fault {
		if r.Method != method {
			return nil
		}
		if n++; n <= first || many > 0 && n > first+many {
			return nil
		}
		return f
	}
}

// Mend takes all faults away and returns how often one was done.
func (l *Line) Mend() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = nil
	return l.hits
}

// Lost lets the server do what it was asked and loses its answer.
func Lost(_ http.ResponseWriter, r *http.Request, pass http.Handler) {
	pass.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// Answers answers in the place of the server, which hears nothing, with an
// error in the form of S3.
func Answers(status int, code string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body) // what the driver does with its end is what is tested
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>as the test asked</Message></Error>", code)
	}
}

// CutRequest breaks the request off after n bytes of its body.
func CutRequest(n int64) Fault {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, n), brokenReader{}))
		pass.ServeHTTP(w, r)
	}
}

// CutAnswer breaks the answer off after n bytes of its body.
func CutAnswer(n int) Fault {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		pass.ServeHTTP(&tampered{ResponseWriter: w, at: n, cut: true}, r)
	}
}

// FlipRequest changes a bit of the request's body, n bytes from its start.
func FlipRequest(n int) Fault {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		r.Body = io.NopCloser(&flipping{r.Body, n})
		pass.ServeHTTP(w, r)
	}
}

// FlipAnswer changes a bit of the answer's body, n bytes from its start.
func FlipAnswer(n int) Fault {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		pass.ServeHTTP(&tampered{ResponseWriter: w, at: n}, r)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

type flipping struct {
	r  io.Reader
	at int
}

func (f *flipping) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if f.at >= 0 && f.at < n {
		p[f.at] ^= 1
	}
	f.at -= n
	return n, err
}

type tampered struct {
	http.ResponseWriter
	at  int // bytes until the fault; negative after it
	cut bool
}

func (t *tampered) Write(p []byte) (int, error) {
	if t.at >= 0 && t.at < len(p) {
		if t.cut {
			_, _ = t.ResponseWriter.Write(p[:t.at])
			panic(http.ErrAbortHandler)
		}
		p = []byte(strings.Clone(string(p)))
		p[t.at] ^= 1
	}
	t.at -= len(p)
	return t.ResponseWriter.Write(p)
}
