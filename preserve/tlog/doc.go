// Package tlog checks entries of the transparency log offline and computes
// RFC 6962 Merkle roots. The log itself is written by package ledger.
//
// Life of an entry: ledger appends an event and returns an Entry that holds
// the event, its place, an inclusion proof (RFC 6962 section 2.1.1) and a
// signed checkpoint (C2SP tlog-checkpoint). The entry lies in the seal. Check
// needs nothing else: it hashes the event, walks the proof up to the root in
// the checkpoint, and verifies the checkpoint's signature.
//
// Trust: the entry brings its own verifier key, so without a key known from
// elsewhere Check shows only that the entry agrees with itself, and the layer
// "key" cannot be told. Whoever holds the log's key and disk can write
// another history; that shows when two checkpoints that left the machine (on
// sheets, in stamps, with other people) do not fit together.
package tlog
