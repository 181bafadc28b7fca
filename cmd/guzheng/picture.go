package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"guzheng/capture"
	"guzheng/capture/raster"
	"guzheng/preserve/verify"
	"guzheng/report"
	"guzheng/report/words"
)

func pictureVerb(s streams) *cobra.Command {
	var out, lang, conf string
	c := &cobra.Command{
		Use:   "picture ID",
		Short: "Write the picture of the whole page as one PNG",
		Long: `picture writes the picture of the whole page of a kept package as one PNG. The
package is verified first; of one that fails nothing is written. What the
browser made in one piece is written with its bytes unchanged. The tiles of a
taller page are put together for it, and their digests and how many of them
do not show the same where they overlap are printed: they are the originals.
The same package gives the same bytes.`,
		Args: args(cobra.ExactArgs(1)),
	}
	c.Flags().StringVar(&out, "out", "", "PNG `file`; default is ID.png in this directory")
	c.Flags().StringVar(&lang, "lang", "", "`language`: zh-CN or en")
	c.Flags().StringVar(&conf, "config", "", "configuration `file` instead of config.yaml")
	c.RunE = func(c *cobra.Command, a []string) error { return doPicture(c.Context(), s, a[0], out, lang, conf) }
	return c
}

func doPicture(ctx context.Context, s streams, id, out, lang, conf string) (err error) {
	h, err := openHome(s, conf)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if h.words, err = h.catalogue(lang); err != nil {
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
	if v.Verdict.Outcome() == verify.Failed {
		return fail(exitAltered, "guzheng verify "+id, "a check of %s failed; its picture is not written", id)
	}
	if out == "" {
		out = id + ".png"
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	p := &pagePicture{v: v, w: h.words}
	if err := p.write(out); err != nil {
		if errors.Is(err, errNoPicture) {
			return fail(exitFailure, "guzheng sheet "+id+" says what was had", "%s: %w", id, err)
		}
		return err
	}
	p.tell(s.out, out)
	return nil
}

// errNoPicture means that there is nothing to make a picture from.
var errNoPicture = errors.New("no picture of the whole page in the package")

// A pagePicture is the picture of a whole page on its way into a file.
type pagePicture struct {
	v      report.View
	w      *words.Catalogue
	full   report.Member // what is copied, when its path is set
	tiles  report.Tiles  // else
	report raster.Report // of what was written
	digest capture.Digest
}

// write writes the file so that it is whole or as it was before.
func (p *pagePicture) write(name string) error {
	for _, m := range p.v.Members {
		if m.Kind == capture.FileFull {
			p.full = m
		}
	}
	from := p.copy
	if p.full.Path == "" {
		from = p.stitch
		var err error
		if p.tiles, err = p.v.Tiles(); err != nil {
			return err
		}
		if len(p.tiles.List) == 0 {
			return errNoPicture
		}
	}
	return capture.WriteStream(name, func(w io.Writer) error {
		sum := capture.NewHasher()
		b := bufio.NewWriterSize(io.MultiWriter(w, sum), 256<<10)
		if err := from(b); err != nil {
			return err
		}
		if err := b.Flush(); err != nil {
			return err
		}
		p.digest = sum.Digest()
		return nil
	})
}

// copy copies a file of the package, which is checked while it is read.
func (p *pagePicture) copy(w io.Writer) error {
	head, err := p.v.Picture(p.full.Path, 0, 0)
	if err != nil {
		return err
	}
	p.report.Header = head.Original
	if err := head.Close(); err != nil {
		return err
	}
	r, err := p.v.Open(p.full.Path)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}

// stitch puts the tiles together.
func (p *pagePicture) stitch(w io.Writer) error {
	var err error
	p.report, err = raster.Stitch(w, p.tiles.Parts(), p.tiles.Overlap)
	return err
}

// tell prints what was done.
func (p *pagePicture) tell(w io.Writer, name string) {
	size := map[string]any{"path": p.full.Path, "width": p.report.Width, "height": p.report.Height, "tiles": p.report.Tiles}
	fmt.Fprintf(w, "%s %s\n%s SHA-256 %s\n", p.w.T("cli.picture.file"), name, p.w.T("cli.kept.digest"), p.digest.SHA256)
	if p.full.Path != "" {
		fmt.Fprintln(w, p.w.T("cli.picture.copied", size))
		return
	}
	fmt.Fprintln(w, p.w.T("cli.picture.joined", size))
	for _, t := range p.tiles.List {
		fmt.Fprintf(w, "  %s SHA-256 %s\n", t.Path, t.SHA256)
	}
	fmt.Fprintln(w, p.w.T("cli.picture.seams", map[string]any{"differ": p.report.Differing(), "seams": len(p.report.Seams)}))
	if _, height := p.tiles.Size(); height < p.v.Wanted() {
		fmt.Fprintln(w, p.w.T("sheet.picture.short", map[string]any{"page": p.v.Wanted(), "height": height}))
	}
}
