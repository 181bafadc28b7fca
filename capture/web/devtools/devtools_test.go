package devtools

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"
)

// A peer stands in the browser's place at the other end of the pipes. What it
// says is written here as JSON.
type peer struct {
	t        *testing.T
	commands *pipe
	in       io.Closer
	out      *io.PipeWriter
}

// connect opens a connection to a peer. It ends with the test, in the bubble
// of which every goroutine must have ended by then.
func connect(t *testing.T, handle Handler) (*Conn, *peer) {
	t.Helper()
	replies, out := io.Pipe()
	in, commands := io.Pipe()
	return Open(replies, commands, handle), &peer{t: t, commands: newPipe(in, nil), in: in, out: out}
}

// say sends messages; it returns when they were read, all but the last having
// been handled.
func (p *peer) say(messages ...string) {
	p.t.Helper()
	for _, m := range messages {
		if _, err := p.out.Write(cbor(p.t, m)); err != nil {
			p.t.Errorf("saying %s: %v", m, err)
		}
	}
}

// cbor makes a message of JSON.
func cbor(t testing.TB, text string) Value {
	t.Helper()
	b, err := appendValue(nil, jsonv2.Value(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return b
}

// A command is what the peer was told to do.
type command struct {
	ID        int64           `json:"id"`
	Method    string          `json:"method"`
	SessionID string          `json:"sessionId"`
	Params    json.RawMessage `json:"params"`
}

// hear takes the next command.
func (p *peer) hear() command {
	p.t.Helper()
	var c command
	b, err := p.commands.read()
	var text []byte
	if err == nil {
		text, err = b.JSON()
	}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		p.t.Errorf("hearing % x: %v", b, err)
	}
	return c
}

// hangUp ends both pipes, as a browser does that ends.
func (p *peer) hangUp() {
	p.out.Close()
	p.in.Close()
}

func attached(session string) string {
	return `{"method":"Target.attachedToTarget","params":{"sessionId":"` + session +
		`","waitingForDebugger":true,"targetInfo":{"targetId":"T` + session + `","type":"iframe","title":"","url":"http://shop.example/","attached":true,"canAccessOpener":false}}}`
}

func in(session, message string) string {
	return strings.TrimSuffix(message, "}") + `,"sessionId":"` + session + `"}`
}

func detached(session string) string {
	return `{"method":"Target.detachedFromTarget","params":{"sessionId":"` + session + `"}}`
}

func numbered(n int) string { return fmt.Sprintf(`{"method":"Test.event","params":{"n":%d}}`, n) }

// A log notes what was handled, on the one goroutine that reads.
type log []string

func (l *log) handle(e Event) {
	var p struct {
		N         int    `json:"n"`
		SessionID string `json:"sessionId"`
	}
	line := string(e.Session.ID())
	if err := e.Session.conn.types.decode(e.Params, &p); err != nil {
		line += " " + err.Error()
	}
	switch e.Method {
	case target.AttachedToTarget.Method:
		line += " attached " + p.SessionID
	case target.DetachedFromTarget.Method:
		line += " detached " + p.SessionID
	default:
		line += fmt.Sprintf(" %d", p.N)
	}
	*l = append(*l, strings.TrimSpace(line))
}

func (l *log) check(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(*l, want) {
		t.Errorf("handled\n%s\nwant\n%s", strings.Join(*l, "\n"), strings.Join(want, "\n"))
	}
}

// Events come in the order in which they were sent. A new session has the
// handler of the one it came from, also when that one was given another, and
// those of a session that nobody announced, or that is over, go nowhere.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var root, own log
		c, p := connect(t, root.handle)
		p.say(numbered(1), in("none", numbered(2)), attached("a"), in("a", numbered(3)), numbered(4))
		synctest.Wait()
		a := c.Child("a")
		if a == nil || a.Parent() != c.Browser() || a.Target().TargetID != "Ta" || a.Conn() != c {
			t.Fatalf("child is %+v", a)
		}
		a.Handle(own.handle)
		p.say(in("a", attached("b")), in("b", numbered(5)), numbered(6), in("a", numbered(7)), in("a", detached("b")), in("b", numbered(8)))
		synctest.Wait()
		root.check(t, "1", "attached a", "a 3", "4", "6")
		own.check(t, "a attached b", "b 5", "a 7", "a detached b")
		if c.Child("b") != nil {
			t.Error("a detached session is still known")
		}
		p.hangUp()
	})
}

