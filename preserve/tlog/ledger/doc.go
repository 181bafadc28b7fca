// Package ledger keeps the transparency log: an append-only Merkle tree of
// events in a directory of C2SP tlog-tiles, written by Tessera. It lives apart
// from package tlog so that the verifier does not carry it.
//
// Life of a leaf: Append looks whether the event is already there (a crash
// may have cut off the answer), adds it, waits until a signed checkpoint
// covers it, builds the inclusion proof, checks both as a stranger would and
// returns them as a tlog.Entry. Several processes may append to one log: file
// locks put them in a row. Within one process the log is opened once.
//
// Trust: the log's Ed25519 key, made at first use, and the directory are this
// machine's. Their holder can drop or rewrite the log, but not so that two
// checkpoints that left the machine still fit together. A log that is missing
// although its key exists is refused, not begun again. So is one that lacks or
// contradicts the newest checkpoint that was trusted, of which a copy lies with
// the keys, or a checkpoint from elsewhere that Open is given: an old copy of
// the directory, or another log of the same key. Whoever can write both
// directories deceives all but the copies elsewhere.
package ledger
