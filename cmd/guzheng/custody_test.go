package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"guzheng/capture"
	"guzheng/preserve"
	"guzheng/preserve/custody"
	"guzheng/report/words"
	"guzheng/storage"
	"guzheng/storage/dir"
)

// scriptHome opens the home of a script in this process.
func scriptHome(ts *testscript.TestScript, warnings *bytes.Buffer) *home {
	h := &home{dir: ts.Getenv("GUZHENG_HOME"), err: warnings}
	var err error
	h.cfg, err = loadConfig(h.dir, "")
	ts.Check(err)
	h.words, err = words.New("en")
	ts.Check(err)
	ts.Check(h.openStore(context.Background()))
	return h
}

// disposeLater disposes of a record four years later: disposed ID. The clock
// is this test's, since the program has no switch for it.
func disposeLater(ts *testscript.TestScript, _ bool, a []string) {
	ctx := context.Background()
	var warnings bytes.Buffer
	h := scriptHome(ts, &warnings)
	defer func() { ts.Check(h.Close()) }()
	b, err := h.books(ctx)
	ts.Check(err)
	b.Now = func() time.Time { return capture.Now().AddDate(4, 0, 0) }
	b.Store, err = dir.Open(filepath.Join(h.dir, "store"), b.Now)
	ts.Check(err)
	e, err := h.find(ctx, a[0])
	ts.Check(err)
	deed := func(name, licence string) custody.Deed {
		return custody.Deed{By: custody.Person{Name: name, Licence: licence, Account: "inspector"}, Reason: "term is over"}
	}
	_, err = b.Due(ctx, e)
	ts.Check(err)
	_, err = b.Propose(ctx, e, deed("林", "浙1001"))
	ts.Check(err)
	_, err = b.Approve(ctx, e, deed("赵", "浙1002"))
	ts.Check(err)
	_, err = b.Approve(ctx, e, deed("陈", "浙1003"))
	ts.Check(err)
	c, err := b.Dispose(ctx, e, deed("林", "浙1001"))
	ts.Check(err)
	ts.Check(h.note(ctx, e, c))
}

// finishUnheld ends a capture whose hold could not be had: unheld ID.
func finishUnheld(ts *testscript.TestScript, _ bool, a []string) {
	ctx := context.Background()
	var out, warnings bytes.Buffer
	h := scriptHome(ts, &warnings)
	defer func() { ts.Check(h.Close()) }()
	e, err := h.find(ctx, a[0])
	ts.Check(err)
	rec, err := preserve.Read(ctx, h.store, e.Package)
	ts.Check(err)
	err = h.finish(ctx, streams{out: &out, err: &warnings}, captureFlags{json: true}, rec, aftermath{unheld: &unheld{errors.New("no log")}})
	if code, _ := classify(ctx, err); code != exitPartial || !strings.Contains(out.String(), `"held":false`) || !strings.Contains(out.String(), `"exit":3`) {
		ts.Fatalf("exit code %d, %s", code, out.String())
	}
}

// TestHoldCase wants a hold that could not be had to be told with the command
// that makes up for it.
func TestHoldCase(t *testing.T) {
	var warnings bytes.Buffer
	h := &home{dir: t.TempDir(), err: &warnings}
	for _, d := range []string{h.keys(), h.spool()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if h.words, err = words.New("en"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	o := capture.Order{ID: "GZ-20261123-7KQ4M2XD", Case: "浙食 it's 1", Created: time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)}
	rec := preserve.Record{Order: o, Entry: storage.Entry{ID: o.ID, Package: preserve.PackageKey(o)}}
	err = h.holdCase(t.Context(), rec)
	var u *unheld
	if !errors.As(err, &u) || !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("holdCase = %v", err)
	}
	for _, want := range []string{o.ID + " is kept, and not on hold", `guzheng hold ` + o.ID + ` --case '浙食 it'\''s 1' --by NAME:LICENCE --reason TEXT`} {
		if !strings.Contains(warnings.String(), want) {
			t.Errorf("%q does not say %q", warnings.String(), want)
		}
	}
	rec.Order.Case = ""
	if err := h.holdCase(t.Context(), rec); err != nil {
		t.Errorf("without a case: %v", err)
	}
}
