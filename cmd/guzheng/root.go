package main

import (
	"github.com/spf13/cobra"
)

// newRoot builds the verb table. Each verb lives in a file of its name.
func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "guzheng",
		Short: "Seal a web page as evidence and print its evidence sheet",
		Long: `guzheng captures a web page with everything that came over the wire, packs it
into one WACZ file, signs, time-stamps and logs it, and prints a Chinese
evidence sheet. Anyone can check the result without guzheng.

Everything lies under GUZHENG_HOME (default ~/.guzheng).`,
		Example: `  guzheng run
  guzheng capture https://shop.example/ --case 001 --purpose "licence not shown" \
      --officer NAME:LICENCE --officer NAME:LICENCE
  guzheng verify GZ-20261123-7KQ4M2XD
  guzheng sheet GZ-20261123-7KQ4M2XD --out sheet.pdf`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          args(cobra.NoArgs),
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetIn(s.in)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fail(exitUsage, c.CommandPath()+" --help", "%w", err)
	})
	root.SetUsageTemplate(root.UsageTemplate() + "\n" + exitTable + "\n")
	root.AddCommand(captureVerb(s), runVerb(s), practiceVerb(s), verifyVerb(s), sheetVerb(s), pictureVerb(s), sealVerb(s), resumeVerb(s),
		listVerb(s), indexVerb(s), trustVerb(s), custodyVerb(s), retainVerb(s), holdVerb(s), disposeVerb(s), renewVerb(s),
		storeVerb(s), doctorVerb(s), logVerb(s), exportVerb(s))
	return root
}

// args wraps cobra's argument checks so that they exit with 2.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, a []string) error {
		if err := check(c, a); err != nil {
			return fail(exitUsage, c.CommandPath()+" --help", "%w", err)
		}
		return nil
	}
}
