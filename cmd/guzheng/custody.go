package main

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"guzheng/capture"
	"guzheng/preserve"
	"guzheng/preserve/custody"
	"guzheng/storage"
	"guzheng/storage/index"
)

// deedFlags say who acts on records, and why.
type deedFlags struct {
	by, reason, conf string
	json             bool
}

func (f *deedFlags) bind(c *cobra.Command) {
	c.Flags().StringVar(&f.by, "by", "", "`NAME:LICENCE` of the person who decides; required")
	c.Flags().StringVar(&f.reason, "reason", "", "why; required, kept with the record")
	c.Flags().BoolVar(&f.json, "json", false, "write one JSON object per record")
	c.Flags().StringVar(&f.conf, "config", "", "configuration `file` instead of config.yaml")
}

// deed reads the person; the licence may be left out.
func (f deedFlags) deed() (custody.Deed, error) {
	p := custody.Person{Name: strings.TrimSpace(f.by)}
	if name, licence, ok := strings.Cut(f.by, ":"); ok {
		p.Name, p.Licence = strings.TrimSpace(name), strings.TrimSpace(licence)
	}
	if u, err := user.Current(); err == nil {
		p.Account = u.Username
	}
	d := custody.Deed{By: p, Reason: strings.TrimSpace(f.reason)}
	if p.Name == "" || d.Reason == "" {
		return d, fail(exitUsage, "--by NAME:LICENCE --reason TEXT", "who decides and why must be told")
	}
	return d, nil
}

// An errand is one kind of act, for one record after the other.
type errand func(ctx context.Context, b custody.Books, e storage.Entry, d custody.Deed) (*custody.Chain, error)

