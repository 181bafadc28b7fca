package main

import (
	"archive/zip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"guzheng/capture"
	"guzheng/capture/warc"
	"guzheng/capture/web"
)

// collect is how a source carries out an order.
type collect func(ctx context.Context, order capture.Order, dir string) (capture.Take, error)

// ours is Guzheng itself: capture, package, stamp, seal, log, store, index.
type ours struct {
	home    *home
	collect collect

	mu     sync.Mutex
	berths map[string]*berth // of the visits that are not kept yet
}

// benchSettings keep the benchmark on this machine: no clock server is asked.
const benchSettings = "clock:\n  ntp: []\n"

func newOurs(ctx context.Context, j job) (visitor, error) {
	if err := os.Setenv("GUZHENG_HOME", filepath.Join(j.Dir, "home")); err != nil {
		return visitor{}, err
	}
	settings := filepath.Join(j.Dir, "bench.yaml")
	if err := os.WriteFile(settings, []byte(benchSettings), 0o600); err != nil {
		return visitor{}, err
	}
	h, err := openHome(streams{out: io.Discard, err: os.Stderr}, settings)
	if err != nil {
		return visitor{}, err
	}
	if _, err := h.keeper(ctx); err != nil {
		return visitor{}, err
	}
	browser, err := trusting(j)
	if err != nil {
		return visitor{}, err
	}
	scratch := filepath.Join(j.Dir, "scratch")
	if err := os.Mkdir(scratch, 0o711); err != nil {
		return visitor{}, err
	}
	source := h.browser(browser, nil, nil)
	source.TempDir = scratch
	end, c := sourceOf(source)
	o := &ours{home: h, collect: c, berths: map[string]*berth{}}
	return visitor{visit: o.visit, keep: o.keep, close: func() error { end(); return h.Close() }}, nil
}

// benchUses is how many captures a warm browser serves before it is replaced.
const benchUses = 50

// sourceOf returns what carries out orders, and what ends it.
func sourceOf(b web.Browser) (end func(), c collect) {
	p := web.NewPool(b, benchUses)
	return p.Close, p.Collect
}

// trusting writes a browser that takes the corpus's certificate: ours must not
// have a switch for that, so a script in the browser's place adds it.
func trusting(j job) (string, error) {
	name := filepath.Join(j.Dir, "browser")
	script := fmt.Sprintf("#!/bin/sh\nexec %s --ignore-certificate-errors-spki-list=%s \"$@\"\n", j.Browser, j.SPKI)
	if err := os.WriteFile(name, []byte(script), 0o755); err != nil {
		return "", err
	}
	return name, os.Chmod(name, 0o755)
}

// visit captures one page as doCapture does, without the browser's PDF, which
// no tool in the table makes.
func (o *ours) visit(ctx context.Context, c call) (string, error) {
	now := time.Now()
	order := capture.Order{
		Format: capture.OrderFormat, ID: capture.NewID(now), Kind: capture.KindWeb, URL: c.URL, Created: now.UTC(),
		AllowPrivate: true, NoPrint: true, Limits: o.home.cfg.limits(),
		Viewport: capture.Viewport{Width: windowWidth, Height: windowHeight, Scale: 1},
	}
	b, err := newBerth(o.home.spool(), order)
	if err != nil {
		return "", err
	}
	take, err := o.collect(ctx, order, b.take())
	if err == nil && take.State != capture.Complete {
		err = fmt.Errorf("take is %s: %v", take.State, take.Reasons)
	}
	if err != nil {
		b.release()
		return "", err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.berths[c.Visit] = b
	return "", nil
}

// keep packages, stamps, seals, logs, stores and indexes what a visit took,
// and answers with the package.
func (o *ours) keep(ctx context.Context, c call) (string, error) {
	o.mu.Lock()
	b := o.berths[c.Visit]
	delete(o.berths, c.Visit)
	o.mu.Unlock()
	defer b.release()
	rec, err := o.home.keep(ctx, b)
	if err != nil {
		return "", err
	}
	if rec.Entry.Pending {
		return "", fmt.Errorf("seal of %s is not complete", rec.Order.ID)
	}
	return o.home.local(ctx, rec.Package.Key)
}

// checkPackage wants every response that the corpus sent in a visit to be in
// the package, and the picture to be as high as the page.
func checkPackage(name string, c call, served []string) error {
	z, err := zip.OpenReader(name)
	if err != nil {
		return err
	}
	defer z.Close()
	recorded, err := recordedIn(&z.Reader)
	if err != nil {
		return err
	}
	var lost []string
	for _, address := range served {
		if !recorded[address] {
			lost = append(lost, address)
		}
	}
	if len(lost) > 0 {
		slices.Sort(lost)
		return fmt.Errorf("%d of %d responses were not recorded: %q", len(lost), len(served), lost[:min(len(lost), 3)])
	}
	return checkFiles(&z.Reader, c)
}

// recordedIn returns the addresses of the responses in the package.
func recordedIn(z *zip.Reader) (map[string]bool, error) {
	f, err := z.Open("archive/data.warc.gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := map[string]bool{}
	for r, err := range warc.Records(f) {
		if err != nil {
			return nil, err
		}
		if (r.Type == "response" || r.Type == "revisit") && r.Status >= 200 && r.Status < 300 {
			address, _, _ := strings.Cut(r.URI, "?")
			out[address] = true
		}
	}
	return out, nil
}

// checkFiles looks at the picture of the page. One that is in tiles is as high
// as they reach, each where the facts say that it lies.
func checkFiles(z *zip.Reader, c call) error {
	b, err := fs.ReadFile(z, "evidence/facts.json")
	if err != nil {
		return err
	}
	var facts capture.Facts
	if err := json.Unmarshal(b, &facts); err != nil {
		return err
	}
	tiles := facts.Tiles
	if len(tiles) == 0 {
		tiles = []capture.Tile{{Path: "evidence/full.png"}}
	}
	bottom := 0
	for i, p := range tiles {
		height, err := heightIn(z, p.Path)
		if err != nil {
			return err
		}
		if p.Y != bottom-p.Overlap || len(tiles) > 1 && height != p.Height || i > 0 && p.Overlap < 1 {
			return fmt.Errorf("tile of %d rows below row %d is said to lie elsewhere: %+v", height, bottom, p)
		}
		bottom = p.Y + height
	}
	if bottom < c.Height {
		return fmt.Errorf("picture is %d pixels high, want at least %d", bottom, c.Height)
	}
	return nil
}

// heightIn reads the height of a picture in a package.
func heightIn(z *zip.Reader, name string) (int, error) {
	f, err := z.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return pngHeightOf(f)
}
