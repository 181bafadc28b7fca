package renew

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"guzheng/capture"
	"guzheng/preserve"
	"guzheng/preserve/ers"
	"guzheng/preserve/seal"
	"guzheng/preserve/tsa"
	"guzheng/storage"
)

// EventRenewed is the name of the log event for a batch.
const EventRenewed = "renewed"

// Renewed is the JSON form of that event. It holds digests only.
type Renewed struct {
	Event   string    `json:"event"` // EventRenewed
	Time    time.Time `json:"time"`  // this machine's clock, UTC
	Batch   string    `json:"batch"`
	Records int       `json:"records"`
	Roots   []Root    `json:"roots"`
}

// A Root is the root of a hash tree that was stamped.
type Root struct {
	Hash tsa.Hash `json:"hash"`
	Root string   `json:"root"` // hex
}

// A job is a batch being carried out.
type job struct {
	Renewer
	dir   string
	head  header
	trees map[treeKey]*tree
	order []treeKey
	out   Batch
}

// A tree is one tree of the batch and its token.
type tree struct {
	*ers.Tree
	records int
	token   *ers.Token // nil: none was had
	time    time.Time
	planted places // as the plan is read for the first time
	taken   places // and again
}

// places tells the leaves of lines in the order of the plan. Records that were
// made by one token are renewed by one leaf: it stands in the tree once.
type places struct {
	next int
	seen map[string]int // of renewals
}

// of returns the place of a line's leaf, and whether it is a new one.
func (p *places) of(l line, leaf []byte) (at int, fresh bool) {
	if l.Kind == KindRenewal {
		if at, ok := p.seen[string(leaf)]; ok {
			return at, false
		}
		if p.seen == nil {
			p.seen = map[string]int{}
		}
		p.seen[string(leaf)] = p.next
	}
	p.next++
	return p.next - 1, true
}

// finish carries a planned batch out, from wherever it stands.
func (r Renewer) finish(ctx context.Context, dir string, b Batch) (Batch, error) {
	j := &job{Renewer: r, dir: dir, trees: map[treeKey]*tree{}, out: b}
	packages := 0
	var last string
	var err error
	j.head, err = readPlan(dir, func(l line) error {
		if l.Package != last {
			packages, last = packages+1, l.Package
		}
		return j.plant(l)
	})
	if err != nil {
		return j.out, err
	}
	j.out.ID, j.out.Created, j.out.Packages = j.head.ID, j.head.Created, packages
	for _, step := range []func(context.Context) error{j.tokens, j.records, j.log, j.account} {
		if err := ctx.Err(); err != nil {
			return j.out, err
		}
		if err := step(ctx); err != nil {
			return j.out, err
		}
	}
	return j.out, j.around(pointLeave, func() error { return os.RemoveAll(dir) })
}

// plant puts a planned record's leaf into its tree.
func (j *job) plant(l line) error {
	leaf, err := l.leaf()
	if err != nil {
		return err
	}
	k := treeKey{l.Authority, l.Hash}
	if j.trees[k] == nil {
		j.trees[k] = &tree{Tree: ers.NewTree(l.Hash)}
		j.order = append(j.order, k)
	}
	t := j.trees[k]
	t.records++
	if _, fresh := t.planted.of(l, leaf); fresh {
		t.Add(leaf)
	}
	return nil
}

