// Package tsa asks time-stamping authorities for RFC 3161 time stamps, checks
// them offline, and has a practice authority built in.
//
// Life of a stamp: an Authority gets a SHA-256 value, makes a request with a
// fresh nonce (RFC 3161 section 2.4.1), sends it over HTTP (section 3.4) or
// answers it in this process, checks what comes back (status, imprint, nonce,
// signature, and roots and pins as far as they are configured for that very
// authority), has a Fetcher ask whether its certificates were revoked, and
// returns a Stamp: request and response as they were, what was told of the
// certificates, or the reason why there is no usable response. Check reads a
// Stamp years later without the network and reports layer by layer: imprint,
// nonce, policy, signature, chain and revocation at the token's own time,
// identity, clock.
// An Imprinter also stamps values of other hash functions (SHA-384, SHA-512,
// SM3), and CheckToken examines a bare token as of a later time: evidence
// records (package ers) are made of both.
//
// Tokens of the national algorithms (SM3 imprint, SM2 signatures and
// certificates; GM/T 0033) pass the same checks, read by another library:
// gmsm. For all others two libraries have to agree on the chain.
//
// Trust: an authority is trusted for the time, and only as far as its
// certificate leads to a configured root and, where pinned, is the very one
// expected. Without either the answer is "cannot tell", never "passed". The
// practice authority is this machine's own clock and key: whoever controls
// the machine can make it say any time, so its chain is never passed. A
// network attacker can withhold stamps but not forge or replay one: the nonce
// and the imprint would not match. The same attacker can withhold what is
// told of revocation, which is then told as absent; an answer is believed for
// its signature, not for where it came from. An authority can make us ask any
// public address that its certificates name, once they lead to a root that
// was configured; private ones only where that is allowed.
package tsa
