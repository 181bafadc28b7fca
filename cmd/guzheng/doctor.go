package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"guzheng/capture"
	"guzheng/storage"
)

func doctorVerb(s streams) *cobra.Command {
	c := &cobra.Command{Use: "doctor", Short: "Try what this installation relies on", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	var conf string
	var asJSON bool
	store := &cobra.Command{
		Use:   "store",
		Short: "Try on throw-away objects what the store refuses",
		Long: `doctor store tries, on objects made for it, what a store of evidence has to
refuse: a second object under a taken name, content that does not match its
digest, removal and an earlier date before the date has passed, and removal
after it while a legal hold is on. It takes some seconds. The result is kept
under GUZHENG_HOME and printed on sheets. It exits with 7 when a bucket that
should lock was seen not to.`,
		Args: args(cobra.NoArgs),
	}
	store.Flags().StringVar(&conf, "config", "", "configuration `file` instead of config.yaml")
	store.Flags().BoolVar(&asJSON, "json", false, "write the result as one JSON object")
	store.RunE = func(c *cobra.Command, _ []string) error { return doctorStore(c.Context(), s, conf, asJSON) }
	c.AddCommand(store)
	return c
}

func doctorStore(ctx context.Context, s streams, conf string, asJSON bool) (err error) {
	h, err := openHome(s, conf)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if err := h.openStore(ctx); err != nil {
		return err
	}
	p, err := h.store.Probe(ctx)
	if err != nil {
		return fail(exitStorage, "", "%w", err)
	}
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	if err := capture.WriteFile(h.proofFile(), append(b, '\n')); err != nil {
		return err
	}
	if asJSON {
		writeLine(s.out, map[string]any{"type": "proof", "proof": p, "lock": p.Lock()})
	} else {
		h.tellProof(s, p)
	}
	if h.cfg.Store.Kind == "s3" && p.Lock() != storage.LockStore {
		return fail(exitStorage, "use a bucket made with Object Lock", "the store does not keep objects from being removed")
	}
	return nil
}

func (h *home) tellProof(s streams, p storage.Proof) {
	fmt.Fprintln(s.out, plain(p.Store))
	for _, t := range p.Trials {
		word := "cli.trial.accepted"
		if t.Held {
			word = "cli.trial.refused"
		}
		fmt.Fprintf(s.out, "%s  %s", h.words.T(word), h.words.T("lock.trial."+t.Name))
		if t.Detail != "" {
			fmt.Fprintf(s.out, " (%s)", plain(t.Detail))
		}
		fmt.Fprintln(s.out)
	}
	fmt.Fprintln(s.out, h.words.T("lock."+string(p.Lock())))
	fmt.Fprintln(s.out, filepath.Clean(h.proofFile()))
}
