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
// Trust: the signature says which key sealed the package, not when; the
// envelope, that nobody without the key altered a byte of the seal since; the
// stamps say when, as far as their authorities are trusted; the log says that
// the sealing was not left out or reordered later. Whoever holds the key can
// sign anything, but cannot date it back under a third party's stamp.
package seal
