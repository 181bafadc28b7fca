// Package renew keeps time stamps of stored packages good: it makes evidence
// records (RFC 4998, package ers) for whole batches of packages and puts them
// beside the seals.
//
// Life of a batch, all in a directory of its own until it is done:
//
//	(survey)           what lies beside each package is read; those are due
//	                   whose stamps' certificates expire soon, or whose hash
//	                   function is another than wanted
//	plan.jsonl         one line for each record that is to be made: what it
//	                   extends, its hash values, its number
//	token-J-HASH.json  one time stamp per authority and hash function, over
//	                   the root of a hash tree over all those lines
//	(store)            the records, one by one, under the planned numbers
//	event.json         the log event, before it is logged
//	../ID.json         the account of the batch; the directory may go
//
// Crash states: a batch without a token is forgotten, nothing of it had left
// the directory, and the next survey finds the same packages. One with a token
// is gone on with: the records follow from plan, token and store, so that they
// are the same bytes under the same keys, which a store takes twice; the event
// is found in the log if it was logged. An authority that had not answered is
// asked again.
//
// What a record is about (preserve/FORMAT.md section 3.5): a new one is about
// package, all seals and all evidence records beside it; a renewal is over the
// tokens of the record it extends, for which the package is not read; a change
// of the hash function reads the data objects again, compares them with what
// was stamped, and covers them and all earlier chains.
//
// Trust: the store is believed for nothing that is not checked: a seal's
// envelope, a record's chain, the SHA-256 value of a package that is read. A
// record that does not hold is named and not extended. Whoever controls the
// store can hide records; then the package is renewed from its seals again.
package renew
