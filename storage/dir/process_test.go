//go:build unix

package dir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"guzheng/storage"
)

// TestMain lets the test binary play a process of its own: it puts one
// object and reports how that ended.
func TestMain(m *testing.M) {
	root := os.Getenv("GUZHENG_TEST_STORE")
	if root == "" {
		os.Exit(m.Run())
	}
	fmt.Println(play(root))
}

func play(root string) string {
	if os.Getenv("GUZHENG_TEST_FULL") != "" {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 16, Max: 1 << 16}); err != nil {
			return err.Error()
		}
	}
	s, err := Open(root, clock)
	if err != nil {
		return err.Error()
	}
	s.step = func(done string) error {
		if done != os.Getenv("GUZHENG_TEST_KILL") {
			return nil
		}
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	content := os.Getenv("GUZHENG_TEST_CONTENT")
	if content == "" {
		content = "content"
	}
	if os.Getenv("GUZHENG_TEST_FULL") != "" {
		content = strings.Repeat(content, 1<<14)
	}
	_, err = s.Put(context.Background(), "a/k", strings.NewReader(content), wantOf(content))
	switch {
	case err == nil:
		return "stored"
	case errors.Is(err, storage.ErrConflict):
		return "conflict"
	}
	return err.Error()
}

func child(t *testing.T, root string, env ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), exe)
	c.Env = append(os.Environ(), append(env, "GUZHENG_TEST_STORE="+root)...)
	return c
}

// TestProcesses lets six processes bring three contents under one key.
func TestProcesses(t *testing.T) {
	root := t.TempDir()
	var out [6]strings.Builder
	var running [6]*exec.Cmd
	for i := range running {
		running[i] = child(t, root, fmt.Sprintf("GUZHENG_TEST_CONTENT=content %d", i%3))
		running[i].Stdout = &out[i]
		if err := running[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range running {
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	o, err := openStore(t, root).Stat(t.Context(), "a/k")
	if err != nil {
		t.Fatal(err)
	}
	for i := range out {
		want := "conflict"
		if wantOf(fmt.Sprintf("content %d", i%3)).SHA256 == o.SHA256 {
			want = "stored"
		}
		if got := strings.TrimSpace(out[i].String()); got != want {
			t.Errorf("process %d: %s, want %s", i, got, want)
		}
	}
}

// TestNoRoom makes the system refuse bytes beyond 64 KB, as a full disk
// does in the midst of an object.
func TestNoRoom(t *testing.T) {
	root := t.TempDir()
	out, err := child(t, root, "GUZHENG_TEST_FULL=1").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.TrimSpace(string(out))
	if !strings.HasPrefix(got, "storing a/k: write ") || !strings.HasSuffix(got, syscall.EFBIG.Error()) {
		t.Errorf("Put says %q", got)
	}
	if left := files(t, root); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestReadOnlyDirectory needs a user whom permissions bind.
func TestReadOnlyDirectory(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("permissions do not bind the superuser")
	}
	root := t.TempDir()
	s := openStore(t, root)
	if err := os.Chmod(root, 0o555); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(root, 0o755)
	if _, err := putIn(t.Context(), s, "a/k", "content"); !errors.Is(err, os.ErrPermission) {
		t.Errorf("Put = %v, want ErrPermission", err)
	}
	os.Chmod(root, 0o755)
	if left := files(t, root); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
