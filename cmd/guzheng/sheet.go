package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"guzheng/capture"
	"guzheng/preserve/verify"
	"guzheng/report"
	"guzheng/report/sheet"
	"guzheng/report/words"
	"guzheng/storage"
)

func sheetVerb(s streams) *cobra.Command {
	var out, lang, conf string
	c := &cobra.Command{
		Use:   "sheet ID",
		Short: "Print the evidence sheet of a kept package as PDF",
		Long: `sheet prints the record of extraction with its list of files. The package is
verified first, and what the verification found is printed. The same package
gives the same bytes.`,
		Args: args(cobra.ExactArgs(1)),
	}
	c.Flags().StringVar(&out, "out", "", "PDF `file`; default is ID.pdf in this directory")
	c.Flags().StringVar(&lang, "lang", "", "`language`: zh-CN or en")
	c.Flags().StringVar(&conf, "config", "", "configuration `file` instead of config.yaml")
	c.RunE = func(c *cobra.Command, a []string) error { return doSheet(c.Context(), s, a[0], out, lang, conf) }
	return c
}

func doSheet(ctx context.Context, s streams, id, out, lang, conf string) (err error) {
	h, err := openHome(s, conf)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	w, err := h.catalogue(lang)
	if err != nil {
		return err
	}
	e, err := h.find(ctx, id)
	if err != nil {
		return err
	}
	v, err := h.view(ctx, e)
	if err != nil {
		return err
	}
	if out == "" {
		out = id + ".pdf"
	}
	if err := h.writeSheet(out, v, w); err != nil {
		return err
	}
	fmt.Fprintln(s.out, out)
	return nil
}

// find looks an identifier up in the index.
func (h *home) find(ctx context.Context, id string) (storage.Entry, error) {
	if !capture.ValidID(id) {
		return storage.Entry{}, fail(exitUsage, "guzheng list shows the numbers", "%q is not an evidence number", id)
	}
	if err := h.openStore(ctx); err != nil {
		return storage.Entry{}, err
	}
	e, err := h.index.Get(ctx, id)
	if errors.Is(err, storage.ErrNotExist) {
		return e, fail(exitFailure, "guzheng list, or guzheng index rebuild", "looking for %s: %w", id, err)
	}
	return e, err
}

// view opens a kept package, verifies it and gathers what a sheet shows.
func (h *home) view(ctx context.Context, e storage.Entry) (report.View, error) {
	if err := h.gone(ctx, e); err != nil {
		return report.View{}, err
	}
	path, err := h.local(ctx, e.Package)
	if err != nil {
		return report.View{}, fmt.Errorf("opening package: %w", err)
	}
	verdict, err := h.inspect(ctx, path)
	if err != nil {
		return report.View{}, err
	}
	return h.viewWith(ctx, e, verdict)
}

// viewWith is view with a verdict that was made before.
func (h *home) viewWith(ctx context.Context, e storage.Entry, verdict verify.Verdict) (report.View, error) {
	path, err := h.local(ctx, e.Package)
	if err != nil {
		return report.View{}, fmt.Errorf("opening package: %w", err)
	}
	content, object, err := h.content(ctx, e.Package, path)
	if err != nil {
		return report.View{}, fail(exitAltered, "guzheng verify "+e.ID, "opening package: %w", err)
	}
	h.closer = append(h.closer, content.Close)
	sealed, _, err := h.store.Open(ctx, e.Seal)
	if err != nil {
		return report.View{}, fail(exitAltered, "guzheng verify "+e.ID, "opening seal: %w", err)
	}
	defer sealed.Close()
	proof, err := h.proof()
	if err != nil {
		return report.View{}, err
	}
	return report.Open(report.Source{Package: content, Bytes: object.Bytes, Seal: sealed, Entry: e, Object: object, Proof: proof, Verdict: verdict})
}

// content opens the bytes that were verified. What was fetched for that is
// not fetched again: the store had checked it, and the file is ours alone.
func (h *home) content(ctx context.Context, key, path string) (storage.Content, storage.Object, error) {
	if rel, err := filepath.Rel(h.copies(), path); err != nil || !filepath.IsLocal(rel) {
		return h.store.Open(ctx, key)
	}
	o, err := h.store.Stat(ctx, key)
	if err != nil {
		return nil, o, err
	}
	f, err := os.Open(path)
	return f, o, err
}

// writeSheet writes the PDF so that it is whole or not there.
func (h *home) writeSheet(name string, v report.View, w *words.Catalogue) error {
	var b bytes.Buffer
	if err := sheet.Write(&b, v, w); err != nil {
		return fmt.Errorf("printing %s: %w", v.Order.ID, err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return capture.WriteFile(name, b.Bytes())
}
