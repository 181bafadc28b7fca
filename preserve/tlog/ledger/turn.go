package ledger

import "sync"

// A turn is this process's right to add to the log, shared by all that add
// at the same time. Tessera takes two POSIX record locks in different
// threads. The kernel sees processes only: of two that both add it takes the
// one's wait for the other as a deadlock, and Tessera panics. When one
// process at a time adds, the tree's lock is free whenever Tessera asks for
// it. The lock of a turn is flock(2)'s, which has no such detection, and the
// one that Open holds, because Tessera takes the tree's lock there too.
type turn struct {
	keys string // directory of the lock

	mu     sync.Mutex
	users  int
	unlock func() // when there are users
}

// begin waits until no other process adds. Every begin without an error
// MUST be followed by end.
func (t *turn) begin() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.users == 0 {
		unlock, err := lock(t.keys)
		if err != nil {
			return err
		}
		t.unlock = unlock
	}
	t.users++
	return nil
}

func (t *turn) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.users--; t.users == 0 {
		t.unlock()
	}
}
