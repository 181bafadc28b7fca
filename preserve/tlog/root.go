package tlog

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Root returns the Merkle tree hash over the leaves in their order (RFC 6962
// section 2.1). For no leaves it is the SHA-256 value of the empty string, as
// that section defines it.
func Root(leaves [][]byte) [32]byte {
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, n := range indexes {
			if n < 0 || n >= int64(len(stored)) {
				return nil, fmt.Errorf("no hash %d", n)
			}
			out[i] = stored[n]
		}
		return out, nil
	})
	for i, leaf := range leaves {
		hashes, err := tlog.StoredHashes(int64(i), leaf, read)
		if err != nil {
			panic("tlog: " + err.Error()) // every hash asked for was stored before
		}
		stored = append(stored, hashes...)
	}
	root, err := tlog.TreeHash(int64(len(leaves)), read)
	if err != nil {
		panic("tlog: " + err.Error())
	}
	return root
}
