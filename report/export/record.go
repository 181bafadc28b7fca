package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"guzheng/preserve/ers"
	"guzheng/preserve/seal"
	"guzheng/preserve/verify"
	"guzheng/preserve/wacz"
	"guzheng/storage"
)

// An object is one opened object of the store.
type object struct {
	key     string
	content storage.Content
	bytes   int64
	fault   error // why the store would not give it out
}

// objects opens everything that the store has of a record. The caller closes.
func (p *parcel) objects(e storage.Entry) ([]object, error) {
	var out []object
	for o, err := range p.x.Store.List(p.ctx, path.Dir(e.Package)+"/") {
		if err != nil && !errors.Is(err, storage.ErrAltered) {
			return out, fmt.Errorf("listing: %w", err)
		}
		got, err := p.open(o.Key)
		if err != nil {
			return out, err
		}
		out = append(out, got)
	}
	return out, nil
}

// open opens an object. Bytes that changed are given out where broken records
// are wanted.
func (p *parcel) open(key string) (object, error) {
	c, o, err := p.x.Store.Open(p.ctx, key)
	if err == nil {
		return object{key: key, content: c, bytes: o.Bytes}, nil
	}
	if !errors.Is(err, storage.ErrAltered) {
		return object{}, err
	}
	if !p.x.Broken || p.x.Raw == nil {
		return object{}, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	name, rerr := p.x.Raw(key)
	if rerr != nil {
		return object{}, rerr
	}
	f, rerr := os.Open(name)
	if rerr != nil {
		return object{}, errors.Join(err, rerr)
	}
	info, rerr := f.Stat()
	if rerr != nil {
		_ = f.Close() // it was only read
		return object{}, rerr
	}
	return object{key: key, content: f, bytes: info.Size(), fault: err}, nil
}

// beside are the seals and evidence records that lie beside a package.
func beside(all []object, pkg object) ([]verify.File, error) {
	out := []verify.File{}
	for _, o := range all {
		name := path.Base(o.key)
		if o.fault != nil || !verify.LiesBeside(path.Base(pkg.key), name) {
			continue
		}
		b := make([]byte, min(o.bytes, ers.MaxSize+1))
		if n, err := o.content.ReadAt(b, 0); n < len(b) {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		out = append(out, verify.File{Name: name, Bytes: b})
	}
	return out, nil
}

// judge verifies a package with what lies beside it.
func (p *parcel) judge(all []object, pkg object, sealed []byte) (verify.Verdict, error) {
	others, err := beside(all, pkg)
	if err != nil {
		return verify.Verdict{}, err
	}
	return verify.Read(p.ctx, pkg.content, pkg.bytes, verify.Options{Seal: sealed, Trust: p.x.Trust, Beside: others})
}

// record verifies one record and copies it.
func (p *parcel) record(e storage.Entry) error {
	all, err := p.objects(e)
	defer func() {
		for _, o := range all {
			_ = o.content.Close() // it was only read
		}
	}()
	if err != nil {
		return err
	}
	pkg, sealed, err := parts(all, e)
	if err != nil {
		return err
	}
	v, err := p.judge(all, pkg, sealed)
	if err != nil {
		return err
	}
	faults, failed := p.faults(v, all), failedChecks(v)
	if s, err := seal.Decode(sealed); err == nil && s.ID != e.ID {
		// The index says so, and it is only an index.
		faults, failed = append(faults, p.fault("seal.present", "seal.other_id")), append(failed, "seal.other_id")
	}
	if len(faults) > 0 && !p.x.Broken {
		return fmt.Errorf("%w: %s", ErrBroken, strings.Join(failed, ", "))
	}
	dir := "data/" + e.ID + "/"
	if err := p.copy(dir, e, all, v); err != nil {
		return err
	}
	t := told{ID: e.ID, Entry: e, Verdict: v, Faults: faults, Unknown: p.unknown(v), Seal: path.Base(e.Seal)}
	if err := p.takeApart(dir, pkg, sealed, &t); err != nil {
		return err
	}
	if p.x.Sheet != nil && len(faults) == 0 {
		b, err := p.x.Sheet(p.ctx, e, v)
		if err != nil {
			return err
		}
		if err := p.add(dir+e.ID+".pdf", b); err != nil {
			return err
		}
		t.Sheet = len(b) > 0
	}
	p.told = append(p.told, t)
	return nil
}

// copy adds every object of a record as it is, and the verdict on it.
func (p *parcel) copy(dir string, e storage.Entry, all []object, v verify.Verdict) error {
	for _, o := range all {
		name := strings.TrimPrefix(o.key, path.Dir(e.Package)+"/")
		sum, err := p.bag.Add(dir+name, 0o644, &ctxReader{p.ctx, io.NewSectionReader(o.content, 0, o.bytes)})
		if err != nil {
			return err
		}
		if o.key == e.Package && sum != v.Package.SHA256 {
			return fmt.Errorf("package was %s when verified and %s when copied: %w", v.Package.SHA256, sum, storage.ErrAltered)
		}
	}
	return p.verdict(dir, v)
}

// parts finds the package and the newest seal, which may be missing.
func parts(all []object, e storage.Entry) (pkg object, sealed []byte, err error) {
	for _, o := range all {
		switch o.key {
		case e.Package:
			pkg = o
		case e.Seal:
			sealed, err = io.ReadAll(io.LimitReader(io.NewSectionReader(o.content, 0, o.bytes), seal.MaxSize+1))
			if err != nil {
				return pkg, nil, fmt.Errorf("reading seal: %w", err)
			}
		}
	}
	if pkg.content == nil {
		return pkg, nil, fmt.Errorf("no package %s: %w", e.Package, fs.ErrNotExist)
	}
	return pkg, sealed, nil
}

// faults says in words why a record is not sound.
func (p *parcel) faults(v verify.Verdict, all []object) []string {
	var out []string
	for _, o := range all {
		if o.fault != nil {
			out = append(out, p.x.Words.T("export.altered", map[string]any{"name": path.Base(o.key)}))
		}
	}
	seen := map[string]bool{}
	for _, c := range v.Checks {
		if !unsound(c) || seen[c.Name+c.Code] {
			continue
		}
		seen[c.Name+c.Code] = true
		out = append(out, p.fault(c.Name, c.Code))
	}
	return out
}

func (p *parcel) fault(check, code string) string {
	return p.x.Words.T("export.fault", map[string]any{"check": p.word("check."+check, check), "why": p.word("checkcode."+code, code)})
}

// unknown says in words what could not be told, each reason once.
func (p *parcel) unknown(v verify.Verdict) []string {
	var out []string
	seen := map[string]bool{}
	for _, c := range v.Checks {
		if c.Outcome == verify.Unknown && !seen[c.Code] {
			seen[c.Code] = true
			out = append(out, p.fault(c.Name, c.Code))
		}
	}
	return out
}

// unsound reports whether a check keeps a record from being exported as sound.
func unsound(c verify.Check) bool {
	return c.Outcome == verify.Failed || c.Name == "seal.present" && c.Outcome != verify.Passed
}

func failedChecks(v verify.Verdict) []string {
	var names []string
	for _, c := range v.Checks {
		if unsound(c) {
			names = append(names, c.Name)
		}
	}
	return names
}

func (p *parcel) word(key, otherwise string) string {
	if p.x.Words.Has(key) {
		return p.x.Words.T(key)
	}
	return otherwise
}

// verdict adds what the verification before the export found.
func (p *parcel) verdict(dir string, v verify.Verdict) error {
	b, err := json.MarshalIndent(struct {
		Outcome  verify.Outcome `json:"outcome"`
		Software string         `json:"software"`
		verify.Verdict
	}{v.Outcome(), p.x.Software, v}, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding verdict: %w", err)
	}
	return p.add(dir+"verdict.json", append(b, '\n'))
}

// takeApart adds what seal and package hold as files for other tools. Of a
// broken record it adds what can be read.
func (p *parcel) takeApart(dir string, pkg object, sealed []byte, t *told) error {
	s, err := seal.Decode(sealed)
	if err == nil {
		err = p.takeSeal(dir, s, t)
	} else if len(t.Faults) > 0 {
		err = nil
	}
	if err != nil {
		return err
	}
	z, err := wacz.Open(pkg.content, pkg.bytes)
	if err == nil {
		err = p.takeRaw(dir, z, t)
	}
	if err != nil && len(t.Faults) > 0 && !errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// ctxReader ends reading when the context ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}
