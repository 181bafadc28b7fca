package preserve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"guzheng/capture"
	"guzheng/capture/warc"
	"guzheng/preserve/key"
	"guzheng/preserve/seal"
	"guzheng/preserve/tlog/ledger"
	"guzheng/preserve/tsa"
	"guzheng/storage"
	"guzheng/storage/dir"
)

const (
	testID  = "GZ-20261123-7KQ4M2XD"
	pageURL = "http://shop.example/goods?id=1"
	title   = "shop"
)

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if home := os.Getenv("KEEPER_TEST_HOME"); home != "" {
		if err := child(home, os.Getenv("KEEPER_TEST_POINT")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child keeps the take and kills itself, with no chance to tidy up, when it
// reaches the point.
func child(home, point string) error {
	k, _, err := keeper(home)
	if err != nil {
		return err
	}
	k.at = func(p string) error {
		if p == point {
			self, err := os.FindProcess(os.Getpid())
			if err == nil {
				err = self.Kill()
			}
			if err != nil {
				return err
			}
			select {}
		}
		return nil
	}
	_, err = k.Keep(context.Background(), filepath.Join(home, "spool", testID))
	return err
}

// keeper is a Keeper of real parts below home.
func keeper(home string) (Keeper, *ledger.Log, error) {
	keys := filepath.Join(home, "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		return Keeper{}, nil, err
	}
	sk, err := key.Open(filepath.Join(keys, "seal.pem"), nil)
	if err != nil {
		return Keeper{}, nil, err
	}
	practice, err := tsa.OpenPractice(keys, time.Now)
	if err != nil {
		return Keeper{}, nil, err
	}
	log, err := ledger.Open(context.Background(), filepath.Join(home, "log"), keys)
	if err != nil {
		return Keeper{}, nil, err
	}
	store, err := dir.Open(filepath.Join(home, "store"), time.Now)
	if err != nil {
		return Keeper{}, nil, err
	}
	press := seal.Press{Key: sk, Authorities: []tsa.Authority{practice}, Log: log, Now: time.Now}
	return Keeper{Press: press, Store: store, Now: time.Now, Spool: filepath.Join(home, "spool")}, log, nil
}

func open(t *testing.T, home string) (Keeper, *ledger.Log) {
	t.Helper()
	k, log, err := keeper(home)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return k, log
}

func testOrder() capture.Order {
	return capture.Order{Format: capture.OrderFormat, ID: testID, Kind: capture.KindWeb, URL: pageURL + "#top", Case: "C-1", Cause: "cause", Party: "party",
		Created: time.Date(2026, 11, 22, 23, 30, 0, 0, time.UTC), Viewport: capture.Viewport{Width: 1280, Height: 800, Scale: 1}, Limits: capture.DefaultLimits()}
}

// spool makes a home with a closed take in its spool and returns both.
func spool(t testing.TB) (home, berth string) {
	t.Helper()
	home = t.TempDir()
	return home, fill(t, home, testOrder(), nil)
}

// fill makes a closed take of the order in the spool below home, with a
// picture when there is one.
func fill(t testing.TB, home string, order capture.Order, picture []byte) (berth string) {
	t.Helper()
	berth = filepath.Join(home, "spool", order.ID)
	if err := os.MkdirAll(berth, 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := order.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(berth, orderFile), b, 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := capture.OpenDir(filepath.Join(berth, takeDir), order, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := json.Marshal(capture.Facts{Format: capture.FactsFormat, FinalURL: pageURL + "#top", Title: title, Tool: capture.Tool{Name: "guzheng", Version: "0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	warcBytes, err := traffic()
	if err != nil {
		t.Fatal(err)
	}
	files := []struct {
		kind, path string
		b          []byte
	}{
		{capture.FileFacts, "evidence/facts.json", facts}, {capture.FileText, "evidence/text.txt", []byte("price 9.90")},
		{capture.FileDOM, "evidence/dom.html", []byte("<html>")}, {capture.FileWARC, "archive/data.warc.gz", warcBytes},
		{capture.FileFull, "evidence/full.png", picture},
	}
	if picture == nil {
		files = files[:len(files)-1]
	}
	for _, f := range files {
		if err := d.Write(f.kind, "text/plain", f.path, f.b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Close(capture.Complete, nil); err != nil {
		t.Fatal(err)
	}
	return berth
}

// traffic is one WARC for all tests.
var traffic = sync.OnceValues(func() ([]byte, error) {
	var b bytes.Buffer
	w, err := warc.NewWriter(&b, warc.Info{Software: "test", Created: time.Now()})
	if err != nil {
		return nil, err
	}
	for _, x := range []struct {
		url    string
		status int
	}{{"http://shop.example/", 302}, {pageURL, 200}} {
		body := "<html>" + x.url
		_, err := w.Exchange(warc.Exchange{URL: x.url, Method: "GET", Status: x.status, Protocol: "http/1.1", PageID: "page-1",
			Header: []warc.Field{{Name: "Content-Type", Value: "text/html"}}, Body: strings.NewReader(body), BodyBytes: int64(len(body)), Time: time.Now()})
		if err != nil {
			return nil, err
		}
	}
	return b.Bytes(), w.Close()
})

// objects lists the keys in the store.
func objects(t *testing.T, s storage.Store) []string {
	t.Helper()
	var out []string
	for o, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, o.Key)
	}
	return out
}
