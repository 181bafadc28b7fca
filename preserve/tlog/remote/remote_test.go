package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"guzheng/preserve/tlog"
	"guzheng/preserve/tlog/ledger"
	"guzheng/preserve/tlog/tiles"
)

const token = "secret"

// TestMain lets the test binary be the node, to be killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("REMOTE_TEST_DIR"); dir != "" {
		fmt.Fprintln(os.Stderr, node(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// node serves the log in dir and prints its address.
func node(dir string) error {
	l, err := ledger.Open(context.Background(), filepath.Join(dir, "log"), filepath.Join(dir, "keys"))
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + ln.Addr().String())
	return http.Serve(ln, &Server{Log: l, Dir: filepath.Join(dir, "log"), Token: token})
}

func startNode(t *testing.T, dir string) (url string, kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "REMOTE_TEST_DIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanln(out, &url); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	kill = func() {
		once.Do(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
	t.Cleanup(kill)
	return url, kill
}

func newDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func event(by string, i int) []byte {
	return fmt.Appendf(nil, `{"event":"kept","by":%q,"n":%d}`, by, i)
}

func serve(t *testing.T, dir string) (*ledger.Log, string) {
	t.Helper()
	l, err := ledger.Open(t.Context(), filepath.Join(dir, "log"), filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(&Server{Log: l, Dir: filepath.Join(dir, "log"), Token: token})
	t.Cleanup(func() {
		srv.Close()
		if err := l.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return l, srv.URL
}

func worker(t *testing.T, url string) *Log {
	t.Helper()
	return &Log{URL: url, Token: token, State: filepath.Join(t.TempDir(), "state")}
}

func TestShared(t *testing.T) {
	t.Parallel()
	_, url := serve(t, newDir(t))
	one, two := worker(t, url), worker(t, url)
	if n, err := one.Size(t.Context()); err != nil || n != 0 {
		t.Fatalf("size %d, %v", n, err)
	}
	if _, err := one.Checkpoint(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("checkpoint of nothing: %v", err)
	}
	var wg sync.WaitGroup
	places := make([]int64, 20)
	for i := range 20 {
		l := one
		if i%2 == 1 {
			l = two
		}
		wg.Go(func() {
			e, err := l.Append(t.Context(), event("both", i), 0)
			if err != nil {
				t.Error(err)
			}
			places[i] = e.Index
		})
	}
	wg.Wait()
	seen := map[int64]bool{}
	for i, p := range places {
		if seen[p] {
			t.Errorf("place %d twice", p)
		}
		seen[p] = true
		// The same event again, by whomever, has the first place.
		if e, err := two.Append(t.Context(), event("both", i), 0); err != nil || e.Index != p {
			t.Errorf("event %d again at %d, %v; was at %d", i, e.Index, err, p)
		}
	}
	if n, err := two.Size(t.Context()); err != nil || n != 20 {
		t.Errorf("size %d, %v", n, err)
	}
	if _, err := one.Append(t.Context(), []byte("no event"), 0); !errors.Is(err, ErrNode) {
		t.Errorf("no JSON: %v", err)
	}
	if _, err := one.Append(t.Context(), []byte(`"`+strings.Repeat("x", tlog.MaxLeaf)+`"`), 0); !errors.Is(err, ErrNode) {
		t.Errorf("too long: %v", err)
	}
}

// TestAtOnce posts one event many times at the same moment.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	l, url := serve(t, newDir(t))
	w := worker(t, url)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if e, err := w.Append(t.Context(), event("same", 0), 0); err != nil || e.Index != 0 {
				t.Errorf("at %d, %v", e.Index, err)
			}
		})
	}
	wg.Wait()
	if n, err := l.Size(t.Context()); err != nil || n != 1 {
		t.Errorf("size %d, %v", n, err)
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	_, url := serve(t, newDir(t))
	for _, bad := range []string{"", "secre", "secret2"} {
		w := worker(t, url)
		w.Token = bad
		if _, err := w.Append(t.Context(), event("x", 0), 0); !errors.Is(err, ErrNode) || !strings.Contains(err.Error(), "401") {
			t.Errorf("token %q: %v", bad, err)
		}
	}
	open := httptest.NewServer(&Server{})
	defer open.Close()
	w := worker(t, open.URL)
	w.Token = ""
	if _, err := w.Append(t.Context(), event("x", 0), 0); !errors.Is(err, ErrNode) {
		t.Errorf("a server without a token: %v", err)
	}
}

// TestKilled kills the node again and again while a worker posts: every event
// is logged once, and whatever was answered stays.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	w := worker(t, "")
	places := map[int]int64{}
	const rounds, events = 3, 12
	i := 0
	for round := range rounds {
		url, kill := startNode(t, dir)
		w.URL = url
		if round < rounds-1 {
			go func() { // in the middle of what follows
				for n := 0; n < 4; {
					if e, err := os.ReadDir(filepath.Join(dir, "log", "tile", "entries")); err == nil && len(e) > 0 {
						n++
					}
					if _, err := w.Size(t.Context()); err != nil {
						break
					}
				}
				kill()
			}()
		}
		for ; i < events; i++ {
			e, err := w.Append(t.Context(), event("kill", i), 0)
			if err != nil && round < rounds-1 {
				break // the same event again, at the next node
			}
			if err != nil {
				t.Fatal(err)
			}
			places[i] = e.Index
		}
		kill()
	}
	key, err := ledger.Verifier(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	// Opened once more, so that what was sequenced last is published.
	l, err := ledger.Open(t.Context(), filepath.Join(dir, "log"), filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	tree, err := tiles.Open(filepath.Join(dir, "log"), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Check(t.Context(), nil); err != nil || tree.Checkpoint().Size != events {
		t.Errorf("%d events, %v", tree.Checkpoint().Size, err)
	}
	for i := range events {
		if leaf, err := tree.Event(places[i]); err != nil || string(leaf) != string(event("kill", i)) {
			t.Errorf("event %d: %s, %v", i, leaf, err)
		}
	}
}

// TestWorkerKilled loses the answer: the worker that begins again gets it.
func TestWorkerKilled(t *testing.T) {
	t.Parallel()
	l, url := serve(t, newDir(t))
	w := worker(t, url)
	since, err := w.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.Client = &http.Client{Transport: cut{cancel}}
	if _, err := w.Append(ctx, event("lost", 0), since); err == nil {
		t.Fatal("the answer came through")
	}
	again := &Log{URL: url, Token: token, State: w.State}
	if e, err := again.Append(t.Context(), event("lost", 0), since); err != nil || e.Index != 0 {
		t.Errorf("at %d, %v", e.Index, err)
	}
	if n, err := l.Size(t.Context()); err != nil || n != 1 {
		t.Errorf("size %d, %v", n, err)
	}
}

// cut sends a request and dies before the answer.
type cut struct{ die func() }

func (c cut) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		_ = resp.Body.Close()
	}
	c.die()
	return nil, context.Canceled
}

// TestAnotherHistory has the node come back with an old copy of the log, with
// another one of the same key, and with one of another key.
func TestAnotherHistory(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	l, url := serve(t, dir)
	w := worker(t, url)
	if _, err := w.Append(t.Context(), event("a", 0), 0); err != nil {
		t.Fatal(err)
	}
	old := newDir(t)
	if err := os.CopyFS(filepath.Join(old, "log"), os.DirFS(filepath.Join(dir, "log"))); err != nil {
		t.Fatal(err)
	}
	other := newDir(t)
	for _, d := range []string{old, other} {
		secret, err := os.ReadFile(filepath.Join(dir, "keys", "log.key"))
		if err != nil {
			t.Fatal(err)
		}
		marker := filepath.Join(d, "log", "guzheng-log")
		if err := errors.Join(os.MkdirAll(filepath.Dir(marker), 0o755), os.WriteFile(filepath.Join(d, "keys", "log.key"), secret, 0o600),
			os.WriteFile(marker, []byte(l.Verifier()+"\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		if _, err := w.Append(t.Context(), event("a", i+1), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, oldURL := serve(t, old)
	forked, otherURL := serve(t, other)
	for i := range 6 {
		if _, err := forked.Append(t.Context(), event("b", i), 0); err != nil {
			t.Fatal(err)
		}
	}
	_, strangeURL := serve(t, newDir(t))
	for name, c := range map[string]struct {
		url  string
		want error
	}{"old copy": {oldURL, ledger.ErrShrank}, "other log": {otherURL, ledger.ErrForked}, "other key": {strangeURL, ledger.ErrForked}} {
		again := &Log{URL: c.url, Token: token, State: w.State}
		if err := again.Open(t.Context()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := w.Open(t.Context()); err != nil {
		t.Errorf("the log itself: %v", err)
	}
	gone := &Log{URL: "http://127.0.0.1:9", Token: token, State: w.State}
	if err := gone.Open(t.Context()); !errors.Is(err, ErrNode) || gone.Verifier() != l.Verifier() {
		t.Errorf("nobody there: %v, key %q", err, gone.Verifier())
	}
}
