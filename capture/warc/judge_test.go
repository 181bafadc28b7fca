package warc_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"guzheng/capture/warc"
)

// warcio returns the directory of the npm module that judges our files. It
// lies in <tools>/warcio, made by: npm install --prefix <tools>/warcio
// warcio@2.4.11
func warcio(t *testing.T) string {
	t.Helper()
	tools := os.Getenv("GUZHENG_TOOLS")
	if tools == "" {
		tools = filepath.Join("..", "..", ".tools")
	}
	dir, err := filepath.Abs(filepath.Join(tools, "warcio", "node_modules", "warcio"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no npm warcio to judge by: %v", err)
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Skipf("no node to judge with: %v", err)
	}
	return dir
}

// A post is a request with a body.
type post struct{ name, method, contentType, body string }

// exchange is the post with its answer.
func (p post) exchange() warc.Exchange {
	e := page("https://shop.example/api/"+p.name+"?v=1", `{"ok":true}`)
	e.Method, e.RequestBody = p.method, []byte(p.body)
	if p.contentType != "" {
		e.RequestHeader = append(e.RequestHeader, warc.Field{Name: "content-type", Value: p.contentType})
	}
	return e
}

// posts are the request bodies whose index keys have rules of their own.
var posts = []post{
	{"form", "POST", "application/x-www-form-urlencoded", "a=1&b=%E8%8C%B6+x&c=%2F&d=50%25"},
	{"form-broken-escape", "POST", "application/x-www-form-urlencoded", "a=%zz"},
	{"form-hash", "POST", "application/x-www-form-urlencoded; charset=UTF-8", "a=1#frag&b=2 3"},
	{"form-bad-utf8", "POST", "application/x-www-form-urlencoded", "a=\xff\xfe&b=1"},
	{"form-cut-utf8", "POST", "application/x-www-form-urlencoded", "a=\xe8\x8c&b=\xf0\x9f\x98x&c=\xed\xa0\x80"},
	{"form-long", "POST", "application/x-www-form-urlencoded", "a=" + strings.Repeat("茶叶x", 3000)},
	{"json", "POST", "application/json", `{"z":1,"a":{"b":[1,2,"x",true,null],"z":2.50},"10":"t","9":"n","e":"","n":null,"u":"茶 <&>","f":1e21,"g":1e-7,"h":-0}`},
	{"json-dupes", "POST", "application/json", `{"a":[1,2,3],"b":{"a":4},"a.2_":9,"c":{"a":5}}`},
	{"json-top", "POST", "application/json", `[1,{"a":"x"},"y"]`},
	{"json-scalar", "POST", "application/json", `"word ~*-._'()"`},
	{"json-broken", "POST", "application/json", `{"a":`},
	{"text-json", "POST", "text/plain;charset=UTF-8", `{"q":"text"}`},
	{"text", "POST", "text/plain", "only words"},
	{"multipart", "POST", "multipart/form-data; boundary=----WebKitFormBoundaryX1", "------WebKitFormBoundaryX1\r\nContent-Disposition: form-data; name=\"price\"\r\n\r\n19.90 元\r\n------WebKitFormBoundaryX1\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n------WebKitFormBoundaryX1\r\nContent-Disposition: form-data; name=\"price\"\r\n\r\n20\r\n------WebKitFormBoundaryX1--\r\n"},
	{"binary", "POST", "application/octet-stream", "\x00\x01\xfe\xff+/"},
	{"no-type", "PUT", "", "x=1"},
	{"head", "HEAD", "", ""},
	{"options", "OPTIONS", "application/json", `{"a":1}`},
}

// hugePosts are bodies of which the index key has the beginning.
var hugePosts = []post{
	{"form-huge", "POST", "application/x-www-form-urlencoded", "a=" + strings.Repeat("0123456789", 20<<10)},
	{"json-huge", "POST", "application/json", `{"a":"` + strings.Repeat("x", 8<<10) + `","b":"` + strings.Repeat("茶", 400<<10) + `","c":1}`},
	{"multipart-huge", "POST", "multipart/form-data; boundary=XX", "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n" + strings.Repeat("y", 1<<20) + "\r\n--XX\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n2\r\n--XX--\r\n"},
	{"binary-huge", "PUT", "application/octet-stream", strings.Repeat("\x00\x01\xfe\xff+/.", 30<<10)},
}

// sample writes a file with everything the writer can write.
func sample(t testing.TB) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := newWriter(t, &buf)
	exchange := func(e warc.Exchange) string {
		t.Helper()
		id, err := w.Exchange(e)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	id := exchange(page("https://www2.shop.example/", "<title>店</title>"))
	exchange(page("http://shop.example:8080/b?z=1&a=2", strings.Repeat("0123456789abcdef", 1<<16))) // 1 MiB
	exchange(page("https://用户:pw@商店.example/路径//x?茶=叶 1#f", "idn"))
	exchange(page("http://127.0.0.1:8931/", "ip"))
	exchange(page("http://[::1]:80/A/%7eB?", "v6"))
	moved := page("https://shop.example/old", "")
	moved.Status, moved.Reason, moved.Protocol = 302, "Found", "http/1.1"
	moved.Header = []warc.Field{{Name: "Location", Value: "/new"}, {Name: "Set-Cookie", Value: "a=1"}, {Name: "Set-Cookie", Value: "b=2"}}
	exchange(moved)
	broken := page("https://shop.example/cut", "half a")
	broken.Truncated = "disconnect"
	exchange(broken)
	exchange(warc.Exchange{URL: "https://gone.example/x", Method: "GET", Time: testTime, NoResponse: true, Failure: "net::ERR_CONNECTION_RESET"})
	for _, p := range posts {
		exchange(p.exchange())
	}
	for _, b := range bare {
		exchange(b.exchange())
	}
	socket := page("wss://shop.example/prices?k=1", "")
	socket.Status, socket.Protocol, socket.ResourceType = 101, "http/1.1", "websocket"
	opened := exchange(socket)
	lines := frames(t)
	if _, err := w.Frames(warc.Frames{URL: socket.URL, Time: testTime, Body: strings.NewReader(lines), BodyBytes: int64(len(lines)),
		ConcurrentTo: opened, PageID: "page-1", IP: "192.0.2.7", Truncated: "length"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.DNS("shop.example", testTime, "[2001:db8::1]:53", []byte("20260504030201\nshop.example. 60 IN A 192.0.2.7\n"), "page-1"); err != nil {
		t.Fatal(err)
	}
	told := page("https://shop.example/told", "<p>told")
	told.Meta, told.Withheld = everything(), []string{"accept"}
	exchange(told)
	for _, r := range []warc.Resource{
		{URL: "urn:view:https://shop.example/", MediaType: "image/png", Time: testTime, Body: []byte("\x89PNG"), ConcurrentTo: id, PageID: "page-1"},
		{URL: "urn:empty", Time: testTime, IP: "nonsense"},
	} {
		if _, err := w.Resource(r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Metadata(warc.Resource{URL: "urn:note:1", MediaType: "application/json", Time: testTime, Body: []byte("{}"), ConcurrentTo: id}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestJudgeReadsRecords(t *testing.T) {
	dir := warcio(t)
	file := filepath.Join(t.TempDir(), "data.warc.gz")
	b := sample(t)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "node", "testdata/judge.mjs", dir, file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var want []string
	for rec, err := range warc.Records(bytes.NewReader(b)) {
		if err != nil {
			t.Fatal(err)
		}
		claimed := rec.Field("WARC-Payload-Digest")
		payload := rec.PayloadDigest
		if claimed != "" && claimed != payload {
			t.Errorf("%s: payload %s, claimed %s", rec.URI, payload, claimed)
		}
		want = append(want, fmt.Sprintf("%s %s %s %s %s %d", rec.Type, rec.URI, claimed, payload, strings.TrimRight(rec.StartLine, " "), rec.Offset)) // warcio trims it
	}
	var got []string
	for line := range strings.Lines(string(out)) {
		var r struct {
			Type, URI, Claimed, Payload, Status string
			Offset                              int64
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s %s %d", r.Type, r.URI, r.Claimed, r.Payload, r.Status, r.Offset))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("warcio reads the file in another way (-ours +warcio):\n%s", d)
	}
}

func TestJudgeMakesSameIndex(t *testing.T) { sameIndex(t, sample(t)) }

// The key is of the whole body as far as it goes into it.
func TestJudgeMakesSameIndexOfHugePosts(t *testing.T) {
	var buf bytes.Buffer
	w := newWriter(t, &buf)
	for _, p := range hugePosts {
		if _, err := w.Exchange(p.exchange()); err != nil {
			t.Fatal(err)
		}
	}
	sameIndex(t, buf.Bytes())
}

// sameIndex has npm warcio make the index too.
func sameIndex(t *testing.T, b []byte) {
	t.Helper()
	dir := warcio(t)
	file := filepath.Join(t.TempDir(), "data.warc.gz")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "node", filepath.Join(dir, "dist", "cli.js"), "cdx-index", "--format", "cdxj", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	ours, err := warc.Index(bytes.NewReader(b), "data.warc.gz")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(parsed(t, out, false), parsed(t, ours, true)); d != "" {
		t.Errorf("index differs (-warcio +ours):\n%s", d)
	}
}

// parsed is the lines of an index, sorted, without what only one side has.
func parsed(t *testing.T, index []byte, ours bool) []string {
	t.Helper()
	var out []string
	for line := range strings.Lines(string(index)) {
		key, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		stamp, js, _ := strings.Cut(rest, " ")
		m := map[string]any{}
		if err := json.Unmarshal([]byte(js), &m); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if d, _ := m["recordDigest"].(string); ours && len(d) != len("sha256:")+64 {
			t.Errorf("no recordDigest: %s", line)
		}
		if url, _ := m["url"].(string); strings.HasPrefix(url, "urn:note:") || strings.HasPrefix(url, "urn:guzheng:") {
			continue // metadata records, which warcio lists
		}
		delete(m, "recordDigest")
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, key+" "+stamp+" "+string(b))
	}
	sort.Strings(out)
	return out
}
