// Package devtools speaks the Chrome DevTools Protocol with one browser, on
// as many sessions as the browser opens: tabs, frames in processes of their
// own, workers. The wire and the types of the protocol are chromedp's
// (chromedp.PipeConn, cdproto); its model of one session a tab is not used,
// because a frame or worker must be held before its first request until it
// is instrumented, and everything it does belongs to the same capture.
//
// Life of a message: Conn.read takes it off the pipe. A reply wakes the call
// that waits for it. An event goes to the handler of its session, in the
// order in which the browser sent it; a Target.attachedToTarget event first
// makes the new session known, with the handler of the session that it came
// from, so that no event of a child is lost. Handlers run on the reading
// goroutine and must return at once.
//
// Trust: the browser process is believed. A page that takes it over can say
// anything on these pipes; nothing a page can do from inside its sandbox
// reaches them.
package devtools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// ErrGone is wrapped by the error of a call whose browser or session ended.
var ErrGone = errors.New("browser or target is gone")

// An Event is one event of one session. Params is the raw JSON; Decode makes
// the protocol's type of it.
type Event struct {
	Session *Session
	Method  string
	Params  jsonv2.Value
}

// Decode returns the event as a pointer to its cdproto type.
func (e Event) Decode() (any, error) {
	m := cdproto.Message{Method: cdproto.MethodType(e.Method), Params: e.Params}
	return cdproto.UnmarshalMessage(&m, chromedp.DefaultUnmarshalOptions)
}

// A Handler takes the events of a session. It runs on the goroutine that
// reads from the browser: it must neither wait nor call the browser.
type Handler func(Event)

// A Conn is the connection to one browser. Its methods may be called from
// several goroutines.
type Conn struct {
	pipe *chromedp.PipeConn
	root *Session
	gone chan struct{} // closed when the pipe is

	mu       sync.Mutex
	next     int64
	calls    map[int64]pending
	sessions map[target.SessionID]*Session
}

// Open starts to read from a browser that was started with
// --remote-debugging-pipe. Events of the browser itself go to handle.
func Open(r io.ReadCloser, w io.WriteCloser, handle Handler) *Conn {
	c := &Conn{pipe: chromedp.NewPipeConn(r, w), gone: make(chan struct{}),
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

// A pending call waits for its reply; message is nil when its session ended.
type pending struct {
	session *Session
	done    func(*cdproto.Message)
}

// Call sends a command and decodes its result.
func (s *Session) Call(ctx context.Context, method string, params, result any) error {
	reply := make(chan *cdproto.Message, 1)
	id, err := s.post(method, params, func(m *cdproto.Message) { reply <- m })
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		s.conn.forget(id)
		return ctx.Err()
	case m := <-reply:
		return decode(method, m, result)
	}
}

// Begin sends a command and gives its result to done, in order with the
// events of the session: what the browser sends after the reply is handled
// after it. done runs on the reading goroutine and must return at once; it
// is called exactly once, with ErrGone when the session ended first.
func Begin[P, R any](s *Session, c cdp.Command[P, R], params P, done func(R, error)) {
	_, err := s.post(c.Method, params, func(m *cdproto.Message) {
		var r R
		err := decode(c.Method, m, &r)
		done(r, err)
	})
	if err != nil {
		var zero R
		done(zero, err)
	}
}

// Post sends a command whose result nobody waits for.
func (s *Session) Post(method string, params any) error {
	_, err := s.post(method, params, func(*cdproto.Message) {})
	return err
}

// Subscribe is there for cdp.Session; events go to the handler.
func (s *Session) Subscribe(string) (<-chan jsonv2.Value, func()) {
	none := make(chan jsonv2.Value)
	close(none)
	return none, func() {}
}

func decode(method string, m *cdproto.Message, result any) error {
	switch {
	case m == nil:
		return fmt.Errorf("%s: %w", method, ErrGone)
	case m.Error != nil:
		return m.Error
	case result == nil:
		return nil
	}
	return jsonv2.Unmarshal(m.Result, result, chromedp.DefaultUnmarshalOptions)
}

// post writes the command; done gets its reply.
func (s *Session) post(method string, params any, done func(*cdproto.Message)) (int64, error) {
	var b jsonv2.Value
	if params != nil {
		var err error
		if b, err = jsonv2.Marshal(params, chromedp.DefaultMarshalOptions); err != nil {
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
	m := &cdproto.Message{ID: id, SessionID: s.id, Method: cdproto.MethodType(method), Params: b}
	if err := c.pipe.Write(context.Background(), m); err != nil && c.forget(id) {
		return 0, fmt.Errorf("%s: %w: %w", method, ErrGone, err)
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
		m := new(cdproto.Message)
		if err := c.pipe.Read(context.Background(), m); err != nil {
			c.end() // whatever ended it, the browser is gone
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
func (c *Conn) event(m *cdproto.Message) {
	c.mu.Lock()
	s := c.root
	if m.SessionID != "" {
		s = c.sessions[m.SessionID]
	}
	if s == nil {
		c.mu.Unlock()
		return // detached
	}
	var orphans []pending
	switch m.Method {
	case cdproto.EventTargetAttachedToTarget:
		c.attached(s, m.Params)
	case cdproto.EventTargetDetachedFromTarget:
		var e struct {
			SessionID target.SessionID `json:"sessionId"`
		}
		if json.Unmarshal(m.Params, &e) == nil {
			if child := c.sessions[e.SessionID]; child != nil {
				orphans = c.detach(child)
			}
		}
	}
	handle := s.handle
	c.mu.Unlock()
	for _, call := range orphans {
		call.done(nil)
	}
	if handle != nil {
		handle(Event{Session: s, Method: string(m.Method), Params: m.Params})
	}
}

// attached makes a new session known. The lock is held.
func (c *Conn) attached(from *Session, params jsonv2.Value) {
	var e target.EventAttachedToTarget
	if err := jsonv2.Unmarshal(params, &e, chromedp.DefaultUnmarshalOptions); err != nil || e.TargetInfo == nil {
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

// end wakes everyone who waits.
func (c *Conn) end() {
	c.mu.Lock()
	var orphans []pending
	for _, s := range c.sessions {
		orphans = append(orphans, c.detach(s)...)
	}
	orphans = append(orphans, c.detach(c.root)...)
	c.mu.Unlock()
	for _, call := range orphans {
		call.done(nil)
	}
	close(c.gone)
}
