package dir

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"guzheng/storage"
)

// Probe implements storage.Prober on a store of its own below ~store, which
// it removes. It tries as whoever may write the directory would, by hand:
// what only the program refuses does not hold.
func (s *Store) Probe(ctx context.Context) (storage.Proof, error) {
	p, err := s.probe(ctx)
	if err != nil {
		return storage.Proof{}, fmt.Errorf("probing store %s: %w", s.path, err)
	}
	return p, nil
}

func (s *Store) probe(ctx context.Context) (p storage.Proof, err error) {
	name := ownDir + "/probe-" + rand.Text()
	root := filepath.Join(s.path, filepath.FromSlash(name))
	sub, err := Open(root, s.now)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, sub.root.Close(), s.root.RemoveAll(name)) }()
	sum := sha256.Sum256([]byte("probe"))
	want := storage.Want{Bytes: 5, SHA256: hex.EncodeToString(sum[:]), Until: s.now().Add(time.Hour)}
	if _, err := sub.Put(ctx, "k", strings.NewReader("probe"), want); err != nil {
		return p, err
	}
	add := func(trial string, held bool, detail string) {
		p.Trials = append(p.Trials, storage.Trial{Name: trial, Held: held, Detail: detail})
	}
	// Linking a file to the name is what a writer without our lock would do.
	taken := os.WriteFile(filepath.Join(root, "other"), []byte("other"), 0o600)
	taken = errors.Join(taken, os.Link(filepath.Join(root, "other"), filepath.Join(root, "k")))
	add(storage.TrialCreateOnly, taken != nil, "a second file was linked to the name")
	_, wrong := sub.Put(ctx, "wrong", strings.NewReader("prove"), want)
	add(storage.TrialChecksum, wrong != nil, "other bytes were put under the digest")
	// The record is how the date is known; whoever replaces it has shortened it.
	file := filepath.Join(root, "k")
	short := os.Rename(filepath.Join(root, "other"), file+recordSuffix)
	add(storage.TrialShorten, short != nil, "the record was replaced by hand")
	gone := os.Remove(file)
	add(storage.TrialDelete, gone != nil, "the file was removed by hand")
	add(storage.TrialHold, gone != nil, "a hold stands in the record, which the removal did not ask")
	p.Format, p.Store, p.Time = storage.ProofFormat, s.path, s.now().UTC()
	return p, nil
}
