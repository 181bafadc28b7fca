package corpus

import (
	"maps"
	"testing"
)

// TestSent counts for the caller alone: what it does to the answer must not
// reach the notes.
func TestSent(t *testing.T) {
	s := &Server{served: map[string]map[string]int{}}
	s.note("one", "a")
	s.note("one", "a")
	s.note("one", "b")
	s.note("two", "a")
	s.Sent("one")["a"] = 9
	if got, want := s.Sent("one"), map[string]int{"a": 2, "b": 1}; !maps.Equal(got, want) {
		t.Errorf("sent in visit one: %v, want %v", got, want)
	}
	if got := s.Sent("three"); len(got) > 0 {
		t.Errorf("sent in a visit that was not made: %v", got)
	}
}
