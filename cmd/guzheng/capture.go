package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"guzheng/capture"
	"guzheng/capture/web"
	"guzheng/preserve"
	"guzheng/preserve/verify"
	"guzheng/report"
)

// captureFlags are the options of capture and run. The fields of the order
// are what the law wants to be written down; see capture.Order.
type captureFlags struct {
	caseNo, cause, purpose string
	officers               []string
	party, place, witness  string
	config, browser        string
	out                    string
	json                   bool
	allowPrivate           bool
	noSandbox              bool
	visitorFlags
}

// visitorFlags are the options about who visits, and what is kept beyond the
// usual.
type visitorFlags struct {
	mobile                bool
	userAgent, languages  string
	location, proxy, auth string
	certificate           string
	wire, secondLook      bool
	noPrint               bool
	acceptInvalidTLS      bool
	seconds               int
}

func (f *visitorFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.BoolVar(&f.mobile, "mobile", false, "visit as a telephone: 390x844 CSS pixels, 3 device pixels each, touch")
	fl.StringVar(&f.userAgent, "user-agent", "", "name the browser as this `text`; written into the record")
	fl.StringVar(&f.languages, "languages", "", "Accept-Language, as `list`; zh-CN,zh when not given")
	fl.StringVar(&f.location, "location", "", "`LATITUDE,LONGITUDE` told to pages that ask for it")
	fl.StringVar(&f.proxy, "proxy", "", "go through the HTTP proxy at this `address`, http://HOST:PORT; written into the record")
	fl.StringVar(&f.auth, "credentials", "", "`file` with user:password in its first line, for Basic authentication of the page's host; never written into the record, and so not together with --wire")
	fl.StringVar(&f.certificate, "client-certificate", "", "PEM `file` with a client certificate, its chain and its unencrypted private key, presented to the page's own host and port when that asks for one; TLS to it is then ended by this program, which the record says; the key is never written into it")
	fl.BoolVar(&f.wire, "wire", false, "also keep the bytes of every connection with the TLS secrets (pcapng)")
	fl.BoolVar(&f.noPrint, "no-print", false, "leave out the browser's own PDF of the page, which takes longer than anything else")
	fl.BoolVar(&f.secondLook, "second-look", false, "load the page once more and say whether it differs")
	fl.BoolVar(&f.acceptInvalidTLS, "accept-invalid-tls", false, "when the certificate does not hold, note that and go on; a client certificate is then shown to a server that is not proven; written into the record")
	fl.IntVar(&f.seconds, "seconds", 0, "time for the whole visit, in `seconds`, instead of the configured one")
}

// apply puts the options into an order.
func (f visitorFlags) apply(o *capture.Order) error {
	o.Visitor.Mobile, o.Visitor.UserAgent, o.Visitor.Languages = f.mobile, f.userAgent, f.languages
	o.Wire, o.SecondLook, o.AcceptInvalidTLS = f.wire, f.secondLook, f.acceptInvalidTLS
	o.Proxy, o.CredentialsFile, o.NoPrint = f.proxy, f.auth, f.noPrint
	if f.mobile {
		o.Viewport = capture.Viewport{Width: 390, Height: 844, Scale: 3}
	}
	if f.seconds < 0 {
		return fmt.Errorf("%d seconds for a visit: %w", f.seconds, capture.ErrOrder)
	}
	if f.seconds > 0 {
		o.Limits.TotalMS = int64(f.seconds) * 1000
	}
	if f.certificate != "" {
		c, err := web.ClientCertificate(f.certificate, o.URL)
		if err != nil {
			return err
		}
		o.ClientCertificate = &c
	}
	if f.location != "" {
		l, err := capture.ParseLocation(f.location)
		if err != nil {
			return err
		}
		o.Visitor.Location = &l
	}
	return nil
}

