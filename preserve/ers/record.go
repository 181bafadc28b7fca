package ers

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"

	"guzheng/preserve/tsa"
)

// Limits of a record. One token has some 5 KB.
const (
	MaxSize   = 4 << 20 // bytes of DER
	MaxChains = 64      // chains, that is changes of the hash function
	MaxStamps = 256     // archive time stamps in one chain
	maxLists  = 64      // lists of a reduced hash tree
	maxValues = 4096    // hash values of one list
)

// Version is the only version of an EvidenceRecord (RFC 4998 section 3.1).
const Version = 1

// ErrForm is wrapped when bytes are not a record in DER, or one with parts
// that are not read here: encryption information, attributes, other hash
// functions.
var ErrForm = errors.New("not an evidence record that can be read")

// A Record is an EvidenceRecord (RFC 4998 section 3.1), its chains in the
// order of time. Its slices MUST NOT be changed.
type Record struct {
	Chains []Chain
}

// A Chain is an ArchiveTimeStampChain (section 5.1): stamps of one hash
// function, each but the first over the tokens before it.
type Chain []ArchiveTimeStamp

// An ArchiveTimeStamp is a token with the part of the hash tree that leads to
// it (section 4.1).
type ArchiveTimeStamp struct {
	Hash tsa.Hash
	// Tree is the reduced hash tree: lists of hash values, the first with
	// those of the data objects. It is nil when the token is over the data
	// object's value itself.
	Tree [][][]byte
	// Token is the time-stamp token, a CMS ContentInfo in DER.
	Token []byte

	// named is digestAlgorithm as it stands in the record; empty when absent.
	named pkix.AlgorithmIdentifier
}

// Last returns the newest archive time stamp. It panics on a record without
// one, which neither Parse nor With gives.
func (r Record) Last() ArchiveTimeStamp {
	c := r.Chains[len(r.Chains)-1]
	return c[len(c)-1]
}

// Extends reports whether the record begins with all the stamps of old and
// has more.
func (r Record) Extends(old Record) bool {
	if r.Len() <= old.Len() || len(r.Chains) < len(old.Chains) {
		return false
	}
	for i, c := range old.Chains {
		if len(r.Chains[i]) < len(c) || i < len(old.Chains)-1 && len(r.Chains[i]) > len(c) {
			return false
		}
		for j, s := range c {
			if !r.Chains[i][j].equal(s) {
				return false
			}
		}
	}
	return true
}

// equal compares trees too: all records of a batch have one token.
func (s ArchiveTimeStamp) equal(o ArchiveTimeStamp) bool {
	return bytes.Equal(s.Token, o.Token) && slices.EqualFunc(s.Tree, o.Tree, func(a, b [][]byte) bool {
		return slices.EqualFunc(a, b, bytes.Equal)
	})
}

// Len returns the number of archive time stamps.
func (r Record) Len() (n int) {
	for _, c := range r.Chains {
		n += len(c)
	}
	return n
}

// The ASN.1 module of RFC 4998 appendix A (implicit tags), as far as it is
// written and read here.
type derRecord struct {
	Version    int
	Algorithms []pkix.AlgorithmIdentifier
	Chains     [][]derStamp
}

type derStamp struct {
	Algorithm pkix.AlgorithmIdentifier `asn1:"optional,tag:0"`
	Tree      [][][]byte               `asn1:"optional,tag:2"`
	Token     asn1.RawValue
}

func (r Record) der() [][]derStamp {
	out := make([][]derStamp, len(r.Chains))
	for i, c := range r.Chains {
		for _, s := range c {
			out[i] = append(out[i], derStamp{Algorithm: s.named, Tree: s.Tree, Token: asn1.RawValue{FullBytes: s.Token}})
		}
	}
	return out
}

