package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"guzheng/capture"
	"guzheng/preserve/custody"
	"guzheng/storage"
	"guzheng/storage/index"
)

func disposeVerb(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "dispose",
		Short: "Dispose of records whose time is over",
		Long: `dispose removes packages from the store for good, with the approval of two
persons beside the one who proposes it, each with a licence. It is refused
before the date until which a record is retained, whatever the store says, and
while it is on hold, and so is that of a package that was altered. A tombstone with the
digests stays in the store, and the log has an event for each step.`,
		Example: `  guzheng dispose due
  guzheng dispose propose GZ-20261123-7KQ4M2XD --by NAME:LICENCE --reason "term is over"
  guzheng dispose approve GZ-20261123-7KQ4M2XD --by NAME:LICENCE --reason "looked through"
  guzheng dispose carry-out GZ-20261123-7KQ4M2XD --by NAME:LICENCE --reason "approved"`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	add := func(name, short string, do errand) {
		var f deedFlags
		v := &cobra.Command{Use: name + " ID... --by NAME:LICENCE --reason TEXT", Short: short, Args: args(cobra.MinimumNArgs(1))}
		f.bind(v)
		v.RunE = func(c *cobra.Command, ids []string) error { return f.run(c.Context(), s, ids, do) }
		c.AddCommand(v)
	}
	add("propose", "Propose a disposal", func(ctx context.Context, b custody.Books, e storage.Entry, d custody.Deed) (*custody.Chain, error) {
		return b.Propose(ctx, e, d)
	})
	add("approve", "Approve a disposal that another person proposed", func(ctx context.Context, b custody.Books, e storage.Entry, d custody.Deed) (*custody.Chain, error) {
		return b.Approve(ctx, e, d)
	})
	add("withdraw", "Withdraw a proposal", func(ctx context.Context, b custody.Books, e storage.Entry, d custody.Deed) (*custody.Chain, error) {
		return b.Withdraw(ctx, e, d)
	})
	add("carry-out", "Remove what two persons have approved, and leave a tombstone", func(ctx context.Context, b custody.Books, e storage.Entry, d custody.Deed) (*custody.Chain, error) {
		return b.Dispose(ctx, e, d)
	})
	c.AddCommand(dueVerb(s))
	return c
}

func dueVerb(s streams) *cobra.Command {
	var asJSON bool
	var conf string
	c := &cobra.Command{Use: "due", Short: "List records whose date has passed and that nobody holds", Args: args(cobra.NoArgs)}
	c.Flags().BoolVar(&asJSON, "json", false, "write one JSON object per record")
	c.Flags().StringVar(&conf, "config", "", "configuration `file` instead of config.yaml")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		h, err := openHome(s, conf)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.Close()) }()
		if err := h.openStore(c.Context()); err != nil {
			return err
		}
		t, err := h.custodyTrust()
		if err != nil {
			return err
		}
		entries, err := h.index.List(c.Context(), index.Filter{})
		if err != nil {
			return err
		}
		b := custody.Books{Store: h.store, Now: capture.Now, Terms: h.cfg.terms(), Trust: t}
		code := exitOK
		for _, e := range entries {
			until, err := b.Due(c.Context(), e)
			if errors.Is(err, custody.ErrRefused) {
				continue
			}
			if err != nil {
				told := s.report(c.Context(), custodyFault(e.ID, err), asJSON)
				if code == exitOK {
					code = told
				}
				continue
			}
			if asJSON {
				writeLine(s.out, map[string]any{"type": "due", "id": e.ID, "until": until, "url": e.URL})
			} else {
				fmt.Fprintf(s.out, "%s  %s  %s\n", e.ID, day(until), plain(e.URL))
			}
		}
		if code != exitOK {
			return &coded{code: code, err: errTold}
		}
		return nil
	}
	return c
}
