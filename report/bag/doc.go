// Package bag writes BagIt bags (RFC 8493, version 1.0), as a directory or as
// one ZIP file, and checks them. It knows nothing of what is in them.
//
// Life of a bag: Create makes it beside its target under a hidden name; Add
// streams one file after the other into it and hashes each with SHA-256 and
// SHA-512 on the way; Close writes the manifests, makes everything durable,
// reads the whole bag again with Check, and only then gives it its name. A
// bag that was not closed is removed by Discard; a killed process leaves the
// hidden name and nothing under the target.
//
// Trust: a bag says which bytes belong to it, and not from whom they are.
// Whoever can change a file can change the manifests too: what vouches for
// them is a value that is kept elsewhere, such as Summary.Digest in a receipt.
package bag
