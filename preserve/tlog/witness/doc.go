// Package witness asks other parties to cosign the log's checkpoints (C2SP
// tlog-witness, Ed25519 cosignatures of C2SP tlog-cosignature).
//
// Life of a cosignature: Log.Append has the event logged, then sends the
// newest checkpoint with a proof that it continues the last one that each
// witness knows. A witness that finds both in order answers with its
// signature; one that knows another history refuses. The checkpoint with the
// signatures goes into the entry, with a proof of the event under it, and into
// a file, so that the next event that it already covers needs nobody. When
// cosignatures are required and too few came, Append fails: the seal is pending
// as when the log is down, and the next try finds the event logged.
//
// Tessera's own WithWitnesses is not used: it holds back the checkpoint itself
// until enough witnesses have signed, for every checkpoint and ten times a
// second, drops signatures beyond the quorum, and forgets what each witness
// knows when the process ends, which here is after every capture.
//
// Trust: a witness is trusted to sign one history only; that of n witnesses
// whose cosignatures a reader wants, all would have to take part in showing
// different people different logs. It cannot forge events. What it answers is
// verified before it is kept; how far it says to know the log is only a hint.
package witness
