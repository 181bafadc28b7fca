// Package s3test runs real S3 servers for tests: MinIO, which keeps Object
// Lock to the letter, and versitygw as a second opinion, which does not.
//
// Life of a server: Start looks for the program that `make s3-servers` has
// built into .tools/bin, runs it on a free port of loopback over a temporary
// directory, waits until it answers and ends it with the test. A test without
// the program is skipped, and says why.
//
// Trust: the programs are pinned by version and built from the module proxy's
// sources. They are for tests alone: MinIO is no longer maintained, versitygw
// syncs nothing to disk.
package s3test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// A Kind names a server program with the version that Makefile builds.
type Kind string

// The servers.
const (
	MinIO     Kind = "minio-20260212201848-7aac2a2c5b7c"
	Versitygw Kind = "versitygw-1.8.0"
)

// The credentials of every server.
const (
	AccessKey = "guzheng-test"
	SecretKey = "guzheng-test-secret"
)

// patience bounds the start of a server.
const patience = 30 * time.Second

// A Server is one that runs.
type Server struct {
	URL    string
	Dir    string        // its data
	Client *minio.Client // as root, for what no Store would do
}

// Start runs a server until the end of the test.
func Start(t testing.TB, kind Kind) *Server {
	t.Helper()
	if testing.Short() {
		t.Skipf("short: no %s is started", kind)
	}
	program := find(t, string(kind))
	address := freeAddress(t)
	s := &Server{URL: "http://" + address, Dir: t.TempDir()}
	cmd := s.command(t, kind, program, address)
	log := &tail{}
	cmd.Stdout, cmd.Stderr = log, log
	ended := run(t, cmd)
	var err error
	s.Client, err = minio.New(address, &minio.Options{Creds: credentials.NewStaticV4(AccessKey, SecretKey, ""), Region: "us-east-1", MaxRetries: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.await(t, ended, log)
	return s
}

func (s *Server) command(t testing.TB, kind Kind, program, address string) *exec.Cmd {
	t.Helper()
	if kind == Versitygw {
		root, versions := filepath.Join(s.Dir, "root"), filepath.Join(s.Dir, "versions")
		for _, d := range []string{root, versions} {
			if err := os.Mkdir(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(program, "--port", address, "--quiet", "--keep-alive", "posix", "--versioning-dir", versions, root)
		cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+AccessKey, "ROOT_SECRET_KEY="+SecretKey)
		return cmd
	}
	cmd := exec.Command(program, "server", "--quiet", "--address", address, s.Dir)
	cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+AccessKey, "MINIO_ROOT_PASSWORD="+SecretKey, "MINIO_BROWSER=off",
		"MINIO_CI_CD=1", "MINIO_UPDATE=off", "MINIO_DOMAIN=s3.test", "HOME="+t.TempDir())
	return cmd
}

// await returns when the server answers.
func (s *Server) await(t testing.TB, ended <-chan error, log *tail) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := s.Client.ListBuckets(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case end := <-ended:
			t.Fatalf("server ended: %v\n%s", end, log)
		case <-ctx.Done():
			t.Fatalf("server does not answer: %v\n%s", err, log)
		}
	}
}

// Bucket makes a new bucket, with Object Lock when locked, and returns its
// name.
func (s *Server) Bucket(t testing.TB, locked bool) string {
	t.Helper()
	name := "b-" + strings.ToLower(rand.Text())
	if err := s.Client.MakeBucket(t.Context(), name, minio.MakeBucketOptions{ObjectLocking: locked}); err != nil {
		t.Fatalf("making bucket: %v", err)
	}
	return name
}

// Credentials writes a credentials file for the server.
func Credentials(t testing.TB) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "credentials")
	text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", AccessKey, SecretKey)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// find looks for a program in .tools/bin of the module.
func find(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = up
	}
	program := filepath.Join(dir, ".tools", "bin", name)
	if _, err := os.Stat(program); err != nil {
		t.Skipf("%s is not built: make s3-servers", name)
	}
	return program
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// run starts the program and ends it with the test. It holds a thread for
// the program's life: on Linux the kernel ends the program with the thread
// that started it, also when the test dies without clearing up.
func run(t testing.TB, cmd *exec.Cmd) <-chan error {
	t.Helper()
	endWithParent(cmd)
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		t.Fatalf("starting %s: %v", cmd.Path, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		for range ended {
		}
	})
	return ended
}
