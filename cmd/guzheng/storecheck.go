package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"guzheng/capture"
	"guzheng/preserve"
	"guzheng/storage"
)

func storeCheckVerb(s streams) *cobra.Command {
	var f storeFlags
	c := &cobra.Command{
		Use:   "check",
		Short: "Read everything again and compare it with the seals",
		Long: `store check reads every object to its end and compares its digest with the
store's record, and of every package with the seal beside it, whose signature
has to hold. What was interrupted goes on where it was; --again begins anew.
It exits with 4 when something was altered, and names it.`,
		Args: args(cobra.NoArgs),
	}
	f.add(c)
	c.Flags().BoolVar(&f.again, "again", false, "begin anew instead of going on")
	c.Flags().IntVar(&f.rate, "rate", 0, "read at most so many `megabytes` per second, on average")
	c.RunE = func(c *cobra.Command, _ []string) error { return storeCheck(c.Context(), s, f) }
	return c
}

// A round is how far a check has come. It lies under GUZHENG_HOME after
// every object.
type round struct {
	Type    string    `json:"type"`  // "check"
	Store   string    `json:"store"` // the one that was checked
	Prefix  string    `json:"prefix"`
	Begun   time.Time `json:"begun"`
	After   string    `json:"after"` // all keys up to this one were read
	Objects int       `json:"objects"`
	Bytes   int64     `json:"bytes"`
	Bad     []string  `json:"bad"`
	Done    bool      `json:"done"`
}

// saveEvery bounds how much is read again after an interruption.
const saveEvery = 5 * time.Second

func storeCheck(ctx context.Context, s streams, f storeFlags) (err error) {
	h, err := openHome(s, f.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if err := h.openStore(ctx); err != nil {
		return err
	}
	r, err := h.loadRound(f)
	if err != nil {
		return err
	}
	err = h.readAll(ctx, s, f, &r)
	r.Done = err == nil
	if serr := h.saveRound(r); serr != nil || err != nil {
		return errors.Join(err, serr)
	}
	if f.json {
		writeLine(s.out, r)
	} else {
		fmt.Fprintln(s.out, h.words.T("cli.store.checked", map[string]any{"objects": r.Objects, "megabytes": r.Bytes >> 20, "bad": len(r.Bad)}))
	}
	if len(r.Bad) > 0 {
		return fail(exitAltered, "guzheng verify ID shows which check fails", "altered or missing: %s", strings.Join(r.Bad, ", "))
	}
	return nil
}

func (h *home) readAll(ctx context.Context, s streams, f storeFlags, r *round) error {
	p := &pacer{rate: int64(f.rate) << 20, begun: capture.Now(), now: capture.Now}
	saved := capture.Now()
	for o, err := range h.store.List(ctx, f.prefix) {
		if err != nil && o.Key == "" {
			return err
		}
		if o.Key <= r.After {
			continue
		}
		if err == nil {
			err = h.readOne(ctx, o)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// Only what the bytes or the seal say is held against the object; a
		// line that failed is tried again on the next run.
		if err != nil && !blames(err) {
			return fail(exitStorage, "guzheng store check, later: it goes on here", "checking %s: %w", o.Key, err)
		}
		if err != nil {
			r.Bad = append(r.Bad, o.Key)
			fmt.Fprintf(s.err, "guzheng: %s: %s\n", plain(o.Key), plain(err.Error()))
		}
		r.After, r.Objects, r.Bytes = o.Key, r.Objects+1, r.Bytes+o.Bytes
		if now := capture.Now(); now.Sub(saved) >= saveEvery {
			saved = now
			if err := h.saveRound(*r); err != nil {
				return err
			}
			fmt.Fprintf(s.err, "guzheng: %d objects, %d MB, at %s\n", r.Objects, r.Bytes>>20, plain(o.Key))
		}
		if err := p.pace(ctx, o.Bytes); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// readOne reads an object to its end; a package is held against its seal.
func (h *home) readOne(ctx context.Context, o storage.Object) error {
	if strings.HasSuffix(o.Key, ".wacz") {
		if _, err := preserve.Read(ctx, h.store, o.Key); err != nil {
			return unsound(ctx, h.store, o.Key, err)
		}
		return nil
	}
	c, _, err := h.store.Open(ctx, o.Key)
	if err != nil {
		return err
	}
	return c.Close()
}

// errUnsound says that an object can be read and is not what it should be.
var errUnsound = errors.New("package and seal do not hold")

// unsound tells a line that fails from a package that does: bytes that the
// store gives, and still no record, are the package's fault.
func unsound(ctx context.Context, s storage.Store, key string, cause error) error {
	if blames(cause) {
		return cause
	}
	c, _, err := s.Open(ctx, key)
	if err != nil {
		return err
	}
	return errors.Join(fmt.Errorf("%w: %w", errUnsound, cause), c.Close())
}

// blames tells whether an error speaks of the object and not of the way to
// it.
func blames(err error) bool {
	return errors.Is(err, storage.ErrAltered) || errors.Is(err, storage.ErrNotExist) || errors.Is(err, errUnsound)
}

func (h *home) roundFile() string { return filepath.Join(h.dir, "store-check.json") }

// loadRound goes on with a round of this store that was not finished.
func (h *home) loadRound(f storeFlags) (round, error) {
	anew := round{Type: "check", Store: h.cfg.Store.name(filepath.Join(h.dir, "store")), Prefix: f.prefix, Begun: capture.Now().UTC(), Bad: []string{}}
	b, err := os.ReadFile(h.roundFile())
	if errors.Is(err, fs.ErrNotExist) || f.again {
		return anew, nil
	}
	var r round
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return r, fail(exitFailure, "guzheng store check --again", "reading how far the check was: %w", err)
	}
	if r.Done || r.Store != anew.Store || r.Prefix != f.prefix {
		return anew, nil
	}
	return r, nil
}

func (h *home) saveRound(r round) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return capture.WriteFile(h.roundFile(), append(b, '\n'))
}
