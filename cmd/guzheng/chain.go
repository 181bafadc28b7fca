package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"guzheng/capture"
	"guzheng/preserve/custody"
	"guzheng/storage"
)

func custodyVerb(s streams) *cobra.Command {
	var asJSON, resume bool
	var conf string
	c := &cobra.Command{
		Use:   "custody ID",
		Short: "Show what was done with a record since it was kept",
		Long: `custody shows every act on a record: classes of retention, holds, and its
disposal. Each is checked, and so is that none is missing that the log knows
of. With --resume, acts that could not be logged are logged and carried out.`,
		Args: args(cobra.ExactArgs(1)),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	c.Flags().BoolVar(&resume, "resume", false, "go on with acts that were not logged or not carried out")
	c.Flags().StringVar(&conf, "config", "", "configuration `file` instead of config.yaml")
	c.RunE = func(c *cobra.Command, a []string) (err error) {
		h, err := openHome(s, conf)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.Close()) }()
		e, err := h.find(c.Context(), a[0])
		if err != nil {
			return err
		}
		chain, err := h.chain(c.Context(), e, resume)
		if err != nil {
			return custodyFault(e.ID, err)
		}
		return h.tellChain(c.Context(), s, e, chain, asJSON)
	}
	return c
}

// chain reads the acts of a record, and compares them with the log where
// there is one.
func (h *home) chain(ctx context.Context, e storage.Entry, resume bool) (*custody.Chain, error) {
	if resume {
		b, err := h.books(ctx)
		if err != nil {
			return nil, err
		}
		c, err := b.Resume(ctx, e.Package)
		if err != nil {
			return nil, err
		}
		return c, h.note(ctx, e, c)
	}
	t, err := h.custodyTrust()
	if err != nil {
		return nil, err
	}
	if len(t.Logs) == 0 {
		return custody.Read(ctx, h.store, e.Package, t)
	}
	if err := h.openLog(ctx); err != nil {
		return nil, err
	}
	if h.ledger == nil {
		return custody.Read(ctx, h.store, e.Package, t)
	}
	return custody.ReadLogged(ctx, h.store, e.Package, t, h.ledger)
}

// gone says that the package of a record was disposed of, when and by whom;
// nil when the package is there, or is not and nothing says why.
func (h *home) gone(ctx context.Context, e storage.Entry) error {
	if _, err := h.store.Stat(ctx, e.Package); !errors.Is(err, storage.ErrNotExist) {
		return nil // what is wrong with it otherwise is seen when it is opened
	}
	t, err := h.custodyTrust()
	if err != nil {
		return err
	}
	c, err := custody.Read(ctx, h.store, e.Package, t)
	if err != nil {
		return custodyFault(e.ID, err)
	}
	a := c.LastDisposal()
	if a == nil {
		return nil
	}
	return fail(exitFailure, "guzheng custody "+e.ID, "the package of %s was disposed of on %s by %s", e.ID, day(a.Time),
		strings.TrimSpace(a.By.Name+" "+a.By.Licence))
}

// tellChain shows where a record stands.
func (h *home) tellChain(ctx context.Context, s streams, e storage.Entry, c *custody.Chain, asJSON bool) error {
	until, held, gone := e.Until, false, false
	obj, err := h.store.Stat(ctx, e.Package)
	switch {
	case err == nil:
		until, held = obj.Until, obj.Hold
	case !errors.Is(err, storage.ErrNotExist):
		return err
	default:
		gone = c.LastDisposal() != nil
	}
	if asJSON {
		writeLine(s.out, map[string]any{"type": "custody", "id": e.ID, "class": c.Class(), "until": until, "held": held,
			"holds": c.Holds(), "disposed": gone, "unlogged": c.Unlogged(), "acts": c.Acts})
		return nil
	}
	for _, a := range c.Acts {
		fmt.Fprintf(s.out, "%s  %2d  %s  %s  %s  %s\n", e.ID, a.N, a.Time.In(capture.Beijing).Format("2006-01-02 15:04:05"),
			h.words.T("custody.kind."+string(a.Kind)), plain(strings.TrimSpace(a.By.Name+" "+a.By.Licence)), plain(h.actDetail(a)))
	}
	switch {
	case gone:
		fmt.Fprintf(s.out, "%s  %s\n", e.ID, h.words.T("custody.state.disposed"))
	case c.Tombstone() != nil:
		fmt.Fprintf(s.out, "%s  %s\n", e.ID, h.words.T("custody.state.unremoved"))
	case len(c.Holds()) > 0:
		fmt.Fprintf(s.out, "%s  %s %s  %s %s\n", e.ID, h.words.T("custody.state.held"), plain(strings.Join(c.Holds(), ", ")), h.words.T("custody.state.until"), day(until))
	default:
		fmt.Fprintf(s.out, "%s  %s %s\n", e.ID, h.words.T("custody.state.until"), day(until))
	}
	for _, n := range c.Unlogged() {
		fmt.Fprintf(s.out, "%s  %2d  %s\n", e.ID, n, h.words.T("custody.state.unlogged"))
	}
	return nil
}

// actDetail is what an act has beside its kind and its person.
func (h *home) actDetail(a custody.Act) string {
	parts := []string{a.Reason}
	if a.Case != "" {
		parts = append(parts, a.Case)
	}
	if a.Class != "" {
		parts = append(parts, h.words.T("custody.class."+string(a.Class)))
	}
	if a.SameAccount {
		parts = append(parts, h.words.T("custody.same-account"))
	}
	return strings.Join(parts, "; ")
}
