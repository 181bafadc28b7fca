package ledger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"guzheng/preserve/tlog"
	"guzheng/preserve/tlog/tiles"
)

// TestMain lets the test binary be a second process that appends.
func TestMain(m *testing.M) {
	if dir := os.Getenv("LEDGER_TEST_DIR"); dir != "" {
		if err := child(dir, os.Getenv("LEDGER_TEST_NAME")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child appends numbered events and prints each one that is acknowledged.
// The name "forever" never ends by itself.
func child(dir, name string) error {
	ctx := context.Background()
	l, err := Open(ctx, filepath.Join(dir, "log"), filepath.Join(dir, "keys"))
	if err != nil {
		return err
	}
	for i := 0; i < 20 || name == "forever"; i++ {
		leaf := event(name, i)
		e, err := l.Append(ctx, leaf, 0)
		if err != nil {
			return err
		}
		fmt.Println(e.Index, string(leaf))
	}
	return l.Close(ctx)
}

func event(name string, i int) []byte {
	return fmt.Appendf(nil, `{"event":"kept","by":%q,"n":%d}`, name, i)
}

func process(t *testing.T, dir, name string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "LEDGER_TEST_DIR="+dir, "LEDGER_TEST_NAME="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

func home(t *testing.T) (dir, log, keys string) {
	t.Helper()
	dir = t.TempDir()
	log, keys = filepath.Join(dir, "log"), filepath.Join(dir, "keys")
	if err := os.Mkdir(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir, log, keys
}

func open(t *testing.T, log, keys string) *Log {
	t.Helper()
	l, err := Open(t.Context(), log, keys)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func closeLog(t *testing.T, l *Log) {
	t.Helper()
	if err := l.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

func TestAppend(t *testing.T) {
	t.Parallel()
	_, log, keys := home(t)
	l := open(t, log, keys)
	began := time.Now()
	first, err := l.Append(t.Context(), event("a", 0), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("published after %s", time.Since(began).Round(time.Millisecond))
	if first.Index != 0 || !strings.HasPrefix(first.Origin, "guzheng.local/") || len(first.Origin) != len("guzheng.local/12345678") {
		t.Errorf("entry %+v", first)
	}
	// The same event again is the same entry, even after reopening.
	closeLog(t, l)
	l = open(t, log, keys)
	defer closeLog(t, l)
	size, err := l.Size(t.Context())
	if err != nil || size != 1 {
		t.Fatalf("size %d, %v", size, err)
	}
	again, err := l.Append(t.Context(), event("a", 0), 0)
	if err != nil || again.Index != 0 {
		t.Errorf("logged twice: %d, %v", again.Index, err)
	}
	// Unless it is asked to look only behind it.
	if next, err := l.Append(t.Context(), event("a", 0), 1); err != nil || next.Index != 1 {
		t.Errorf("event from 1: %d, %v", next.Index, err)
	}
	if _, err := l.Append(t.Context(), make([]byte, 70_000), 0); err == nil {
		t.Error("an event of 70,000 bytes was logged")
	}
	if _, _, err := l.Find(t.Context(), event("a", 0), 99); !errors.Is(err, ErrLost) {
		t.Errorf("a log that became shorter: %v", err)
	}
}

func TestFindOverBundles(t *testing.T) {
	t.Parallel()
	_, log, keys := home(t)
	l := open(t, log, keys)
	defer closeLog(t, l)
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			if _, err := l.sequence(t.Context(), event("many", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen := map[uint64]bool{}
	for i := range 300 {
		index, ok, err := l.Find(t.Context(), event("many", i), 0)
		if err != nil || !ok || seen[index] {
			t.Fatalf("event %d: at %d, %v %v", i, index, ok, err)
		}
		seen[index] = true
		if index != 0 && index != 255 && index != 256 && index != 299 {
			continue
		}
		e, err := l.Append(t.Context(), event("many", i), 0)
		if err != nil {
			t.Fatal(err)
		}
		if r := tlog.Check(e, []string{l.Verifier()}); r.State() != tlog.Passed || e.Index != int64(index) {
			t.Errorf("event %d: %+v", i, r)
		}
	}
	if n, err := l.Size(t.Context()); err != nil || n != 300 {
		t.Errorf("size %d, %v", n, err)
	}
}

func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	dir, log, keys := home(t)
	names := []string{"one", "two"}
	var wg sync.WaitGroup
	for _, name := range names {
		cmd := process(t, dir, name)
		wg.Go(func() {
			if err := cmd.Run(); err != nil {
				t.Errorf("process %s: %v", name, err)
			}
		})
	}
	wg.Wait()
	l := open(t, log, keys)
	defer closeLog(t, l)
	if n, err := l.Size(t.Context()); err != nil || n != 40 {
		t.Errorf("size %d, %v; want every event once", n, err)
	}
	for _, name := range names {
		for i := range 20 {
			if _, ok, err := l.Find(t.Context(), event(name, i), 0); !ok || err != nil {
				t.Errorf("event %s %d: %v %v", name, i, ok, err)
			}
		}
	}
	tree, err := tiles.Open(log, l.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Check(t.Context(), nil); err != nil || tree.Checkpoint().Size != 40 {
		t.Errorf("the log is not sound: %d events, %v", tree.Checkpoint().Size, err)
	}
	if known, err := Known(keys); err != nil || known != tree.Note() {
		t.Errorf("trusted is %q, newest %q, %v", known, tree.Note(), err)
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	dir, log, keys := home(t)
	cmd := process(t, dir, "forever")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acked []string
	for s := bufio.NewScanner(out); s.Scan(); {
		if acked = append(acked, s.Text()); len(acked) == 5 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait()
	l := open(t, log, keys)
	defer closeLog(t, l)
	for i, line := range acked {
		index, ok, err := l.Find(t.Context(), event("forever", i), 0)
		if !ok || err != nil || fmt.Sprintf("%d %s", index, event("forever", i)) != line {
			t.Errorf("acknowledged %q, found %d %v %v", line, index, ok, err)
		}
	}
	// The event that was under way is logged once, whether it had landed or
	// not.
	e, err := l.Append(t.Context(), event("forever", len(acked)), 0)
	if err != nil || int(e.Index) != len(acked) {
		t.Errorf("went on at %d, %v; want %d", e.Index, err, len(acked))
	}
}

func TestRefusesToBeginAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(log, keys string) error
		ok    bool
	}{
		"nothing wrong":    {func(string, string) error { return nil }, true},
		"log removed":      {func(log, _ string) error { return os.RemoveAll(log) }, false},
		"state removed":    {func(log, _ string) error { return os.RemoveAll(filepath.Join(log, ".state")) }, false},
		"marker removed":   {func(log, _ string) error { return os.Remove(filepath.Join(log, markerFile)) }, false},
		"key removed":      {func(_, keys string) error { return os.Remove(filepath.Join(keys, keyFile)) }, false},
		"all keys removed": {func(_, keys string) error { return os.RemoveAll(keys) }, false},
		"crash before the key": {func(log, keys string) error {
			return errors.Join(os.RemoveAll(filepath.Join(log, ".state")), os.Remove(filepath.Join(keys, keyFile)), os.Remove(filepath.Join(keys, verifierFile)))
		}, true},
		"crash before the tree": {func(log, keys string) error {
			return errors.Join(os.RemoveAll(filepath.Join(log, ".state")), os.Remove(filepath.Join(keys, verifierFile)))
		}, true},
	} {
		_, log, keys := home(t)
		closeLog(t, open(t, log, keys))
		if st, err := os.Stat(filepath.Join(keys, keyFile)); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: key file: %v", name, err)
		}
		if err := c.spoil(log, keys); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(keys, 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := Open(t.Context(), log, keys)
		if err == nil {
			closeLog(t, l)
		}
		if c.ok && err != nil || !c.ok && !errors.Is(err, ErrLost) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
