package ers

import (
	"bytes"
	"slices"

	"guzheng/preserve/tsa"
)

// A Tree is a hash tree over the groups of a whole batch (RFC 4998 section
// 4.2): binary, each node the hash of its two children, sorted bytewise and
// concatenated; a node without a neighbour is its own parent. It keeps two
// hash values per leaf and nothing else.
type Tree struct {
	hash   tsa.Hash
	size   int
	levels [][]byte // values side by side, the leaves first
	whole  bool     // levels is complete up to the root
}

// NewTree returns an empty tree. It panics when the hash function is not
// Known.
func NewTree(h tsa.Hash) *Tree {
	if !h.Known() {
		panic("ers: tree of unknown hash function " + string(h))
	}
	return &Tree{hash: h, size: h.Size(), levels: [][]byte{nil}}
}

// Hash returns the tree's hash function.
func (t *Tree) Hash() tsa.Hash { return t.hash }

// Len returns the number of leaves.
func (t *Tree) Len() int { return len(t.levels[0]) / t.size }

// Add adds a leaf behind the others. It panics when the value has not the
// length of the hash function's.
func (t *Tree) Add(leaf []byte) {
	if len(leaf) != t.size {
		panic("ers: leaf of another hash function")
	}
	t.levels, t.whole = t.levels[:1], false
	t.levels[0] = append(t.levels[0], leaf...)
}

// Root returns the value to be stamped, nil for a tree without leaves.
func (t *Tree) Root() []byte {
	if t.Len() == 0 {
		return nil
	}
	t.grow()
	return bytes.Clone(t.levels[len(t.levels)-1])
}

// Path returns the neighbours of leaf i and of its ancestors, as far as they
// have one, from below: at most 1 + log2 of the number of leaves.
func (t *Tree) Path(i int) [][]byte {
	if i < 0 || i >= t.Len() {
		panic("ers: no such leaf")
	}
	t.grow()
	var out [][]byte
	for _, level := range t.levels[:len(t.levels)-1] {
		if at := (i ^ 1) * t.size; at < len(level) {
			out = append(out, bytes.Clone(level[at:at+t.size]))
		}
		i /= 2
	}
	return out
}

func (t *Tree) grow() {
	if t.whole {
		return
	}
	f := t.hash.New()
	for below := t.levels[0]; len(below) > t.size; below = t.levels[len(t.levels)-1] {
		level := make([]byte, 0, (len(below)/2/t.size+1)*t.size)
		for at := 0; at < len(below); at += 2 * t.size {
			if at+t.size == len(below) {
				level = append(level, below[at:]...)
				break
			}
			a, b := below[at:at+t.size], below[at+t.size:at+2*t.size]
			if bytes.Compare(a, b) > 0 {
				a, b = b, a
			}
			f.Reset()
			f.Write(a)
			f.Write(b)
			level = f.Sum(level)
		}
		t.levels = append(t.levels, level)
	}
	t.whole = true
}

// join returns the hash of the values, sorted bytewise and concatenated; of
// one value that value (section 4.2).
func join(h tsa.Hash, values [][]byte) []byte {
	if len(values) == 1 {
		return values[0]
	}
	sorted := slices.Clone(values)
	slices.SortFunc(sorted, bytes.Compare)
	return h.Sum(sorted...)
}

// root follows a reduced hash tree to its root (section 4.3).
func root(h tsa.Hash, tree [][][]byte) []byte {
	value := join(h, tree[0])
	for _, list := range tree[1:] {
		value = join(h, append([][]byte{value}, list...))
	}
	return value
}
