package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"guzheng/capture"
	"guzheng/preserve/tlog/ledger"
	"guzheng/preserve/tlog/milestone"
	"guzheng/preserve/tlog/tiles"
	"guzheng/preserve/tlog/witness"
	"guzheng/preserve/tsa"
)

// openLog opens the log for appending, held against every checkpoint that is
// known: beside the keys, among the milestones, and in the store.
func (h *home) openLog(ctx context.Context) error {
	if h.log != nil {
		return nil
	}
	if h.cfg.Log.URL != "" {
		return h.openRemote(ctx)
	}
	verifier, err := ledger.Verifier(h.keys())
	if err != nil {
		return err
	}
	var kept []string
	if verifier != "" {
		if kept, err = h.book().Checkpoints(ctx, verifier); err != nil {
			return err
		}
	}
	l, err := ledger.Open(ctx, h.logDir(), h.keys(), kept...)
	if err != nil {
		return h.logTrouble(err)
	}
	h.closer = append(h.closer, func() error {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return l.Close(end)
	})
	h.log, h.ledger = l, l
	if len(h.cfg.Log.Witnesses) > 0 {
		h.log = &witness.Log{Appender: l, Dir: h.logDir(), State: filepath.Join(h.dir, "witnesses"),
			Panel: h.cfg.Log.panel(), Require: h.cfg.Log.Require, Tell: func(err error) {
				fmt.Fprintf(h.err, "guzheng: %s\n", plain(err.Error()))
			}}
	}
	return nil
}

// book is where the log's stamped checkpoints lie. They are kept as long as a
// case file, whatever they are about.
func (h *home) book() milestone.Book {
	b := milestone.Book{Dir: filepath.Join(h.dir, "checkpoints"), Now: capture.Now, Authorities: h.tsas,
		Every: time.Duration(h.cfg.Log.StampHours) * time.Hour,
		Until: func(now time.Time) time.Time { return now.AddDate(0, 0, h.cfg.CaseRetentionDays) }}
	if h.store != nil {
		b.Store = h.store
	}
	return b
}

// anchor has the log's checkpoint stamped when that is due. What was kept is
// kept whatever comes of it: trouble is told, and tried again.
func (h *home) anchor(ctx context.Context) {
	if h.cfg.Log.URL != "" {
		return // the node's
	}
	out, err := h.book().Keep(ctx, h.log, false)
	if err != nil {
		fmt.Fprintf(h.err, "guzheng: %s (guzheng log stamp)\n", plain(err.Error()))
	}
	if out.Changed {
		h.tellUnstamped(out)
	}
}

// anchorNow has it stamped, or completed, whatever the time.
func (h *home) anchorNow(ctx context.Context) error {
	if h.cfg.Log.URL != "" {
		return nil // the node's
	}
	out, err := h.book().Keep(ctx, h.log, true)
	if err != nil {
		return err
	}
	h.tellUnstamped(out)
	return nil
}

// tellUnstamped names the authorities that did not answer.
func (h *home) tellUnstamped(out milestone.Outcome) {
	for _, st := range out.Milestone.Stamps {
		if st.Pending() {
			fmt.Fprintf(h.err, "guzheng: the log's checkpoint over %d events is not stamped by %s: %s (asked again in an hour, or by guzheng log stamp)\n",
				out.Size, plain(st.TSA), plain(st.Error))
		}
	}
}

func logStampVerb(s streams) *cobra.Command {
	var conf string
	c := &cobra.Command{
		Use:   "stamp",
		Short: "Have the log's newest checkpoint time-stamped now",
		Long: `stamp asks the time-stamping authorities for stamps over the log's newest
checkpoint, or again for those that are missing, and copies it to the store.
capture does so by itself every log.stamp_hours when something was logged.`,
		Args: args(cobra.NoArgs),
	}
	c.Flags().StringVar(&conf, "config", "", "configuration `file` instead of config.yaml")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		h, err := openHome(s, conf)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.Close()) }()
		if err := h.here(); err != nil {
			return err
		}
		if _, err := h.keeper(c.Context()); err != nil {
			return err
		}
		out, err := h.book().Keep(c.Context(), h.log, true)
		if err != nil {
			return err
		}
		if out.Milestone.Format == "" {
			return fail(exitFailure, "the first capture logs something", "nothing was logged yet")
		}
		h.tellUnstamped(out)
		fmt.Fprintf(s.out, "%d  %s\n", out.Size, plain(out.Object.Key))
		if out.Milestone.Pending() {
			return fail(exitPartial, "guzheng log stamp, later", "the checkpoint over %d events lacks a stamp", out.Size)
		}
		return nil
	}
	return c
}

// checkMilestones holds the log against every checkpoint that was stamped
// here, and checks the stamps.
func (h *home) checkMilestones(s streams, tree *tiles.Tree, verifier string) error {
	all, err := h.book().All(verifier)
	if err != nil {
		return fail(exitAltered, "", "%w", err)
	}
	trust, err := h.trust()
	if err != nil {
		return err
	}
	bad := 0
	for _, m := range all {
		cp, err := h.holds(m.Checkpoint, verifier, tree)
		if err != nil {
			return err
		}
		for _, st := range m.Stamps {
			r := tsa.Check(st, m.Imprint(), trust.TSA)
			if r.State() == tsa.Failed {
				bad++
			}
			fmt.Fprintf(s.out, "%s  %d  %s  %s\n", h.words.T("outcome."+string(r.State())), cp.Size, plain(st.TSA), r.Time.Format(time.RFC3339))
		}
	}
	if bad > 0 {
		return fail(exitAltered, "", "%d stamps over checkpoints do not hold", bad)
	}
	return nil
}
