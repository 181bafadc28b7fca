package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"guzheng/capture"
	"guzheng/preserve/tlog/ledger"
	"guzheng/preserve/tlog/tiles"
)

func logVerb(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "log",
		Short: "Show, prove, export and check the transparency log",
		Long: `log shows the append-only log of everything that was sealed here, proves to
others that an event is in it and that it only ever grew, and copies it for them.`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(logShowVerb(s), logProveVerb(s), logConsistencyVerb(s), logExportVerb(s), logCheckVerb(s), logStampVerb(s), logServeVerb(s))
	return c
}

func (h *home) logDir() string { return filepath.Join(h.dir, "log") }

// readLog opens the log for reading: nothing is written to it and nobody has
// to wait. It is held against every checkpoint that is known.
func (h *home) readLog(ctx context.Context) (tree *tiles.Tree, verifier string, err error) {
	if err := h.here(); err != nil {
		return nil, "", err
	}
	if verifier, err = ledger.Verifier(h.keys()); err != nil {
		return nil, "", err
	}
	if verifier == "" {
		return nil, "", fail(exitFailure, "the first capture begins it", "no log has been begun under %s", h.dir)
	}
	if err := h.openStore(ctx); err != nil {
		return nil, "", err
	}
	kept, err := h.book().Checkpoints(ctx, verifier)
	if err != nil {
		return nil, "", err
	}
	if err := ledger.Compare(h.logDir(), h.keys(), verifier, kept...); err != nil {
		return nil, "", h.logTrouble(err)
	}
	tree, err = tiles.Open(h.logDir(), verifier)
	if err != nil {
		return nil, "", fail(exitStorage, "guzheng log check", "%w", err)
	}
	return tree, verifier, nil
}

// logTrouble says how to go on when the log is not what it was.
func (h *home) logTrouble(err error) error {
	if !errors.Is(err, ledger.ErrShrank) && !errors.Is(err, ledger.ErrForked) {
		return fail(exitStorage, "", "%w", err)
	}
	return fail(exitLog, "nothing was written. Put the newest copy of "+h.logDir()+" back. If there is none, keep that directory as it is: move it and "+
		filepath.Join(h.keys(), "log.*")+" aside together; the next capture then begins another log under another key, and what was sealed before stays valid", "%w", err)
}

// An event is what log show tells of one leaf. Kinds that this version does
// not know are shown by their name.
type event struct {
	Index   int64           `json:"index"`
	Event   string          `json:"event"`
	Time    time.Time       `json:"time"`
	Package *capture.Digest `json:"package,omitempty"`
}

func logShowVerb(s streams) *cobra.Command {
	var last int
	var kind string
	var asJSON bool
	c := &cobra.Command{
		Use:   "show",
		Short: "Show name, key, size and root of the log, and its last events",
		Args:  args(cobra.NoArgs),
	}
	c.Flags().IntVar(&last, "last", 10, "so `many` events, the newest last")
	c.Flags().StringVar(&kind, "kind", "", "only events of this `name`, such as kept")
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON objects: one log, then the events")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		h, err := openHome(s, "")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.Close()) }()
		return h.showLog(c.Context(), s, logShow{last, kind, asJSON})
	}
	return c
}

type logShow struct {
	last int
	kind string
	json bool
}

func (h *home) showLog(ctx context.Context, s streams, show logShow) error {
	tree, verifier, err := h.readLog(ctx)
	if err != nil {
		return err
	}
	all, err := h.book().All(verifier)
	if err != nil {
		return fail(exitAltered, "", "%w", err)
	}
	cp := tree.Checkpoint()
	row := struct {
		Type       string     `json:"type"` // "log"
		Name       string     `json:"name"`
		Key        string     `json:"key"`
		Size       int64      `json:"size"`
		Root       string     `json:"root"`
		Checkpoint string     `json:"checkpoint"`
		Stamped    *time.Time `json:"stamped,omitempty"` // when the newest stamped checkpoint was made
	}{Type: "log", Name: cp.Origin, Key: verifier, Size: cp.Size, Root: fmt.Sprintf("%x", cp.Root), Checkpoint: tree.Note()}
	if len(all) > 0 {
		row.Stamped = &all[len(all)-1].Made
	}
	if show.json {
		writeLine(s.out, row)
	} else {
		h.printLog(s, [][2]string{{"name", row.Name}, {"key", row.Key}, {"size", fmt.Sprint(row.Size)}, {"root", row.Root}}, row.Stamped)
	}
	events, err := lastEvents(ctx, tree, show)
	if err != nil {
		return fail(exitStorage, "guzheng log check", "%w", err)
	}
	for _, e := range events {
		if show.json {
			writeLine(s.out, struct {
				Type string `json:"type"`
				event
			}{"event", e})
			continue
		}
		digest := ""
		if e.Package != nil {
			digest = e.Package.SHA256
		}
		fmt.Fprintf(s.out, "%d  %s  %s  %s\n", e.Index, e.Time.In(capture.Beijing).Format("2006-01-02 15:04:05"), plain(e.Event), plain(digest))
	}
	return nil
}