// tokens has every tree stamped that is not yet.
func (j *job) tokens(ctx context.Context) error {
	slices.SortFunc(j.order, func(a, b treeKey) int { return strings.Compare(a.file(), b.file()) })
	some := false
	for _, k := range j.order {
		t := j.trees[k]
		root := t.Root()
		acc := TokenAccount{TSA: j.head.Authorities[k.authority], Hash: k.hash, Root: hex.EncodeToString(root)}
		s, err := j.stamp(ctx, k, root)
		if err == nil {
			t.token, acc.Time, acc.Until, err = open(s, tsa.Imprint{Hash: k.hash, Value: root})
			t.time = acc.Time
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var own *diskError
		if errors.As(err, &own) {
			return own.err // not the authority's fault
		}
		if err != nil {
			acc.Error = strings.ToValidUTF8(err.Error(), "?")
		} else {
			some, acc.Records = true, t.records
		}
		j.out.Tokens = append(j.out.Tokens, acc)
	}
	if !some {
		return fmt.Errorf("%s: %s: %w", j.out.Tokens[0].TSA, j.out.Tokens[0].Error, ErrNoToken)
	}
	return nil
}

// A diskError keeps a token from being kept.
type diskError struct{ err error }

func (d *diskError) Error() string { return d.err.Error() }

// stamp returns the tree's stamp: that of an earlier try, or a new one, which
// is on disk when it returns.
func (j *job) stamp(ctx context.Context, k treeKey, root []byte) (tsa.Stamp, error) {
	name := filepath.Join(j.dir, k.file())
	var s tsa.Stamp
	b, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err == nil {
		return s, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return s, &diskError{fmt.Errorf("reading %s: %w", k.file(), err)}
	}
	want := j.head.Authorities[k.authority]
	if _, err := os.Stat(filepath.Join(j.dir, eventFile)); err == nil {
		return s, errors.New("the authority had not answered when the batch was logged")
	}
	i := slices.IndexFunc(j.Authorities, func(a tsa.Imprinter) bool { return a.Name() == want })
	if i < 0 {
		return s, errors.New("the authority is no longer configured")
	}
	if s = j.Authorities[i].StampImprint(ctx, tsa.Imprint{Hash: k.hash, Value: root}); s.Pending() {
		return s, errors.New(s.Error)
	}
	if err := j.writeJSON(name, s); err != nil {
		return s, &diskError{err}
	}
	return s, nil
}

// open reads a stamp's token and checks that it is over the root.
func open(s tsa.Stamp, want tsa.Imprint) (*ers.Token, time.Time, time.Time, error) {
	der, err := tsa.Token(s)
	if err != nil {
		return nil, time.Time{}, time.Time{}, err
	}
	r := tsa.CheckToken(der, want, tsa.Trust{}, time.Time{})
	for _, f := range r.Findings {
		if f.State == tsa.Failed {
			return nil, time.Time{}, time.Time{}, fmt.Errorf("answer refused: %s: %s", f.Code, f.Detail)
		}
	}
	t, err := ers.NewToken(der)
	return &t, r.Time, r.Until, err
}

// records makes the records and puts them into the store, in the order of the
// plan. Those that are there already are taken again.
func (j *job) records(ctx context.Context) error {
	_, err := readPlan(j.dir, func(l line) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		t := j.trees[treeKey{l.Authority, l.Hash}]
		leaf, err := l.leaf()
		if err != nil {
			return err
		}
		i, _ := t.taken.of(l, leaf)
		if t.token == nil {
			return nil
		}
		if l.Base > 0 && t.time.After(l.BaseUntil) {
			j.out.problem(l.Package, fmt.Errorf("record %d was good until %s, the stamp is of %s", l.Base,
				l.BaseUntil.Format(time.RFC3339), t.time.Format(time.RFC3339)))
			return nil
		}
		rec, err := j.record(ctx, l, t, i)
		if err != nil {
			return fmt.Errorf("making record %d of %s: %w", l.Number, l.ID, err)
		}
		return j.put(ctx, l, rec)
	})
	return err
}

// record makes one evidence record from the plan, the token and the record
// that it extends.
func (j *job) record(ctx context.Context, l line, t *tree, i int) ([]byte, error) {
	var base ers.Record
	g, err := ers.Initial(l.Hash, l.Values)
	if err != nil {
		return nil, err
	}
	if l.Base > 0 {
		b, err := readAll(ctx, j.Store, preserve.EvidenceKey(l.Package, l.Base), ers.MaxSize)
		if err != nil {
			return nil, err
		}
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != l.BaseSHA256 {
			return nil, fmt.Errorf("record %d is not that which was planned on: %w", l.Base, storage.ErrAltered)
		}
		if base, err = ers.Parse(b); err != nil {
			return nil, err
		}
	}
	if l.Kind == KindRenewal {
		g = base.Renewal()
	}
	rec, err := base.With(g, t.Path(i), *t.token)
	if err != nil {
		return nil, err
	}
	return rec.Encode()
}

func (j *job) put(ctx context.Context, l line, rec []byte) error {
	sum := sha256.Sum256(rec)
	want := storage.Want{Bytes: int64(len(rec)), SHA256: hex.EncodeToString(sum[:]), Until: l.Until}
	key := preserve.EvidenceKey(l.Package, l.Number)
	err := j.around("record "+key, func() error {
		_, err := j.Store.Put(ctx, key, bytes.NewReader(rec), want)
		return err
	})
	if err != nil {
		return err
	}
	j.out.Records++
	j.out.Kinds[l.Kind]++
	return nil
}

// log writes the event down and logs it.
func (j *job) log(ctx context.Context) error {
	event, err := j.event(ctx)
	if err != nil {
		return err
	}
	timeout := j.LogTimeout
	if timeout <= 0 {
		timeout = DefaultLogTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return j.around(pointLog, func() error {
		j.out.Log, err = j.Log.Append(ctx, event.Leaf, event.Since)
		return err
	})
}

func (j *job) event(ctx context.Context) (seal.Event, error) {
	var event seal.Event
	name := filepath.Join(j.dir, eventFile)
	b, err := os.ReadFile(name)
	if err == nil {
		return event, json.Unmarshal(b, &event)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return event, err
	}
	leaf := Renewed{Event: EventRenewed, Time: j.Now().UTC(), Batch: j.head.ID, Records: j.out.Records}
	for _, t := range j.out.Tokens {
		if t.Error == "" {
			leaf.Roots = append(leaf.Roots, Root{t.Hash, t.Root})
		}
	}
	if event.Leaf, err = json.Marshal(leaf); err != nil {
		return event, fmt.Errorf("encoding log event: %w", err)
	}
	if event.Since, err = j.Log.Size(ctx); err != nil {
		event.Since = 0
	}
	return event, j.writeJSON(name, event)
}

// account writes what was done beside the directory, before that goes.
func (j *job) account(context.Context) error {
	j.out.Finished = j.Now().UTC()
	b, err := json.MarshalIndent(j.out, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding account: %w", err)
	}
	name := filepath.Join(filepath.Dir(j.dir), j.head.ID+jsonSuffix)
	return j.around(pointAccount, func() error { return capture.WriteFile(name, append(b, '\n')) })
}
