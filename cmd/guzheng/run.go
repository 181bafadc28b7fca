package main

import (
	"context"
	"errors"
	"net/url"

	"github.com/spf13/cobra"

	"guzheng/capture/practice"
)

func runVerb(s streams) *cobra.Command {
	var f captureFlags
	c := &cobra.Command{
		Use:   "run [URL]",
		Short: "Capture the practice shop, or a page, and print what was kept",
		Long: `run without an address starts the practice shop on a free loopback port,
captures its home page and prints what was kept: package, seal, verdict and the
path of the sheet. With an address it is the same as capture.`,
		Args: args(cobra.MaximumNArgs(1)),
	}
	f.add(c)
	c.RunE = func(c *cobra.Command, a []string) error {
		if len(a) == 1 && a[0] != "" {
			return doCapture(c.Context(), s, f, a[0], nil)
		}
		return practise(c.Context(), s, f)
	}
	return c
}

// practise captures the practice shop, which may be visited although it is
// on this machine.
func practise(ctx context.Context, s streams, f captureFlags) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	address, wait, err := practice.Serve(serving, "127.0.0.1:0")
	if err != nil {
		return err
	}
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	err = doCapture(ctx, s, f, address, []string{u.Host})
	stop()
	return errors.Join(err, wait())
}