// Encode returns the record's DER form.
func (r Record) Encode() ([]byte, error) {
	d := derRecord{Version: Version, Chains: r.der()}
	seen := map[tsa.Hash]bool{}
	for _, c := range r.Chains {
		for _, s := range c {
			if !seen[s.Hash] {
				seen[s.Hash] = true
				d.Algorithms = append(d.Algorithms, pkix.AlgorithmIdentifier{Algorithm: s.Hash.OID()})
			}
		}
	}
	b, err := asn1.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encoding evidence record: %w", err)
	}
	if len(b) > MaxSize {
		return nil, fmt.Errorf("encoding evidence record: %d bytes", len(b))
	}
	return b, nil
}

// sequence returns the first n chains as an ArchiveTimeStampSequence, DER:
// what a change of the hash function covers (section 5.2).
func (r Record) sequence(n int) ([]byte, error) {
	b, err := asn1.Marshal(r.der()[:n])
	if err != nil {
		return nil, fmt.Errorf("encoding chains: %w", err)
	}
	return b, nil
}

// Parse reads a record. It accepts nothing but the DER of what it reads, so
// that two different files are never the same record. Every complaint wraps
// ErrForm.
func Parse(b []byte) (Record, error) {
	r, err := parse(b)
	if err != nil {
		return Record{}, fmt.Errorf("reading evidence record of %d bytes: %w: %w", len(b), err, ErrForm)
	}
	return r, nil
}

func parse(b []byte) (Record, error) {
	if len(b) > MaxSize {
		return Record{}, fmt.Errorf("more than %d bytes", MaxSize)
	}
	var d derRecord
	rest, err := asn1.Unmarshal(b, &d)
	if err != nil {
		return Record{}, err
	}
	// What stands behind the members of a sequence is passed over by the
	// library; encoding again shows it, and every other liberty.
	if again, err := asn1.Marshal(d); err != nil || len(rest) > 0 || !bytes.Equal(again, b) {
		return Record{}, errors.New("not in DER, or with members that are not read here")
	}
	if d.Version != Version {
		return Record{}, fmt.Errorf("version %d", d.Version)
	}
	if len(d.Chains) == 0 || len(d.Chains) > MaxChains {
		return Record{}, fmt.Errorf("%d chains", len(d.Chains))
	}
	var r Record
	for i, chain := range d.Chains {
		if len(chain) == 0 || len(chain) > MaxStamps {
			return Record{}, fmt.Errorf("chain %d has %d stamps", i+1, len(chain))
		}
		var c Chain
		for j, s := range chain {
			ats, err := s.read()
			if err != nil {
				return Record{}, fmt.Errorf("chain %d, stamp %d: %w", i+1, j+1, err)
			}
			if !d.names(ats.Hash) {
				return Record{}, fmt.Errorf("chain %d, stamp %d: %s is not in digestAlgorithms", i+1, j+1, ats.Hash)
			}
			c = append(c, ats)
		}
		r.Chains = append(r.Chains, c)
	}
	return r, nil
}

func (d derRecord) names(h tsa.Hash) bool {
	for _, a := range d.Algorithms {
		if tsa.HashOf(a.Algorithm) == h {
			return true
		}
	}
	return false
}

func (s derStamp) read() (ArchiveTimeStamp, error) {
	info, err := tsa.ReadToken(s.Token.FullBytes)
	if err != nil {
		return ArchiveTimeStamp{}, err
	}
	a := ArchiveTimeStamp{Hash: info.Imprint.Hash, Tree: s.Tree, Token: s.Token.FullBytes, named: s.Algorithm}
	if len(s.Algorithm.Algorithm) > 0 && tsa.HashOf(s.Algorithm.Algorithm) != a.Hash {
		return a, fmt.Errorf("hash function %s, that of the token is %s", s.Algorithm.Algorithm, a.Hash)
	}
	if s.Tree != nil && len(s.Tree) == 0 || len(s.Tree) > maxLists {
		return a, fmt.Errorf("reduced hash tree of %d lists", len(s.Tree))
	}
	for _, list := range s.Tree {
		if len(list) == 0 || len(list) > maxValues {
			return a, fmt.Errorf("list of %d hash values", len(list))
		}
		for _, v := range list {
			if len(v) != a.Hash.Size() {
				return a, fmt.Errorf("hash value of %d bytes", len(v))
			}
		}
	}
	return a, nil
}
