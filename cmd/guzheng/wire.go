package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"guzheng/capture"
	"guzheng/capture/web"
	"guzheng/preserve"
	"guzheng/preserve/key"
	"guzheng/preserve/seal"
	"guzheng/preserve/tlog/ledger"
	"guzheng/preserve/tsa"
	"guzheng/preserve/verify"
	"guzheng/report/words"
	"guzheng/storage/dir"
	"guzheng/storage/index"
)

// A home is GUZHENG_HOME with the parts that verbs need, opened when first
// asked for.
type home struct {
	dir    string
	err    io.Writer // for warnings
	cfg    config
	words  *words.Catalogue
	tool   capture.Tool
	key    *key.Key
	log    *ledger.Log
	store  *dir.Store
	index  *index.DB
	tsas   []tsa.Authority
	closer []func() error
}

// openHome reads the configuration and makes the directory. Nothing else is
// touched yet.
func openHome(s streams, configFile string) (*home, error) {
	d, err := homeDir()
	if err != nil {
		return nil, err
	}
	h := &home{dir: d, err: s.err}
	if h.cfg, err = loadConfig(d, configFile); err != nil {
		return nil, err
	}
	if h.words, err = words.New(h.cfg.Lang); err != nil {
		return nil, err
	}
	for _, p := range []string{d, h.keys(), h.spool()} {
		if err := os.MkdirAll(p, 0o700); err != nil {
			return nil, err
		}
	}
	h.tool = capture.Tool{Name: "guzheng", Version: version, Go: runtime.Version()}
	return h, nil
}

func (h *home) keys() string  { return filepath.Join(h.dir, "keys") }
func (h *home) spool() string { return filepath.Join(h.dir, "spool") }

// Close closes what was opened, last first.
func (h *home) Close() error {
	var errs []error
	for i := len(h.closer) - 1; i >= 0; i-- {
		errs = append(errs, h.closer[i]())
	}
	return errors.Join(errs...)
}

// openStore opens the embedded store and its index.
func (h *home) openStore(ctx context.Context) error {
	if h.store != nil {
		return nil
	}
	var err error
	if h.store, err = dir.Open(filepath.Join(h.dir, "store"), capture.Now); err != nil {
		return fail(exitStorage, "check permissions and free space under "+h.dir, "opening store: %w", err)
	}
	return h.openIndex(ctx)
}

// openIndex opens the catalogue. A damaged one is set aside and made again
// from the store: an index must never keep anybody from capturing.
func (h *home) openIndex(ctx context.Context) error {
	name := filepath.Join(h.dir, "guzheng.db")
	var err error
	if h.index, err = index.Open(ctx, name); err == nil {
		h.closer = append(h.closer, h.index.Close)
		return nil
	}
	if !errors.Is(err, index.ErrDamaged) {
		return fail(exitStorage, "guzheng index rebuild", "opening index: %w", err)
	}
	aside, err := index.SetAside(name)
	if err != nil {
		return fail(exitStorage, "", "setting the damaged index aside: %w", err)
	}
	fmt.Fprintf(h.err, "guzheng: the index was damaged; it is set aside as %s and made again from the store\n", aside)
	if h.index, err = index.Open(ctx, name); err != nil {
		return fail(exitStorage, "", "opening index: %w", err)
	}
	h.closer = append(h.closer, h.index.Close)
	_, _, err = h.reindex(ctx, func(key string, err error) { fmt.Fprintf(h.err, "guzheng: %s: %v\n", plain(key), err) })
	return err
}

// openPress opens what seals need: key, authorities and log.
func (h *home) openPress(ctx context.Context) (seal.Press, error) {
	if h.key == nil {
		pass, err := h.cfg.passphrase()
		if err != nil {
			return seal.Press{}, err
		}
		if h.key, err = key.Open(filepath.Join(h.keys(), "signing.pem"), pass); err != nil {
			return seal.Press{}, err
		}
		if h.tsas, err = h.authorities(); err != nil {
			return seal.Press{}, err
		}
		if err := h.openLog(ctx); err != nil {
			return seal.Press{}, err
		}
		if err := h.writeTrust(); err != nil {
			return seal.Press{}, err
		}
	}
	return seal.Press{Key: h.key, Authorities: h.tsas, Log: h.log, Now: capture.Now}, nil
}

