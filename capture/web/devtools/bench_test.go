package devtools

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/domsnapshot"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// A sample is one message in both languages.
type sample struct {
	name string
	json []byte
	cbor Value
	into func() any
}

// samples are messages of the kinds that captures are made of, in the shape
// that the browser gives them.
func samples(b testing.TB) []sample {
	b.Helper()
	list := []sample{}
	add := func(name, text string, into func() any) {
		list = append(list, sample{name, append([]byte(text), 0), cbor(b, text), into})
	}
	data := func(name string, n int, text string, into func() any) {
		raw := make([]byte, n)
		rng := rand.NewChaCha8([32]byte{1})
		_, _ = rng.Read(raw)
		add(name, strings.Replace(text, "DATA", base64.StdEncoding.EncodeToString(raw), 1), into)
		s := &list[len(list)-1]
		s.cbor = withData(b, text, raw)
	}
	data("picture 6 MB", 6<<20, `{"id":7,"result":{"data":"DATA"},"sessionId":"A"}`, func() any { return new(page.CaptureScreenshotResult) })
	data("chunk 64 KB", 64<<10, `{"method":"Network.dataReceived","params":{"requestId":"1.2","timestamp":1234.567,"dataLength":65536,"encodedDataLength":0,"data":"DATA"},"sessionId":"A"}`,
		func() any { return new(network.EventDataReceived) })
	add("MHTML 5 MB", `{"id":7,"result":{"data":"`+strings.Repeat(`<p class=3D\"x\">=E4=B8=AD</p>\r\n`, 5<<20/32)+`"},"sessionId":"A"}`, func() any { return new(page.CaptureSnapshotResult) })
	add("requestWillBeSent", requestSent, func() any { return new(network.EventRequestWillBeSent) })
	add("DOM snapshot 0.2 MB", snapshot(), func() any { return new(domsnapshot.CaptureSnapshotResult) })
	add("accessibility 0.65 MB", tree(), func() any { return new(accessibility.GetFullAXTreeResult) })
	return list
}

// withData makes a message in which data stands where the JSON has DATA.
func withData(b testing.TB, text string, data []byte) Value {
	b.Helper()
	m := cbor(b, text)
	at := strings.Index(string(m), "DATA") - 1 // its head
	long := append(appendHead(Value{byteBinary}, majorBytes, uint64(len(data))), data...)
	grown := append(append(append(Value{}, m[:at]...), long...), m[at+5:]...)
	for i := range at {
		if n, err := envelope(grown[i:]); err == nil && i+envelopeHead+int(n) >= at {
			grown[i+3], grown[i+4], grown[i+5], grown[i+6] = 0, 0, 0, 0
			n += uint32(len(grown) - len(m))
			grown[i+3], grown[i+4], grown[i+5], grown[i+6] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
		}
	}
	return grown
}

const requestSent = `{"method":"Network.requestWillBeSent","params":{"requestId":"4711.2","loaderId":"0123456789ABCDEF0123456789ABCDEF","documentURL":"https://shop.example/item?id=1","request":{"url":"https://img.shop.example/p/1234567890.jpg?x-oss-process=resize","method":"GET","headers":{"sec-ch-ua-platform":"\"Linux\"","Referer":"https://shop.example/","User-Agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36","sec-ch-ua":"\"Chromium\";v=\"156\"","sec-ch-ua-mobile":"?0"},"mixedContentType":"none","initialPriority":"Low","referrerPolicy":"strict-origin-when-cross-origin","isSameSite":true,"isAdRelated":false},"timestamp":12345.678901,"wallTime":1790000000.123456,"initiator":{"type":"parser","url":"https://shop.example/item?id=1","lineNumber":120,"columnNumber":34},"redirectHasExtraInfo":false,"type":"Image","frameId":"0123456789ABCDEF0123456789ABCDEF","hasUserGesture":false},"sessionId":"0123456789ABCDEF0123456789ABCDEF"}`

func snapshot() string {
	var ints, boxes, words strings.Builder
	for i := range 8000 {
		fmt.Fprintf(&ints, ",%d", i%700)
		fmt.Fprintf(&boxes, ",[%d,%d.5,%d,22]", i, i*3, i%900)
		if i < 2000 {
			fmt.Fprintf(&words, `,"促销 %d"`, i)
		}
	}
	return `{"id":7,"result":{"documents":[{"nodes":{"parentIndex":[-1` + ints.String() + `],"nodeType":[9` + ints.String() + `],"nodeName":[1` + ints.String() + `]},"layout":{"nodeIndex":[0` + ints.String() +
		`],"styles":[],"bounds":[[0,0,1,1]` + boxes.String() + `],"text":[-1` + ints.String() + `]}}],"strings":[""` + words.String() + `]},"sessionId":"A"}`
}

func tree() string {
	var nodes []string
	for i := range 1500 {
		nodes = append(nodes, fmt.Sprintf(`{"nodeId":"%d","ignored":false,"role":{"type":"internalRole","value":"StaticText"},"chromeRole":{"type":"internalRole","value":158},"name":{"type":"computedString","value":"商品名称 %d","sources":[{"type":"contents","value":{"type":"computedString","value":"商品名称 %d"}}]},"properties":[{"name":"level","value":{"type":"integer","value":2}}],"parentId":"%d","childIds":["%d","%d"],"backendDOMNodeId":%d}`,
			i, i, i, i/2, 2*i, 2*i+1, i))
	}
	return `{"id":7,"result":{"nodes":[` + strings.Join(nodes, ",") + `]},"sessionId":"A"}`
}

// endless gives the same bytes again and again.
type endless struct {
	b  []byte
	at int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.at == len(e.b) {
		e.at = 0
	}
	n := copy(p[:min(len(p), 64<<10)], e.b[e.at:])
	e.at += n
	return n, nil
}

// BenchmarkRead takes messages off the wire up to the Go type: as chromedp
// reads JSON, and as this package reads CBOR.
func BenchmarkRead(b *testing.B) {
	for _, s := range samples(b) {
		b.Run(s.name+"/json", func(b *testing.B) {
			b.ReportAllocs()
			c := chromedp.NewPipeConn(io.NopCloser(&endless{b: s.json}), nil)
			for b.Loop() {
				m := new(cdproto.Message)
				if err := c.Read(context.Background(), m); err != nil {
					b.Fatal(err)
				}
				body := m.Params
				if m.ID != 0 {
					body = m.Result
				}
				if err := jsonv2.Unmarshal(body, s.into(), chromedp.DefaultUnmarshalOptions); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(s.name+"/cbor", func(b *testing.B) {
			b.ReportAllocs()
			p := newPipe(io.NopCloser(&endless{b: s.cbor}), nil)
			var f fillers
			for b.Loop() {
				m := new(message)
				v, err := p.read()
				if err == nil {
					err = f.decode(v, m)
				}
				body := m.Params
				if m.ID != 0 {
					body = m.Result
				}
				if err == nil {
					err = f.decode(body, s.into())
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
