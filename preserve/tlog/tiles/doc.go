// Package tiles reads a log from a directory of C2SP tlog-tiles: ours, an
// exported copy, or a stranger's. It writes nothing but copies and does not
// carry the program that appends.
//
// Life of a proof: Open reads the checkpoint and verifies that the given key
// signed it; every hash that is read afterwards is first led up to that
// checkpoint's root, so that a proof is either right or an error. Check
// recomputes the whole tree from the events. Export copies what an auditor
// needs, read through the same checks.
//
// Trust: the directory is trusted for nothing. Whoever holds the log's key can
// put another tree behind another signed checkpoint; that shows only beside a
// checkpoint from elsewhere (Consistency).
package tiles