// openLog opens the transparency log, which makes it at first use.
func (h *home) openLog(ctx context.Context) (err error) {
	if h.log != nil {
		return nil
	}
	if h.log, err = ledger.Open(ctx, filepath.Join(h.dir, "log"), h.keys()); err != nil {
		return fail(exitStorage, "", "%w", err)
	}
	h.closer = append(h.closer, func() error {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return h.log.Close(end)
	})
	return nil
}

// authorities returns the configured time-stamping authorities, or the
// practice authority when there are none.
func (h *home) authorities() ([]tsa.Authority, error) {
	if len(h.cfg.TSA) == 0 {
		p, err := tsa.OpenPractice(h.keys(), capture.Now)
		if err != nil {
			return nil, err
		}
		return []tsa.Authority{p}, nil
	}
	var out []tsa.Authority
	for _, t := range h.cfg.TSA {
		out = append(out, tsa.Remote{URL: t.URL, Now: capture.Now, Policy: t.Policy,
			Timeout: time.Duration(t.TimeoutSeconds) * time.Second})
	}
	return out, nil
}

// keeper puts the rooms together: what capture took, preserve keeps in the
// store.
func (h *home) keeper(ctx context.Context) (preserve.Keeper, error) {
	if err := h.openStore(ctx); err != nil {
		return preserve.Keeper{}, err
	}
	press, err := h.openPress(ctx)
	if err != nil {
		return preserve.Keeper{}, err
	}
	return preserve.Keeper{Press: press, Store: h.store, Now: capture.Now, Spool: h.spool(),
		Software: h.tool.Name + "/" + h.tool.Version,
		Retain:   h.cfg.retain}, nil
}

// keep carries a closed take into the store and the index and clears its
// berth. An error that is an *unheld says that the record is kept, and not on
// hold for its case.
func (h *home) keep(ctx context.Context, b *berth) (preserve.Record, error) {
	k, err := h.keeper(ctx)
	if err != nil {
		return preserve.Record{}, err
	}
	rec, err := k.Keep(ctx, b.dir)
	if err != nil {
		return preserve.Record{}, err
	}
	if err := h.index.Put(ctx, rec.Entry); err != nil {
		return rec, fail(exitStorage, "guzheng index rebuild", "indexing %s: %w", b.order.ID, err)
	}
	held := h.holdCase(ctx, rec)
	if err := b.leave(); err != nil {
		return rec, err
	}
	return rec, held
}

// browser returns the source for web pages.
func (h *home) browser(path string, allow []string, listen func(capture.Entry)) web.Browser {
	if path == "" {
		path = h.cfg.Browser.Path
	}
	if self, err := os.Executable(); err == nil {
		h.tool.SHA256 = capture.FileSHA256(self)
	}
	return web.Browser{Path: path, NTP: h.cfg.Clock.NTP, Allow: allow, Tool: h.tool, Listen: listen}
}

// trust is what this installation vouches for: its own key and log, and the
// authorities that its configuration names.
func (h *home) trust() (verify.Trust, error) {
	t, err := verify.LoadTrust(h.trustFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return t, fail(exitFailure, "move "+h.trustFile()+" aside", "%w", err)
	}
	for _, c := range h.cfg.TSA {
		if c.Roots != "" {
			roots, err := readRoots(c.Roots)
			if err != nil {
				return t, err
			}
			t.TSA.Roots = append(t.TSA.Roots, roots...)
		}
		if c.Certificate != "" || c.Issuer != "" || c.Name != "" {
			t.TSA.Pins = append(t.TSA.Pins, tsa.Pin{Policy: c.Policy, CertificateSHA256: c.Certificate, Issuer: c.Issuer, Name: c.Name})
		}
	}
	return t, nil
}

func readRoots(name string) ([]*x509.Certificate, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fail(exitUsage, "", "reading time-stamp roots: %w", err)
	}
	var out []*x509.Certificate
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fail(exitUsage, "", "reading time-stamp roots %s: %w", name, err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, fail(exitUsage, "", "reading time-stamp roots %s: no certificate in it", name)
	}
	return out, nil
}

// inspect verifies the package in path as this installation would.
func (h *home) inspect(ctx context.Context, path string) (verify.Verdict, error) {
	t, err := h.trust()
	if err != nil {
		return verify.Verdict{}, err
	}
	return verifyWith(ctx, path, t)
}
