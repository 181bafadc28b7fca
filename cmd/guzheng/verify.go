package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"guzheng/capture"
	"guzheng/preserve/tlog"
	"guzheng/preserve/verify"
	"guzheng/report/words"
)

// verifyFlags are the options of verify.
type verifyFlags struct {
	trust, config, lang string
	strict, json        bool
}

func verifyVerb(s streams) *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify FILE|ID",
		Short: "Check a package and its seal, layer by layer, offline",
		Long: `verify checks a kept package by its number, or any package file with the seal
beside it. Each check passes, fails, or cannot tell and says why. A practice
stamp is this machine's own clock and therefore cannot tell; --strict makes
whatever cannot be told exit with 5.`,
		Args: args(cobra.ExactArgs(1)),
	}
	fl := c.Flags()
	fl.StringVar(&f.trust, "trust", "", "JSON `file` that names the signers, logs and time-stamping authorities to expect")
	fl.StringVar(&f.config, "config", "", "configuration `file` instead of config.yaml")
	fl.StringVar(&f.lang, "lang", "", "`language`: zh-CN or en")
	fl.BoolVar(&f.strict, "strict", false, "exit with 5 when something cannot be told")
	fl.BoolVar(&f.json, "json", false, "write every check as a JSON object, the verdict last")
	c.RunE = func(c *cobra.Command, a []string) error { return doVerify(c.Context(), s, f, a[0]) }
	return c
}

func doVerify(ctx context.Context, s streams, f verifyFlags, what string) (err error) {
	h, err := openHome(s, f.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if h.words, err = h.catalogue(f.lang); err != nil {
		return err
	}
	path, err := h.packagePath(ctx, what)
	if err != nil {
		return err
	}
	v, err := h.judge(ctx, f.trust, path)
	if err != nil {
		return err
	}
	tellVerdict(s.out, v, h.words, f.json)
	return verdictError(v, f.strict)
}

// packagePath turns a number or a file name into the path of a package.
func (h *home) packagePath(ctx context.Context, what string) (string, error) {
	if !capture.ValidID(what) {
		if _, err := os.Stat(what); err != nil {
			hint := ""
			if !strings.ContainsAny(what, "./") {
				hint = "guzheng list shows the numbers"
			}
			return "", fail(exitFailure, hint, "verifying %s: %w", what, fs.ErrNotExist)
		}
		return filepath.Abs(what)
	}
	e, err := h.find(ctx, what)
	if err != nil {
		return "", err
	}
	if err := h.gone(ctx, e); err != nil {
		return "", err
	}
	return h.local(ctx, e.Package)
}

// judge verifies a package. A trust file binds, and a package in our own
// store must be ours. Any other package may be a stranger's: then who signed
// and logged it cannot be told, and that is no failure.
func (h *home) judge(ctx context.Context, trustFile, path string) (verify.Verdict, error) {
	if trustFile != "" {
		t, err := verify.LoadTrust(trustFile)
		if err != nil {
			return verify.Verdict{}, fail(exitUsage, "", "%w", err)
		}
		return verifyWith(ctx, path, t)
	}
	t, err := h.trust()
	if err != nil {
		return verify.Verdict{}, err
	}
	v, err := verifyWith(ctx, path, t)
	if err != nil || h.ours(path) || !strangers(v) {
		return v, err
	}
	t.Signers, t.Logs, t.Witnesses = nil, nil, tlog.Policy{}
	return verifyWith(ctx, path, t)
}

// ours tells whether a file is the store's, or was fetched from it.
func (h *home) ours(path string) bool {
	for _, dir := range []string{filepath.Join(h.dir, "store"), h.cfg.Store.Path, h.copies()} {
		if dir == "" {
			continue
		}
		if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return false
}

// strangers reports whether nothing failed but that signer or log are not
// the expected ones.
func strangers(v verify.Verdict) bool {
	found := false
	for _, k := range v.Checks {
		if k.Outcome != verify.Failed {
			continue
		}
		if k.Name != "seal.signer" && k.Name != "log.key" {
			return false
		}
		found = true
	}
	return found
}

func verifyWith(ctx context.Context, path string, t verify.Trust) (verify.Verdict, error) {
	v, err := verify.Package(ctx, path, verify.Options{Trust: t, At: capture.Now()})
	if err != nil {
		return v, fmt.Errorf("verifying %s: %w", path, err)
	}
	return v, nil
}

// tellVerdict prints one line per check.
func tellVerdict(w io.Writer, v verify.Verdict, c *words.Catalogue, asJSON bool) {
	for _, k := range v.Checks {
		if asJSON {
			writeLine(w, struct {
				Type string `json:"type"`
				verify.Check
			}{"check", k})
			continue
		}
		fmt.Fprintf(w, "%s  %s", c.T("outcome."+string(k.Outcome)), c.T("check."+k.Name))
		if k.Subject != "" {
			fmt.Fprintf(w, " [%s]", plain(k.Subject))
		}
		if k.Code != "" && c.Has("checkcode."+k.Code) {
			fmt.Fprintf(w, ": %s", c.T("checkcode."+k.Code))
		} else if k.Outcome != verify.Passed && k.Detail != "" {
			fmt.Fprintf(w, ": %s", plain(k.Detail))
		}
		fmt.Fprintln(w)
	}
	if asJSON {
		writeLine(w, map[string]any{"type": "verdict", "outcome": v.Outcome()})
		return
	}
	fmt.Fprintf(w, "%s %s\n", c.T("cli.kept.verdict"), c.T("outcome."+string(v.Outcome())))
}

// verdictError turns a verdict into the exit code of the contract.
func verdictError(v verify.Verdict, strict bool) error {
	switch v.Outcome() {
	case verify.Failed:
		return &coded{code: exitAltered, err: errTold}
	case verify.Unknown:
		for _, k := range v.Checks {
			if k.Name == "seal.present" && k.Outcome == verify.Unknown {
				return &coded{code: exitCannotTell, err: errTold}
			}
		}
		if strict {
			return &coded{code: exitCannotTell, err: errTold}
		}
	case verify.Passed:
	}
	return nil
}
