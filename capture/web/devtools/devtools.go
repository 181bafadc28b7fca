// Package devtools speaks the Chrome DevTools Protocol with one browser, on
// as many sessions as the browser opens: tabs, frames in processes of their
// own, workers. The types of the protocol are cdproto's; chromedp's model of
// one session a tab is not used, because a frame or worker must be held before
// its first request until it is instrumented, and everything it does belongs
// to the same capture.
//
// The wire is CBOR (--remote-debugging-pipe=cbor), which is what the parts of
// Chromium speak among themselves. With JSON, it writes and we read pictures
// and bodies as base64, and every message twice. An answer means the same in
// both: TestSameAsJSON compares them.
//
// Life of a message: Conn.read takes it off the pipe. A reply wakes the call
// that waits for it, which has its result read into the type of the protocol.
// An event goes to the handler of its session, in the order in which the
// browser sent it; a Target.attachedToTarget event first makes the new session
// known, with the handler of the session that it came from, so that no event
// of a child is lost. Handlers run on the reading goroutine and must return at
// once.
//
// Trust: the browser process is believed. A page that takes it over can say
// anything on these pipes. What a session tells is written by the process that
// renders the page, and the browser looks at nothing but the session that it
// names: a page that has taken over that process, though still in its sandbox,
// can lie of itself and, by a false length, of others. A page that has not
// only chooses texts and how deep they are nested: what cannot be read in an
// event or result is an error of that event or call, while a message that is
// none, or names a thing twice, ends the connection.
package devtools

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/target"
)

// ErrGone is wrapped by the error of a call whose browser or session ended.
var ErrGone = errors.New("browser or target is gone")

// An Event is one event of one session. Params is as the browser sent it;
// Decode makes the protocol's type of it.
type Event struct {
	Session *Session
	Method  string
	Params  Value
}

// Decode returns the event as a pointer to its cdproto type.
func (e Event) Decode() (any, error) {
	m := cdproto.Message{Method: cdproto.MethodType(e.Method), Params: jsonv2.Value("{}")}
	v, err := cdproto.UnmarshalMessage(&m, options())
	if err == nil && len(e.Params) > 0 {
		err = e.Session.conn.types.decode(e.Params, v)
	}
	if err != nil {
		return nil, fmt.Errorf("decoding %s: %w", e.Method, err)
	}
	return v, nil
}

// A Handler takes the events of a session. It runs on the goroutine that
// reads from the browser: it must neither wait nor call the browser.
type Handler func(Event)

// A Conn is the connection to one browser. Its methods may be called from
// several goroutines.
type Conn struct {
	pipe  *pipe
	types fillers
	root  *Session
	gone  chan struct{} // closed when the pipe is

	mu       sync.Mutex
	next     int64
	calls    map[int64]pending
	sessions map[target.SessionID]*Session
}

// Open starts to read from a browser that was started with
// --remote-debugging-pipe=cbor. Events of the browser itself go to handle.
func Open(r io.ReadCloser, w io.WriteCloser, handle Handler) *Conn {
	c := &Conn{pipe: newPipe(r, w), gone: make(chan struct{}),
		calls: map[int64]pending{}, sessions: map[target.SessionID]*Session{}}
	c.root = &Session{conn: c, handle: handle, gone: make(chan struct{})}
	go c.read()
	return c
}

// Browser is the session of the browser itself.
func (c *Conn) Browser() *Session { return c.root }

// Gone is closed when the connection has ended.
func (c *Conn) Gone() <-chan struct{} { return c.gone }

// Close closes the pipe, which makes the browser exit.
func (c *Conn) Close() error { return c.pipe.Close() }

// A Session is one flat session of the protocol. It satisfies cdp.Session.
type Session struct {
	conn   *Conn
	id     target.SessionID
	info   target.Info
	parent *Session
	handle Handler
	gone   chan struct{}
	over   bool
}

// Target says what the session is attached to; it is the zero value for the
// browser itself.
func (s *Session) Target() target.Info { return s.info }

// Parent is the session that this one was attached from.
func (s *Session) Parent() *Session { return s.parent }

// Gone is closed when the session was detached or the browser ended.
func (s *Session) Gone() <-chan struct{} { return s.gone }

// A pending call waits for its reply.
type pending struct {
	session *Session
	done    func(*message)
}

// Call sends a command and decodes its result.
func (s *Session) Call(ctx context.Context, method string, params, result any) error {
	reply := make(chan *message, 1)
	id, err := s.post(method, params, func(m *message) { reply <- m })
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		s.conn.forget(id)
		return ctx.Err()
	case m := <-reply:
		return s.conn.decode(method, m, result)
	}
}

// Begin sends a command and gives its result to done, in order with the
// events of the session: what the browser sends after the reply is handled
// after it. done runs on the reading goroutine and must return at once; it
// is called exactly once, with ErrGone when the session ended first.
func Begin[P, R any](s *Session, c cdp.Command[P, R], params P, done func(R, error)) {
	_, err := s.post(c.Method, params, func(m *message) {
		var r R
		err := s.conn.decode(c.Method, m, &r)
		done(r, err)
	})
	if err != nil {
		var zero R
		done(zero, err)
	}
}

