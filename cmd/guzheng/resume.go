package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func resumeVerb(s streams) *cobra.Command {
	var asJSON bool
	var conf string
	c := &cobra.Command{
		Use:   "resume",
		Short: "Go on with captures that were interrupted",
		Long: `resume looks for captures whose process ended before they were kept, closes
them as partial where they were cut off, seals and keeps them, and says what
was lost. It may run at any time and twice; every capture does the same at its
start.`,
		Args: args(cobra.NoArgs),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write one JSON object per capture")
	c.Flags().StringVar(&conf, "config", "", "configuration `file` instead of config.yaml")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		h, err := openHome(s, conf)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.Close()) }()
		return h.resumeAll(c.Context(), func(o outcome) {
			if asJSON {
				writeLine(s.out, o)
			} else {
				fmt.Fprintln(s.out, o.line())
			}
		})
	}
	return c
}
