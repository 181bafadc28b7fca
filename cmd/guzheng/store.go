package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"guzheng/storage"
)

// storeFlags are the options of the verbs below store.
type storeFlags struct {
	config string
	prefix string
	json   bool
	again  bool
	rate   int // megabytes per second
	to     string
}

func storeVerb(s streams) *cobra.Command {
	c := &cobra.Command{Use: "store", Short: "Look after what is kept", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(storeStatusVerb(s), storeCheckVerb(s), storeCopyVerb(s))
	return c
}

func (f *storeFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.config, "config", "", "configuration `file` instead of config.yaml")
	c.Flags().StringVar(&f.prefix, "prefix", "v1/", "only objects whose `key` begins like this")
	c.Flags().BoolVar(&f.json, "json", false, "write JSON objects, one per line")
}

func storeStatusVerb(s streams) *cobra.Command {
	var f storeFlags
	c := &cobra.Command{
		Use:   "status",
		Short: "Tell what is locked, by what and until when",
		Long: `store status asks the store about every object and tells number, length, lock,
earliest and latest date and the number on hold. With --json there is a line
for each object first.`,
		Args: args(cobra.NoArgs),
	}
	f.add(c)
	c.RunE = func(c *cobra.Command, _ []string) error { return storeStatus(c.Context(), s, f) }
	return c
}

// A tally is what store status counts of one lock.
type tally struct {
	Type     string       `json:"type"` // "status"
	Lock     storage.Lock `json:"lock"`
	Objects  int          `json:"objects"`
	Bytes    int64        `json:"bytes"`
	OnHold   int          `json:"on_hold"`
	Earliest time.Time    `json:"earliest"`
	Latest   time.Time    `json:"latest"`
}

func (t *tally) add(o storage.Object) {
	t.Objects++
	t.Bytes += o.Bytes
	if o.Hold {
		t.OnHold++
	}
	if t.Objects == 1 || o.Until.Before(t.Earliest) {
		t.Earliest = o.Until
	}
	if o.Until.After(t.Latest) {
		t.Latest = o.Until
	}
}

func storeStatus(ctx context.Context, s streams, f storeFlags) (err error) {
	h, err := openHome(s, f.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if err := h.openStore(ctx); err != nil {
		return err
	}
	locks := map[storage.Lock]*tally{}
	bad := 0
	for o, err := range h.store.List(ctx, f.prefix) {
		if err != nil && o.Key == "" {
			return err
		}
		if err != nil {
			fmt.Fprintf(s.err, "guzheng: %s: %s\n", plain(o.Key), plain(err.Error()))
			bad++
			continue
		}
		if f.json {
			writeLine(s.out, struct {
				Type string `json:"type"`
				storage.Object
			}{"object", o})
		}
		if locks[o.Lock] == nil {
			locks[o.Lock] = &tally{Type: "status", Lock: o.Lock}
		}
		locks[o.Lock].add(o)
	}
	for _, l := range []storage.Lock{storage.LockStore, storage.LockImmutable, storage.LockHash} {
		t := locks[l]
		switch {
		case t == nil:
		case f.json:
			writeLine(s.out, t)
		default:
			fmt.Fprintln(s.out, h.words.T("cli.store.status", map[string]any{"lock": h.words.T("lock." + string(l)), "objects": t.Objects,
				"megabytes": t.Bytes >> 20, "hold": t.OnHold, "earliest": day(t.Earliest), "latest": day(t.Latest)}))
		}
	}
	if bad > 0 {
		return fail(exitAltered, "guzheng store check", "%d objects are not as they were stored", bad)
	}
	return nil
}

// A pacer keeps the mean of what is read within a rate.
type pacer struct {
	rate  int64 // bytes per second; 0: no limit
	begun time.Time
	read  int64
	now   func() time.Time
}

// pace returns when the next object may be read.
func (p *pacer) pace(ctx context.Context, n int64) error {
	p.read += n
	if p.rate <= 0 {
		return ctx.Err()
	}
	// A duration has room for some 290 years.
	due := time.Duration(min(float64(p.read)/float64(p.rate), 1e9) * float64(time.Second))
	wait := time.NewTimer(due - p.now().Sub(p.begun))
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
