// Package verify makes an offline verdict on a package and its seal: layer
// by layer, in three states, each with a reason. preserve/FORMAT.md says in
// words what every layer checks and how to do the same with stock tools.
//
// Life of a verdict: Package, or Read where there is no file, opens the ZIP,
// hashes every file in it, compares them with datapackage.json and with the
// take's own manifest, rebuilds the Merkle root that was stamped before
// packaging, reads every WARC record, the index and the pages, and verifies
// the package's signature; then it reads the seal beside the package and
// checks its digest, signature, stamps and log entry; then the evidence
// records beside it, if there are any, which keep stamps good whose
// certificates have expired since. A layer that fails does not end the
// verdict; what cannot be checked because of it is "cannot tell".
//
// A package of another program, without a seal of ours and without anything of
// ours in it, goes through foreign instead: structure, digests, signature,
// signer and time as far as they go, and never further than "cannot tell".
//
// Trust: nothing in a package or seal is believed, and nothing is asked from
// the network. Who signed, stamped and logged is believed only as far as the
// caller's Trust names them; without it these layers cannot tell. Someone who
// holds the signing key can make another package that passes every layer but
// the stamps and the log.
package verify
