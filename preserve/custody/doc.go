// Package custody says what is done with a record after it was kept: how
// long it has to be retained, who holds it, and how it is disposed of.
//
// Life of an act: the caller decides what is to be done (Books.Classify,
// Hold, Release, Propose, Approve, Withdraw, Dispose); the act is checked
// against everything that was done before, signed, stored under the next
// number beside the package (ID.custody-N.json, which nothing can replace),
// and then logged, with the proof of that beside it (ID.custody-N.log.json).
// Only then does it change anything: dates are extended, holds laid on or
// taken off, the package removed.
//
// Crash states: an act that is stored and not yet logged, or logged and not
// yet carried out, is gone on with by Books.Resume, and by any later act on
// the record; each step asks for what may be so already. Two people acting
// at once want the same number: the second gets ErrConflict from the store,
// and nothing of it was done.
//
// Disposal takes a package out of the store for good: after its date, with
// no hold on it, proposed by one person with a reason and approved by two
// others. The order is tombstone, log, removal. The tombstone (the act of
// kind Disposed) says what there was: digests, class, dates, who proposed
// and approved. Seals and acts stay: they hold digests and the names of
// officers, nothing of the page.
//
// Trust: persons are who they say they are. Beside the name each act has
// the account of the operating system, and an approval given under the same
// account as another one says so (Act.SameAccount): on a machine with one
// account for everybody that is the usual case, and the reader decides what
// it is worth. Whoever holds the signing key and the store's rights can write
// acts; they cannot make the log forget one.
package custody
