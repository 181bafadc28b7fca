package capture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func testOrder() Order {
	return Order{Format: OrderFormat, ID: "GZ-20261123-7KQ4M2XD", Kind: KindWeb, URL: "https://shop.example/",
		Created: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC), Viewport: Viewport{1280, 800, 1}, Limits: DefaultLimits()}
}

func open(t *testing.T) (*Dir, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "take")
	d, err := OpenDir(path, testOrder(), Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d, path
}

// digests checks that every file of a take has the digest written down.
func digests(t *testing.T, path string, take Take) {
	t.Helper()
	for _, f := range take.Files {
		g, err := digestFile(filepath.Join(path, filepath.FromSlash(f.Path)))
		if err != nil || g != f.Digest {
			t.Errorf("%s: %v, want %v (%v)", f.Path, g, f.Digest, err)
		}
	}
}

func TestTake(t *testing.T) {
	d, path := open(t)
	if err := d.Write(FileDOM, "text/html", "evidence/dom.html", []byte("<p>")); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"../x", "/x", "", "a//b", "evidence/dom.html"} {
		if err := d.Write(FileDOM, "text/html", bad, nil); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	w, err := d.Create(FileText, "text/plain", "evidence/text.txt")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("unfinished")); err != nil {
		t.Fatal(err)
	}
	take, err := d.Close(Partial, []Reason{{Code: "test"}})
	if err != nil {
		t.Fatal(err)
	}
	digests(t, path, take)
	read, err := ReadTake(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(take, read); diff != "" {
		t.Error(diff)
	}
	if f, ok := take.File(FileRemains); !ok || f.Path != "evidence/remains/evidence-text.txt" || f.Bytes != 10 {
		t.Errorf("remains: %+v", f)
	}
	if _, err := OpenDir(path, testOrder(), Now, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed take was opened: %v", err)
	}
	entries, cut, err := readJournalFile(filepath.Join(path, "evidence", "journal.jsonl"))
	if err != nil || cut {
		t.Fatal(cut, err)
	}
	last := entries[len(entries)-1]
	if last.Code != "take.closed" || last.Data["state"] != "partial" {
		t.Errorf("last entry %+v", last)
	}
	for i, e := range entries {
		if e.Seq != i || e.Mono < 0 {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
}

// What Recover makes of each state that a crash can leave.
func TestRecover(t *testing.T) {
	cases := map[string]struct {
		do    func(t *testing.T, d *Dir, path string)
		state State
		kinds string
	}{
		"nothing but the order": {func(*testing.T, *Dir, string) {}, Failed, "journal order"},
		"one file closed": {func(t *testing.T, d *Dir, _ string) {
			check(t, d.Write(FileDOM, "text/html", "evidence/dom.html", []byte("<p>")))
		}, Partial, "dom journal order"},
		"one file open": {func(t *testing.T, d *Dir, _ string) {
			w, err := d.Create(FileWARC, "application/warc", "archive/data.warc.gz")
			check(t, err)
			_, err = w.Write([]byte("cut"))
			check(t, err)
		}, Failed, "journal order remains"},
		"named but not in the journal": {func(t *testing.T, _ *Dir, path string) {
			check(t, os.WriteFile(filepath.Join(path, "evidence", "page.pdf"), []byte("x"), 0o644))
		}, Failed, "journal order remains"},
		"changed after it was closed": {func(t *testing.T, d *Dir, path string) {
			check(t, d.Write(FileDOM, "text/html", "evidence/dom.html", []byte("<p>")))
			check(t, os.WriteFile(filepath.Join(path, "evidence", "dom.html"), []byte("<q>"), 0o644))
		}, Failed, "journal order remains"},
		"journal line cut": {func(t *testing.T, d *Dir, path string) {
			f, err := os.OpenFile(filepath.Join(path, "evidence", "journal.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
			check(t, err)
			_, err = f.WriteString(`{"seq":99,"ti`)
			check(t, errors.Join(err, f.Close()))
		}, Failed, "journal order remains"},
		"unnamed take.json": {func(t *testing.T, _ *Dir, path string) {
			check(t, os.WriteFile(filepath.Join(path, ".tmp-123"), []byte("{"), 0o644))
		}, Failed, "journal order"},
		"order not written": {func(t *testing.T, _ *Dir, path string) {
			check(t, os.Remove(filepath.Join(path, "evidence", "order.json")))
			check(t, os.Remove(filepath.Join(path, "evidence", "journal.jsonl")))
		}, Failed, "journal order"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d, path := open(t)
			c.do(t, d, path)
			take, err := Recover(path, testOrder(), Now)
			if err != nil {
				t.Fatal(err)
			}
			digests(t, path, take)
			kinds := map[string]bool{}
			for _, f := range take.Files {
				kinds[f.Kind] = true
			}
			for _, k := range strings.Fields(c.kinds) {
				if !kinds[k] {
					t.Errorf("no %s in %v", k, kinds)
				}
				delete(kinds, k)
			}
			if len(kinds) > 0 || take.State != c.state || take.Reasons[0].Code != "interrupted" {
				t.Errorf("%s %v, kinds left %v", take.State, take.Reasons, kinds)
			}
			again, err := Recover(path, testOrder(), Now)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(take, again); diff != "" {
				t.Errorf("recovering twice: %s", diff)
			}
			entries, cut, err := readJournalFile(filepath.Join(path, "evidence", "journal.jsonl"))
			if err != nil || cut || len(entries) < 2 || entries[len(entries)-2].Code != "take.interrupted" {
				t.Errorf("journal: %v %v %v", entries, cut, err)
			}
		})
	}
}

// A journal stays a valid account when its progress lines are removed.
func TestJournalWithoutProgress(t *testing.T) {
	d, path := open(t)
	d.Journal().Progress("scroll.step", "n", 1)
	d.Journal().Step("page.loaded", "ms", 3)
	if _, err := d.Close(Complete, nil); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(path, "evidence", "journal.jsonl"))
	check(t, err)
	var kept bytes.Buffer
	for line := range bytes.Lines(b) {
		if !bytes.Contains(line, []byte(`"kind":"progress"`)) {
			kept.Write(line)
		}
	}
	entries, cut, err := ReadJournal(&kept)
	if err != nil || cut || len(entries) != 3 {
		t.Errorf("%v %v %v", entries, cut, err)
	}
}

// A manifest that was altered alone contradicts the journal.
func TestCheckJournal(t *testing.T) {
	d, path := open(t)
	check(t, d.Write(FileText, "text/plain", "evidence/text.txt", []byte("price 10")))
	take, err := d.Close(Complete, nil)
	check(t, err)
	entries, _, err := readJournalFile(filepath.Join(path, "evidence", "journal.jsonl"))
	check(t, err)
	check(t, CheckJournal(take, entries))
	for name, change := range map[string]func(*Take){
		"digest":    func(x *Take) { x.Files[len(x.Files)-1].SHA256 = strings.Repeat("0", 64) },
		"more":      func(x *Take) { x.Files = append(x.Files, File{Path: "evidence/new", Kind: FileDOM}) },
		"fewer":     func(x *Take) { x.Files = x.Files[:len(x.Files)-1] },
		"state":     func(x *Take) { x.State = Partial },
		"interrupt": func(x *Take) { x.State = Failed },
	} {
		altered := take
		altered.Files = append([]File(nil), take.Files...)
		change(&altered)
		if err := CheckJournal(altered, entries); !errors.Is(err, ErrJournal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOrder(t *testing.T) {
	if err := testOrder().Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Order){
		"scheme": func(o *Order) { o.URL = "file:///etc/passwd" }, "no host": func(o *Order) { o.URL = "https:///x" },
		"password": func(o *Order) { o.URL = "https://a:b@shop.example/" }, "id": func(o *Order) { o.ID = "../../x" },
		"kind": func(o *Order) { o.Kind = "ftp" }, "viewport": func(o *Order) { o.Viewport.Width = 0 },
		"text": func(o *Order) { o.Case = "\xff" }, "script": func(o *Order) { o.URL = "javascript:alert(1)" },
		"officers": func(o *Order) { o.Officers = make([]Officer, 3) },
	} {
		o := testOrder()
		change(&o)
		if err := o.Check(); !errors.Is(err, ErrOrder) {
			t.Errorf("%s: %v", name, err)
		}
	}
	seen := map[string]bool{}
	for range 1000 {
		id := NewID(Now())
		if !ValidID(id) || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
	for _, bad := range []string{"", "GZ-20261123-7kq4m2xd", "GZ-2026112-7KQ4M2XDA", "GZ-20261123-7KQ4M2X/", "GZ-20261123-7KQ4M2XD0", "GZ-20261123_7KQ4M2XD"} {
		if ValidID(bad) {
			t.Errorf("%q is valid", bad)
		}
	}
	if o, err := ParseOfficer("张三：晋1234"); err != nil || o != (Officer{"张三", "晋1234"}) {
		t.Errorf("%v %v", o, err)
	}
	for _, bad := range []string{"张三", ":1", "张三:", ""} {
		if _, err := ParseOfficer(bad); !errors.Is(err, ErrOrder) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Known answers of FIPS 180-4 and GB/T 32905-2016 for "abc".
func TestDigest(t *testing.T) {
	g, err := DigestOf(strings.NewReader("abc"))
	want := Digest{3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"}
	if err != nil || g != want {
		t.Errorf("%v %v", g, err)
	}
}

func TestWriteFileKeepsTheOldOneOnFailure(t *testing.T) {
	if err := WriteFile(filepath.Join(t.TempDir(), "absent", "x"), []byte("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	name := filepath.Join(t.TempDir(), "x")
	check(t, WriteFile(name, []byte("one")))
	check(t, WriteFile(name, []byte("two")))
	b, err := os.ReadFile(name)
	if err != nil || string(b) != "two" {
		t.Errorf("%q %v", b, err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(name), ".tmp-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %v %v", left, err)
	}
}

func FuzzReadJournal(f *testing.F) {
	f.Add([]byte(`{"seq":0,"time":"2026-11-23T00:00:00Z","kind":"step","code":"x"}` + "\n"))
	f.Add([]byte(`{"seq":`))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, _, err := ReadJournal(bytes.NewReader(b))
		if err == nil && len(entries) > bytes.Count(b, []byte("\n")) {
			t.Errorf("%d entries from %q", len(entries), b)
		}
	})
}

func FuzzDecodeTake(f *testing.F) {
	b, err := json.Marshal(Take{Format: TakeFormat, Order: "x", State: Complete})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if take, err := DecodeTake(b); err == nil && take.Format != TakeFormat {
			t.Errorf("format %q", take.Format)
		}
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
