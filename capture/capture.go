// Package capture holds the nouns of obtaining evidence: an Order says what
// to capture and why, a Take is the closed directory that came out of it, a
// Journal tells step by step how it was made.
//
// Life of a take: a source (package web for pages) gets an order and an
// empty directory; OpenDir starts the journal; every artefact is written
// through Dir.Create, which hashes the bytes as they arrive; Dir.Close
// writes take.json last. A directory without take.json is a capture that was
// interrupted, and Recover closes it as a partial take that says so. Nothing
// in a closed take is written again.
//
// Trust: the page and its server are trusted for nothing, they are only
// recorded. Whoever controls this process can record lies; that is why the
// take carries the digests of the browser and of this program, the clock's
// offset and the journal, and why it is time-stamped before it is packaged.
// The package needs the standard library and an SM3 implementation only.
package capture
