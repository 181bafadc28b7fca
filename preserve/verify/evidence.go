package verify

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"guzheng/preserve/ers"
	"guzheng/preserve/seal"
	"guzheng/preserve/tsa"
)

// A File lies beside a package: a seal or an evidence record.
type File struct {
	Name  string // NAME.seal.json, NAME.evidence-2.ers, …
	Bytes []byte
}

// maxBeside bounds the files beside a package that are read.
const maxBeside = 4096

var evidenceName = regexp.MustCompile(`\.evidence(?:-([1-9][0-9]{0,8}))?\.ers$`)

// besideName matches what stands behind the name of the package.
var besideName = regexp.MustCompile(`^\.(?:seal(?:-[1-9][0-9]{0,8})?\.json|evidence(?:-[1-9][0-9]{0,8})?\.ers)$`)

// ReadBeside reads the seals and evidence records that lie beside a package.
func ReadBeside(pkg string) ([]File, error) {
	dir, base := filepath.Split(pkg)
	if dir == "" {
		dir = "."
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("looking beside the package: %w", err)
	}
	var out []File
	for _, e := range entries {
		if !LiesBeside(base, e.Name()) {
			continue
		}
		if len(out) == maxBeside {
			return nil, fmt.Errorf("looking beside the package: more than %d files", maxBeside)
		}
		b, err := readLimited(filepath.Join(dir, e.Name()), ers.MaxSize)
		if err != nil {
			return nil, err
		}
		out = append(out, File{e.Name(), b})
	}
	return out, nil
}

// LiesBeside reports whether a file of that name is a seal or an evidence
// record beside the package of the other name.
func LiesBeside(pkg, name string) bool {
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(pkg, ".wacz"))
	return ok && besideName.MatchString(rest)
}

func readLimited(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading beside the package: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return b, nil
}

// A renewal is an evidence record as found beside the package.
type renewal struct {
	File
	number  int
	record  ers.Record
	err     error
	about   []ers.Object
	foreign int
	report  ers.Report
}

// evidence checks the evidence records beside the package (FORMAT.md section
// 3.5). Where there are none it says nothing.
func (v *visit) evidence(pkg io.ReaderAt, size int64, opt Options) error {
	all := renewals(opt.Beside)
	if len(all) == 0 {
		return nil
	}
	objects := []ers.Object{{Name: opt.name, Sum: func(h tsa.Hash) ([]byte, error) { return v.sum(pkg, size, h) }}}
	elsewhere := opt.Seal != nil // the seal was given and does not lie here
	for _, f := range opt.Beside {
		if !evidenceName.MatchString(f.Name) {
			objects = append(objects, ers.Bytes(f.Name, f.Bytes))
			elsewhere = elsewhere && !bytes.Equal(f.Bytes, opt.Seal)
		}
	}
	if elsewhere {
		objects = append(objects, ers.Bytes("seal", opt.Seal))
	}
	for _, r := range all {
		if r.err != nil {
			continue
		}
		if r.about, r.foreign, r.err = r.record.About(objects); r.err != nil {
			return r.err
		}
		objects = append(objects, ers.Bytes(r.Name, r.Bytes))
	}
	for _, r := range all {
		v.checkRenewal(r, objects[0].Name, opt.At)
	}
	v.checkNow(all, opt.At)
	v.checkCover(all, opt.Seal)
	return nil
}

// renewals reads the records among the files, in the order of their numbers.
func renewals(files []File) []*renewal {
	var out []*renewal
	for _, f := range files {
		m := evidenceName.FindStringSubmatch(f.Name)
		if m == nil {
			continue
		}
		r := &renewal{File: f, number: 1}
		if m[1] != "" {
			r.number, _ = strconv.Atoi(m[1])
		}
		r.record, r.err = ers.Parse(f.Bytes)
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(a, b *renewal) int { return a.number - b.number })
	return out
}

// sum returns the package's hash value, computed from its bytes.
func (v *visit) sum(pkg io.ReaderAt, size int64, h tsa.Hash) ([]byte, error) {
	if s := v.sums[h]; s != nil {
		return s, nil
	}
	switch h {
	case tsa.SHA256:
		return hex.DecodeString(v.digest.SHA256)
	case tsa.SM3:
		return hex.DecodeString(v.digest.SM3)
	case tsa.SHA384, tsa.SHA512:
	}
	f := h.New()
	if f == nil {
		return nil, errors.New("unknown hash function")
	}
	if _, err := io.Copy(f, &ctxReader{v.ctx, io.NewSectionReader(pkg, 0, size)}); err != nil {
		return nil, fmt.Errorf("hashing the package: %w", err)
	}
	if v.sums == nil {
		v.sums = map[tsa.Hash][]byte{}
	}
	v.sums[h] = f.Sum(nil)
	return v.sums[h], nil
}

// Checks of a record, by the layers that they are made of.
var renewalChecks = []struct {
	name   string
	layers []string
}{
	{"evidence.data", []string{ers.LayerData}},
	{"evidence.links", []string{ers.LayerBefore, ers.LayerTime, tsa.LayerImprint}},
	{"evidence.stamps", []string{tsa.LayerSignature, tsa.LayerPolicy, tsa.LayerChain, tsa.LayerIdentity}},
}

