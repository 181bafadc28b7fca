//go:build unix

package dir

import (
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guzheng/storage"
	"guzheng/storage/internal/flock"
)

// The steps of Put after which something may stop it, and whether the
// object is there then.
var steps = []struct {
	name  string
	there bool
}{{"staged", false}, {"intended", false}, {"placed", true}, {"recorded", true}}

// afterStop opens the store anew, as after a crash, and checks that it holds
// the object whole or not at all, and that Put and everything else work.
func afterStop(t *testing.T, root string, there bool) {
	t.Helper()
	s := openStore(t, root)
	for name := range files(t, root) {
		if strings.HasPrefix(name, tmpDir) {
			t.Errorf("Open left %s", name)
		}
	}
	listed := 0
	for o, err := range s.List(t.Context(), "") {
		if listed++; o.Key != "a/k" || err != nil {
			t.Errorf("List yields %+v, %v", o, err)
		}
	}
	if (listed == 1) != there {
		t.Errorf("listed %d objects, there = %v", listed, there)
	}
	err := opens(t, s, "content")
	if there && err != nil {
		t.Errorf("Open = %v", err)
	}
	if !there && !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("Open = %v, want ErrNotExist", err)
	}
	if there {
		if _, err := putIn(t.Context(), s, "a/k", "changed"); !errors.Is(err, storage.ErrConflict) {
			t.Errorf("Put of others = %v, want ErrConflict", err)
		}
	}
	if _, err := putIn(t.Context(), s, "a/k", "content"); err != nil {
		t.Fatalf("Put again = %v", err)
	}
	if err := opens(t, s, "content"); err != nil {
		t.Error(err)
	}
	want := map[string]string{"a/k": "-r--r--r--", "a/k~meta.json": "-r--r--r--"}
	if d := cmp.Diff(want, files(t, root)); d != "" {
		t.Errorf("files after Put again (-want +got):\n%s", d)
	}
}

// opens reads a/k and returns the error of Open.
func opens(t *testing.T, s *Store, content string) error {
	t.Helper()
	c, _, err := s.Open(t.Context(), "a/k")
	if err != nil {
		return err
	}
	defer c.Close()
	if b, err := io.ReadAll(c); string(b) != content {
		t.Errorf("a/k holds %q, %v", b, err)
	}
	return nil
}

func TestPutStopped(t *testing.T) {
	for _, step := range steps {
		t.Run("fails/"+step.name, func(t *testing.T) {
			root := t.TempDir()
			s := openStore(t, root)
			stop := errors.New("stop")
			s.step = func(done string) error {
				if done == step.name {
					return stop
				}
				return nil
			}
			if _, err := putIn(t.Context(), s, "a/k", "content"); !errors.Is(err, stop) {
				t.Fatalf("Put = %v, want the stop", err)
			}
			afterStop(t, root, step.there)
		})
		t.Run("killed/"+step.name, func(t *testing.T) {
			root := t.TempDir()
			err := child(t, root, "GUZHENG_TEST_KILL="+step.name).Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != -1 {
				t.Fatalf("child = %v, want a kill", err)
			}
			afterStop(t, root, step.there)
		})
		// A killed Put must not keep others from bringing other bytes,
		// unless its own have arrived.
		t.Run("others/"+step.name, func(t *testing.T) {
			root := t.TempDir()
			if err := child(t, root, "GUZHENG_TEST_KILL="+step.name).Run(); err == nil {
				t.Fatal("child was not killed")
			}
			s := openStore(t, root)
			_, err := putIn(t.Context(), s, "a/k", "changed")
			if step.there && !errors.Is(err, storage.ErrConflict) || !step.there && err != nil {
				t.Errorf("Put of others = %v", err)
			}
		})
	}
}