// run does the errand for every record. One that is refused is told and does
// not keep the others from being done.
func (f deedFlags) run(ctx context.Context, s streams, ids []string, do errand) (err error) {
	d, err := f.deed()
	if err != nil {
		return err
	}
	h, err := openHome(s, f.conf)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	b, err := h.books(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, id := range ids {
		e, err := h.find(ctx, id)
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		chain, err := do(ctx, b, e, d)
		if err == nil {
			err = h.note(ctx, e, chain)
		}
		if err == nil {
			err = h.tellChain(ctx, s, e, chain, f.json)
		}
		if err != nil {
			if len(ids) > 1 {
				fmt.Fprintf(s.err, "guzheng: %s\n", plain(err.Error()))
			}
			failed = append(failed, custodyFault(id, err))
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return failed[0]
}

// note brings the catalogue's row up to what was done.
func (h *home) note(ctx context.Context, e storage.Entry, c *custody.Chain) error {
	if c.Tombstone() != nil {
		e.State = stateDisposed
		return h.index.Put(ctx, e)
	}
	obj, err := h.store.Stat(ctx, e.Package)
	if err != nil {
		return err
	}
	e.Until = obj.Until
	return h.index.Put(ctx, e)
}

// stateDisposed is the catalogue's state of a record without its package.
const stateDisposed = "disposed"

// custodyFault gives an error of the books its exit code.
func custodyFault(id string, err error) error {
	switch {
	case errors.Is(err, custody.ErrWord), errors.Is(err, custody.ErrClass):
		return fail(exitUsage, "guzheng custody "+id, "%w", err)
	case errors.Is(err, custody.ErrRefused), errors.Is(err, storage.ErrShorten), errors.Is(err, storage.ErrRetained):
		return fail(exitRefused, "guzheng custody "+id, "%w", err)
	case errors.Is(err, custody.ErrAct), errors.Is(err, storage.ErrAltered):
		return fail(exitAltered, "guzheng custody "+id, "%w", err)
	case errors.Is(err, custody.ErrLog):
		return fail(exitPartial, "guzheng custody "+id+" --resume, later", "%w", err)
	}
	return fail(exitStorage, "guzheng custody "+id, "%w", err)
}

// books opens what acts of custody need.
func (h *home) books(ctx context.Context) (custody.Books, error) {
	k, err := h.keeper(ctx)
	if err != nil {
		return custody.Books{}, err
	}
	return custody.Books{Store: k.Store, Key: k.Press.Key, Log: k.Press.Log, Now: capture.Now, Terms: h.cfg.terms()}, nil
}

// holdCase lays what was captured for a case on hold for it. When that cannot
// be done now, the record is kept all the same, and it is told.
func (h *home) holdCase(ctx context.Context, rec preserve.Record) {
	if rec.Order.Case == "" {
		return
	}
	b, err := h.books(ctx)
	if err == nil {
		d := custody.Deed{By: custody.Person{Name: "guzheng"}, Reason: "captured for this case"}
		if len(rec.Order.Officers) > 0 {
			d.By = custody.Person{Name: rec.Order.Officers[0].Name, Licence: rec.Order.Officers[0].Licence}
		}
		_, err = b.Hold(ctx, rec.Entry, rec.Order.Case, d)
	}
	if err != nil && !errors.Is(err, custody.ErrRefused) {
		fmt.Fprintf(h.err, "guzheng: %s is kept, and not on hold for its case: %s (guzheng hold %s)\n", rec.Order.ID, plain(err.Error()), rec.Order.ID)
	}
}

func retainVerb(s streams) *cobra.Command {
	var f deedFlags
	var class string
	c := &cobra.Command{
		Use:   "retain ID... --class CLASS --by NAME:LICENCE --reason TEXT",
		Short: "Retain records longer",
		Long: `retain puts records into another class of retention, counted from the day they
were kept: finding (five years), archive (30 years) or permanent; the settings
may make them longer. Retention is extended freely and never shortened.`,
		Args: args(cobra.MinimumNArgs(1)),
	}
	f.bind(c)
	c.Flags().StringVar(&class, "class", "", "sweep, finding, case, archive or permanent")
	c.RunE = func(c *cobra.Command, ids []string) error {
		return f.run(c.Context(), s, ids, func(ctx context.Context, b custody.Books, e storage.Entry, d custody.Deed) (*custody.Chain, error) {
			return b.Classify(ctx, e, custody.Class(class), d)
		})
	}
	return c
}

func holdVerb(s streams) *cobra.Command {
	var f deedFlags
	var number string
	var release bool
	c := &cobra.Command{
		Use:   "hold ID... --case NUMBER --by NAME:LICENCE --reason TEXT",
		Short: "Hold records for a case, or release them",
		Long: `hold retains records for a case, whatever their date, until they are released.
What is captured for a case is on hold for it from the start. A hold also ends
a disposal that was proposed.`,
		Args: args(cobra.MinimumNArgs(1)),
	}
	f.bind(c)
	c.Flags().StringVar(&number, "case", "", "case `number`; required")
	c.Flags().BoolVar(&release, "release", false, "release them; holds of other cases stay")
	c.RunE = func(c *cobra.Command, ids []string) error {
		return f.run(c.Context(), s, ids, func(ctx context.Context, b custody.Books, e storage.Entry, d custody.Deed) (*custody.Chain, error) {
			if release {
				return b.Release(ctx, e, number, d)
			}
			return b.Hold(ctx, e, number, d)
		})
	}
	return c
}

func disposeVerb(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "dispose",
		Short: "Dispose of records whose time is over",
		Long: `dispose removes packages from the store for good, with the approval of two
persons beside the one who proposes it. It is refused before the date until
which a record is retained, and while it is on hold. A tombstone with the
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
		entries, err := h.index.List(c.Context(), index.Filter{})
		if err != nil {
			return err
		}
		now := capture.Now()
		for _, e := range entries {
			obj, err := h.store.Stat(c.Context(), e.Package)
			if errors.Is(err, storage.ErrNotExist) {
				continue // disposed of
			}
			if err != nil {
				return fail(exitStorage, "guzheng index rebuild", "looking at %s: %w", e.ID, err)
			}
			if obj.Hold || !now.After(obj.Until) {
				continue
			}
			if asJSON {
				writeLine(s.out, map[string]any{"type": "due", "id": e.ID, "until": obj.Until, "url": e.URL})
			} else {
				fmt.Fprintf(s.out, "%s  %s  %s\n", e.ID, dayOf(obj.Until), plain(e.URL))
			}
		}
		return nil
	}
	return c
}

// dayOf is a date as people in Beijing write it.
func dayOf(t time.Time) string { return t.In(capture.Beijing).Format("2006-01-02") }

func custodyVerb(s streams) *cobra.Command {
	var asJSON, resume bool
	var conf string
	c := &cobra.Command{
		Use:   "custody ID",
		Short: "Show what was done with a record since it was kept",
		Long: `custody shows every act on a record: classes of retention, holds, and its
disposal. With --resume, acts that could not be logged are logged and carried
out.`,
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
		chain, err := custody.Read(c.Context(), h.store, e.Package)
		if err == nil && resume {
			var b custody.Books
			if b, err = h.books(c.Context()); err != nil {
				return err
			}
			chain, err = b.Resume(c.Context(), e.Package)
		}
		if err != nil {
			return custodyFault(e.ID, err)
		}
		return h.tellChain(c.Context(), s, e, chain, asJSON)
	}
	return c
}

// tellChain shows where a record stands.
func (h *home) tellChain(ctx context.Context, s streams, e storage.Entry, c *custody.Chain, asJSON bool) error {
	until, held := e.Until, false
	obj, err := h.store.Stat(ctx, e.Package)
	switch {
	case err == nil:
		until, held = obj.Until, obj.Hold
	case !errors.Is(err, storage.ErrNotExist):
		return err
	}
	if asJSON {
		writeLine(s.out, map[string]any{"type": "custody", "id": e.ID, "class": c.Class(), "until": until, "held": held,
			"holds": c.Holds(), "disposed": c.Tombstone() != nil, "unlogged": c.Unlogged(), "acts": c.Acts})
		return nil
	}
	for _, a := range c.Acts {
		fmt.Fprintf(s.out, "%s  %2d  %s  %s  %s  %s\n", e.ID, a.N, a.Time.In(capture.Beijing).Format("2006-01-02 15:04:05"),
			h.words.T("custody.kind."+string(a.Kind)), plain(strings.TrimSpace(a.By.Name+" "+a.By.Licence)), plain(h.actDetail(a)))
	}
	switch {
	case c.Tombstone() != nil:
		fmt.Fprintf(s.out, "%s  %s\n", e.ID, h.words.T("custody.state.disposed"))
	case len(c.Holds()) > 0:
		fmt.Fprintf(s.out, "%s  %s %s  %s %s\n", e.ID, h.words.T("custody.state.held"), plain(strings.Join(c.Holds(), ", ")), h.words.T("custody.state.until"), dayOf(until))
	default:
		fmt.Fprintf(s.out, "%s  %s %s\n", e.ID, h.words.T("custody.state.until"), dayOf(until))
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