// expiredSince is the code of a token whose certificate has expired by the
// time that it is looked at.
const expiredSince = "chain.expired_since"

// checkRenewal checks one record as it stands. Whether its newest stamp is
// still good is for checkNow.
func (v *visit) checkRenewal(r *renewal, pkg string, at time.Time) {
	if r.err != nil {
		v.add("evidence.form", r.Name, Failed, "evidence.unreadable", "%v", r.err)
		return
	}
	v.add("evidence.form", r.Name, Passed, "", "%d chains", len(r.record.Chains))
	if len(r.about) == 0 || r.about[0].Name != pkg || r.foreign > 0 && len(r.about) > 1 {
		v.add("evidence.data", r.Name, Failed, "evidence.foreign", "it is about %d files beside it and %d others", len(r.about), r.foreign)
		r.err = errors.New("about something else")
		return
	}
	r.report = v.validate(r, time.Time{})
	for _, c := range renewalChecks {
		outcome, code, detail := Passed, "", ""
		for _, f := range r.report.Findings {
			state, why := v.judge(r, f)
			if !slices.Contains(c.layers, f.Layer) || outcome == Failed || state == Passed || outcome == Unknown && state != Failed {
				continue
			}
			outcome, code, detail = state, why, fmt.Sprintf("chain %d, stamp %d: %s", f.Chain, f.Stamp, f.Detail)
		}
		v.add(c.name, r.Name, outcome, code, "%s", detail)
	}
	if !at.IsZero() {
		r.report = v.validate(r, at)
	}
}

// judge takes over a finding's state and code; a practice authority is no
// third party, see checkStamps.
func (v *visit) judge(r *renewal, f ers.Finding) (Outcome, string) {
	state := outcome(string(f.State))
	stamp := slices.Contains(stampLayers[:], f.Layer)
	if r.report.Practice && stamp && f.Code != expiredSince && (practiceCannotTell(f.Finding) || state == Unknown) {
		return Unknown, "stamp.practice"
	}
	return state, f.Code
}

// validate leaves out roots and pins as checkStamp does.
func (v *visit) validate(r *renewal, at time.Time) ers.Report {
	rep := r.record.Validate(r.about, v.trust.TSA, at)
	if !v.trust.Lenient || rep.State() != tsa.Failed {
		return rep
	}
	if open := r.record.Validate(r.about, tsa.Trust{}, at); open.State() != tsa.Failed {
		return open
	}
	return rep
}

// checkNow wants one record whose newest stamp is still good.
func (v *visit) checkNow(all []*renewal, at time.Time) {
	const name = "evidence.time"
	var until time.Time
	for _, r := range all {
		if r.err == nil && r.report.Until.After(until) {
			until = r.report.Until
		}
	}
	switch {
	case until.IsZero():
		v.unknown(name, "evidence.none", "no record that could be checked")
	case !at.IsZero() && at.After(until):
		v.unknown(name, expiredSince, "the newest certificate expired at %s", until.Format(time.RFC3339))
	default:
		v.pass(name, "good until %s", until.Format(time.RFC3339))
	}
}

// checkCover wants every stamp of the seal to be covered by a record that
// began while the stamp's certificate was still valid: then it is good,
// although that has expired since.
func (v *visit) checkCover(all []*renewal, sealed []byte) {
	const name = "evidence.cover"
	s, err := seal.Decode(sealed)
	if sealed == nil || err != nil {
		v.unknown(name, "seal.unreadable", "")
		return
	}
	sum := tsa.SHA256.Sum(sealed)
	for _, st := range s.Stamps {
		token, err := tsa.Token(st)
		if err != nil {
			continue // pending, or what checkStamps complains about
		}
		info, err := tsa.ReadToken(token)
		if err != nil {
			continue
		}
		if code := v.coverOf(all, sum, info.Until); code != "" {
			v.add(name, st.TSA, Unknown, code, "the stamp's certificate is valid until %s", info.Until.Format(time.RFC3339))
			continue
		}
		v.add(name, st.TSA, Passed, "", "the stamp's certificate is valid until %s", info.Until.Format(time.RFC3339))
	}
}

// coverOf looks for a record about the seal that began in time and holds, and
// says what is missing.
func (v *visit) coverOf(all []*renewal, sum []byte, until time.Time) (code string) {
	code = "evidence.not_covered"
	for _, r := range all {
		about := r.err == nil && slices.ContainsFunc(r.about, func(o ers.Object) bool {
			got, err := o.Sum(tsa.SHA256)
			return err == nil && string(got) == string(sum)
		})
		switch {
		case !about:
		case r.report.First.After(until):
			if code == "evidence.not_covered" {
				code = "evidence.late"
			}
		default:
			if code = v.doubt(r); code == "" {
				return ""
			}
		}
	}
	return code
}

// doubt says why a record does not pass; "" when it does.
func (v *visit) doubt(r *renewal) (code string) {
	for _, f := range r.report.Findings {
		switch state, why := v.judge(r, f); {
		case state == Passed:
		case state == Unknown && why == "stamp.practice":
			code = why
		default:
			return "evidence.unsure"
		}
	}
	return code
}