// TestRemoveStopped interrupts Remove after each of its steps: the object is
// whole or gone, and Remove or Put can finish.
func TestRemoveStopped(t *testing.T) {
	for step, there := range map[string]bool{"disowned": true, "removed": false} {
		t.Run(step, func(t *testing.T) {
			root := t.TempDir()
			if _, err := putIn(t.Context(), openStore(t, root), "a/k", "content"); err != nil {
				t.Fatal(err)
			}
			s, err := Open(root, func() time.Time { return until })
			if err != nil {
				t.Fatal(err)
			}
			stop := errors.New("stop")
			s.step = func(done string) error {
				if done == step {
					return stop
				}
				return nil
			}
			if err := s.Remove(t.Context(), "a/k"); !errors.Is(err, stop) {
				t.Fatalf("Remove = %v, want the stop", err)
			}
			s.step = nil
			if there {
				if err := opens(t, s, "content"); err != nil {
					t.Error(err)
				}
				if err := s.Remove(t.Context(), "a/k"); err != nil {
					t.Errorf("Remove again = %v", err)
				}
			}
			afterStop(t, root, false)
		})
	}
}

// TestStates makes by hand the states that a power loss, an old backup or a
// person can leave.
func TestStates(t *testing.T) {
	root := t.TempDir()
	if _, err := putIn(t.Context(), openStore(t, root), "a/k", "content"); err != nil {
		t.Fatal(err)
	}
	rec, err := os.ReadFile(filepath.Join(root, "a/k~meta.json"))
	if err != nil {
		t.Fatal(err)
	}
	record := string(rec)
	for name, c := range map[string]struct {
		files map[string]string
		open  error // nil: the object is there
	}{
		"nothing":                      {nil, storage.ErrNotExist},
		"half a temporary file":        {map[string]string{tmpDir + "/X": "cont"}, storage.ErrNotExist},
		"temporary file and intent":    {map[string]string{tmpDir + "/X": "content", "a/k~intent.json": record}, storage.ErrNotExist},
		"intent only":                  {map[string]string{"a/k~intent.json": record}, storage.ErrNotExist},
		"intent and object":            {map[string]string{"a/k~intent.json": record, "a/k": "content"}, nil},
		"object and record":            {map[string]string{"a/k~meta.json": record, "a/k": "content"}, nil},
		"object, intent and record":    {map[string]string{"a/k~intent.json": record, "a/k~meta.json": record, "a/k": "content"}, nil},
		"object and temporary record":  {map[string]string{"a/k~meta.json": record, "a/k": "content", tmpDir + "/Y": record[:20]}, nil},
		"object without record":        {map[string]string{"a/k": "content"}, storage.ErrAltered},
		"record without object":        {map[string]string{"a/k~meta.json": record}, storage.ErrAltered},
		"record and intent, no object": {map[string]string{"a/k~meta.json": record, "a/k~intent.json": record}, storage.ErrAltered},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			openStore(t, root)
			for file, content := range c.files {
				file = filepath.Join(root, filepath.FromSlash(file))
				if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			s := openStore(t, root)
			if err := opens(t, s, "content"); !errors.Is(err, c.open) {
				t.Errorf("Open = %v, want %v", err, c.open)
			}
			if _, err := putIn(t.Context(), s, "a/k", "content"); err != nil {
				t.Fatalf("Put = %v", err)
			}
			if err := opens(t, s, "content"); err != nil {
				t.Error(err)
			}
			got := files(t, root)
			if _, err := s.Extend(t.Context(), "a/k", until.AddDate(1, 0, 0)); err != nil {
				t.Error(err)
			}
			maps.DeleteFunc(got, func(name, _ string) bool { return name == "a/k" || name == "a/k~meta.json" })
			delete(got, "a/k~intent.json") // may stay when the record was there
			if len(got) > 0 {
				t.Errorf("left: %v", got)
			}
		})
	}
}

// TestOpenSparesTheLiving checks that Open leaves the temporary files alone
// while somebody writes.
func TestOpenSparesTheLiving(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	s.step = func(done string) error {
		if done == "staged" {
			openStore(t, root)
		}
		return nil
	}
	if _, err := putIn(t.Context(), s, "a/k", "content"); err != nil {
		t.Fatal(err)
	}
	f, err := s.lockFile(writers)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := flock.Try(f); err != nil {
		t.Errorf("after Put: %v", err)
	}
}
