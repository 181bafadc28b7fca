package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"guzheng/capture"
	"guzheng/preserve/renew"
	"guzheng/preserve/tsa"
	"guzheng/storage/index"
)

// renewFlags are the options of renew.
type renewFlags struct {
	due, algorithm, config string
	all, dryRun, json      bool
}

func renewVerb(s streams) *cobra.Command {
	var f renewFlags
	c := &cobra.Command{
		Use:   "renew [ID...]",
		Short: "Keep time stamps good beyond their certificates and hash functions",
		Long: `renew finds the kept packages whose time stamps rest on certificates that expire
soon, has one new time stamp made for all of them by each configured authority,
and stores evidence records (RFC 4998) beside the seals. Nothing that is there
is changed. Named packages are renewed whatever the dates say.

--algorithm begins a chain with another hash function, for the day when the old
one weakens; packages are then read again. Whatever an interrupted run left is
finished first. Run it every day; it does nothing when nothing is due.`,
		Args: args(cobra.ArbitraryArgs),
	}
	fl := c.Flags()
	fl.StringVar(&f.due, "due", "90d", "renew what expires within this `time`: days (90d) or hours (12h)")
	fl.StringVar(&f.algorithm, "algorithm", "", "hash `function` of the new records: sha256, sha384, sha512 or sm3; records with another are due")
	fl.StringVar(&f.config, "config", "", "configuration `file` instead of config.yaml")
	fl.BoolVar(&f.all, "all", false, "renew every package, whatever the dates say")
	fl.BoolVar(&f.dryRun, "dry-run", false, "say what is due and change nothing")
	fl.BoolVar(&f.json, "json", false, "write one JSON object per batch, or per package with --dry-run")
	c.RunE = func(c *cobra.Command, ids []string) error { return doRenew(c.Context(), s, f, ids) }
	return c
}

