package devtools

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
)

// everything has a field of each kind that cdproto's types are made of, and
// some that they are not.
type everything struct {
	S    string             `json:"s,omitempty,omitzero"`
	B    bool               `json:"b"`
	I    int64              `json:"i"`
	Tiny int8               `json:"tiny"`
	U    uint16             `json:"u"`
	F    float64            `json:"f"`
	D    []byte             `json:"d"`
	P    *everything        `json:"p"`
	L    []float64          `json:"l"`
	N    [][]int64          `json:"n"`
	M    map[string]any     `json:"m"`
	H    map[string]float64 `json:"h"`
	A    any                `json:"a"`
	Raw  jsonv2.Value       `json:"raw"`
	Fix  [2]int             `json:"fix"`
	Frm  network.WebSocketFrame
	Body network.GetResponseBodyResult `json:"body"`
	Skip int                           `json:"-"`
	priv int                           //nolint:unused // is passed over
}

func list(items ...[]byte) Value {
	b := append(Value{byteTag, byteEncoded, byteLength32, 0, 0, 0, 0}, bytes.Join(items, nil)...)
	binary.BigEndian.PutUint32(b[3:], uint32(len(b)-envelopeHead))
	return b
}

func utf16le(units ...uint16) []byte {
	b := appendHead(nil, majorBytes, uint64(2*len(units)))
	for _, u := range units {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func double(x float64) []byte {
	return binary.BigEndian.AppendUint64([]byte{byteDouble}, math.Float64bits(x))
}

// TestJSON holds values against the JSON that Chromium makes of them.
func TestJSON(t *testing.T) {
	for _, c := range []struct {
		name string
		cbor []byte
		want string
	}{
		{"small", []byte{0x17}, "23"},
		{"byte", []byte{0x18, 0xff}, "255"},
		{"least", appendInt(nil, math.MinInt32), "-2147483648"},
		{"most", appendInt(nil, math.MaxInt32), "2147483647"},
		{"whole double", double(1e15), "1000000000000000"},
		{"minus nothing", double(math.Copysign(0, -1)), "0"},
		{"fraction", double(-0.5), "-0.5"},
		{"large", double(1e300), "1e+300"},
		{"no number", double(math.NaN()), "null"},
		{"infinite", double(math.Inf(-1)), "null"},
		{"words", []byte{byteTrue}, "true"},
		{"text", appendText(nil, "a\"\\\n\x1f"), `"a\u0022\u005c\u000a\u001f"`},
		{"wide", utf16le(0x5e97, 'a', 0xd83d, 0xde00), `"店a😀"`},
		{"alone", utf16le(0xd83d, 'a', 0xde00, 0xd83d), `"\ufffda\ufffd\ufffd"`},
		{"none", utf16le(), `""`},
		{"no UTF-8", appendText(nil, "a\x80b\xc3(c\xf0\x9f\x98\x80d\xe4\xb8"), `"abc😀d"`},
		{"overlong", appendText(nil, "a\xc0\x80\xed\xa0\x80\xf7\xbf\xbf\xbfb"), `"a\ufffdb"`},
		{"data", []byte{byteBinary, 0x41, 1}, `"AQ=="`},
		{"no data", []byte{byteBinary, 0x40}, `""`},
		{"empty", list([]byte{byteMap, byteStop}), `{}`},
		{"nested", list([]byte{byteArray}, list([]byte{byteMap, 0x61, 'a', byteNull, byteStop}), []byte{byteArray, 1, byteStop, byteStop}), `[{"a":null},[1]]`},
	} {
		got, err := Value(c.cbor).JSON()
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var g, w any
		if errors.Join(json.Unmarshal(got, &g), json.Unmarshal([]byte(c.want), &w)) != nil || !cmp.Equal(g, w) {
			t.Errorf("%s is %s, want %s", c.name, got, c.want)
		}
	}
}

// TestBroken wants an error of each value that is none.
func TestBroken(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing": {}, "cut integer": {0x19, 1}, "cut double": double(1)[:8], "cut text": {0x63, 'a'}, "cut head": {byteTag, byteEncoded},
		"long text": {0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "huge": {0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"open array": list([]byte{byteArray, 1}), "open map": list([]byte{byteMap, 0x61, 'a'}), "stop": {byteStop}, "no value": list([]byte{byteMap, 0x61, 'a', byteStop}),
		"long envelope": {byteTag, byteEncoded, byteLength32, 0, 0, 0, 9, byteMap, byteStop}, "empty envelope": list(), "envelope ends early": {byteTag, byteEncoded, byteLength32, 0, 0, 0, 1, byteMap, byteStop}, "envelope ends late": list([]byte{byteMap, byteStop, 1}), "integer in envelope": list([]byte{1}),
		"other tag": {0xc1, 1}, "short envelope": {byteTag, byteEncoded, 0x41, byteMap}, "tag of text": {byteBinary, 0x61, 'a'}, "tag of number": {byteBinary, 1}, "tag of nothing": {byteBinary},
		"odd UTF-16": {0x41, 1}, "number for a name": list([]byte{byteMap, 1, 1, byteStop}), "data for a name": list([]byte{byteMap, byteBinary, 0x41, 'a', 1, byteStop}),
		"half": {0xf9, 0, 0}, "array with length": {0x81, 1}, "undefined": {0xf7}, "reserved": {0x1c}, "endless text": {0x7f, byteStop},
	} {
		if text, err := Value(b).JSON(); err == nil {
			t.Errorf("%s is %s", name, text)
		}
		var f fillers
		if err := f.decode(b, new(everything)); err == nil {
			t.Errorf("%s went into a struct", name)
		}
		if err := f.decode(b, new(any)); err == nil {
			t.Errorf("%s went into any", name)
		}
	}
	var f fillers
	if err := f.decode(Value{1, 1}, new(int64)); err == nil {
		t.Error("bytes after a value are no error")
	}
	if err := f.decode(Value{1}, 5); err == nil {
		t.Error("decoded into no pointer")
	}
}

// TestDeep wants values that lie too deep in each other to be an error of the
// one call, however they are read.
func TestDeep(t *testing.T) {
	deep := func(n int) Value {
		return slicesOf(bytes.Repeat([]byte{byteArray}, n), bytes.Repeat([]byte{byteStop}, n))
	}
	var f fillers
	for n, want := range map[int]error{maxDepth: nil, maxDepth + 1: errDeep} {
		if _, err := deep(n).JSON(); !errors.Is(err, want) {
			t.Errorf("%d deep as JSON: %v", n, err)
		}
		if err := f.decode(deep(n), new(any)); !errors.Is(err, want) {
			t.Errorf("%d deep: %v", n, err)
		}
		r := reader{rest: deep(n)}
		if _, err := r.value(); !errors.Is(err, want) {
			t.Errorf("%d deep passed over: %v", n, err)
		}
	}
}

func slicesOf(parts ...[]byte) Value { return bytes.Join(parts, nil) }

// TestData wants data as bytes, without base64 on the way, and in the memory
// of its message when it is most of that.
func TestData(t *testing.T) {
	var f fillers
	for _, n := range []int{0, 3, aliased} {
		raw := bytes.Repeat([]byte{0xa7}, n)
		b := withData(t, `{"s":"x","d":"DATA","i":7}`, raw)
		var e everything
		if err := f.decode(b, &e); err != nil || !bytes.Equal(e.D, raw) || e.D == nil || e.I != 7 || e.S != "x" {
			t.Fatalf("%d bytes: %+v, %v", n, e, err)
		}
		if n > 0 {
			at := bytes.IndexByte(b, 0xa7)
			b[at]++
			if shared := e.D[0] != 0xa7; shared != (n >= aliased) {
				t.Errorf("%d bytes are shared: %v", n, shared)
			}
			if grown := append(e.D, 1); len(grown) > 0 && b[at+n] == 1 {
				t.Errorf("%d bytes: what follows them can be overwritten", n)
			}
		}
	}
}

// TestClaimed says that a message is long and gives little of it.
func TestClaimed(t *testing.T) {
	b := append([]byte{byteTag, byteEncoded, byteLength32, 0xff, 0xff, 0xff, 0xff, byteMap}, make([]byte, 100)...)
	p := newPipe(io.NopCloser(bytes.NewReader(b)), nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := p.read(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read with %v", err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 2*ahead {
		t.Errorf("took %d bytes of memory", took)
	}
}

// TestLong reads a message longer than what is taken ahead.
func TestLong(t *testing.T) {
	b := withData(t, `{"d":"DATA"}`, bytes.Repeat([]byte("guzheng."), 3*ahead/8))
	p := newPipe(io.NopCloser(bytes.NewReader(append(append(Value{}, b...), b...))), nil)
	for range 2 {
		if got, err := p.read(); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%d bytes, want %d, %v", len(got), len(b), err)
		}
	}
	if _, err := p.read(); err != io.EOF {
		t.Errorf("after the last: %v", err)
	}
}

// TestEncode wants what the browser is told to come back as it was.
func TestEncode(t *testing.T) {
	for _, text := range []string{
		`{"a":[1,-1,23,24,255,256,65535,65536,2147483647,-2147483648,2147483648,0.5,1e300],"t":true,"f":false,"n":null,"o":{},"l":[],"s":"店 é 😀 \u0000"}`,
		`{"long":"` + strings.Repeat("长", 70000) + `"}`, `{}`,
	} {
		m, err := encode(70000, "A", "Test.do", jsonv2.Value(text))
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.JSON()
		if err != nil {
			t.Fatal(err)
		}
		var g, w any
		if err := errors.Join(json.Unmarshal(got, &g), json.Unmarshal([]byte(`{"id":70000,"method":"Test.do","sessionId":"A","params":`+text+`}`), &w)); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(w, g); d != "" {
			t.Errorf("%.200s: %s", text, d)
		}
	}
	m, err := encode(1, "", "Test.do", jsonv2.Value(`[2147483648]`))
	if err != nil || !bytes.Contains(m, double(1<<31)) {
		t.Errorf("an integer of 33 bits is % x, %v", m, err)
	}
	if _, err := encode(1, "", "Test.do", jsonv2.Value(`{"a":`)); err == nil {
		t.Error("half a text of JSON was encoded")
	}
}

// FuzzDecode reads any bytes as JSON and straight into Go, which must agree.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		`{"s":"x","b":true,"i":5,"tiny":-7,"u":9,"f":1.5,"d":"AQID","p":{"s":"y","l":[1,2.5]},"l":[],"n":[[1],[]],"m":{"a":[1,{"b":null}]},"h":{"x":1},"a":"z","raw":{"r":[1]},"fix":[1,2]}`,
		`{"Frm":{"opcode":1,"mask":true,"payloadData":"abc"},"body":{"body":"aGVsbG8=","base64Encoded":true},"unknown":[{"x":1}],"i":1e10,"p":null,"l":null}`,
	} {
		f.Add([]byte(cbor(f, text)))
	}
	f.Add([]byte(withData(f, `{"d":"DATA","s":"x"}`, []byte{1, 2, 3})))
	f.Add([]byte(list([]byte{byteMap, 0x61, 's'}, utf16le(0xd800, 'a'), []byte{0x61, 'f'}, double(math.NaN()), []byte{byteStop})))
	f.Fuzz(func(t *testing.T, b []byte) {
		var types fillers
		var direct everything
		err := types.decode(b, &direct)
		_ = types.decode(b, new(message))
		text, broken := Value(b).JSON()
		if broken != nil {
			return
		}
		var by everything
		if want := jsonv2.Unmarshal(text, &by, chromedp.DefaultUnmarshalOptions); want != nil || err != nil {
			if want == nil && len(b) > 0 && whole(b) {
				t.Fatalf("%s: %v, but not as JSON", text, err)
			}
			return
		}
		if d := cmp.Diff(by, direct, cmp.AllowUnexported(everything{})); d != "" {
			t.Fatalf("%s (- by JSON, + direct)\n%s", text, d)
		}
	})
}

// whole reports whether nothing follows the first value.
func whole(b []byte) bool {
	r := reader{rest: b}
	_, err := r.appendJSON(nil)
	return err == nil && len(r.rest) == 0
}

// FuzzPipe reads any bytes as messages.
func FuzzPipe(f *testing.F) {
	f.Add([]byte(slicesOf(cbor(f, numbered(1)), cbor(f, in("a", numbered(2))))))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := newPipe(io.NopCloser(bytes.NewReader(b)), nil)
		var types fillers
		for n := 0; ; {
			m, err := p.read()
			if err != nil {
				return
			}
			if n += len(m); n > len(b) {
				t.Fatal("more was read than there is")
			}
			_ = types.decode(m, new(message))
		}
	})
}
