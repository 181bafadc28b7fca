package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"guzheng/capture"
	"guzheng/preserve/verify"
	"guzheng/report/export"
	"guzheng/report/sheet"
	"guzheng/storage"
	"guzheng/storage/dir"
	"guzheng/storage/index"
)

// exportFlags are the options of export.
type exportFlags struct {
	to, verifiers, lang, config string
	broken, json                bool
}

func exportVerb(s streams) *cobra.Command {
	var f exportFlags
	c := &cobra.Command{
		Use:   "export ID... --to DIR|FILE.zip",
		Short: "Hand evidence over to a court or notary, with everything needed to check it",
		Long: `export copies packages, seals and sheets into a BagIt bag (RFC 8493): a directory,
or one ZIP file when the name ends in .zip. Beside them lie keys, signatures,
time stamps and log entries as files that openssl reads, the verifiers that make
built, and a README with the commands. Every record is verified first, and the
bag as a whole afterwards. A target that exists is refused. What is printed last
is the SHA-256 value of tagmanifest-sha256.txt, which stands for the whole bag:
write it into the receipt.`,
		Example: `  guzheng export GZ-20261123-7KQ4M2XD --to case-001.zip
  guzheng export GZ-20261123-7KQ4M2XD GZ-20261124-3F8N1PQA --to /media/usb/case-001`,
		Args: args(cobra.MinimumNArgs(1)),
	}
	fl := c.Flags()
	fl.StringVar(&f.to, "to", "", "`target` to make: a directory, or a file that ends in .zip")
	fl.StringVar(&f.verifiers, "verifiers", "", "`directory` with verify.html and guzheng-verify-*; without it, verifiers beside this program are taken if they are there")
	fl.BoolVar(&f.broken, "broken", false, "also export records that do not pass; the README names them, and the exit code is 4")
	fl.StringVar(&f.lang, "lang", "", "`language` of README and sheets: zh-CN or en")
	fl.StringVar(&f.config, "config", "", "configuration `file` instead of config.yaml")
	fl.BoolVar(&f.json, "json", false, "write what was exported as a JSON object")
	c.ValidArgsFunction = func(c *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return completeID(c.Context(), s, begun), cobra.ShellCompDirectiveNoFileComp
	}
	c.RunE = func(c *cobra.Command, a []string) error { return doExport(c.Context(), s, f, a) }
	return c
}

// completeID lists the numbers that begin so, newest first, for a shell.
func completeID(ctx context.Context, s streams, begun string) []string {
	h, err := openHome(s, "")
	if err != nil {
		return nil
	}
	defer func() { _ = h.Close() }() // nothing was written
	if err := h.openStore(ctx); err != nil {
		return nil
	}
	entries, err := h.index.List(ctx, index.Filter{})
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if strings.HasPrefix(e.ID, begun) {
			out = append(out, e.ID+"\t"+plain(e.URL))
		}
	}
	return out
}

func doExport(ctx context.Context, s streams, f exportFlags, ids []string) (err error) {
	if f.to == "" {
		return fail(exitUsage, "guzheng export ID --to case.zip", "exporting: no --to")
	}
	h, err := openHome(s, f.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if h.words, err = h.catalogue(f.lang); err != nil {
		return err
	}
	x, err := h.exporter(f)
	if err != nil {
		return err
	}
	var entries []storage.Entry
	for _, id := range ids {
		e, err := h.find(ctx, id)
		if err != nil {
			return err
		}
		entries = append(entries, e)
	}
	x.Store = h.store
	if d, ok := h.store.(*dir.Store); ok {
		x.Raw = d.Path
	}
	done, err := x.Export(ctx, entries, f.to)
	if err != nil {
		return exportError(err, f.to)
	}
	return s.exported(f, done)
}

// exporter is what does not depend on the records.
func (h *home) exporter(f exportFlags) (export.Exporter, error) {
	trust, err := h.trust()
	if err != nil {
		return export.Exporter{}, err
	}
	tools := f.verifiers
	if tools == "" {
		tools = besideUs()
	} else if len(export.Tools(tools)) == 0 {
		return export.Exporter{}, fail(exitUsage, "make verifiers builds them into bin/verifiers", "exporting: no verifier in %s", tools)
	}
	return export.Exporter{Words: h.words, Trust: trust, Date: capture.Now().In(capture.Beijing), Organization: h.cfg.Organization,
		Software: h.tool.Name + "/" + h.tool.Version, Tools: tools, Broken: f.broken, Sheet: h.sheetOf}, nil
}

// besideUs is where make puts the verifiers: next to this program.
func besideUs() string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	return filepath.Join(filepath.Dir(self), "verifiers")
}

// sheetOf prints the sheet of a record that was just verified.
func (h *home) sheetOf(ctx context.Context, e storage.Entry, verdict verify.Verdict) ([]byte, error) {
	v, err := h.viewWith(ctx, e, verdict)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	if err := sheet.Write(&b, v, h.words); err != nil {
		return nil, fmt.Errorf("printing %s: %w", e.ID, err)
	}
	return []byte(b.String()), nil
}

// exportError says what to do about it.
func exportError(err error, target string) error {
	switch {
	case errors.Is(err, export.ErrBroken):
		return fail(exitAltered, "guzheng verify ID shows which check fails; --broken exports it all the same and says so", "%w", err)
	case errors.Is(err, fs.ErrExist):
		return fail(exitUsage, "choose another --to, or move "+target+" away", "%w", err)
	}
	if p := (*fs.PathError)(nil); errors.As(err, &p) && !errors.Is(err, fs.ErrNotExist) {
		return fail(exitStorage, "check free space and permissions where "+target+" is to be, and under GUZHENG_HOME", "%w", err)
	}
	return err
}

// exported tells what was handed over.
func (s streams) exported(f exportFlags, done export.Summary) error {
	to, err := filepath.Abs(f.to)
	if err != nil {
		return err
	}
	code := exitOK
	if len(done.Broken) > 0 {
		code = exitAltered
	}
	if f.json {
		writeLine(s.out, map[string]any{"type": "exported", "to": to, "records": done.Records, "broken": done.Broken,
			"verifiers": done.Tools, "files": done.Files, "bytes": done.Bytes, "digest": done.Digest, "exit": code})
	} else {
		fmt.Fprintf(s.out, "%s\n%s  tagmanifest-sha256.txt\n", to, done.Digest)
	}
	if done.Tools == 0 {
		fmt.Fprintln(s.err, "guzheng: the export holds no verifiers: there are none beside this program")
		fmt.Fprintln(s.err, "guzheng: hint: make verifiers builds them; --verifiers DIR takes them from elsewhere")
	}
	for _, id := range done.Broken {
		fmt.Fprintf(s.err, "guzheng: %s is not sound; it was exported as it is and the README says so\n", id)
	}
	if code != exitOK {
		return &coded{code: code, err: errTold}
	}
	return nil
}
