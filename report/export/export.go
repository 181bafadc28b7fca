package export

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"guzheng/capture"
	"guzheng/preserve/verify"
	"guzheng/report/bag"
	"guzheng/report/words"
	"guzheng/storage"
)

// ErrBroken is wrapped when a record is not sound and broken ones were not
// wanted.
var ErrBroken = errors.New("record is not sound")

// An Exporter writes exports.
type Exporter struct {
	Store storage.Store    // required
	Words *words.Catalogue // required; its language is the README's
	Trust verify.Trust     // what this installation names as its own
	Date  time.Time        // of the export; its day, in its own zone, is what the bag tells

	Organization string // who exports, for bag-info.txt
	Software     string // this program
	Tools        string // directory of the verifiers; "" adds none

	// Sheet prints the sheet of a sound record as PDF; nil adds none.
	Sheet func(ctx context.Context, e storage.Entry, v verify.Verdict) ([]byte, error)

	// Broken lets records that are not sound be exported and named as that.
	Broken bool
	// Raw names the file of an object whose bytes the store does not give
	// out because they changed. Without it such a record is never exported.
	Raw func(key string) (string, error)
}

// A Summary tells what was exported.
type Summary struct {
	bag.Summary
	Records int
	Broken  []string // numbers of the records that are not sound
	Tools   int      // verifiers that were added
}

// Export writes the records to target: a ZIP file when that ends in .zip,
// else a directory. A target that exists is refused (fs.ErrExist). After an
// error there is nothing under that name. The same records and tools on the
// same day give the same files; ZIP files of one name are the same bytes.
func (x Exporter) Export(ctx context.Context, entries []storage.Entry, target string) (Summary, error) {
	if x.Store == nil || x.Words == nil {
		return Summary{}, errors.New("exporting: exporter lacks a store or words")
	}
	w, err := bag.Create(target, x.Date)
	if err != nil {
		return Summary{}, fmt.Errorf("exporting: %w", err)
	}
	p := parcel{x: x, ctx: ctx, bag: w}
	if err := p.fill(entries); err != nil {
		w.Discard()
		return Summary{}, fmt.Errorf("exporting: %w", err)
	}
	s := Summary{Records: len(p.told), Tools: len(p.tools)}
	info := []bag.Field{{Name: "Source-Organization", Value: x.Organization}, {Name: "Bag-Software-Agent", Value: x.Software}}
	for _, r := range p.told {
		info = append(info, bag.Field{Name: "External-Identifier", Value: r.ID})
		if len(r.Faults) > 0 {
			s.Broken = append(s.Broken, r.ID)
		}
	}
	if s.Summary, err = w.Close(info); err != nil {
		return Summary{}, fmt.Errorf("exporting: %w", err)
	}
	return s, nil
}

// A parcel is one export under way.
type parcel struct {
	x     Exporter
	ctx   context.Context
	bag   *bag.Writer
	told  []told // for the README
	roots []*x509.Certificate
	own   bool // a practice authority's root is among the roots
	tools []toolFile
}

func (p *parcel) fill(entries []storage.Entry) error {
	entries = slices.Clone(entries)
	slices.SortFunc(entries, func(a, b storage.Entry) int { return strings.Compare(a.ID, b.ID) })
	p.roots = slices.Clone(p.x.Trust.TSA.Roots)
	for _, e := range slices.CompactFunc(entries, func(a, b storage.Entry) bool { return a.ID == b.ID }) {
		if !capture.ValidID(e.ID) {
			return fmt.Errorf("%q is not an evidence number", e.ID)
		}
		if err := p.record(e); err != nil {
			return fmt.Errorf("record %s: %w", e.ID, err)
		}
	}
	if err := p.trust(); err != nil {
		return err
	}
	if err := p.addTools(); err != nil {
		return err
	}
	return p.readme()
}

// add writes one file of the bag from memory; an empty one is left out.
func (p *parcel) add(name string, b []byte) error {
	if err := p.ctx.Err(); err != nil || len(b) == 0 {
		return err
	}
	_, err := p.bag.Add(name, 0o644, bytes.NewReader(b))
	return err
}

// trust adds what a verifier should expect, and the roots as openssl reads
// them.
func (p *parcel) trust() error {
	b, err := p.x.Trust.Encode()
	if err != nil {
		return err
	}
	if err := p.add("data/trust/trust.json", b); err != nil {
		return err
	}
	return p.add("data/trust/roots.pem", certificates(p.roots))
}

// certificates is a PEM text that a person can read too.
func certificates(certs []*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		fmt.Fprintf(&b, "subject: %q\nissuer: %q\n", c.Subject.String(), c.Issuer.String())
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.Bytes()
}
