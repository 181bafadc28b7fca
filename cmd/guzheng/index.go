package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"guzheng/capture"
	"guzheng/storage/dir"
	"guzheng/storage/index"
)

func indexVerb(s streams) *cobra.Command {
	c := &cobra.Command{Use: "index", Short: "Maintain the index", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(&cobra.Command{
		Use:   "rebuild",
		Short: "Make the index again from the store",
		Long: `index rebuild reads every package and seal in the store and fills the index
anew. The index holds nothing that is not in the store. A damaged index file is
set aside, not removed.`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return rebuild(c, s) },
	})
	return c
}

func rebuild(c *cobra.Command, s streams) (err error) {
	h, err := openHome("")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	ctx := c.Context()
	name := filepath.Join(h.dir, "guzheng.db")
	if h.index, err = index.Open(ctx, name); err != nil {
		aside, serr := index.SetAside(name)
		if serr != nil {
			return errors.Join(err, serr)
		}
		fmt.Fprintf(s.err, "guzheng: the damaged index is set aside as %s\n", aside)
		if h.index, err = index.Open(ctx, name); err != nil {
			return err
		}
	}
	h.closer = append(h.closer, h.index.Close)
	if h.store, err = dir.Open(filepath.Join(h.dir, "store"), capture.Now); err != nil {
		return fail(exitStorage, "", "opening store: %w", err)
	}
	if err := h.index.Reset(ctx); err != nil {
		return err
	}
	n, bad, err := h.reindex(ctx, func(key string, err error) {
		fmt.Fprintf(s.err, "guzheng: %s: %v\n", key, err)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%d\n", n)
	if bad > 0 {
		return fail(exitAltered, "guzheng verify FILE shows which check fails", "%d packages could not be read", bad)
	}
	return nil
}
