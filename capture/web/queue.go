package web

import (
	"context"
	"sync"
)

// A queue hands events, in order and without a limit, from the goroutine
// that reads the browser's messages, which must never wait, to one that may.
type queue struct {
	mu   sync.Mutex
	cond *sync.Cond
	todo []func()
	end  bool
	done chan struct{}
}

func newQueue() *queue {
	q := &queue{done: make(chan struct{})}
	q.cond = sync.NewCond(&q.mu)
	go q.run()
	return q
}

func (q *queue) run() {
	defer close(q.done)
	for {
		q.mu.Lock()
		for len(q.todo) == 0 && !q.end {
			q.cond.Wait()
		}
		todo := q.todo
		q.todo = nil
		q.mu.Unlock()
		if len(todo) == 0 {
			return
		}
		for _, f := range todo {
			f()
		}
	}
}

// add appends f; after close it does nothing.
func (q *queue) add(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.end {
		q.todo = append(q.todo, f)
		q.cond.Signal()
	}
}

// drain waits until what is queued now has run, or ctx ends.
func (q *queue) drain(ctx context.Context) {
	done := make(chan struct{})
	q.add(func() { close(done) })
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// close runs what is queued and ends the queue.
func (q *queue) close() {
	q.mu.Lock()
	q.end = true
	q.cond.Signal()
	q.mu.Unlock()
	<-q.done
}
