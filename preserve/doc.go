// Package preserve turns a closed take into a record: packaged, sealed and
// stored so that nothing can be changed unseen.
//
// Life of a record, all in the take's spool directory, each file whole on
// disk before the next step begins:
//
//	order.json, take/        from the capture
//	proofs/raw.json          every file compared again, Merkle root over them
//	proofs/raw-stamps.json   time stamps over that root, before packaging
//	package.wacz             the package, from here on immutable
//	event.json               the log event, before it is logged
//	seal.json                signature, stamps, log entry
//	(store)                  package, then seal, locked until a date
//	kept.json                where they lie; the directory may go
//
// Crash states: a step whose file is there is not done again, so Keep may be
// killed anywhere and called again. Stamps asked for twice leave no trace.
// An event that was logged without seal.json being written is found in the
// log, because event.json says where to look. A package in the store without
// its seal gets it on the next call; both are put under fixed keys that take
// the same bytes twice and other bytes never. What cannot be gone on with (a
// file of the take that changed) is an error that names it, and everything
// stays where it is.
//
// Later, package renew puts evidence records beside the seals, under the keys
// of EvidenceKey.
//
// How often bytes are hashed: SHA-256 and SM3 as they arrive (package
// capture); SHA-256 before the root is stamped and again while the file is
// copied into the package, which shows that the bytes, and so their SM3
// value, are still those; SHA-256 and SM3 over the package as it is written;
// SHA-256 of it before it is sealed, and by the store. What an earlier call
// did is not believed and hashed in full.
//
// Trust: this package trusts the disk of the spool for nothing it has hashed
// before. It cannot know whether the take is true. See packages seal, tsa,
// tlog, key and storage for what each of them is trusted for.
package preserve
