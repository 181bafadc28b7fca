// Package seal makes and reads the seal that lies beside a package:
// signature, time stamps, proof of the log entry.
//
// Life of a seal: the caller asks Press.Event for the log event of a package
// and stores it; Press.Seal hashes the package, signs the digest, asks every
// authority for a stamp over it while the event is logged, and puts an
// envelope around the whole: a second signature, over the seal itself. A stamp or log
// that could not be had is in the seal with its reason: the seal is pending,
// and Press.Complete later makes a fuller one beside it. Encode and Decode
// are the JSON form; CheckSignature and CheckEnvelope are the checks of the
// two signatures, package tsa has that of the stamps and package tlog that of
// the log entry.
//
// An SM2 signature can be ordered. It stands beside that on P-384 and never
// in its place: the package's own signature has to be what ReplayWeb.page
// verifies, one key has to be on package, seal and log event so that a reader
// can compare them, and readers without the national algorithms must still
// verify everything. Who must use those (GB/T 39786) finds in the seal a
// signature, and with an authority for it a stamp, that rest on SM2 and SM3
// alone. The envelope is around the SM2 signature too: the holder of the first
// key vouches for the second, and a reader who trusts neither P-384 nor
// SHA-256 any more pins the SM2 key itself.
//
// Trust: the signature says which key sealed the package, not when; the
// envelope, that nobody without the key altered a byte of the seal since; the
// stamps say when, as far as their authorities are trusted; the log says that
// the sealing was not left out or reordered later. Whoever holds the key can
// sign anything, but cannot date it back under a third party's stamp.
package seal
