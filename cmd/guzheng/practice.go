package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"guzheng/capture/practice"
)

func practiceVerb(s streams) *cobra.Command {
	var addr string
	c := &cobra.Command{
		Use:   "practice-shop",
		Short: "Serve the practice shop on loopback until interrupted",
		Long: `practice-shop serves a small made-up shop to practise captures on. Its first
line on stdout is its address. Capture it from another terminal with
--allow-private.`,
		Args: args(cobra.NoArgs),
	}
	c.Flags().StringVar(&addr, "addr", "127.0.0.1:0", "loopback `address` to listen on; port 0 takes a free one")
	c.RunE = func(c *cobra.Command, _ []string) error {
		address, wait, err := practice.Serve(c.Context(), addr)
		if err != nil {
			return fail(exitUsage, "", "%w", err)
		}
		fmt.Fprintln(s.out, address)
		return wait()
	}
	return c
}
