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
// the record; each step asks for what may be so already. A tombstone is
// carried out by Dispose and Resume alone: whoever asks for a hold meanwhile
// gets it, and the disposal is void. Two people acting at once want the same
// number: the second gets ErrConflict from the store, and nothing of it was
// done.
//
// Disposal takes a package out of the store for good: after its date, with
// no hold on it, proposed by one person with a reason and approved by two
// others. The date is the latest of the store's, the acts', and the term of
// the record's class, counted from the time in its seal; the package is
// hashed before. The order is tombstone, log, removal. The tombstone (the act
// of kind Disposed) says what there was: digests, class, dates, who proposed
// and approved. Seals and acts stay: they hold digests and the names of
// officers, nothing of the page.
//
// Trust: who can only write to the store can stop every act by writing what
// is no act, or hide or destroy packages as with any store. They can neither
// take a record off its holds nor have it disposed of here: acts, seals and
// proofs count only under the keys in Trust, the rules are gone through again
// when a chain is read, and acts cut off its end are missed in the log
// (ReadLogged, which every act but a hold begins with). Whoever holds the
// signing key can write acts that keep the rules under any name; they cannot
// make the log forget one. Who holds the log's key and directory too can. The
// catalogue is believed in one thing, whether a record was captured for a
// case, and this machine's clock in what day it is.
//
// Persons are who they say they are. Beside the name each act has the account
// of the operating system, and an approval given under the same account as
// another one, or under none, says so (Act.SameAccount): on a machine with
// one account for everybody that is the usual case, and the reader decides
// what it is worth.
package custody
