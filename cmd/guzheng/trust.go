package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"guzheng/capture"
	"guzheng/preserve/verify"
)

func trustVerb(s streams) *cobra.Command {
	var conf string
	c := &cobra.Command{
		Use:   "trust",
		Short: "Print what a verifier elsewhere should expect of this installation",
		Long: `trust prints the fingerprints of the signing keys and the verifier key of the
log as JSON, for guzheng-verify --trust and guzheng verify --trust. Hand it over
by another way than the packages.`,
		Args: args(cobra.NoArgs),
	}
	c.Flags().StringVar(&conf, "config", "", "configuration `file` instead of config.yaml")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		h, err := openHome(s, conf)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.Close()) }()
		if _, err := h.openPress(c.Context()); err != nil {
			return err
		}
		b, err := h.trustJSON()
		if err != nil {
			return err
		}
		_, err = s.out.Write(b)
		return err
	}
	return c
}

func (h *home) trustFile() string { return filepath.Join(h.dir, "trust.json") }

// trustJSON is the public side of this installation: every signing key and
// log that it has used, so that packages from before an exchange of keys are
// still known as its own.
func (h *home) trustJSON() ([]byte, error) {
	t, err := verify.LoadTrust(h.trustFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fail(exitFailure, "move "+h.trustFile()+" aside", "%w", err)
	}
	if !slices.Contains(t.Signers, h.key.ID) {
		t.Signers = append(t.Signers, h.key.ID)
	}
	if h.sm2 != nil && !slices.Contains(t.Signers, h.sm2.ID) {
		t.Signers = append(t.Signers, h.sm2.ID)
	}
	// A node that was never reached has not told its key yet.
	if v := h.log.Verifier(); v != "" && !slices.Contains(t.Logs, v) {
		t.Logs = append(t.Logs, v)
	}
	out := map[string]any{"format": verify.TrustFormat, "signers": t.Signers, "logs": t.Logs}
	if p := h.cfg.Log.panel().Policy(); len(p.Witnesses) > 0 {
		out["witnesses"] = map[string]any{"keys": p.Witnesses, "quorum": p.Quorum}
	}
	b, err := json.MarshalIndent(out, "", "  ")
	return append(b, '\n'), err
}

// writeTrust keeps the public side where verification finds it without
// opening the key.
func (h *home) writeTrust() error {
	b, err := h.trustJSON()
	if err != nil {
		return err
	}
	if fileHas(h.trustFile(), b) {
		return nil
	}
	return capture.WriteFile(h.trustFile(), b)
}
