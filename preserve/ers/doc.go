// Package ers makes, reads and validates evidence records (RFC 4998): what
// keeps a time stamp good after its certificate has expired or its hash
// function has become weak.
//
// Life of a record: Initial groups the hash values of some data objects; a
// Tree over the groups of many packages has one root, and one time stamp over
// it is good for all; Record.With puts group, path through the tree and token
// together. Before that token's certificate expires, Renewal groups the
// tokens so far, and With adds an archive time stamp over them to the same
// chain (section 5.2). Before the hash function weakens, Rehash takes the
// data objects' values under a stronger one, binds them to all chains so far,
// and With begins a new chain. Encode and Parse are the DER form. Validate
// says, as of a time, whether all that holds: every token valid at the time
// of the next one, the last at that time (section 5.3).
//
// Trust: nothing in a record is believed but what leads to the caller's
// roots. Whoever holds a record can leave out its newest stamps; then it is
// an older record, which says what it says. Whoever breaks a hash function
// after a chain with a stronger one was begun in time gains nothing. The
// record is silent about whether a renewal came before the weakness did: that
// is for the reader, who knows the date. Revocation is not looked at (no
// network).
package ers
