package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/user"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"guzheng/capture"
	"guzheng/preserve"
	"guzheng/preserve/custody"
	"guzheng/preserve/tlog/witness"
	"guzheng/preserve/verify"
	"guzheng/storage"
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
	p.Account = account()
	d := custody.Deed{By: p, Reason: strings.TrimSpace(f.reason)}
	if p.Name == "" || d.Reason == "" {
		return d, fail(exitUsage, "--by NAME:LICENCE --reason TEXT", "who decides and why must be told")
	}
	return d, nil
}

// An errand is one kind of act, for one record after the other.
type errand func(ctx context.Context, b custody.Books, e storage.Entry, d custody.Deed) (*custody.Chain, error)

// run does the errand for every record. One that is refused or not there is
// told and does not keep the others from being done; the exit code is that of
// the first.
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
	code := exitOK
	for _, id := range ids {
		if err := f.one(ctx, s, h, func() (storage.Entry, *custody.Chain, error) {
			e, err := h.find(ctx, id)
			if err != nil {
				return e, nil, err
			}
			c, err := do(ctx, b, e, d)
			return e, c, custodyFault(id, err)
		}); err != nil {
			c := s.report(ctx, err, f.json)
			if code == exitOK {
				code = c
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if code == exitOK {
		return nil
	}
	return &coded{code: code, err: errTold}
}

// one does an act, brings the catalogue up to it and tells it.
func (f deedFlags) one(ctx context.Context, s streams, h *home, act func() (storage.Entry, *custody.Chain, error)) error {
	e, c, err := act()
	if err != nil {
		return err
	}
	if err := h.note(ctx, e, c); err != nil {
		return custodyFault(e.ID, err)
	}
	return custodyFault(e.ID, h.tellChain(ctx, s, e, c, f.json))
}

// note brings the catalogue's row up to what was done.
func (h *home) note(ctx context.Context, e storage.Entry, c *custody.Chain) error {
	obj, err := h.store.Stat(ctx, e.Package)
	switch {
	case err == nil:
		e.Until = obj.Until
	case errors.Is(err, storage.ErrNotExist) && c.LastDisposal() != nil:
		e.State = custody.StateDisposed
	default:
		return err
	}
	return h.index.Put(ctx, e)
}

// custodyFault gives an error of the books its exit code.
func custodyFault(id string, err error) error {
	var c *coded
	switch {
	case err == nil || errors.As(err, &c):
		return err
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
	t, err := h.custodyTrust()
	if err != nil {
		return custody.Books{}, err
	}
	return custody.Books{Store: k.Store, Key: k.Press.Key, Log: h.scanned(), Now: capture.Now, Terms: h.cfg.terms(), Trust: t}, nil
}

// scanned is the log as acts of custody need it.
func (h *home) scanned() custody.Log {
	l := scannedLog{Appender: h.log, Scanner: elsewhere{}}
	if h.ledger != nil {
		l.Scanner = h.ledger
	}
	return l
}

type scannedLog struct {
	witness.Appender
	custody.Scanner
}

// elsewhere stands for a log that another machine has and that cannot be gone
// through from here.
type elsewhere struct{}

func (elsewhere) Scan(context.Context, uint64, func(uint64, []byte) bool) error {
	return fail(exitRefused, "do this on the machine that has the log", "the acts cannot be compared with the log: it is on another machine")
}

// custodyTrust is whose acts count: those of every key and log that this
// installation has used. It opens neither.
func (h *home) custodyTrust() (custody.Trust, error) {
	t, err := verify.LoadTrust(h.trustFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return custody.Trust{}, fail(exitFailure, "move "+h.trustFile()+" aside", "%w", err)
	}
	return custody.Trust{Keys: t.Signers, Logs: t.Logs}, nil
}

// An unheld says that a record is kept, and not on hold for its case.
type unheld struct{ err error }

func (u *unheld) Error() string { return "kept, and not on hold for its case: " + u.err.Error() }
func (u *unheld) Unwrap() error { return u.err }

// holdCase lays what was captured for a case on hold for it. When that cannot
// be done now, the record is kept all the same: it is told, and an *unheld is
// returned.
func (h *home) holdCase(ctx context.Context, rec preserve.Record) error {
	if rec.Order.Case == "" {
		return nil
	}
	b, err := h.books(ctx)
	if err == nil {
		_, err = b.Hold(ctx, rec.Entry, rec.Order.Case, h.caseDeed(rec.Order))
	}
	if errors.Is(err, custody.ErrRefused) {
		// A process that ended after it may have done it already.
		c, rerr := b.Resume(ctx, rec.Package.Key)
		if rerr == nil && slices.Contains(c.Holds(), rec.Order.Case) {
			return nil
		}
		err = errors.Join(err, rerr)
	}
	if err == nil {
		return nil
	}
	fmt.Fprintf(h.err, "guzheng: %s is kept, and not on hold for its case: %s\n", rec.Order.ID, plain(err.Error()))
	fmt.Fprintf(h.err, "guzheng: hint: guzheng hold %s --case %s --by NAME:LICENCE --reason TEXT\n", rec.Order.ID, quoted(rec.Order.Case))
	return &unheld{err}
}

// caseDeed is by the program: no person decided anything.
func (h *home) caseDeed(o capture.Order) custody.Deed {
	var officers []string
	for _, f := range o.Officers {
		officers = append(officers, strings.TrimSpace(f.Name+" "+f.Licence))
	}
	d := custody.Deed{By: custody.Person{Name: "guzheng", Account: account()}, Reason: h.words.T("custody.reason.captured")}
	if len(officers) > 0 {
		d.Reason = h.words.T("custody.reason.captured-by", map[string]any{"officers": strings.Join(officers, ", ")})
	}
	return d
}

// quoted is a word of a command line as a shell takes it.
func quoted(s string) string {
	return "'" + strings.ReplaceAll(plain(s), "'", `'\''`) + "'"
}

// account is that of the operating system, empty when it is not known.
func account() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

func retainVerb(s streams) *cobra.Command {
	var f deedFlags
	var class string
	c := &cobra.Command{
		Use:   "retain ID... --class CLASS --by NAME:LICENCE --reason TEXT",
		Short: "Retain records longer",
		Long: `retain puts records into another class of retention, counted from the day they
were kept: sweep (three years), finding (five years), archive (30 years) or
permanent; the settings may make them longer. Retention is extended freely and
never shortened. What belongs to a case is held for it: guzheng hold.`,
		Args: args(cobra.MinimumNArgs(1)),
	}
	f.bind(c)
	c.Flags().StringVar(&class, "class", "", "sweep, finding, archive or permanent")
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
a disposal that was proposed, and voids one that is approved as long as the
package is still there.`,
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
