package warc

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// Frames is what went over one WebSocket after its handshake.
type Frames struct {
	URL  string    // of the socket: ws: or wss:
	Time time.Time // when the socket was opened

	// Body is one line for every frame, in the order in which the browser saw
	// them; Frame.AppendLine makes them. It is read as Exchange.Body is.
	Body      io.Reader
	BodyBytes int64

	ConcurrentTo string // record id of the handshake's response, or empty
	PageID       string
	IP           string
	Truncated    string // as in Exchange, when not all frames are there
}

// Frames appends one resource record for the whole socket and returns its id
// ("urn:uuid:…").
func (w *Writer) Frames(f Frames) (id string, err error) {
	return w.named(kindResource, Resource{URL: withoutFragment(f.URL), MediaType: "application/jsonl", Time: f.Time,
		ConcurrentTo: f.ConcurrentTo, PageID: f.PageID, IP: f.IP},
		stream{r: f.Body, size: f.BodyBytes, truncated: f.Truncated})
}

// A Frame is one frame of a WebSocket (RFC 6455 section 5.2), unmasked.
type Frame struct {
	Time    time.Time
	Sent    bool // by the page; otherwise received
	Opcode  int  // 1 text, 2 binary, 8 close, 9 ping, 10 pong
	Payload []byte
}

// frameLine is the form of a frame in the body of Frames. Exactly one of Text
// and Base64 is there.
type frameLine struct {
	Time      string  `json:"time"`
	Direction string  `json:"direction"` // "sent" or "received"
	Opcode    int     `json:"opcode"`
	Text      *string `json:"text,omitempty"`   // of a text frame in valid UTF-8
	Base64    *string `json:"base64,omitempty"` // of any other
}

// AppendLine appends the frame as one line of JSON with its line break.
func (f Frame) AppendLine(b []byte) ([]byte, error) {
	l := frameLine{Time: f.Time.UTC().Format(time.RFC3339Nano), Direction: "received", Opcode: f.Opcode}
	if f.Sent {
		l.Direction = "sent"
	}
	if f.Opcode == 1 && utf8.Valid(f.Payload) {
		l.Text = new(string(f.Payload))
	} else {
		l.Base64 = new(base64.StdEncoding.EncodeToString(f.Payload))
	}
	line, err := json.Marshal(l)
	if err != nil {
		return b, fmt.Errorf("encoding frame: %w", err)
	}
	return append(append(b, line...), '\n'), nil
}
