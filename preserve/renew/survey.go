package renew

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"guzheng/preserve"
	"guzheng/preserve/ers"
	"guzheng/preserve/seal"
	"guzheng/preserve/tsa"
	"guzheng/storage"
)

// Why a package gets a new evidence record.
const (
	KindInitial = "initial" // it had none that is still good and about its newest seal
	KindRenewal = "renewal" // a stamp over the stamps (RFC 4998 section 5.2)
	KindRehash  = "rehash"  // a chain with another hash function (section 5.2)
)

// ErrBroken is wrapped when what lies beside a package does not hold.
var ErrBroken = errors.New("does not hold")

// A find is a package as the survey found it.
type find struct {
	folder  preserve.Folder
	id      string
	sum     map[tsa.Hash][]byte // of the package, as sealed
	objects []ers.Object        // package, seals, older records
	heads   []head              // records that are still good, by number
	until   []time.Time         // when what protects it now expires
	next    int                 // number of the next record
	broken  []error
}

// A head is a record beside a package, and what became of it.
type head struct {
	number   int
	record   ers.Record
	sha256   string
	self     ers.Object
	sound    bool
	extended bool // by a sound one
	until    time.Time
	about    []ers.Object
}

// look reads what lies beside a package.
func (r Renewer) look(ctx context.Context, pkg string) (*find, error) {
	f := &find{next: 1}
	var err error
	if f.folder, err = preserve.OpenFolder(ctx, r.Store, pkg); err != nil {
		return nil, err
	}
	newest, err := f.readSeals(ctx, r.Store)
	if err != nil {
		return nil, err
	}
	if err := f.readEvidence(ctx, r.Store, r.Now()); err != nil {
		return nil, err
	}
	for _, h := range f.heads {
		f.until = append(f.until, h.until)
	}
	if len(f.heads) == 0 {
		for _, s := range newest.Stamps {
			token, err := tsa.Token(s)
			if err != nil {
				continue // pending
			}
			if info, err := tsa.ReadToken(token); err == nil {
				f.until = append(f.until, info.Until)
			}
		}
	}
	slices.SortFunc(f.until, func(a, b time.Time) int { return b.Compare(a) })
	return f, nil
}

// readSeals reads all seals and makes the package and them data objects. It
// returns the newest, which has to be whole and about the stored package.
func (f *find) readSeals(ctx context.Context, store storage.Store) (seal.Seal, error) {
	pkg := f.folder.Package
	f.objects = append(f.objects, ers.Object{Name: pkg.Key, Sum: func(h tsa.Hash) ([]byte, error) { return f.packageSum(ctx, store, h) }})
	var newest seal.Seal
	for _, n := range f.folder.Seals {
		b, err := readAll(ctx, store, n.Key, seal.MaxSize)
		if err != nil {
			return newest, err
		}
		if newest, err = seal.Decode(b); err != nil {
			return newest, fmt.Errorf("reading %s: %w", n.Key, err)
		}
		f.objects = append(f.objects, ers.Bytes(n.Key, b))
	}
	sum, err := hex.DecodeString(newest.Package.SHA256)
	if err != nil || len(sum) != 32 || newest.Package.SHA256 != pkg.SHA256 {
		return newest, fmt.Errorf("package %s has sha256 %s, sealed is %s: %w", pkg.Key, pkg.SHA256, newest.Package.SHA256, ErrBroken)
	}
	// The envelope is over all of the seal, the package's digest included.
	if err := seal.CheckEnvelope(newest); err != nil {
		return newest, fmt.Errorf("seal of %s: %w: %w", pkg.Key, err, ErrBroken)
	}
	f.id, f.sum = newest.ID, map[tsa.Hash][]byte{tsa.SHA256: sum}
	return newest, nil
}

// packageSum returns the package's hash value. The sealed SHA-256 value needs
// no reading; for others the package is read, and must be what was sealed.
func (f *find) packageSum(ctx context.Context, store storage.Store, h tsa.Hash) ([]byte, error) {
	if v := f.sum[h]; v != nil {
		return v, nil
	}
	key := f.folder.Package.Key
	c, _, err := store.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	old, fresh := tsa.SHA256.New(), h.New()
	if _, err := io.Copy(io.MultiWriter(old, fresh), &ctxReader{ctx, c}); err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	if got := old.Sum(nil); hex.EncodeToString(got) != f.folder.Package.SHA256 {
		return nil, fmt.Errorf("%s has sha256 %x: %w", key, got, storage.ErrAltered)
	}
	f.sum[h] = fresh.Sum(nil)
	return f.sum[h], nil
}

