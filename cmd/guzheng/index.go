package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
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
	h, err := openHome(s, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	ctx := c.Context()
	if err := h.openStore(ctx); err != nil {
		return err
	}
	if err := h.index.Reset(ctx); err != nil {
		return err
	}
	n, bad, err := h.reindex(ctx, func(key string, err error) {
		fmt.Fprintf(s.err, "guzheng: %s: %v\n", plain(key), err)
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