func (f *captureFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.caseNo, "case", "", "case or task `number`")
	fl.StringVar(&f.cause, "cause", "", "cause of action, as `text`")
	fl.StringVar(&f.purpose, "purpose", "", "fact to be proved, as `text`")
	fl.StringArrayVar(&f.officers, "officer", nil, "`NAME:LICENCE` of an officer; give it twice, one officer is a printed warning")
	fl.StringVar(&f.party, "party", "", "`name` of the party the evidence is about")
	fl.StringVar(&f.place, "place", "", "`place` where the capture is made")
	fl.StringVar(&f.witness, "witness", "", "`name` of a witness")
	fl.StringVar(&f.config, "config", "", "configuration `file` instead of config.yaml")
	fl.StringVar(&f.browser, "browser", "", "Chromium `binary` instead of Debian's")
	fl.StringVar(&f.out, "out", "", "also copy package, seal and sheet into this `directory`")
	fl.BoolVar(&f.json, "json", false, "write a stream of JSON objects; the last one tells what was kept")
	fl.BoolVar(&f.allowPrivate, "allow-private", false, "permit loopback and private addresses; written into the record")
	fl.BoolVar(&f.noSandbox, "no-sandbox", false, "run the browser without its sandbox; written into the record")
	f.visitorFlags.add(c)
}

func captureVerb(s streams) *cobra.Command {
	var f captureFlags
	c := &cobra.Command{
		Use:   "capture URL",
		Short: "Capture a page, seal it and keep it",
		Long: `capture visits the page with headless Chromium, records everything that came
over the wire and what the page looked like, and keeps it as one sealed package.
With --json stdout carries one JSON object per line; the last one is
{"type":"kept","id":…,"state":…,"digest":…,"package":PATH,"seal":PATH,…}
or {"type":"error",…}.`,
		Example: `  guzheng capture https://shop.example/ --case 001 --officer NAME:LICENCE --officer NAME:LICENCE
  guzheng capture http://127.0.0.1:8080/ --allow-private --json`,
		Args: args(cobra.ExactArgs(1)),
	}
	f.add(c)
	c.RunE = func(c *cobra.Command, a []string) error { return doCapture(c.Context(), s, f, a[0], nil) }
	return c
}

