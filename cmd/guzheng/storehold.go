package main

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/spf13/cobra"

	"guzheng/storage"
	"guzheng/storage/index"
)

func storeHoldVerb(s streams) *cobra.Command {
	var f storeFlags
	var caseNo string
	var off bool
	c := &cobra.Command{
		Use:   "hold ID… | --case NUMBER",
		Short: "Lay a legal hold on packages, or take it off",
		Long: `store hold lays a legal hold on packages and all their seals: they are then not
removed, whatever their date, until --off takes the hold off. With --case it
goes to everything of the case. In a bucket with Object Lock the store itself
keeps the hold; in a directory only this program does.`,
		Example: `  guzheng store hold GZ-20261123-7KQ4M2XD
  guzheng store hold --case 2026-017
  guzheng store hold --case 2026-017 --off`,
		Args: args(cobra.ArbitraryArgs),
	}
	c.Flags().StringVar(&f.config, "config", "", "configuration `file` instead of config.yaml")
	c.Flags().BoolVar(&f.json, "json", false, "write JSON objects, one per line")
	c.Flags().StringVar(&caseNo, "case", "", "everything of this case `number`")
	c.Flags().BoolVar(&off, "off", false, "take the hold off")
	c.RunE = func(c *cobra.Command, ids []string) error {
		if (caseNo == "") == (len(ids) == 0) {
			return fail(exitUsage, "guzheng store hold --help", "hold needs numbers, or --case")
		}
		return storeHold(c.Context(), s, f, ids, caseNo, !off)
	}
	return c
}

func storeHold(ctx context.Context, s streams, f storeFlags, ids []string, caseNo string, on bool) (err error) {
	h, err := openHome(s, f.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	entries, err := h.chosen(ctx, ids, caseNo)
	if err != nil {
		return err
	}
	for _, e := range entries {
		// The package and everything beside it: seals, also later ones.
		for o, err := range h.store.List(ctx, path.Dir(e.Package)+"/") {
			if err == nil {
				o, err = h.store.Hold(ctx, o.Key, on)
			}
			if err != nil {
				return err
			}
			h.tellHold(s, f.json, o)
		}
	}
	return nil
}

// chosen looks up the packages that were named, or those of a case.
func (h *home) chosen(ctx context.Context, ids []string, caseNo string) ([]storage.Entry, error) {
	if caseNo != "" {
		if err := h.openStore(ctx); err != nil {
			return nil, err
		}
		entries, err := h.index.List(ctx, index.Filter{Case: caseNo})
		if err == nil && len(entries) == 0 {
			err = fail(exitFailure, "guzheng list", "case %q: %w", caseNo, storage.ErrNotExist)
		}
		return entries, err
	}
	var entries []storage.Entry
	for _, id := range ids {
		e, err := h.find(ctx, id)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func (h *home) tellHold(s streams, asJSON bool, o storage.Object) {
	if asJSON {
		writeLine(s.out, struct {
			Type string `json:"type"`
			storage.Object
		}{"hold", o})
		return
	}
	word := "cli.store.free"
	if o.Hold {
		word = "cli.store.held"
	}
	fmt.Fprintf(s.out, "%s  %s\n", h.words.T(word), plain(h.where(o)))
}
