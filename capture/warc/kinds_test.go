package warc_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guzheng/capture/warc"
)

// A bareCase is a response that has no body, whatever its header says, or
// looks like one.
type bareCase struct {
	name, method string
	status       int
	header       []warc.Field
	body         string
	want         string // header of the response as written
	decoded      bool   // whether the mark is there
}

var bare = []bareCase{
	{"head", "HEAD", 200, []warc.Field{{"Content-Type", "text/html"}, {"Content-Encoding", "br"}, {"Content-Length", "1234"}}, "",
		"Content-Type: text/html\r\nContent-Encoding: br\r\nContent-Length: 1234\r\n", false},
	{"not modified", "GET", 304, []warc.Field{{"ETag", `"a"`}, {"content-length", "77"}}, "", "ETag: \"a\"\r\ncontent-length: 77\r\n", false},
	{"no content", "POST", 204, nil, "", "", false}, // a beacon
	{"preflight", "OPTIONS", 204, []warc.Field{{"Access-Control-Allow-Origin", "*"}}, "", "Access-Control-Allow-Origin: *\r\n", false},
	{"early hints", "GET", 103, []warc.Field{{"Link", "</a.css>; rel=preload"}}, "", "Link: </a.css>; rel=preload\r\n", false},
	{"switching", "GET", 101, []warc.Field{{"Upgrade", "websocket"}, {"Connection", "Upgrade"}}, "", "Upgrade: websocket\r\nConnection: Upgrade\r\n", false},
	{"partial", "GET", 206, []warc.Field{{"Content-Range", "bytes 0-3/9"}, {"Content-Length", "4"}}, "part", "Content-Range: bytes 0-3/9\r\nContent-Length: 4\r\n", true},
	{"empty", "GET", 200, []warc.Field{{"Content-Encoding", "gzip"}}, "", "x-orig-content-encoding: gzip\r\nContent-Length: 0\r\n", true},
	// One that has a body against the rules is as other responses.
	{"head with body", "HEAD", 200, []warc.Field{{"Content-Length", "9"}}, "body", "x-orig-content-length: 9\r\nContent-Length: 4\r\n", true},
}

func (b bareCase) exchange() warc.Exchange {
	e := page("https://shop.example/bare/"+strings.ReplaceAll(b.name, " ", "-"), b.body)
	e.Method, e.Status, e.Reason, e.Header = b.method, b.status, "", b.header
	return e
}

func TestResponsesWithoutBody(t *testing.T) {
	for _, b := range bare {
		t.Run(b.name, func(t *testing.T) {
			var buf bytes.Buffer
			w := newWriter(t, &buf)
			if _, err := w.Exchange(b.exchange()); err != nil {
				t.Fatal(err)
			}
			recs, errs := records(bytes.NewReader(buf.Bytes()))
			if len(recs) != 3 || errs[1] != nil || recs[1].Status != b.status || recs[2].Method != b.method || recs[1].PayloadBytes != int64(len(b.body)) {
				t.Fatalf("%+v %v", recs, errs)
			}
			_, message, _ := strings.Cut(plain(t, buf.Bytes()), "\r\n\r\nHTTP/1.1 ")
			_, message, _ = strings.Cut(message, "\r\n")
			header, _, _ := strings.Cut("\r\n"+message, "\r\n\r\n")
			if header = strings.TrimPrefix(header+"\r\n", "\r\n"); header != b.want {
				t.Errorf("header is %q, want %q", header, b.want)
			}
			if got := strings.Contains(recs[1].Field("WARC-JSON-Metadata"), "decoded"); got != b.decoded {
				t.Errorf("decoded is %v", got)
			}
		})
	}
}

// What a client library would refuse to read is recorded all the same.
func TestWriterTakesBrokenMessages(t *testing.T) {
	var buf bytes.Buffer
	w := newWriter(t, &buf)
	e := page("https://shop.example/", "x")
	e.Decoded, e.Status, e.Method = false, 7, "GE T"
	e.Header = []warc.Field{{"Content-Length", "many"}, {"content-length", "1"}, {"Transfer-Encoding", "vapour"}, {"no colon", ""}}
	if _, err := w.Exchange(e); err != nil {
		t.Fatal(err)
	}
	if got := plain(t, buf.Bytes()); !strings.Contains(got, "HTTP/1.1 007 OK\r\nContent-Length: many\r\ncontent-length: 1\r\nTransfer-Encoding: vapour\r\nno%20colon: \r\n\r\nx") {
		t.Errorf("message is not as it was sent:\n%s", got)
	}
}

