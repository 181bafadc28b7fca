// Package remote lets many machines share one log: a Server on the machine that
// has it, a Log on each of the others.
//
// Life of an event: a worker notes the log's size and the event on its own
// disk (package seal, event.json), then posts it. The server has it sequenced,
// waits for a signed checkpoint over it, and answers with the entry: place,
// proof, checkpoint. The worker verifies all of that before the event counts as
// logged; until then it lies in the worker's spool, or in a pending seal, and is
// posted again.
//
// Crash states: an event whose answer was lost, because either side was killed,
// is found by its bytes from the noted size on and answered with its first
// place. The same event posted twice at once is sequenced once.
//
// Trust: whoever has the token can add events to the log, not change or remove
// any. The server is trusted for order alone: every answer is checked under the
// log's key, which is remembered at first use or set in advance, and every
// checkpoint must continue the newest one that this worker has trusted. Without
// TLS in front of it the token can be read on the way: use it on loopback or in
// a network of your own.
package remote
