// Package export hands evidence over to a court or a notary: a BagIt bag with
// the packages, their seals and sheets, everything that the seals hold as
// files that openssl reads, what this installation trusts, the programs that
// verify, and a text in plain words about how to check it all and what each
// check shows.
//
// Life of an export: for every record Export opens each object that the store
// has of it, has preserve/verify make the verdict on the package and the
// newest seal, and copies them into the bag; it takes the seal apart; it adds
// the trust, the verifiers and the README, and closes the bag, which is read
// again as a whole before it gets its name. A record that is not sound ends
// it, unless broken ones are wanted: then the README names them.
//
// Trust: whoever exports is trusted for nothing but the choice of records.
// What is taken out of a package or seal is a copy for other tools; the seal
// is what counts. The keys and roots in the bag are those that the exporting
// installation names: a reader must compare them with what they have from
// elsewhere, and the README says so at every step that needs it.
package export
