package main

import (
	"context"
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
	"guzheng/preserve/tlog/witness"
	"guzheng/preserve/tsa"
	"guzheng/preserve/verify"
	"guzheng/report/words"
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
	sm2    *key.SM2 // nil unless the settings order it
	log    witness.Appender
	ledger *ledger.Log // the log itself, nil when it is on another machine
	store  keep
	tried  bool // the store's lock was tried
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

// catalogue returns the words of --lang, or those of the settings when it is
// empty.
func (h *home) catalogue(lang string) (*words.Catalogue, error) {
	if lang == "" {
		return h.words, nil
	}
	w, err := words.New(lang)
	if err != nil {
		return nil, fail(exitUsage, "use --lang zh-CN or --lang en", "%w", err)
	}
	return w, nil
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

// openStore opens the configured store and the index.
func (h *home) openStore(ctx context.Context) error {
	if h.store != nil {
		return nil
	}
	s, err := openKeep(ctx, h.cfg.Store, filepath.Join(h.dir, "store"), h.spool())
	if err != nil {
		return err
	}
	h.store = s
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
	if h.log == nil {
		pass, err := h.cfg.passphrase()
		if err != nil {
			return seal.Press{}, err
		}
		if h.key, err = key.Open(filepath.Join(h.keys(), "signing.pem"), pass); err != nil {
			return seal.Press{}, err
		}
		if h.cfg.Key == keySM2 {
			if h.sm2, err = key.OpenSM2(filepath.Join(h.keys(), "signing-sm2.pem"), pass); err != nil {
				return seal.Press{}, err
			}
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
	p := seal.Press{Key: h.key, Authorities: h.tsas, Log: h.log, Now: capture.Now}
	if h.sm2 != nil {
		p.SM2 = h.sm2
	}
	return p, nil
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
		a, err := t.remote()
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// keeper puts the rooms together: what capture took, preserve keeps in the
// store.
func (h *home) keeper(ctx context.Context) (preserve.Keeper, error) {
	if err := h.openStore(ctx); err != nil {
		return preserve.Keeper{}, err
	}
	if err := h.tryLock(ctx); err != nil {
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
	if err := h.writeReceipt(rec); err != nil {
		return rec, fail(exitStorage, "guzheng resume", "writing the receipt of %s: %w", b.order.ID, err)
	}
	if err := b.leave(); err != nil {
		return rec, err
	}
	h.anchor(ctx)
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
	t.Witnesses = h.cfg.Log.panel().Policy()
	for _, c := range h.cfg.TSA {
		own, err := c.trust()
		if err != nil {
			return t, err
		}
		t.TSA.Roots = append(t.TSA.Roots, own.Roots...)
		t.TSA.Pins = append(t.TSA.Pins, own.Pins...)
	}
	if t.TSA.MaxSkew == 0 {
		t.TSA.MaxSkew = time.Duration(h.cfg.Clock.StampSeconds) * time.Second
	}
	return t, nil
}

// inspect verifies the package in path as this installation would.
func (h *home) inspect(ctx context.Context, path string) (verify.Verdict, error) {
	t, err := h.trust()
	if err != nil {
		return verify.Verdict{}, err
	}
	return verifyWith(ctx, path, t)
}
