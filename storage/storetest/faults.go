package storetest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"guzheng/storage"
)

// Faults runs the faults of a line. open returns an empty store and the line
// that it reaches its server by; its Put sends an object with one PUT.
func Faults(t *testing.T, open func(t *testing.T) (storage.Store, *Line)) {
	t.Helper()
	t.Run("put", func(t *testing.T) { faultyPut(t, open) })
	t.Run("open", func(t *testing.T) { faultyOpen(t, open) })
	t.Run("list", func(t *testing.T) { faultyList(t, open) })
	t.Run("down", func(t *testing.T) { down(t, open) })
}

// content is long enough to arrive in several pieces.
var content = strings.Repeat("0123456789abcdef", 1<<16)

// faultyPut breaks the PUT. Once: Put succeeds all the same, or fails and
// leaves nothing, and what is there afterwards is there once. Always: Put
// fails, unless only the answers are lost.
func faultyPut(t *testing.T, open func(t *testing.T) (storage.Store, *Line)) {
	for _, c := range []struct {
		name   string
		fault  Fault
		always bool // succeeds also when every PUT is broken
		once   bool // succeeds when one is, even if the content can be read only once
	}{
		{"answer lost", Lost, true, true},
		{"500", Answers(http.StatusInternalServerError, "InternalError"), false, false},
		{"503 slow down", Answers(http.StatusServiceUnavailable, "SlowDown"), false, false},
		{"request cut", CutRequest(300_000), false, false},
		{"byte changed on the way", FlipRequest(300_000), false, false},
		{"answer cut", CutAnswer(0), true, true},
	} {
		for _, again := range []bool{true, false} {
			reader := func() io.Reader {
				if again {
					return strings.NewReader(content)
				}
				return io.MultiReader(strings.NewReader(content)) // cannot be read twice
			}
			name := c.name + "/read once"
			if again {
				name = c.name + "/read again"
			}
			t.Run(name, func(t *testing.T) {
				s, line := open(t)
				err := brokenPut(t, s, line, 1, c.fault, reader())
				// A changed byte is a refusal and no accident of the line.
				if must := c.once || again && !strings.HasPrefix(c.name, "byte"); must && err != nil {
					t.Errorf("Put over a line broken once = %v", err)
				}
				if got := keys(t, s, ""); len(got) != 1 {
					t.Errorf("List gives %q", got)
				}
			})
			t.Run(name+"/always", func(t *testing.T) {
				s, line := open(t)
				err := brokenPut(t, s, line, 0, c.fault, reader())
				if (err == nil) != c.always {
					t.Errorf("Put = %v, want success: %v", err, c.always)
				}
			})
		}
	}
}

// brokenPut puts over a line that breaks the PUT so many times, 0 for always,
// and returns what Put said. A Put that failed leaves nothing, and once the
// line is mended the object can be put and read.
func brokenPut(t *testing.T, s storage.Store, line *Line, times int, fault Fault, from io.Reader) error {
	t.Helper()
	line.Break(http.MethodPut, 0, times, fault)
	_, err := s.Put(t.Context(), "a/k", from, want(content))
	if line.Mend() == 0 {
		t.Fatal("no PUT was broken")
	}
	if err != nil {
		nothing(t, s, "a/k")
	}
	put(t, s, "a/k", content)
	holds(t, s, "a/k", content)
	return err
}

// faultyOpen breaks the GET: whatever comes of it, no wrong byte is handed
// out.
func faultyOpen(t *testing.T, open func(t *testing.T) (storage.Store, *Line)) {
	s, line := open(t)
	put(t, s, "a/k", content)
	// An opened object can be read, or there is an error.
	try := func(t *testing.T) error {
		c, _, err := s.Open(t.Context(), "a/k")
		if err != nil {
			return err
		}
		defer c.Close()
		b, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(b, []byte(content)) {
			t.Errorf("Open gives %d bytes, %v", len(b), err)
		}
		return err
	}
	for name, c := range map[string]struct {
		fault Fault
		want  error // nil: any
	}{
		"answer cut":              {CutAnswer(300_000), nil},
		"byte changed on the way": {FlipAnswer(300_000), storage.ErrAltered},
		"503 slow down":           {Answers(http.StatusServiceUnavailable, "SlowDown"), nil},
		"access denied":           {Answers(http.StatusForbidden, "AccessDenied"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			line.Break(http.MethodGet, 0, 0, onBodies(c.fault))
			if err := try(t); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("Open = %v, want an error (%v)", err, c.want)
			} else if c.want == nil && !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("Open = %v, want ErrUnavailable", err)
			} else if c.want == nil && (errors.Is(err, storage.ErrAltered) || errors.Is(err, storage.ErrNotExist)) {
				t.Errorf("Open = %v, which blames the object", err)
			}
			if line.Mend() == 0 {
				t.Fatal("no GET was broken")
			}
			if err := try(t); err != nil {
				t.Errorf("Open over the mended line = %v", err)
			}
		})
	}
}

// onBodies leaves listings alone, which are short.
func onBodies(f Fault) Fault {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.URL.Query().Has("versions") || r.URL.Query().Has("list-type") {
			pass.ServeHTTP(w, r)
			return
		}
		f(w, r, pass)
	}
}

// faultyList breaks listings: half a list is never taken for a whole one.
func faultyList(t *testing.T, open func(t *testing.T) (storage.Store, *Line)) {
	s, line := open(t)
	for _, k := range []string{"a", "b", "c"} {
		put(t, s, k, "content")
	}
	for name, f := range map[string]Fault{
		"answer cut": CutAnswer(400), "500": Answers(http.StatusInternalServerError, "InternalError"),
	} {
		t.Run(name, func(t *testing.T) {
			line.Break(http.MethodGet, 0, 0, f)
			var failed error
			for _, err := range s.List(t.Context(), "") {
				failed = errors.Join(failed, err)
			}
			if failed == nil {
				t.Error("List over a broken line ended without an error")
			}
			line.Mend()
			if got := keys(t, s, ""); len(got) != 3 {
				t.Errorf("List over the mended line gives %q", got)
			}
		})
	}
}

// down refuses everything, as when credentials have expired: every verb says
// so, none says that the object is not there or altered.
func down(t *testing.T, open func(t *testing.T) (storage.Store, *Line)) {
	s, line := open(t)
	put(t, s, "a/k", "content")
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut} {
		t.Run(method, func(t *testing.T) {
			line.Break(method, 0, 0, Answers(http.StatusForbidden, "InvalidAccessKeyId"))
			defer line.Mend()
			_, stat := s.Stat(t.Context(), "a/k")
			_, extend := s.Extend(t.Context(), "a/k", until.AddDate(1, 0, 0))
			_, hold := s.Hold(t.Context(), "a/k", true)
			_, put := s.Put(t.Context(), "a/"+method, strings.NewReader("content"), want("content"))
			for name, err := range map[string]error{"Stat": stat, "Extend": extend, "Hold": hold, "Put": put} {
				if method == http.MethodPut && name == "Stat" {
					continue
				}
				if errors.Is(err, storage.ErrNotExist) || errors.Is(err, storage.ErrAltered) || errors.Is(err, storage.ErrConflict) {
					t.Errorf("%s = %v, which blames the object", name, err)
				}
				if err != nil && !errors.Is(err, storage.ErrUnavailable) {
					t.Errorf("%s = %v, want ErrUnavailable", name, err)
				}
				if method == http.MethodPut && err == nil {
					t.Errorf("%s succeeded", name)
				}
			}
		})
	}
	holds(t, s, "a/k", "content")
	put(t, s, "a/l", "content")
}