func (h *home) printLog(s streams, rows [][2]string, stamped *time.Time) {
	if stamped != nil {
		rows = append(rows, [2]string{"stamped", stamped.In(capture.Beijing).Format("2006-01-02 15:04:05")})
	}
	for _, row := range rows {
		fmt.Fprintf(s.out, "%s  %s\n", h.words.T("cli.log."+row[0]), row[1])
	}
}

// lastEvents walks back from the end, a bundle at a time, until it has
// enough.
func lastEvents(ctx context.Context, tree *tiles.Tree, show logShow) ([]event, error) {
	const step = 256
	var out []event
	for end := tree.Checkpoint().Size; end > 0 && len(out) < show.last; {
		from := (end - 1) / step * step
		var some []event
		for i, e := range tree.Events(ctx, from, end) {
			if e.Err != nil {
				return nil, e.Err
			}
			ev := event{}
			// An event that is not ours to read is shown without a name.
			_ = json.Unmarshal(e.Leaf, &ev)
			if ev.Index = i; show.kind == "" || show.kind == ev.Event {
				some = append(some, ev)
			}
		}
		out = append(some, out...)
		end = from
	}
	return out[max(0, len(out)-show.last):], nil
}

func logExportVerb(s streams) *cobra.Command {
	var to string
	c := &cobra.Command{
		Use:   "export --to DIR",
		Short: "Copy the log for a witness or an auditor",
		Long: `export copies the log as it stands, in the form of C2SP tlog-tiles, with its
public key and a program (check.py: Python and openssl) that checks the copy
without guzheng. DIR must be empty or absent.`,
		Args: args(cobra.NoArgs),
	}
	c.Flags().StringVar(&to, "to", "", "`directory` to copy into")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		if to == "" {
			return fail(exitUsage, "guzheng log export --to DIR", "log export needs --to")
		}
		h, err := openHome(s, "")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.Close()) }()
		tree, verifier, err := h.readLog(c.Context())
		if err != nil {
			return err
		}
		if err := tree.Export(c.Context(), to, verifier); err != nil {
			return alteredLog(err)
		}
		fmt.Fprintf(s.out, "%s  %d\n", plain(to), tree.Checkpoint().Size)
		return nil
	}
	return c
}

func logCheckVerb(s streams) *cobra.Command {
	var dir, key string
	c := &cobra.Command{
		Use:   "check",
		Short: "Read the whole log and compute every hash again",
		Long: `check hashes every event, computes every tile and the root, and compares them
with what lies there and with the signed checkpoint; then it compares the log
with every checkpoint that was kept. With --dir it checks a copy; --key names
the key that must have signed it.`,
		Args: args(cobra.NoArgs),
	}
	c.Flags().StringVar(&dir, "dir", "", "check the exported copy in this `directory`")
	c.Flags().StringVar(&key, "key", "", "with --dir: the log's public `key`, NAME+HASH+KEY, known from elsewhere")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		if (dir == "") != (key == "") {
			return fail(exitUsage, "guzheng log show prints the key", "log check needs --dir and --key together")
		}
		h, err := openHome(s, "")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.Close()) }()
		var tree *tiles.Tree
		var verifier string
		if dir != "" {
			if tree, err = tiles.Open(dir, key); err != nil {
				return alteredLog(err)
			}
		} else if tree, verifier, err = h.readLog(c.Context()); err != nil {
			return err
		}
		if err := tree.Check(c.Context(), nil); err != nil {
			return alteredLog(err)
		}
		cp := tree.Checkpoint()
		fmt.Fprintf(s.out, "%s  %d  %x\n", h.words.T("outcome.passed"), cp.Size, cp.Root)
		if dir != "" {
			return nil
		}
		return h.checkMilestones(s, tree, verifier)
	}
	return c
}

// alteredLog tells a log that was changed from one that cannot be read.
func alteredLog(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) && !errors.Is(err, fs.ErrNotExist) {
		return fail(exitStorage, "", "%w", err)
	}
	return fail(exitAltered, "", "%w", err)
}
