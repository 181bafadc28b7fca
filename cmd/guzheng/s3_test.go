package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"guzheng/storage/s3/s3test"
	"guzheng/storage/storetest"
)

// TestScriptsS3 runs the verbs on evidence in a bucket of MinIO: $S3 is its
// address, $BUCKET has Object Lock and $OPEN has none.
func TestScriptsS3(t *testing.T) {
	srv := s3test.Start(t, s3test.MinIO)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/s3",
		Setup: func(e *testscript.Env) error {
			e.Setenv("GUZHENG_HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("GUZHENG_LANG", "en")
			e.Setenv("AWS_ACCESS_KEY_ID", s3test.AccessKey)
			e.Setenv("AWS_SECRET_ACCESS_KEY", s3test.SecretKey)
			line := storetest.NewLine(t, srv.URL)
			e.Values[lineKey{}] = line
			addresses := map[string]string{"S3": srv.URL, "LINE": line.URL, "BUCKET": srv.Bucket(t, true), "OPEN": srv.Bucket(t, false)}
			for name, value := range addresses {
				e.Setenv(name, value)
			}
			files, err := filepath.Glob(filepath.Join(e.WorkDir, "*.yaml"))
			if err != nil {
				return err
			}
			for _, f := range files {
				b, err := os.ReadFile(f)
				if err != nil {
					return err
				}
				text := os.Expand(string(b), func(name string) string { return addresses[name] })
				if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
					return err
				}
			}
			return os.MkdirAll(filepath.Join(e.WorkDir, "home"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "shop": startShop, "field": field, "flip": flip, "find": find,
			// Of what the next commands put, the first so many arrive:
			// snap N. mend ends it.
			"snap": func(ts *testscript.TestScript, _ bool, a []string) {
				n, err := strconv.Atoi(a[0])
				ts.Check(err)
				lineOf(ts).Break(http.MethodPut, n, 0, storetest.Answers(http.StatusServiceUnavailable, "SlowDown"))
			},
			"mend": func(ts *testscript.TestScript, _ bool, _ []string) {
				if lineOf(ts).Mend() == 0 {
					ts.Fatalf("nothing was broken")
				}
			},
		},
	})
}

type lineKey struct{}

// lineOf is the script's own line to the server, at $LINE.
func lineOf(ts *testscript.TestScript) *storetest.Line {
	line, ok := ts.Value(lineKey{}).(*storetest.Line)
	if !ok {
		ts.Fatalf("no line")
	}
	return line
}

// find sets $NAME to the one file below a directory with this base name:
// find NAME DIR BASE.
func find(ts *testscript.TestScript, _ bool, a []string) {
	var found []string
	ts.Check(filepath.WalkDir(ts.MkAbs(a[1]), func(p string, _ os.DirEntry, err error) error {
		if filepath.Base(p) == a[2] {
			found = append(found, p)
		}
		return err
	}))
	if len(found) != 1 {
		ts.Fatalf("%d files are called %s", len(found), a[2])
	}
	ts.Setenv(a[0], found[0])
}
