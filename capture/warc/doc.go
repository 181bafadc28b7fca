// Package warc writes and reads the traffic of a page as WARC 1.1
// (ISO 28500:2017) and the CDXJ index over it. It knows the format only, not
// browsers or packages.
//
// Life of a record: the recorder hands over one Exchange (a request and what
// came back) or one Resource; the Writer puts the HTTP message into a block,
// has gowarc compute the SHA-256 digests over block and payload and validate
// the fields, and appends the record as one gzip member of its own, response
// first, then the request that points to it. Nothing is appended for a body
// that could not be read to its end. After a crash Salvage says how much of
// the file is whole. Records reads a file back, one record at a time, and
// checks every digest; Index makes the CDXJ lines from it.
//
// Trust: names, values and bodies come from a server that may be hostile.
// What would break the framing (line breaks and control bytes in a header)
// is percent-encoded and named in WARC-JSON-Metadata; everything else is kept
// byte by byte, in order and with duplicates. The reader takes foreign files:
// it has limits for every length, allocates no body, and is fuzzed. The
// library's own reader is not used because it panics on some broken input.
package warc