func doRenew(ctx context.Context, s streams, f renewFlags, ids []string) (err error) {
	req := renew.Request{All: f.all || len(ids) > 0, Hash: tsa.Hash(f.algorithm)}
	if req.Due, err = parseDays(f.due); err != nil {
		return fail(exitUsage, "guzheng renew --due 90d", "%w", err)
	}
	if req.Hash != "" && !req.Hash.Known() {
		return fail(exitUsage, "guzheng renew --algorithm sha512", "hash function %q is not known", f.algorithm)
	}
	h, err := openHome(s, f.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	r, err := h.renewer(ctx)
	if err != nil {
		return err
	}
	keys, err := h.packageKeys(ctx, ids)
	if err != nil {
		return err
	}
	req.Packages = slices.Values(keys)
	if f.dryRun {
		return h.surveyRenewal(ctx, s, r, req, f.json)
	}
	batches, err := r.Run(ctx, req)
	whole := true
	for _, b := range batches {
		h.tellBatch(s, b, f.json)
		whole = whole && b.Whole()
	}
	switch {
	case errors.Is(err, renew.ErrHeld):
		return fail(exitStorage, "wait until it has finished", "%w", err)
	case errors.Is(err, renew.ErrNoToken):
		return fail(exitFailure, "guzheng renew, later; nothing was changed", "%w", err)
	case err != nil:
		return err
	case !whole:
		return fail(exitPartial, "guzheng renew, when that is mended", "not everything was renewed")
	}
	return nil
}

// renewer puts together what renewals need.
func (h *home) renewer(ctx context.Context) (renew.Renewer, error) {
	if err := h.openStore(ctx); err != nil {
		return renew.Renewer{}, err
	}
	press, err := h.openPress(ctx)
	if err != nil {
		return renew.Renewer{}, err
	}
	r := renew.Renewer{Store: h.store, Log: press.Log, Now: capture.Now, Dir: filepath.Join(h.dir, "renewals")}
	for _, a := range press.Authorities {
		i, ok := a.(tsa.Imprinter)
		if !ok {
			return r, fmt.Errorf("authority %s stamps SHA-256 values only", a.Name())
		}
		r.Authorities = append(r.Authorities, i)
	}
	return r, nil
}

// packageKeys returns the keys of the packages with the given numbers, or of
// all.
func (h *home) packageKeys(ctx context.Context, ids []string) ([]string, error) {
	var keys []string
	for _, id := range ids {
		e, err := h.find(ctx, id)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(keys, e.Package) {
			keys = append(keys, e.Package)
		}
	}
	if len(ids) > 0 {
		return keys, nil
	}
	entries, err := h.index.List(ctx, index.Filter{})
	for _, e := range entries {
		keys = append(keys, e.Package)
	}
	return keys, err
}

func (h *home) surveyRenewal(ctx context.Context, s streams, r renew.Renewer, req renew.Request, asJSON bool) error {
	b, err := r.Survey(ctx, req, func(id, kind string, until time.Time) {
		if asJSON {
			line := map[string]any{"type": "due", "id": id, "kind": kind}
			if !until.IsZero() {
				line["until"] = until
			}
			writeLine(s.out, line)
			return
		}
		end := h.words.T("cli.renew.never")
		if !until.IsZero() {
			end = day(until)
		}
		fmt.Fprintln(s.out, h.words.T("cli.renew.due", map[string]any{"id": id, "kind": h.words.T("cli.renew.kind." + kind), "until": end}))
	})
	if err != nil {
		return err
	}
	h.tellProblems(s, b)
	if asJSON {
		writeLine(s.out, renewLine{"survey", b})
	} else {
		fmt.Fprintln(s.out, h.words.T("cli.renew.survey", map[string]any{"looked": b.Looked, "packages": b.Packages}))
	}
	if !b.Whole() {
		return &coded{code: exitPartial, err: errTold}
	}
	return nil
}

// renewLine is a line of --json.
type renewLine struct {
	Type string `json:"type"`
	renew.Batch
}

// tellBatch says what a batch did.
func (h *home) tellBatch(s streams, b renew.Batch, asJSON bool) {
	h.tellProblems(s, b)
	for _, t := range b.Tokens {
		if t.Error != "" {
			fmt.Fprintf(s.err, "guzheng: %s: %s\n", plain(t.TSA), plain(t.Error))
		}
	}
	switch {
	case asJSON:
		writeLine(s.out, renewLine{"batch", b})
		return
	case b.ID == "":
		fmt.Fprintln(s.out, h.words.T("cli.renew.nothing", map[string]any{"looked": b.Looked}))
		return
	}
	fmt.Fprintln(s.out, h.words.T("cli.renew.batch", map[string]any{"id": b.ID, "packages": b.Packages, "records": b.Records, "index": b.Log.Index}))
	for _, t := range b.Tokens {
		if t.Error == "" {
			fmt.Fprintln(s.out, h.words.T("cli.renew.token", map[string]any{"tsa": plain(t.TSA), "hash": string(t.Hash), "records": t.Records,
				"time": t.Time.In(capture.Beijing).Format(time.RFC3339), "until": day(t.Until)}))
		}
	}
}

func (h *home) tellProblems(s streams, b renew.Batch) {
	for _, p := range b.Problems {
		fmt.Fprintf(s.err, "guzheng: %s: %s\n", plain(p.Package), plain(p.Detail))
	}
}

// day is a date as people in Beijing write it.
func day(t time.Time) string { return t.In(capture.Beijing).Format(time.DateOnly) }

// parseDays reads a time in days (90d), or as Go writes it (12h).
func parseDays(s string) (time.Duration, error) {
	if n, ok := strings.CutSuffix(s, "d"); ok {
		days, err := strconv.Atoi(n)
		if err == nil && days >= 0 && days <= 100*366 {
			return time.Duration(days) * 24 * time.Hour, nil
		}
	} else if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return d, nil
	}
	return 0, fmt.Errorf("%q is not a time like 90d or 12h", s)
}
