package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"guzheng/storage"
)

func (h *home) proofFile() string { return filepath.Join(h.dir, "store-proof.json") }

// proof reads what `guzheng doctor store` has kept of the configured store;
// nil when it was not tried, or another one was.
func (h *home) proof() (*storage.Proof, error) {
	b, err := os.ReadFile(h.proofFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var p storage.Proof
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		return nil, fmt.Errorf("reading what doctor store found: %w", err)
	}
	if p.Format != storage.ProofFormat || p.Store != h.cfg.Store.name(filepath.Join(h.dir, "store")) {
		return nil, nil
	}
	return &p, nil
}

// name is how a Proof names the store.
func (c storeConfig) name(standard string) string {
	switch {
	case c.Kind == "s3":
		return "s3://" + c.Bucket + " at " + strings.TrimRight(c.Endpoint, "/")
	case c.Path != "":
		return c.Path
	}
	return standard
}