// readEvidence reads the records beside the package and finds the heads: not
// extended by another, still good now, about the newest seal. One that does
// not hold is noted and left alone. What a sound record extends is sound too
// and not looked at again.
func (f *find) readEvidence(ctx context.Context, store storage.Store, now time.Time) error {
	newest, err := f.objects[len(f.objects)-1].Sum(tsa.SHA256)
	if err != nil {
		return err
	}
	var all []*head
	candidates := slices.Clone(f.objects)
	for _, n := range f.folder.Evidence {
		f.next = n.Number + 1
		b, err := readAll(ctx, store, n.Key, ers.MaxSize)
		if err != nil {
			return err
		}
		rec, err := ers.Parse(b)
		if err != nil {
			f.broken = append(f.broken, fmt.Errorf("%s: %w", n.Key, err))
			continue
		}
		o := ers.Bytes(n.Key, b)
		candidates = append(candidates, o)
		all = append(all, &head{number: n.Number, sha256: n.SHA256, record: rec, self: o})
	}
	f.inspect(all, candidates, now)
	for _, h := range all {
		if h.sound {
			f.objects = append(f.objects, h.self)
		}
		covers := slices.ContainsFunc(h.about, func(o ers.Object) bool {
			v, err := o.Sum(tsa.SHA256)
			return err == nil && bytes.Equal(v, newest)
		})
		if h.sound && !h.extended && covers && h.until.After(now) {
			f.heads = append(f.heads, *h)
		}
	}
	return nil
}

// inspect validates the records, the longest first.
func (f *find) inspect(all []*head, candidates []ers.Object, now time.Time) {
	longest := slices.Clone(all)
	slices.SortStableFunc(longest, func(a, b *head) int { return b.record.Len() - a.record.Len() })
	for i, h := range longest {
		if slices.ContainsFunc(longest[:i], func(o *head) bool { return o.sound && o.record.Extends(h.record) }) {
			h.sound, h.extended = true, true
			continue
		}
		if err := h.inspect(candidates, now); err != nil {
			f.broken = append(f.broken, fmt.Errorf("%s: %w", h.self.Name, err))
		}
	}
}

// inspect validates a record, without asking whom to trust: a renewal keeps
// what is there, whoever stamped it.
func (h *head) inspect(objects []ers.Object, now time.Time) error {
	about, foreign, err := h.record.About(objects)
	if err != nil {
		return err
	}
	if len(about) == 0 || foreign > 0 && len(about) > 1 {
		return fmt.Errorf("it is about %d objects beside it and %d others: %w", len(about), foreign, ErrBroken)
	}
	rep := h.record.Validate(about, tsa.Trust{}, now)
	for _, x := range rep.Findings {
		if x.State == tsa.Failed {
			return fmt.Errorf("chain %d, stamp %d: %s: %w", x.Chain, x.Stamp, x.Detail, ErrBroken)
		}
	}
	h.sound, h.until, h.about = true, rep.Until, about
	return nil
}

// due reports whether the package needs a record now. K is the number of
// authorities: as many protections are kept good.
func (f *find) due(req Request, now time.Time, k int) bool {
	if req.All {
		return true
	}
	for _, h := range f.heads {
		if req.Hash != "" && h.record.Last().Hash != req.Hash {
			return true
		}
	}
	if len(f.until) == 0 {
		return false // no stamp at all: seal --pending is for it
	}
	return !f.until[min(k, len(f.until))-1].After(now.Add(req.Due))
}

// plan says what record authority j is to make possible.
func (f *find) plan(j int, want tsa.Hash) (line, error) {
	l := line{ID: f.id, Package: f.folder.Package.Key, Number: f.next + j, Authority: j, Kind: KindInitial, Hash: want,
		Until: f.folder.Package.Until}
	if len(f.heads) == 0 {
		if want == "" {
			l.Hash = tsa.SHA256
		}
		values, err := sums(f.objects, l.Hash)
		if err != nil {
			return l, err
		}
		g, err := ers.Initial(l.Hash, values)
		l.group(g)
		return l, err
	}
	base := f.heads[0]
	if j < len(f.heads) {
		base = f.heads[j]
	}
	l.Base, l.BaseSHA256, l.BaseUntil = base.number, base.sha256, base.until
	if last := base.record.Last().Hash; want == "" || want == last {
		l.Kind, l.Hash = KindRenewal, last
		l.group(base.record.Renewal())
		return l, nil
	}
	l.Kind = KindRehash
	values, err := sums(base.about, want)
	if err != nil {
		return l, err
	}
	g, err := base.record.Rehash(want, values)
	l.group(g)
	return l, err
}

func sums(objects []ers.Object, h tsa.Hash) ([][]byte, error) {
	var out [][]byte
	for _, o := range objects {
		v, err := o.Sum(h)
		if err != nil {
			return nil, fmt.Errorf("hashing %s: %w", o.Name, err)
		}
		out = append(out, v)
	}
	return out, nil
}

func readAll(ctx context.Context, store storage.Store, key string, limit int64) ([]byte, error) {
	c, _, err := store.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	b, err := io.ReadAll(io.LimitReader(c, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	return b, nil
}

// ctxReader ends reading when the context ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
