package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"guzheng/capture"
	"guzheng/storage"
)

func storeCopyVerb(s streams) *cobra.Command {
	var f storeFlags
	c := &cobra.Command{
		Use:   "copy --to DIR|FILE",
		Short: "Copy everything into a second store and verify both sides",
		Long: `store copy puts every object into a second store under the same key, with the
same date and hold, and reads both sides: the first while copying, the second
afterwards. What is there already is compared and not copied again, so it may
be run at any time. DIR is a directory for the copy; FILE is a configuration
(.yaml) whose store section, with credentials_file, says where it goes.`,
		Args: args(cobra.NoArgs),
	}
	f.add(c)
	c.Flags().StringVar(&f.to, "to", "", "the second store: a `directory`, or a configuration file")
	c.Flags().IntVar(&f.rate, "rate", 0, "copy at most so many `megabytes` per second, on average")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if f.to == "" {
			return fail(exitUsage, "guzheng store copy --to DIR", "copy needs --to")
		}
		return storeCopy(c.Context(), s, f)
	}
	return c
}

func storeCopy(ctx context.Context, s streams, f storeFlags) (err error) {
	h, err := openHome(s, f.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if err := h.openStore(ctx); err != nil {
		return err
	}
	second, name, err := h.second(ctx, f.to)
	if err != nil {
		return err
	}
	if name == h.cfg.Store.name(filepath.Join(h.dir, "store")) {
		return fail(exitUsage, "", "copying: %s is the store itself", name)
	}
	copied, same, err := h.copyAll(ctx, s, f, second)
	if f.json {
		writeLine(s.out, map[string]any{"type": "copy", "to": name, "copied": copied, "same": same})
	} else {
		fmt.Fprintln(s.out, h.words.T("cli.store.copied", map[string]any{"copied": copied, "same": same, "to": name}))
	}
	return err
}

// second opens the store that --to names.
func (h *home) second(ctx context.Context, to string) (keep, string, error) {
	c := storeConfig{Kind: "dir"}
	if info, err := os.Stat(to); err == nil && info.Mode().IsRegular() {
		cfg, err := loadConfig(h.dir, to)
		if err != nil {
			return nil, "", err
		}
		c = cfg.Store
		if c.Kind == "dir" && c.Path == "" {
			return nil, "", fail(exitUsage, "set store.path or store.endpoint and store.bucket", "configuration %s names no second store", to)
		}
	} else if c.Path, err = filepath.Abs(to); err != nil {
		return nil, "", err
	}
	k, err := openKeep(ctx, c, "", h.spool())
	return k, c.name(""), err
}

// copyAll copies what can be; one object that cannot is no reason to leave
// the rest, unless the way to a store is broken.
func (h *home) copyAll(ctx context.Context, s streams, f storeFlags, to keep) (copied, same int, err error) {
	p := &pacer{rate: int64(f.rate) << 20, begun: capture.Now(), now: capture.Now}
	bad := 0
	for o, err := range h.store.List(ctx, f.prefix) {
		if err != nil && o.Key == "" {
			return copied, same, err
		}
		fresh := false
		if err == nil {
			fresh, err = h.copyOne(ctx, o, to)
		}
		if ctx.Err() != nil {
			return copied, same, ctx.Err()
		}
		switch {
		case err != nil && !blames(err) && !errors.Is(err, storage.ErrConflict):
			return copied, same, fail(exitStorage, "guzheng store copy, again: what is there is not copied twice", "%w", err)
		case err != nil:
			fmt.Fprintf(s.err, "guzheng: %s\n", plain(err.Error()))
			bad++
		case fresh:
			copied++
		default:
			same++
		}
		if err := p.pace(ctx, o.Bytes); err != nil {
			return copied, same, err
		}
	}
	if bad > 0 {
		return copied, same, fail(exitAltered, "guzheng store check", "%d objects are not the same on both sides", bad)
	}
	return copied, same, ctx.Err()
}

// copyOne brings one object over and reads the other side, whether it was
// there or not.
func (h *home) copyOne(ctx context.Context, o storage.Object, to keep) (fresh bool, err error) {
	c, o, err := h.store.Open(ctx, o.Key)
	if err != nil {
		return false, err
	}
	defer c.Close()
	_, err = to.Stat(ctx, o.Key)
	fresh = errors.Is(err, storage.ErrNotExist)
	if err != nil && !fresh {
		return false, fmt.Errorf("at the second store: %w", err)
	}
	there, err := to.Put(ctx, o.Key, c, storage.Want{Bytes: o.Bytes, SHA256: o.SHA256, Until: o.Until})
	if err == nil && o.Hold && !there.Hold {
		_, err = to.Hold(ctx, o.Key, true)
	}
	if err != nil {
		return false, fmt.Errorf("at the second store: %w", err)
	}
	back, there, err := to.Open(ctx, o.Key)
	if err != nil {
		return false, fmt.Errorf("reading the second store: %w", err)
	}
	defer back.Close()
	if n, err := io.Copy(io.Discard, back); err != nil || n != o.Bytes || there.SHA256 != o.SHA256 {
		return false, fmt.Errorf("reading the second store: %s: %w", o.Key, errors.Join(storage.ErrAltered, err))
	}
	return fresh, nil
}
