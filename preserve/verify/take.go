package verify

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/emmansun/gmsm/sm3"

	"guzheng/capture"
	"guzheng/capture/warc"
	"guzheng/preserve/tsa"
	"guzheng/preserve/wacz"
)

// checkTake compares every file that the capture listed with what is in the
// package, and sees that nothing was added to it.
func (v *visit) checkTake() {
	const name = "take"
	b, err := v.pkg.ReadFile(wacz.TakePath, 64<<20)
	if err != nil {
		v.fail(name, "take.missing", "%v", err)
		return
	}
	t, err := capture.DecodeTake(b)
	if err != nil {
		v.fail(name, "take.unreadable", "%v", err)
		return
	}
	v.take = t
	known := map[string]bool{wacz.TakePath: true}
	bad := 0
	for _, f := range t.Files {
		known[f.Path] = true
		d, ok := v.digests[f.Path]
		switch {
		case !ok:
			v.add(name, f.Path, Failed, "take.absent", "taken and not in the package")
			bad++
		case d != f.Digest:
			v.add(name, f.Path, Failed, "take.changed", "%d bytes, %s; taken as %d bytes, %s", d.Bytes, d.SHA256, f.Bytes, f.SHA256)
			bad++
		}
	}
	for _, f := range v.pkg.Files() {
		if !known[f.Path] && (strings.HasPrefix(f.Path, "evidence/") || strings.HasPrefix(f.Path, "archive/")) {
			v.add(name, f.Path, Failed, "take.added", "in the package and not taken")
			bad++
		}
	}
	if t.Order != v.about.ID {
		v.fail(name, "take.other", "take of %s in package %s", t.Order, v.about.ID)
		bad++
	}
	if err := v.checkJournal(t); err != nil {
		v.fail(name, "take.journal", "%v", err)
		bad++
	}
	if bad == 0 {
		v.pass(name, "%d files, %s", len(t.Files), t.State)
	}
}

// checkJournal compares the manifest with the journal of the capture.
func (v *visit) checkJournal(t capture.Take) error {
	f, ok := t.File(capture.FileJournal)
	if !ok {
		return fmt.Errorf("no journal: %w", capture.ErrJournal)
	}
	r, err := v.pkg.Open(f.Path)
	if err != nil {
		return nil // its absence has been told above
	}
	defer r.Close()
	entries, _, err := capture.ReadJournal(r)
	if err != nil {
		return err
	}
	return capture.CheckJournal(t, entries)
}

// checkRaw rebuilds the Merkle root over the raw files and checks the stamps
// that were taken over it before packaging.
func (v *visit) checkRaw() {
	over, ok := v.rawRoot()
	if !ok {
		v.noStamps("raw.stamp", "raw.unreadable", "")
		return
	}
	b, err := v.pkg.ReadFile(wacz.RawStampsPath, 16<<20)
	if errors.Is(err, wacz.ErrMissing) {
		v.noStamps("raw.stamp", "stamp.missing", "")
		return
	}
	var stamps []tsa.Stamp
	if err == nil {
		err = json.Unmarshal(b, &stamps)
	}
	if err != nil {
		v.fail("raw.stamp.signature", "stamp.unreadable", "%v", err)
		return
	}
	v.checkStamps("raw.stamp", stamps, over)
}

