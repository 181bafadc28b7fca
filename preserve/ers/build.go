package ers

import (
	"bytes"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"

	"guzheng/preserve/tsa"
)

// A Group is what one archive time stamp of one record is about: hash values
// of data objects, or of the tokens before it.
type Group struct {
	Hash   tsa.Hash
	Values [][]byte // sorted bytewise

	chain bool // begins a chain
}

// Leaf returns the value that goes into the Tree.
func (g Group) Leaf() []byte { return join(g.Hash, g.Values) }

// Initial groups the hash values of the data objects of a new record. Objects
// of the same bytes are one.
func Initial(h tsa.Hash, data [][]byte) (Group, error) {
	g := Group{Hash: h, chain: true}
	for _, v := range data {
		if !h.Known() || len(v) != h.Size() {
			return Group{}, fmt.Errorf("grouping data objects: %d bytes are no value of hash function %q", len(v), h)
		}
		g.Values = append(g.Values, v)
	}
	slices.SortFunc(g.Values, bytes.Compare)
	g.Values = slices.CompactFunc(g.Values, bytes.Equal)
	if len(g.Values) == 0 || len(g.Values) > maxValues {
		return Group{}, fmt.Errorf("grouping data objects: %d of them", len(data))
	}
	return g, nil
}

// Renewal groups the tokens of the newest chain, for a stamp of the same hash
// function over them (RFC 4998 section 5.2, time-stamp renewal). The section
// asks for the newest token alone; all of them cost a hash value each, and
// other implementations look for every one.
func (r Record) Renewal() Group {
	g := Group{Hash: r.Last().Hash}
	for _, s := range r.Chains[len(r.Chains)-1] {
		g.Values = append(g.Values, g.Hash.Sum(s.Token))
	}
	slices.SortFunc(g.Values, bytes.Compare)
	return g
}

// Rehash groups the data objects for a new chain with another hash function
// (RFC 4998 section 5.2, hash-tree renewal). Data are the values of the data
// objects under that function, of the bytes themselves; each is bound to all
// chains so far.
func (r Record) Rehash(h tsa.Hash, data [][]byte) (Group, error) {
	bound, err := r.bind(h, data, len(r.Chains))
	if err != nil {
		return Group{}, err
	}
	return Initial(h, bound)
}

// bind returns H(h(d) + H(chains)) for the values h(d); the values themselves
// when there is no chain before.
func (r Record) bind(h tsa.Hash, data [][]byte, chains int) ([][]byte, error) {
	if chains == 0 {
		return data, nil
	}
	if !h.Known() {
		return nil, fmt.Errorf("binding to earlier chains: unknown hash function %q", h)
	}
	seq, err := r.sequence(chains)
	if err != nil {
		return nil, err
	}
	before := h.Sum(seq)
	out := make([][]byte, len(data))
	for i, v := range data {
		if len(v) != h.Size() {
			return nil, fmt.Errorf("binding to earlier chains: %d bytes are no value of %s", len(v), h)
		}
		out[i] = h.Sum(v, before)
	}
	return out, nil
}

// A Token is a time-stamp token that has been read once, for all the records
// that it closes.
type Token struct {
	der  []byte
	info tsa.TokenReport
}

// NewToken reads a token (tsa.Token). Whether it is good is Validate's
// question.
func NewToken(der []byte) (Token, error) {
	info, err := tsa.ReadToken(der)
	if err != nil {
		return Token{}, fmt.Errorf("adding a token: %w", err)
	}
	return Token{der: der, info: info}, nil
}

// ErrToken is wrapped when a token is not over the root of the tree that it
// is to close.
var ErrToken = errors.New("token is not over this tree")

// With returns the record with one more archive time stamp: the group, the
// path from its leaf through the tree (Tree.Path), and the token over the
// tree's root. The zero Record takes an Initial group.
func (r Record) With(g Group, path [][]byte, token Token) (Record, error) {
	if len(r.Chains) == 0 && !g.chain {
		return Record{}, errors.New("adding archive time stamp: nothing is there to be renewed")
	}
	s := ArchiveTimeStamp{Hash: g.Hash, Tree: g.reduced(path), Token: token.der, named: pkix.AlgorithmIdentifier{Algorithm: g.Hash.OID()}}
	over := token.info.Imprint
	if over.Hash != g.Hash || !bytes.Equal(over.Value, s.root(g.Leaf())) {
		return Record{}, fmt.Errorf("adding archive time stamp: token over %s %x: %w", over.Hash, over.Value, ErrToken)
	}
	out := Record{Chains: slices.Clone(r.Chains)}
	if g.chain {
		out.Chains = append(out.Chains, Chain{s})
	} else {
		last := len(out.Chains) - 1
		out.Chains[last] = append(slices.Clip(out.Chains[last]), s)
	}
	if len(out.Chains) > MaxChains || len(out.Chains[len(out.Chains)-1]) > MaxStamps {
		return Record{}, errors.New("adding archive time stamp: record is full")
	}
	return out, nil
}

// reduced returns the reduced hash tree for the group (section 4.2): its
// values in one list, then the neighbour on each level. One value alone stands
// in a list with its neighbour.
func (g Group) reduced(path [][]byte) [][][]byte {
	first := slices.Clone(g.Values)
	if len(first) == 1 {
		if len(path) == 0 {
			return nil
		}
		first, path = append(first, path[0]), path[1:]
		slices.SortFunc(first, bytes.Compare)
	}
	tree := [][][]byte{first}
	for _, v := range path {
		tree = append(tree, [][]byte{v})
	}
	return tree
}

// root is the value that the token has to be over; alone is the data object's
// value, for a stamp without tree.
func (s ArchiveTimeStamp) root(alone []byte) []byte {
	if s.Tree == nil {
		return alone
	}
	return root(s.Hash, s.Tree)
}
