package web

import (
	"context"
	"time"
)

// awaitBodies waits until every body that was asked for is there, or ctx
// ends.
func (r *recorder) awaitBodies(ctx context.Context) {
	for {
		r.mu.Lock()
		n, changed := r.pending, r.changed
		r.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// busySince reports whether a request was begun at or after since.
func (r *recorder) busySince(since time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.begun.Before(since)
}

// quiet waits until none of the requests begun at or after since has been
// under way for the time idle, or until ctx ends. It returns how many still
// are.
func (r *recorder) quiet(ctx context.Context, since time.Time, idle time.Duration) int {
	begin := r.now()
	for {
		r.mu.Lock()
		n := 0
		for _, f := range r.inflight {
			if !f.endless && !f.since.Before(since) {
				n++
			}
		}
		changed, last := r.changed, r.last
		r.mu.Unlock()
		var calm <-chan time.Time
		if n == 0 {
			if last.Before(begin) {
				last = begin
			}
			rest := idle - r.now().Sub(last)
			if rest <= 0 {
				return 0
			}
			calm = time.After(rest)
		}
		select {
		case <-ctx.Done():
			return n
		case <-calm:
		case <-changed:
		}
	}
}
