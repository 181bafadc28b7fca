// Package wacz writes and reads evidence packages: WACZ 1.1.1 files in the
// canonical form that preserve/FORMAT.md describes.
//
// Life of a package: Write hashes every file of a closed take and every proof,
// indexes the WARC, lists all of it in datapackage.json, has the digest of
// that list signed, and streams everything into one ZIP file of stored
// entries, which gets its name when it is whole and on disk. A file that no
// longer has the SHA-256 value in take.json is refused, also when it changes
// before it is copied; what the caller has just compared is read for the copy
// alone. The same input gives the same bytes, but for the signature. Open
// reads a package: it re-encodes every structure of the ZIP from what the
// directory says and compares it with the file, so that there is no byte that
// belongs to nothing.
//
// Trust: Write trusts its caller and not the disk. Open takes any file:
// names that could leave a directory or be confused with each other,
// overlapping, compressed or hidden content and bytes before, between or
// after the entries are refused, each with an error of its own. What the
// package says about itself is for preserve/verify to judge.
package wacz
