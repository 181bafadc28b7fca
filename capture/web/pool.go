package web

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"guzheng/capture"
	"guzheng/capture/cgroup"
	"guzheng/capture/web/reading"
)

// A Pool captures with browsers that stay warm: each capture has a context,
// a proxy and a journal of its own, and the browser is replaced after a
// number of captures, or when it died. A page can end only its own renderer;
// a capture whose browser was taken down by another one says so and is
// partial. Collect may be called from several goroutines.
type Pool struct {
	browser Browser
	uses    int

	mu     sync.Mutex
	free   *lease // takes new captures; nil when there is none
	leases sync.WaitGroup
	closed bool

	// groups tells where browsers may have control groups, once.
	groups func() (*cgroup.Place, error)

	// coverage lists what the installed fonts can draw, once.
	coverage func() (*reading.Coverage, error)
}

// A lease is one browser of a pool with the captures that it serves.
type lease struct {
	start sync.Once

	// Under the lock of the pool.
	proc   *process // nil until it has started
	err    error    // why it did not start
	given  int      // captures ever
	active int
	out    bool // takes no more; ended with its last capture
}

// NewPool returns a pool whose browsers serve uses captures each, at least
// one. The first browser starts with the first capture.
func NewPool(b Browser, uses int) *Pool {
	if b.Now == nil {
		b.Now = capture.Now
	}
	return &Pool{browser: b, uses: max(uses, 1), groups: sync.OnceValues(cgroup.Find), coverage: sync.OnceValues(func() (*reading.Coverage, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return reading.LoadCoverage(ctx)
	})}
}

// Close ends the browsers, after the captures under way.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.retire(p.free)
	p.mu.Unlock()
	p.leases.Wait()
}

// Collect carries out the order and returns the closed take in dir, which
// must not exist. The error is nil whenever there is a take to keep, also a
// partial or failed one; an error means that nothing could be recorded.
func (p *Pool) Collect(ctx context.Context, order capture.Order, dir string) (capture.Take, error) {
	if err := order.Check(); err != nil {
		return capture.Take{}, err
	}
	path, err := FindChromium(p.browser.Path)
	if err != nil {
		return capture.Take{}, err
	}
	secret, err := readSecret(order.CredentialsFile)
	if err != nil {
		return capture.Take{}, err
	}
	if _, err := orderedIdentity(order); err != nil { // the guard reads it again
		return capture.Take{}, err
	}
	d, err := capture.OpenDir(dir, order, p.browser.Now, p.browser.Listen)
	if err != nil {
		return capture.Take{}, err
	}
	v := newVisit(p, path, d)
	v.secret = secret
	if err := v.run(ctx); err != nil {
		return capture.Take{}, fmt.Errorf("capturing %s: %w", order.URL, err)
	}
	state, reasons := v.outcome()
	return d.Close(state, reasons)
}

var errClosed = errors.New("the pool is closed")

// lend lends a browser for one capture. A browser that has to be started
// differently for the order serves that order alone.
func (p *Pool) lend(ctx context.Context, v *visit) (*process, func(), error) {
	own := v.order.NoSandbox || v.order.Wire || v.order.ClientCertificate != nil
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, nil, errClosed
	}
	l := p.free
	if l == nil || own || l.proc != nil && l.proc.gone() {
		if !own {
			p.retire(l)
		}
		l = &lease{out: own}
		p.leases.Add(1)
		if !own {
			p.free = l
		}
	}
	l.given++
	l.active++
	if l.given >= p.uses {
		l.out = true
		if p.free == l {
			p.free = nil
		}
	}
	p.mu.Unlock()
	l.start.Do(func() {
		proc, err := p.browser.launch(ctx, v)
		p.mu.Lock()
		defer p.mu.Unlock()
		l.proc, l.err = proc, err
	})
	back := sync.OnceFunc(func() { p.giveBack(l) })
	if l.err != nil {
		back()
		return nil, nil, l.err
	}
	return l.proc, back, nil
}

// giveBack ends a capture's use of a browser, and the browser with its last.
func (p *Pool) giveBack(l *lease) {
	p.mu.Lock()
	l.active--
	if l.err != nil || l.proc.gone() {
		if l.out = true; p.free == l {
			p.free = nil
		}
	}
	end := l.out && l.active == 0
	p.mu.Unlock()
	if end {
		p.end(l)
	}
}

// retire takes no more captures with a browser. The lock is held.
func (p *Pool) retire(l *lease) {
	if l == nil || l.out {
		return
	}
	l.out = true
	if p.free == l {
		p.free = nil
	}
	if l.active == 0 {
		go p.end(l)
	}
}

func (p *Pool) end(l *lease) {
	if l.proc != nil {
		l.proc.stop()
	}
	p.leases.Done()
}
