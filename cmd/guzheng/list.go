package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"guzheng/capture"
	"guzheng/storage/index"
)

func listVerb(s streams) *cobra.Command {
	var asJSON bool
	var filter index.Filter
	c := &cobra.Command{
		Use:   "list",
		Short: "List what was kept, newest first",
		Args:  args(cobra.NoArgs),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write one JSON object per package")
	c.Flags().StringVar(&filter.Case, "case", "", "only of this case `number`")
	c.Flags().BoolVar(&filter.Pending, "pending", false, "only those whose seal lacks something")
	c.Flags().IntVar(&filter.Limit, "limit", 0, "at most this `many`")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		h, err := openHome(s, "")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.Close()) }()
		if err := h.openStore(c.Context()); err != nil {
			return err
		}
		entries, err := h.index.List(c.Context(), filter)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if asJSON {
				writeLine(s.out, e)
				continue
			}
			fmt.Fprintf(s.out, "%s  %s  %-8s  %s  %s\n", e.ID, e.Captured.In(capture.Beijing).Format("2006-01-02 15:04:05"),
				e.State, plain(e.URL), plain(e.Title))
		}
		return nil
	}
	return c
}
