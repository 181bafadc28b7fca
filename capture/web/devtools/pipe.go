package devtools

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/target"
)

// ahead is the most memory that is taken for bytes of a message which have
// not arrived: more than nearly all messages have.
const ahead = 16 << 20

var errLong = errors.New("a message of 4 GiB or more does not fit into an envelope")

// A pipe is the two pipes of a browser that was started with
// --remote-debugging-pipe=cbor. A message is an envelope, whose length tells
// where the next one begins. It bounds a message to 4 GiB; as with JSON, no
// other limit is set to the browser.
type pipe struct {
	r  *bufio.Reader
	rc io.Closer
	w  io.WriteCloser

	writing sync.Mutex
	once    sync.Once
	closed  error
}

func newPipe(r io.ReadCloser, w io.WriteCloser) *pipe {
	return &pipe{r: bufio.NewReaderSize(r, 64<<10), rc: r, w: w}
}

// Close closes both ends.
func (p *pipe) Close() error {
	p.once.Do(func() { p.closed = errors.Join(p.rc.Close(), p.w.Close()) })
	return p.closed
}

// write sends one message.
func (p *pipe) write(b Value) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	_, err := p.w.Write(b)
	return err
}

// read takes the next message, into memory that nothing else uses.
func (p *pipe) read() (Value, error) {
	top, err := p.r.Peek(envelopeHead)
	if err != nil {
		if err == io.EOF && len(top) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	length, err := envelope(top)
	if err != nil {
		return nil, err
	}
	want := envelopeHead + int(length)
	b := make(Value, 0, min(want, ahead))
	for len(b) < want {
		have := len(b)
		b = slices.Grow(b, min(want-have, max(have, ahead)))
		b = b[:min(want, cap(b))]
		if _, err := io.ReadFull(p.r, b[have:]); err != nil {
			return nil, fmt.Errorf("reading a message of %d bytes: %w", want, err)
		}
	}
	return b, nil
}

// A message is what the browser said: a reply, when it has an id, or an
// event. What is in params and result is not looked at when it arrives: what
// is wrong with them concerns that call or event alone.
type message struct {
	ID      int64            `json:"id"`
	Session target.SessionID `json:"sessionId"`
	Method  string           `json:"method"`
	Params  Value            `json:"params"`
	Result  Value            `json:"result"`
	Failure *cdproto.Error   `json:"error"`

	gone error // why there will be no reply; the message is empty then
}