func TestSecretsAreWithheld(t *testing.T) {
	var buf bytes.Buffer
	w := newWriter(t, &buf)
	e := page("https://shop.example/", "x")
	e.RequestHeader = []warc.Field{{"Host", "shop.example"}, {"authorization", "Basic c2VjcmV0"}, {"Proxy-Authorization", "Basic c2VjcmV0"},
		{"Authorization", "Bearer c2VjcmV0"}, {"Cookie", "s=1"}}
	e.Withheld = []string{"Authorization", "Proxy-Authorization", "X-Not-There"}
	for _, e.NoResponse = range []bool{false, true} {
		if _, err := w.Exchange(e); err != nil {
			t.Fatal(err)
		}
	}
	got := plain(t, buf.Bytes())
	if strings.Contains(got, "c2VjcmV0") {
		t.Errorf("a secret was written:\n%s", got)
	}
	message := "authorization: [withheld]\r\nProxy-Authorization: [withheld]\r\nAuthorization: [withheld]\r\nCookie: s=1\r\n"
	mark := `"withheld":["authorization","Proxy-Authorization"]`
	if strings.Count(got, message) != 2 || strings.Count(got, mark) != 2 {
		t.Errorf("no %q or %q in\n%s", message, mark, got)
	}
}

// everything is a Meta with all that it can hold.
func everything() warc.Meta {
	return warc.Meta{
		Initiator:   &warc.Initiator{Type: "script", URL: "https://shop.example/商.js", Line: 7},
		Timing:      &warc.Timing{Blocked: 1, DNS: -1, Connect: 2.0004, TLS: 1.25, Send: math.NaN(), Wait: 30, Receive: math.Inf(1)},
		Transferred: new(int64(0)), Cache: "disk", ServiceWorker: true, Certificate: strings.Repeat("ab", 32),
		Chain: []string{"evidence/tls/shop.example-1.der", "evidence/tls/shop.example-2.der"}, Frame: "F1",
	}
}

func TestMeta(t *testing.T) {
	const want = `{"decoded":true,"initiator":{"type":"script","url":"https://shop.example/\u5546.js","line":7},` +
		`"timing":{"blocked":1,"connect":2,"tls":1.25,"wait":30},"transferred":0,"cache":"disk","service_worker":true,` +
		`"certificate":"abababababababababababababababababababababababababababababababab",` +
		`"chain":["evidence/tls/shop.example-1.der","evidence/tls/shop.example-2.der"],"frame":"F1"}`
	var buf bytes.Buffer
	w := newWriter(t, &buf)
	e := page("https://shop.example/", "x")
	e.Meta = everything()
	if _, err := w.Exchange(e); err != nil {
		t.Fatal(err)
	}
	e.NoResponse = true
	if _, err := w.Exchange(e); err != nil {
		t.Fatal(err)
	}
	recs, _ := records(&buf)
	var got []string
	for _, r := range recs {
		got = append(got, r.Type+" "+r.Field("WARC-JSON-Metadata"))
	}
	told := []string{"warcinfo ", "response " + want, "request ", "request " + strings.Replace(want, `"decoded":true,`, "", 1), "metadata "}
	if d := cmp.Diff(told, got); d != "" {
		t.Error(d)
	}
}

// What a page can make long must not make a record that cannot be read.
func TestLongNotesAreCut(t *testing.T) {
	var buf bytes.Buffer
	w := newWriter(t, &buf)
	e := page("https://shop.example/", "x")
	e.Meta = warc.Meta{Initiator: &warc.Initiator{Type: "script", URL: "data:text/javascript," + strings.Repeat("茶", 4<<20)}, Chain: make([]string, 1000)}
	if _, err := w.Exchange(e); err != nil {
		t.Fatal(err)
	}
	recs, errs := records(&buf)
	if errs[1] != nil || len(recs[1].Field("WARC-JSON-Metadata")) > 64<<10 {
		t.Errorf("%v, %d bytes", errs[1], len(recs[1].Field("WARC-JSON-Metadata")))
	}
	e = page("https://shop.example/?"+strings.Repeat("x", 5<<20), "x")
	if _, err := w.Exchange(e); err == nil || len(err.Error()) > 5000 {
		t.Error("an address was written that cannot be read back, or is told in full")
	}
	e = page("https://shop.example/", "x")
	e.Header = []warc.Field{{Name: "X", Value: strings.Repeat("x", 5<<20)}}
	if _, err := w.Exchange(e); err == nil {
		t.Error("a header was written that cannot be read back")
	}
	if _, err := w.Exchange(page("https://shop.example/", "x")); err != nil {
		t.Error("writer unusable after it:", err)
	}
}

