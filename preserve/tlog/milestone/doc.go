// Package milestone anchors the log outside its own machine: from time to time
// its newest checkpoint is time-stamped, and what was stamped is copied to the
// store, where it cannot be removed.
//
// Life of a milestone: Book.Keep looks whether one is due; it takes the log's
// newest checkpoint, asks every authority for a stamp over the note's bytes,
// writes both into one file named for the size, and puts a copy into the store
// under a key of that size that is never written twice. An authority that did
// not answer is named in the file and asked again; the fuller milestone is
// stored beside the first, under the next number. Checkpoints returns what a
// log that is being opened has to continue.
//
// Crash states: a checkpoint that was stamped but not written is stamped again
// by the next call; one that was written but not stored is stored by it.
//
// Trust: a stamp says that the log had this root at that time, as far as its
// authority is trusted; whoever has the log's key and disk can rewrite only what
// came after the last one. The local files are trusted for nothing: every
// checkpoint is verified when it is read.
package milestone
