package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"guzheng/capture"
	"guzheng/preserve"
	"guzheng/preserve/tlog"
	"guzheng/preserve/tlog/tiles"
)

func logProveVerb(s streams) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "prove ID|INDEX",
		Short: "Prove that an event is in the log",
		Long: `prove prints the proof that an event is in the log, in C2SP tlog-proof form:
checkpoint, place and hashes, with the event itself in the line "extra". It is
about the newest checkpoint, or about an older one in a file. What is printed
has been verified.`,
		Args: args(cobra.ExactArgs(1)),
	}
	c.Flags().StringVar(&file, "checkpoint", "", "prove it under the checkpoint in this `file`")
	c.RunE = func(c *cobra.Command, a []string) (err error) {
		h, err := openHome(s, "")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.Close()) }()
		text, err := h.prove(c.Context(), a[0], file)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(s.out, text)
		return err
	}
	return c
}

// prove returns the verified proof of an event.
func (h *home) prove(ctx context.Context, what, file string) (string, error) {
	tree, verifier, err := h.readLog(ctx)
	if err != nil {
		return "", err
	}
	note, size := tree.Note(), tree.Checkpoint().Size
	if file != "" {
		cp, text, err := h.readCheckpoint(file, verifier, tree)
		if err != nil {
			return "", err
		}
		note, size = text, cp.Size
	}
	index, err := h.indexOf(ctx, tree, what)
	if err != nil {
		return "", err
	}
	if index >= size {
		return "", fail(exitFailure, "use a newer checkpoint", "event %d is not among the %d that the checkpoint covers", index, size)
	}
	e, err := tree.Prove(index, size)
	if err != nil {
		return "", alteredLog(err)
	}
	e.Checkpoint = note
	text := tlog.FormatProof(e)
	// Verified as a stranger would, from the text.
	again, err := tlog.ParseProof(text)
	if err != nil {
		return "", err
	}
	again.Verifier = verifier
	for _, f := range tlog.Check(again, []string{verifier}).Findings {
		if f.State != tlog.Passed {
			return "", fail(exitAltered, "guzheng log check", "proof of event %d: %s: %s", index, f.Layer, f.Detail)
		}
	}
	return text, nil
}

// indexOf turns the number of a package or of an event into the latter.
func (h *home) indexOf(ctx context.Context, tree *tiles.Tree, what string) (int64, error) {
	if !capture.ValidID(what) {
		n, err := strconv.ParseInt(what, 10, 64)
		if err != nil || n < 0 {
			return 0, fail(exitUsage, "guzheng list shows the numbers", "%q is neither an evidence number nor the place of an event", what)
		}
		return n, nil
	}
	e, err := h.find(ctx, what)
	if err != nil {
		return 0, err
	}
	rec, err := preserve.Read(ctx, h.store, e.Package)
	if err != nil {
		return 0, err
	}
	if !rec.SealValue.Log.Pending() {
		return rec.SealValue.Log.Index, nil
	}
	for i, ev := range tree.Events(ctx, 0, tree.Checkpoint().Size) {
		if ev.Err != nil {
			return 0, alteredLog(ev.Err)
		}
		if string(ev.Leaf) == string(rec.SealValue.Log.Leaf) {
			return i, nil
		}
	}
	return 0, fail(exitFailure, "guzheng seal --pending", "the event of %s is not in the log yet", what)
}

// readCheckpoint reads a checkpoint of this log from a file, and wants the
// log to hold it.
func (h *home) readCheckpoint(file, verifier string, tree *tiles.Tree) (tlog.Checkpoint, string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return tlog.Checkpoint{}, "", fail(exitFailure, "", "reading checkpoint: %w", err)
	}
	cp, err := h.holds(string(b), verifier, tree)
	if err != nil {
		return cp, "", fmt.Errorf("checkpoint %s: %w", file, err)
	}
	return cp, string(b), nil
}

// holds wants the log to hold the tree of a checkpoint that it signed.
func (h *home) holds(note, verifier string, tree *tiles.Tree) (tlog.Checkpoint, error) {
	cp, err := tlog.ParseCheckpoint(note)
	if err != nil {
		return cp, fail(exitFailure, "", "%w", err)
	}
	if origin := tree.Checkpoint().Origin; cp.Origin != origin {
		return cp, fail(exitFailure, "", "it is of log %s, here is %s", plain(cp.Origin), origin)
	}
	if _, err := tlog.VerifyCheckpoint(note, verifier); err != nil {
		return cp, fail(exitAltered, "", "%w", err)
	}
	if cp.Size > tree.Checkpoint().Size {
		return cp, fail(exitLog, "", "log has %d events, it is over %d", tree.Checkpoint().Size, cp.Size)
	}
	root, err := tree.Root(cp.Size)
	if err != nil {
		return cp, alteredLog(err)
	}
	if root != cp.Root {
		return cp, fail(exitLog, "keep both: the log's key signed two histories",
			"the first %d events have root %x, it says %x", cp.Size, root, cp.Root)
	}
	return cp, nil
}

func logConsistencyVerb(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "consistency OLD NEW",
		Short: "Prove that the log only grew between two checkpoints",
		Long: `consistency prints the proof that the log at the checkpoint NEW begins with
everything that it held at OLD. Each is a file with a checkpoint, or a size: then
the root is computed from the log. What is printed is the body of a request to a
witness (C2SP tlog-witness, add-checkpoint), and has been verified. It carries
the signed checkpoint when NEW is a file or the newest size, else its text.`,
		Args: args(cobra.ExactArgs(2)),
	}
	c.RunE = func(c *cobra.Command, a []string) (err error) {
		h, err := openHome(s, "")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.Close()) }()
		text, err := h.consistency(c.Context(), a[0], a[1])
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(s.out, text)
		return err
	}
	return c
}

func (h *home) consistency(ctx context.Context, older, newer string) (string, error) {
	tree, verifier, err := h.readLog(ctx)
	if err != nil {
		return "", err
	}
	from, _, err := h.checkpointAt(older, verifier, tree)
	if err != nil {
		return "", err
	}
	to, note, err := h.checkpointAt(newer, verifier, tree)
	if err != nil {
		return "", err
	}
	if from.Size > to.Size {
		return "", fail(exitUsage, "guzheng log consistency OLD NEW", "the older checkpoint is over %d events, the newer over %d", from.Size, to.Size)
	}
	proof, err := tree.Consistency(from.Size, to.Size)
	if err != nil {
		return "", alteredLog(err)
	}
	text := tlog.Consistency{Old: from.Size, Proof: proof, Checkpoint: note}.Format()
	again, err := tlog.ParseConsistency(text)
	if err != nil {
		return "", err
	}
	if err := again.Check(from.Root); err != nil {
		return "", fail(exitAltered, "guzheng log check", "%w", err)
	}
	return text, nil
}

// checkpointAt reads a checkpoint from a file, or makes the text of one for
// a size.
func (h *home) checkpointAt(what, verifier string, tree *tiles.Tree) (tlog.Checkpoint, string, error) {
	n, err := strconv.ParseInt(what, 10, 64)
	if err != nil {
		return h.readCheckpoint(what, verifier, tree)
	}
	cp := tree.Checkpoint()
	if n == cp.Size {
		return cp, tree.Note(), nil
	}
	if n < 0 || n > cp.Size {
		return cp, "", fail(exitUsage, "guzheng log show", "log has %d events, not %d", cp.Size, n)
	}
	if cp.Root, err = tree.Root(n); err != nil {
		return cp, "", alteredLog(err)
	}
	cp.Size = n
	return cp, tlog.FormatCheckpoint(cp), nil
}
