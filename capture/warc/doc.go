// Package warc writes and reads the traffic of a page as WARC 1.1
// (ISO 28500:2017) and the CDXJ index over it. It knows the format only, not
// browsers or packages.
//
// Life of a record: the recorder hands over one Exchange (a request and what
// came back), the Frames of a socket, a DNS answer or a Resource; the Writer
// puts the HTTP head into the block, reads the body once for the SHA-256
// values of block and payload, which stand before it, checks the fields, and
// reads the body again into one gzip member, response first, then the request
// that points to it. What is compressed already is stored as it is. No body is
// held in memory, and nothing is appended for one that could not be read to
// its end. After a crash Salvage says how much of the file is whole. Records
// reads a file back, one record at a time, and checks every digest; Index
// makes the CDXJ lines from it.
//
// Trust: names, values and bodies come from a server that may be hostile.
// What would break the framing (line breaks and control bytes in a header)
// is percent-encoded and named in WARC-JSON-Metadata; everything else is kept
// byte by byte, in order and with duplicates, also where an HTTP library
// would refuse it. The caller is believed when it says what digest a body
// has; a wrong one shows to every reader. The reader takes foreign files: it
// has limits for every length, allocates no body, and is fuzzed. Writer and
// reader are our own, and in the tests gowarc and warcio judge both.
package warc
