package renew

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"guzheng/capture"
	"guzheng/preserve/ers"
	"guzheng/preserve/tsa"
)

// Format names the version of the files of a batch.
const Format = "guzheng-renewal/1"

// maxLine bounds a line of plan.jsonl, in bytes.
const maxLine = 1 << 20

// A header is the first line of plan.jsonl.
type header struct {
	Format      string    `json:"format"`
	ID          string    `json:"id"`
	Created     time.Time `json:"created"`
	Authorities []string  `json:"authorities"`
}

// A line is one record that is to be made.
type line struct {
	ID         string    `json:"id"`
	Package    string    `json:"package"` // key
	Number     int       `json:"number"`  // of the new record
	Authority  int       `json:"authority"`
	Kind       string    `json:"kind"`
	Hash       tsa.Hash  `json:"hash"`
	Base       int       `json:"base,omitempty"` // number of the record that is extended
	BaseSHA256 string    `json:"base_sha256,omitempty"`
	BaseUntil  time.Time `json:"base_until,omitzero"` // until when that is good
	Until      time.Time `json:"until"`               // retention
	Values     [][]byte  `json:"values"`              // of the group
}

func (l *line) group(g ers.Group) { l.Values = g.Values }

// leaf returns the value for the tree.
func (l line) leaf() ([]byte, error) {
	g, err := ers.Initial(l.Hash, l.Values)
	if err != nil {
		return nil, fmt.Errorf("planned record %d of %s: %w", l.Number, l.ID, err)
	}
	return g.Leaf(), nil
}

// A treeKey names one of the hash trees of a batch: its authority and its
// hash function.
type treeKey struct {
	authority int
	hash      tsa.Hash
}

func (k treeKey) file() string { return fmt.Sprintf("token-%d-%s.json", k.authority, k.hash) }

// writePlan surveys the packages and writes plan.jsonl, whole or not at all.
// It returns how many records are planned.
func (r Renewer) writePlan(ctx context.Context, dir string, head header, req Request, b *Batch) (n int, err error) {
	f, err := os.CreateTemp(dir, ".tmp-*")
	if err != nil {
		return 0, fmt.Errorf("planning: %w", err)
	}
	defer os.Remove(f.Name())        // fails after the rename, as it should
	defer func() { _ = f.Close() }() // a second time does nothing
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	if err := enc.Encode(head); err != nil {
		return 0, fmt.Errorf("planning: %w", err)
	}
	err = r.survey(ctx, req, b, func(found *find) error {
		var lines []line
		for j := range r.Authorities {
			l, err := found.plan(j, req.Hash)
			if err != nil {
				return &problemError{err}
			}
			lines = append(lines, l)
		}
		b.Packages++
		for _, l := range lines {
			n++
			if err := enc.Encode(l); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = errors.Join(w.Flush(), f.Sync(), f.Close())
	}
	if err == nil && n > 0 {
		err = r.around("plan", func() error { return os.Rename(f.Name(), filepath.Join(dir, planFile)) })
	}
	if err != nil {
		return 0, fmt.Errorf("planning: %w", err)
	}
	return n, capture.SyncDir(dir)
}

// A problemError is about one package and leaves the others alone.
type problemError struct{ err error }

func (p *problemError) Error() string { return p.err.Error() }
func (p *problemError) Unwrap() error { return p.err }

// survey calls use for each package that is due. What is wrong with a package
// goes into the account.
func (r Renewer) survey(ctx context.Context, req Request, b *Batch, use func(*find) error) error {
	for pkg := range req.Packages {
		if err := ctx.Err(); err != nil {
			return err
		}
		b.Looked++
		f, err := r.look(ctx, pkg)
		if err == nil {
			for _, x := range f.broken {
				b.problem(pkg, x)
			}
			if !f.due(req, r.Now(), len(r.Authorities)) {
				continue
			}
			err = use(f)
		} else {
			err = &problemError{err}
		}
		var one *problemError
		if errors.As(err, &one) && ctx.Err() == nil {
			b.problem(pkg, one.err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readPlan calls use for every line of plan.jsonl, in order, and returns the
// header.
func readPlan(dir string, use func(line) error) (header, error) {
	var head header
	f, err := os.Open(filepath.Join(dir, planFile))
	if err != nil {
		return head, fmt.Errorf("reading plan: %w", err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, maxLine)
	for first := true; s.Scan(); first = false {
		d := json.NewDecoder(bytes.NewReader(s.Bytes()))
		d.DisallowUnknownFields()
		if first {
			if err := d.Decode(&head); err != nil || head.Format != Format {
				return head, fmt.Errorf("reading plan: format %q, %v", head.Format, err)
			}
			continue
		}
		var l line
		if err := d.Decode(&l); err != nil {
			return head, fmt.Errorf("reading plan: %w", err)
		}
		if err := use(l); err != nil {
			return head, err
		}
	}
	if err := s.Err(); err != nil {
		return head, fmt.Errorf("reading plan: %w", err)
	}
	if head.Format == "" {
		return head, fmt.Errorf("reading plan: %w", io.ErrUnexpectedEOF)
	}
	return head, nil
}