// A command goes to its session and its reply, out of order, to its call. An
// error of the browser's is the call's.
func TestCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := connect(t, nil)
		p.say(attached("a"))
		synctest.Wait()
		type got struct {
			body network.GetResponseBodyResult
			err  error
		}
		answers := [2]chan got{make(chan got, 1), make(chan got, 1)}
		var heard [2]command
		for i, id := range []network.RequestID{"first", "second"} {
			go func() {
				body, err := cdp.Call(t.Context(), c.Child("a"), network.GetResponseBody, network.GetResponseBodyParams{RequestID: id})
				answers[i] <- got{body, err}
			}()
			heard[i] = p.hear()
		}
		first, second := heard[0], heard[1]
		if first.SessionID != "a" || first.Method != network.GetResponseBody.Method || string(first.Params) != `{"requestId":"first"}` {
			t.Errorf("heard %+v", first)
		}
		p.say(fmt.Sprintf(`{"id":%d,"sessionId":"a","error":{"code":-32000,"message":"no body"}}`, second.ID),
			fmt.Sprintf(`{"id":%d,"sessionId":"a","result":{"body":"aGVsbG8=","base64Encoded":true}}`, first.ID), `{"id":77,"result":{}}`)
		if g := <-answers[0]; g.err != nil || string(g.body.Body) != "hello" {
			t.Errorf("first answer %+v", g)
		}
		if g := <-answers[1]; g.err == nil || !strings.Contains(g.err.Error(), "no body") || errors.Is(g.err, ErrGone) {
			t.Errorf("second answer %+v", g)
		}
		p.hangUp()
	})
}

// What Begin gives its callback comes in order with the events: after those
// before the reply, before those after it.
func TestBeginInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l log
		c, p := connect(t, l.handle)
		go Begin(c.Browser(), network.StreamResourceContent, network.StreamResourceContentParams{RequestID: "r"},
			func(res network.StreamResourceContentResult, err error) {
				l = append(l, fmt.Sprintf("answer %s %v", res.BufferedData, err))
			})
		id := p.hear().ID
		p.say(numbered(1), fmt.Sprintf(`{"id":%d,"result":{"bufferedData":"aGVsbG8="}}`, id), numbered(2))
		synctest.Wait()
		l.check(t, "1", "answer hello <nil>", "2")
		p.hangUp()
	})
}

// Calls that wait end with their session, with the pipe, or with their
// context, and those on a session that has ended fail at once. The callback of
// Begin runs once, whatever comes first.
func TestCallsEnd(t *testing.T) {
	closed := func(t *testing.T, c *Conn, _ *peer) {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	for name, end := range map[string]func(*testing.T, *Conn, *peer){
		"session": func(_ *testing.T, _ *Conn, p *peer) { p.say(detached("a")) },
		"browser": func(_ *testing.T, _ *Conn, p *peer) { p.out.Close() },
		"garbage": func(_ *testing.T, _ *Conn, p *peer) { _, _ = p.out.Write([]byte(`{"method":"Test.event"}`)) },
		"list":    func(_ *testing.T, _ *Conn, p *peer) { p.say(`[]`) },
		"number":  func(_ *testing.T, _ *Conn, p *peer) { p.say(`{"id":"one"}`) },
		"twice":   func(t *testing.T, _ *Conn, p *peer) { _, _ = p.out.Write(twice(t)) },
		"cut":     func(t *testing.T, _ *Conn, p *peer) { _, _ = p.out.Write(cbor(t, numbered(1))[:30]); p.out.Close() },
		"closed":  closed,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := connect(t, nil)
				p.say(attached("a"))
				synctest.Wait()
				s := c.Child("a")
				begun, called := 0, make(chan error, 1)
				go Begin(s, network.Enable, network.EnableParams{}, func(_ cdp.Empty, err error) {
					begun++
					if !errors.Is(err, ErrGone) {
						t.Errorf("the callback got %v", err)
					}
				})
				p.hear()
				go func() { called <- s.Call(t.Context(), "Test.wait", nil, nil) }()
				p.hear()
				end(t, c, p)
				if err := <-called; !errors.Is(err, ErrGone) {
					t.Errorf("the call ended with %v", err)
				}
				<-s.Gone()
				synctest.Wait()
				if begun != 1 {
					t.Errorf("the callback ran %d times", begun)
				}
				Begin(s, network.Enable, network.EnableParams{}, func(_ cdp.Empty, err error) {
					begun++
					if !errors.Is(err, ErrGone) {
						t.Errorf("after the end: %v", err)
					}
				})
				if err := s.Post("Test.late", nil); !errors.Is(err, ErrGone) || begun != 2 {
					t.Errorf("after the end: %v, %d callbacks", err, begun)
				}
				p.hangUp()
				<-c.Gone()
				<-c.Browser().Gone()
			})
		})
	}
}

// twice is a message with two session ids, as a page that has taken over the
// process of its frame might send it to speak for another.
func twice(t testing.TB) Value {
	b := cbor(t, `{"method":"Test.event","sessionId":"a","sessionIx":"b"}`)
	return bytes.Replace(b, []byte("sessionIx"), []byte("sessionId"), 1)
}

// A call whose context ends is forgotten: its late reply disturbs nobody.
func TestCallCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l log
		c, p := connect(t, l.handle)
		ctx, cancel := context.WithCancel(t.Context())
		called := make(chan error, 1)
		go func() { called <- c.Browser().Call(ctx, "Test.wait", nil, nil) }()
		id := p.hear().ID
		cancel()
		if err := <-called; !errors.Is(err, context.Canceled) || len(c.calls) != 0 {
			t.Errorf("the call ended with %v and %d calls wait", err, len(c.calls))
		}
		p.say(fmt.Sprintf(`{"id":%d,"result":{}}`, id), numbered(1))
		synctest.Wait()
		l.check(t, "1")
		p.hangUp()
	})
}