// doCapture is the whole way from an address to a kept package. Addresses in
// allow may be private: the practice shop.
func doCapture(ctx context.Context, s streams, f captureFlags, address string, allow []string) (err error) {
	h, err := openHome(s, f.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	order, err := f.order(h.cfg, address)
	if err != nil {
		return err
	}
	if err := web.Permitted(ctx, order, allow); err != nil {
		return fail(exitRefused, "guzheng capture --allow-private URL permits it and writes it into the record", "%w", err)
	}
	show := newProgress(s, h.words, f.json)
	// Opened before the visit, so that a missing passphrase or a full disk
	// is known before the page is.
	if _, err := h.keeper(ctx); err != nil {
		return err
	}
	if err := h.resumeAll(ctx, show.resumed); err != nil {
		show.warn("earlier captures are waiting: %v (guzheng resume)", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b, err := newBerth(h.spool(), order)
	if err != nil {
		return err
	}
	defer b.release()
	source := h.browser(f.browser, allow, show.entry)
	if source.TempDir, err = b.makeScratch(); err != nil {
		return errors.Join(err, b.leave())
	}
	if _, err := source.Collect(ctx, order, b.take()); err != nil {
		if _, rerr := capture.ReadTake(b.take()); rerr != nil {
			return errors.Join(err, b.discardEmpty())
		}
		return err
	}
	show.stage("pack")
	// An interruption ends the visit, not the keeping of what it saw.
	rec, err := h.keep(context.WithoutCancel(ctx), b)
	how := aftermath{interrupted: ctx.Err() != nil}
	if err != nil && !errors.As(err, &how.unheld) {
		return err
	}
	show.stage("sheet")
	return h.finish(context.WithoutCancel(ctx), s, f, rec, how)
}

// order makes the order from flags and configuration.
func (f captureFlags) order(cfg config, address string) (capture.Order, error) {
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	if u, err := url.Parse(address); err == nil && u.Path == "" && u.Host != "" {
		u.Path = "/"
		address = u.String()
	}
	now := capture.Now()
	o := capture.Order{
		Format: capture.OrderFormat, ID: capture.NewID(now), Kind: capture.KindWeb, URL: address, Created: now.UTC(),
		Case: f.caseNo, Cause: f.cause, Purpose: f.purpose, Party: f.party, Place: f.place, Witness: f.witness,
		AllowPrivate: f.allowPrivate, NoSandbox: f.noSandbox, Limits: cfg.limits(),
		Viewport: capture.Viewport{Width: cfg.Browser.Width, Height: cfg.Browser.Height, Scale: cfg.Browser.Scale},
	}
	if err := f.visitorFlags.apply(&o); err != nil {
		return o, err
	}
	for _, text := range f.officers {
		officer, err := capture.ParseOfficer(text)
		if err != nil {
			return o, err
		}
		if slices.Contains(o.Officers, officer) {
			return o, fmt.Errorf("officer %q given twice: %w", text, capture.ErrOrder)
		}
		o.Officers = append(o.Officers, officer)
	}
	return o, o.Check()
}

// kept is the last object of the JSON stream. Its names are stable.
type kept struct {
	Type    string           `json:"type"` // "kept"
	ID      string           `json:"id"`
	State   capture.State    `json:"state"`
	Reasons []capture.Reason `json:"reasons,omitempty"`
	URL     string           `json:"url"`
	Title   string           `json:"title"`
	Status  int              `json:"status"`
	Digest  string           `json:"digest"` // SHA-256 of the package, hex
	SM3     string           `json:"sm3"`
	Bytes   int64            `json:"bytes"`
	Package string           `json:"package"`
	Seal    string           `json:"seal"`
	Pending bool             `json:"pending"`        // a stamp or the log entry is still missing
	Held    *bool            `json:"held,omitempty"` // of what was captured for a case: whether it is on hold for it
	Verdict string           `json:"verdict"`
	Sheet   string           `json:"sheet"`
	Error   string           `json:"error,omitempty"` // why it could not be printed or copied
	Exit    int              `json:"exit"`
}

// An aftermath is how a capture went beside what was captured.
type aftermath struct {
	interrupted bool
	unheld      *unheld // nil: it is on hold for its case, or of none
}

// finish verifies what was kept, prints its sheet and tells the reader.
func (h *home) finish(ctx context.Context, s streams, f captureFlags, rec preserve.Record, how aftermath) error {
	k := kept{Type: "kept", ID: rec.Order.ID, State: rec.Take.State, Reasons: rec.Take.Reasons, URL: rec.Order.URL,
		Digest: rec.Package.SHA256, SM3: rec.Entry.SM3, Bytes: rec.Package.Bytes, Package: h.where(rec.Package), Seal: h.where(rec.Seal),
		Pending: rec.Entry.Pending}
	if rec.Order.Case != "" {
		held := how.unheld == nil
		k.Held = &held
	}
	// What is kept is told even when it cannot be printed.
	view, err := h.printed(ctx, &k, rec)
	if f.out != "" {
		err = errors.Join(err, h.copyOut(ctx, f.out, rec, k.Sheet))
	}
	if err != nil {
		k.Error = err.Error()
	} else {
		err = outcomeOf(rec.Take, view.Verdict, how.interrupted)
	}
	if err == nil && how.unheld != nil {
		err = &coded{code: exitPartial, err: errTold}
	}
	k.Exit, _ = classify(ctx, err)
	if f.json {
		writeLine(s.out, k)
		return told(ctx, s, err)
	}
	h.summary(s, k, rec, view)
	return err
}

// told prints an error that the JSON stream already carries, so that nothing
// follows its last object.
func told(ctx context.Context, s streams, err error) error {
	code := s.report(ctx, err, false)
	if code == exitOK {
		return nil
	}
	return &coded{code: code, err: errTold}
}

// printed verifies what was kept and prints its sheet.
func (h *home) printed(ctx context.Context, k *kept, rec preserve.Record) (report.View, error) {
	view, err := h.view(ctx, rec.Entry)
	if err != nil {
		return view, err
	}
	k.Title, k.Status, k.Verdict = view.Facts.Title, view.Facts.Status, string(view.Verdict.Outcome())
	name := filepath.Join(h.dir, "sheets", rec.Order.ID+".pdf")
	if err := h.writeSheet(name, view, h.words); err != nil {
		return view, err
	}
	k.Sheet = name
	return view, nil
}

// outcomeOf turns the state of a kept take into the command's error.
func outcomeOf(t capture.Take, v verify.Verdict, interrupted bool) error {
	code := exitOK
	switch {
	case v.Outcome() == verify.Failed:
		code = exitAltered
	case interrupted:
		code = exitInterrupted
	case slices.ContainsFunc(t.Reasons, func(r capture.Reason) bool { return r.Code == "address.refused" }):
		code = exitRefused
	case t.State == capture.Failed:
		code = exitFailure
	case t.State == capture.Partial:
		code = exitPartial
	}
	if code == exitOK {
		return nil
	}
	return &coded{code: code, err: errTold}
}