// rawRoot returns the root over the files as they are in the package, and the
// SM3 value of the list that says so.
func (v *visit) rawRoot() (over tsa.Digests, ok bool) {
	const name = "raw.root"
	b, err := v.pkg.ReadFile(wacz.RawPath, 64<<20)
	if errors.Is(err, wacz.ErrMissing) {
		v.unknown(name, "raw.missing", "%v", err)
		return over, false
	}
	var raw wacz.Raw
	if err == nil {
		err = json.Unmarshal(b, &raw)
	}
	if err == nil && raw.Format != wacz.RawFormat {
		err = fmt.Errorf("format %q", raw.Format)
	}
	if err != nil {
		v.fail(name, "raw.unreadable", "%v", err)
		return over, false
	}
	// The tree is rebuilt over the bytes that are there, so that a changed
	// file also fails the stamps.
	want := []string{wacz.TakePath}
	for _, f := range v.take.Files {
		want = append(want, f.Path)
	}
	sort.Strings(want)
	found := wacz.Raw{Format: wacz.RawFormat}
	for _, path := range want {
		found.Files = append(found.Files, wacz.RawFile{Path: path, Digest: v.digests[path]})
	}
	root := found.TreeRoot()
	found.Root = hex.EncodeToString(root[:])
	over.SHA256 = root
	if list, err := found.Encode(); err == nil {
		over.SM3 = sm3.Sum(list)
	}
	switch {
	case !slices.Equal(found.Files, raw.Files):
		v.fail(name, "raw.files", "the files listed are not those of the take as found")
	case raw.Root != found.Root:
		v.fail(name, "raw.root", "root is %x, listed as %s", root, raw.Root)
	default:
		v.pass(name, "%x over %d files", root, len(raw.Files))
	}
	return over, true
}

// checkTraffic checks WARC and index. A take that lists no traffic, such as
// that of a page that could not be reached, has nothing to check: then both
// checks are left out, unless there is an index all the same.
func (v *visit) checkTraffic() {
	_, taken := v.take.File(capture.FileWARC)
	if taken || v.take.Format == "" || v.pkg.Has(wacz.WARCPath) {
		v.checkIndex(v.checkWARC())
		return
	}
	const name = "index"
	switch n := v.digests[wacz.IndexPath].Bytes; {
	case !v.pkg.Has(wacz.IndexPath):
		v.fail(name, "index.missing", "%s", wacz.IndexPath)
	case n > 0:
		v.fail(name, "index.other", "%d bytes of index, and no traffic was taken", n)
	}
}

// maxComplaints bounds how many records are named that are not as they should
// be.
const maxComplaints = 100

// checkWARC reads every record of the traffic and its digests. It returns the
// records' own index, for checkIndex, and why there is none: broken form or
// the first wrong digest.
func (v *visit) checkWARC() (own *warc.Indexer, fault error) {
	const name = "warc"
	if !v.pkg.Has(wacz.WARCPath) {
		if v.take.Format == "" {
			v.unknown(name, "take.unreadable", "whether there was traffic is not known")
		} else {
			v.fail(name, "warc.missing", "taken and not in the package")
		}
		return nil, wacz.ErrMissing
	}
	r, err := v.pkg.Open(wacz.WARCPath)
	if err != nil {
		v.fail(name, "warc.unreadable", "%v", err)
		return nil, err
	}
	n, bad := 0, 0
	complain := func(subject, code, detail string) {
		if bad++; bad <= maxComplaints {
			v.add(name, subject, Failed, code, "%s", detail)
		}
	}
	own = &warc.Indexer{Filename: "data.warc.gz"}
	for rec, err := range warc.Records(&ctxReader{v.ctx, r}) {
		n++
		switch {
		case errors.Is(err, warc.ErrDigest):
			complain(rec.ID, "warc.digest", err.Error())
		case err != nil:
			v.fail(name, "warc.unreadable", "%v", err)
			return nil, err
		case rec.Field("WARC-Block-Digest") == "":
			complain(rec.ID, "warc.no_digest", fmt.Sprintf("record at byte %d", rec.Offset))
		}
		if err == nil {
			err = own.Add(rec)
		}
		if fault == nil {
			fault = err
		}
	}
	if bad == 0 {
		v.pass(name, "%d records", n)
	}
	return own, fault
}

// checkIndex compares the index with that of the records themselves.
func (v *visit) checkIndex(own *warc.Indexer, fault error) {
	const name = "index"
	index, err := v.pkg.ReadFile(wacz.IndexPath, 1<<30)
	switch {
	case err != nil:
		v.fail(name, "index.missing", "%v", err)
		return
	case errors.Is(fault, warc.ErrDigest):
		v.unknown(name, "warc.digest", "%v", fault)
		return
	case fault != nil:
		v.unknown(name, "warc.unreadable", "")
		return
	}
	if err := own.Check(index); err != nil {
		v.fail(name, "index.other", "%v", err)
		return
	}
	v.pass(name, "%d bytes", len(index))
}