// frames is the body of a socket.
func frames(t testing.TB) string {
	t.Helper()
	var b []byte
	for _, f := range []warc.Frame{
		{Time: testTime, Sent: true, Opcode: 1, Payload: []byte(`{"q":"茶 <&>"}`)},
		{Time: testTime.Add(time.Second), Opcode: 2, Payload: []byte{0, 1, 0xfe}},
		{Time: testTime.Add(2 * time.Second), Opcode: 1, Payload: []byte("cut \xe8\x8c")},
		{Time: testTime.Add(3 * time.Second), Opcode: 1},
		{Time: testTime.Add(4 * time.Second), Sent: true, Opcode: 8, Payload: []byte{3, 0xe8}},
	} {
		var err error
		if b, err = f.AppendLine(b); err != nil {
			t.Fatal(err)
		}
	}
	return string(b)
}

func TestFrames(t *testing.T) {
	const want = `{"time":"2026-05-04T03:02:01.987Z","direction":"sent","opcode":1,"text":"{\"q\":\"茶 \u003c\u0026\u003e\"}"}
{"time":"2026-05-04T03:02:02.987Z","direction":"received","opcode":2,"base64":"AAH+"}
{"time":"2026-05-04T03:02:03.987Z","direction":"received","opcode":1,"base64":"Y3V0IOiM"}
{"time":"2026-05-04T03:02:04.987Z","direction":"received","opcode":1,"text":""}
{"time":"2026-05-04T03:02:05.987Z","direction":"sent","opcode":8,"base64":"A+g="}
`
	lines := frames(t)
	if d := cmp.Diff(want, lines); d != "" {
		t.Error(d)
	}
	for line := range strings.Lines(lines) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	var buf bytes.Buffer
	w := newWriter(t, &buf)
	id, err := w.Frames(warc.Frames{URL: "wss://shop.example/prices#f", Time: testTime, Body: bytes.NewBufferString(lines), BodyBytes: int64(len(lines)),
		ConcurrentTo: testID, PageID: "page-1", IP: "192.0.2.7", Truncated: "length"})
	if err != nil {
		t.Fatal(err)
	}
	recs, errs := records(&buf)
	r := recs[1]
	if errs[1] != nil || r.ID != id || r.Type != "resource" || r.URI != "wss://shop.example/prices" || r.MIME != "application/jsonl" ||
		r.Field("WARC-Concurrent-To") != "<"+testID+">" || r.Field("WARC-Truncated") != "length" || r.Field("WARC-Page-ID") != "page-1" ||
		r.PayloadBytes != int64(len(lines)) || r.Field("WARC-Payload-Digest") != r.PayloadDigest {
		t.Errorf("%+v %v", r, errs)
	}
}

func TestDNS(t *testing.T) {
	text := []byte("20260504030201\nshop.example. 60 IN A 192.0.2.7\n")
	for server, want := range map[string]string{"127.0.0.53:53": "127.0.0.53", "[2001:db8::1]:53": "2001:db8::1", "2001:db8::1": "2001:db8::1", "": "", "resolver": ""} {
		var buf bytes.Buffer
		w := newWriter(t, &buf)
		if _, err := w.DNS("shop.example", testTime, server, text, "page-1"); err != nil {
			t.Fatal(err)
		}
		recs, errs := records(&buf)
		r := recs[1]
		if errs[1] != nil || r.Type != "resource" || r.URI != "dns:shop.example" || r.MIME != "text/dns" || r.Field("WARC-IP-Address") != want ||
			r.Field("WARC-Page-ID") != "page-1" || r.BlockBytes != int64(len(text)) {
			t.Errorf("%q: %+v %v", server, r, errs)
		}
	}
}