// Post sends a command whose result nobody waits for.
func (s *Session) Post(method string, params any) error {
	_, err := s.post(method, params, func(*message) {})
	return err
}

// Subscribe is there for cdp.Session; events go to the handler.
func (s *Session) Subscribe(string) (<-chan jsonv2.Value, func()) {
	none := make(chan jsonv2.Value)
	close(none)
	return none, func() {}
}

func (c *Conn) decode(method string, m *message, result any) error {
	switch {
	case m.gone != nil:
		return fmt.Errorf("%s: %w", method, m.gone)
	case m.Failure != nil:
		return m.Failure
	case result == nil:
		return nil
	}
	if err := c.types.decode(m.Result, result); err != nil {
		return fmt.Errorf("decoding the result of %s: %w", method, err)
	}
	return nil
}

// post writes the command; done gets its reply.
func (s *Session) post(method string, params any, done func(*message)) (int64, error) {
	var b jsonv2.Value
	if params != nil {
		var err error
		if b, err = jsonv2.Marshal(params, options()); err != nil {
			return 0, fmt.Errorf("encoding %s: %w", method, err)
		}
	}
	c := s.conn
	c.mu.Lock()
	if s.over {
		defer c.mu.Unlock()
		return 0, fmt.Errorf("%s: %w", method, ErrGone)
	}
	c.next++
	id := c.next
	c.calls[id] = pending{s, done}
	c.mu.Unlock()
	m, err := encode(id, s.id, method, b)
	if err != nil {
		err = fmt.Errorf("encoding %s: %w", method, err)
	} else if err = c.pipe.write(m); err != nil {
		err = fmt.Errorf("%s: %w: %w", method, ErrGone, err)
	}
	if err != nil && c.forget(id) {
		return 0, err
	}
	return id, nil
}

// forget drops a call and reports whether it was still pending.
func (c *Conn) forget(id int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.calls[id]
	delete(c.calls, id)
	return ok
}

// read runs until the pipe ends.
func (c *Conn) read() {
	for {
		b, err := c.pipe.read()
		m := new(message)
		if err == nil {
			err = c.types.decode(b, m)
		}
		if err != nil {
			c.end(err) // whatever ended it, the browser is gone
			return
		}
		if m.ID != 0 {
			c.mu.Lock()
			call, ok := c.calls[m.ID]
			delete(c.calls, m.ID)
			c.mu.Unlock()
			if ok {
				call.done(m)
			}
			continue
		}
		c.event(m)
	}
}

// event routes one event to the handler of its session.
func (c *Conn) event(m *message) {
	c.mu.Lock()
	s := c.root
	if m.Session != "" {
		s = c.sessions[m.Session]
	}
	if s == nil {
		c.mu.Unlock()
		return // detached
	}
	var orphans []pending
	switch cdproto.MethodType(m.Method) {
	case cdproto.EventTargetAttachedToTarget:
		c.attached(s, m.Params)
	case cdproto.EventTargetDetachedFromTarget:
		var e struct {
			SessionID target.SessionID `json:"sessionId"`
		}
		if c.types.decode(m.Params, &e) == nil {
			if child := c.sessions[e.SessionID]; child != nil {
				orphans = c.detach(child)
			}
		}
	}
	handle := s.handle
	c.mu.Unlock()
	for _, call := range orphans {
		call.done(&message{gone: ErrGone})
	}
	if handle != nil {
		handle(Event{Session: s, Method: m.Method, Params: m.Params})
	}
}

// attached makes a new session known. The lock is held.
func (c *Conn) attached(from *Session, params Value) {
	var e target.EventAttachedToTarget
	if err := c.types.decode(params, &e); err != nil || e.TargetInfo == nil {
		return
	}
	c.sessions[e.SessionID] = &Session{conn: c, id: e.SessionID, info: *e.TargetInfo, parent: from,
		handle: from.handle, gone: make(chan struct{})}
}

// detach ends a session and returns its pending calls, for the caller to
// end without the lock. The lock is held.
func (c *Conn) detach(s *Session) []pending {
	delete(c.sessions, s.id)
	s.over = true
	close(s.gone)
	var orphans []pending
	for id, call := range c.calls {
		if call.session == s {
			delete(c.calls, id)
			orphans = append(orphans, call)
		}
	}
	return orphans
}

// Handle sends the events of a session to another handler from now on.
func (s *Session) Handle(h Handler) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.handle = h
}

// Child returns the session that an attachedToTarget event announced.
func (c *Conn) Child(id target.SessionID) *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessions[id]
}

// Conn is the connection of the session.
func (s *Session) Conn() *Conn { return s.conn }

// ID names the session.
func (s *Session) ID() target.SessionID { return s.id }

// end wakes everyone who waits and tells them why.
func (c *Conn) end(why error) {
	c.mu.Lock()
	var orphans []pending
	for _, s := range c.sessions {
		orphans = append(orphans, c.detach(s)...)
	}
	orphans = append(orphans, c.detach(c.root)...)
	c.mu.Unlock()
	for _, call := range orphans {
		call.done(&message{gone: fmt.Errorf("%w: %w", ErrGone, why)})
	}
	close(c.gone)
}
