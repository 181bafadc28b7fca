package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"guzheng/preserve"
	"guzheng/preserve/custody"
	"guzheng/storage"
	"guzheng/storage/index"
)

func sealVerb(s streams) *cobra.Command {
	var pending, asJSON bool
	var conf string
	c := &cobra.Command{
		Use:   "seal --pending",
		Short: "Ask again for stamps and log entries that are missing",
		Long: `seal --pending asks the time-stamping authorities and the log again for every
kept package whose seal lacks something, and stores the completed seal beside
the first one.`,
		Args: args(cobra.NoArgs),
	}
	c.Flags().BoolVar(&pending, "pending", false, "complete every seal that lacks something")
	c.Flags().BoolVar(&asJSON, "json", false, "write one JSON object per package")
	c.Flags().StringVar(&conf, "config", "", "configuration `file` instead of config.yaml")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if !pending {
			return fail(exitUsage, "guzheng seal --pending", "seal needs --pending")
		}
		return completeSeals(c.Context(), s, conf, asJSON)
	}
	return c
}

func completeSeals(ctx context.Context, s streams, conf string, asJSON bool) (err error) {
	h, err := openHome(s, conf)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	k, err := h.keeper(ctx)
	if err != nil {
		return err
	}
	entries, err := h.index.List(ctx, index.Filter{Pending: true})
	if err != nil {
		return err
	}
	// Of a package that is gone nobody can be asked any more.
	entries = slices.DeleteFunc(entries, func(e storage.Entry) bool { return e.State == custody.StateDisposed })
	waiting := 0
	for _, e := range entries {
		done, changed, err := k.Complete(ctx, e)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			// One seal that cannot be completed is no reason to leave the rest.
			fmt.Fprintf(s.err, "guzheng: completing the seal of %s: %s\n", e.ID, plain(err.Error()))
			waiting++
			continue
		}
		if changed {
			if err := h.index.Put(ctx, done); err != nil {
				return err
			}
			if err := h.reprint(ctx, done); err != nil {
				return err
			}
		}
		if done.Pending {
			waiting++
			h.tellPending(ctx, s, done)
		}
		path := h.where(storage.Object{Key: done.Seal})
		if asJSON {
			writeLine(s.out, map[string]any{"type": "seal", "id": e.ID, "changed": changed, "pending": done.Pending, "seal": path})
		} else {
			fmt.Fprintf(s.out, "%s %s\n", e.ID, path)
		}
	}
	if err := h.anchorNow(ctx); err != nil {
		return err
	}
	if waiting > 0 {
		return fail(exitPartial, "guzheng seal --pending, later", "%d of %d seals still lack something", waiting, len(entries))
	}
	return nil
}

// reprint makes the sheet of a package again: what it says of the seal has
// changed, or there was none yet.
func (h *home) reprint(ctx context.Context, e storage.Entry) error {
	v, err := h.view(ctx, e)
	if err != nil {
		return err
	}
	return h.writeSheet(filepath.Join(h.dir, "sheets", e.ID+".pdf"), v, h.words)
}

// tellPending says which authority did not answer, and why.
func (h *home) tellPending(ctx context.Context, s streams, e storage.Entry) {
	rec, err := preserve.Read(ctx, h.store, e.Package)
	if err != nil {
		fmt.Fprintf(s.err, "guzheng: %s: %s\n", e.ID, plain(err.Error()))
		return
	}
	for _, st := range rec.SealValue.Stamps {
		if st.Pending() {
			fmt.Fprintf(s.err, "guzheng: %s: %s: %s\n", e.ID, plain(st.TSA), plain(st.Error))
		}
	}
	if rec.SealValue.Log.Pending() {
		fmt.Fprintf(s.err, "guzheng: %s: log: %s\n", e.ID, plain(rec.SealValue.Log.Error))
	}
}
