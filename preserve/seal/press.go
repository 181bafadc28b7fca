package seal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"guzheng/capture"
	"guzheng/preserve/tlog"
	"guzheng/preserve/tsa"
)

// Algorithm is the only value of Signature.Algorithm.
const Algorithm = "ecdsa-p384-sha256"

// EventKept is the name of the log event for a package that was sealed.
const EventKept = "kept"

// DefaultLogTimeout bounds the wait for the log when Press.LogTimeout is 0.
const DefaultLogTimeout = 30 * time.Second

// ErrOther says that a package is not the one that the event or the seal is
// about.
var ErrOther = errors.New("package has another digest")

// ErrOtherKey says that a seal was signed with another key than the one at
// hand.
var ErrOtherKey = errors.New("seal was signed with another key")

// A Signer signs SHA-256 values; key.Key is one.
type Signer interface {
	// Identity returns the key's fingerprint (SHA-256 of the
	// SubjectPublicKeyInfo, hex) and the SubjectPublicKeyInfo, DER.
	Identity() (id string, spki []byte)
	// Sign returns an ECDSA P-384 signature, ASN.1 DER.
	Sign(digest [32]byte) ([]byte, error)
}

// An Appender is the transparency log; ledger.Log is one.
type Appender interface {
	// Append logs leaf unless the same bytes stand at or after index since.
	Append(ctx context.Context, leaf []byte, since uint64) (tlog.Entry, error)
	// Size returns the number of events, to be noted before Append.
	Size(ctx context.Context) (uint64, error)
}

// An Event is what goes into the log for a package, and where to look for it
// first. It MUST be on disk before Seal is called with it: only then does a
// second try after a crash find the first one's entry.
type Event struct {
	Leaf  []byte `json:"leaf"`  // the bytes that are logged
	Since uint64 `json:"since"` // size of the log when the event was made

	// about is what Press.Event was told of the package; it is empty in an
	// event that was read from disk.
	about capture.Digest
}

// Kept is the JSON form of the leaf that says that a package was sealed. It
// holds digests only, no address and no personal data.
type Kept struct {
	Event   string         `json:"event"` // EventKept
	Time    time.Time      `json:"time"`  // this machine's clock, UTC
	Package capture.Digest `json:"package"`
	Key     string         `json:"key"` // fingerprint of the signing key
}

// A Press makes seals.
type Press struct {
	Key         Signer           // required
	SM2         MessageSigner    // signs beside Key; nil: no second signature
	Authorities []tsa.Authority  // asked in parallel; a seal without any stamp is pending for ever
	Log         Appender         // required
	Now         func() time.Time // required
	LogTimeout  time.Duration    // of appending and awaiting publication; 0: DefaultLogTimeout
}

func (p Press) check() error {
	if p.Key == nil || p.Log == nil || p.Now == nil || len(p.Authorities) == 0 {
		return errors.New("sealing: press lacks a key, a log, a clock or an authority")
	}
	return nil
}

// Event makes the log event for a package, whose bytes the caller MUST have
// hashed itself. When the log cannot be read now, the event is searched from
// the log's start later.
func (p Press) Event(ctx context.Context, pkg capture.Digest) (Event, error) {
	if err := p.check(); err != nil {
		return Event{}, err
	}
	id, _ := p.Key.Identity()
	leaf, err := json.Marshal(Kept{Event: EventKept, Time: p.Now().UTC(), Package: pkg, Key: id})
	if err != nil {
		return Event{}, fmt.Errorf("encoding log event: %w", err)
	}
	since, err := p.Log.Size(ctx)
	if err != nil {
		since = 0
	}
	return Event{Leaf: leaf, Since: since, about: pkg}, nil
}

// Seal seals the package in the file pkg. Authorities and a log that do not
// answer make the seal pending, not the call fail. It returns ErrOther when
// the event is about other bytes, and an error when ctx ended: then nothing
// must be kept, and the call be repeated with the same event.
func (p Press) Seal(ctx context.Context, id, pkg string, event Event) (Seal, error) {
	if err := p.check(); err != nil {
		return Seal{}, err
	}
	kept, err := ParseKept(event.Leaf)
	if err != nil {
		return Seal{}, fmt.Errorf("sealing %s: %w", id, err)
	}
	d, err := event.digest(pkg)
	if err != nil {
		return Seal{}, fmt.Errorf("sealing %s: %w", id, err)
	}
	if kept.Package != d {
		return Seal{}, fmt.Errorf("sealing %s: event is about %s, package is %s: %w", id, kept.Package.SHA256, d.SHA256, ErrOther)
	}
	both, err := tsa.DigestsOf(d)
	if err != nil {
		return Seal{}, fmt.Errorf("sealing %s: %w", id, err)
	}
	sum := both.SHA256
	sig, err := p.Key.Sign(sum)
	if err != nil {
		return Seal{}, fmt.Errorf("sealing %s: %w", id, err)
	}
	s := Seal{Format: Format, ID: id, Package: d}
	s.Signature = Signature{Algorithm: Algorithm, Value: sig}
	s.Signature.KeyID, s.Signature.PublicKey = p.Key.Identity()
	if err := CheckSignature(s, sum); err != nil {
		return Seal{}, fmt.Errorf("sealing %s: own signature: %w", id, err)
	}
	if err := p.signSM2(&s); err != nil {
		return Seal{}, fmt.Errorf("sealing %s: %w", id, err)
	}
	// Neither waits for the other: they are about the package alone.
	var wg sync.WaitGroup
	wg.Go(func() { s.Log = p.log(ctx, event.Leaf, event.Since) })
	s.Stamps = StampsOver(ctx, p.Authorities, both)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return Seal{}, fmt.Errorf("sealing %s: %w", id, err)
	}
	return Enclose(s, p.Key)
}

// Complete asks again for what a seal lacks: each pending stamp's authority,
// found by its name, or, where that is no longer configured, each authority
// that has no stamp in the seal yet; and the log. Changed says whether the
// returned seal has more than the given one, which it otherwise equals but
// for a new envelope. Nothing that was there is removed but reasons why a
// stamp was missing. A seal whose envelope does not hold is refused
// (ErrSignature), so that what someone altered is never signed over; so is,
// where something lacks, one that another key signed (ErrOtherKey).
func (p Press) Complete(ctx context.Context, s Seal) (out Seal, changed bool, err error) {
	if err := p.check(); err != nil {
		return s, false, err
	}
	if err := p.mayComplete(s); err != nil {
		return s, false, fmt.Errorf("completing seal %s: %w", s.ID, err)
	}
	both, err := tsa.DigestsOf(s.Package)
	if err != nil {
		return s, false, fmt.Errorf("completing seal %s: %w", s.ID, err)
	}
	out = s
	out.Stamps = append([]tsa.Stamp(nil), s.Stamps...)
	for _, st := range p.retry(ctx, s, both) {
		if st.Pending() {
			continue
		}
		changed = true
		out.Stamps = place(out.Stamps, st)
	}
	if s.Log.Pending() {
		// Where the log stood at the first try is not in the seal: look
		// through all of it.
		if e := p.log(ctx, s.Log.Leaf, 0); !e.Pending() {
			out.Log, changed = e, true
		}
	}
	if !changed {
		return s, false, ctx.Err()
	}
	if out, err = Enclose(out, p.Key); err != nil {
		return s, false, fmt.Errorf("completing seal %s: %w", s.ID, err)
	}
	return out, true, nil
}

// mayComplete looks, before anyone is asked, whether the press can put an
// envelope around a fuller seal.
func (p Press) mayComplete(s Seal) error {
	if err := CheckEnvelope(s); err != nil {
		return err
	}
	if id, _ := p.Key.Identity(); id != s.Signature.KeyID && (s.Pending() || len(s.Stamps) == 0) {
		return fmt.Errorf("key %s, here is %s: %w", s.Signature.KeyID, id, ErrOtherKey)
	}
	return nil
}

// retry asks the authorities that Complete names.
func (p Press) retry(ctx context.Context, s Seal, over tsa.Digests) []tsa.Stamp {
	known := map[string]bool{} // authority → its stamp is pending
	for _, st := range s.Stamps {
		known[st.TSA] = st.Pending()
	}
	var again, fresh []tsa.Authority
	for _, a := range p.Authorities {
		pending, ok := known[a.Name()]
		if pending {
			again = append(again, a)
		}
		if !ok && (a.Name() != tsa.PracticeName || len(s.Stamps) == 0) {
			// The practice authority never takes the place of a real one.
			fresh = append(fresh, a)
		}
	}
	left := len(s.Stamps) == 0
	for name, pending := range known {
		left = left || pending && !configured(p.Authorities, name)
	}
	if left {
		again = append(again, fresh...)
	}
	return StampsOver(ctx, again, over)
}

func configured(as []tsa.Authority, name string) bool {
	for _, a := range as {
		if a.Name() == name {
			return true
		}
	}
	return false
}

// place puts a stamp where a pending one of the same authority, or else any
// pending one, stood.
func place(stamps []tsa.Stamp, st tsa.Stamp) []tsa.Stamp {
	for i, old := range stamps {
		if old.Pending() && old.TSA == st.TSA {
			stamps[i] = st
			return stamps
		}
	}
	for i, old := range stamps {
		if old.Pending() {
			stamps[i] = st
			return stamps
		}
	}
	return append(stamps, st)
}

// Stamps is StampsOver for what is known by its SHA-256 value alone.
func Stamps(ctx context.Context, authorities []tsa.Authority, imprint [32]byte) []tsa.Stamp {
	return StampsOver(ctx, authorities, tsa.Digests{SHA256: imprint})
}

// StampsOver asks all authorities at once, each by its own hash, and returns
// their stamps in the order of the authorities.
func StampsOver(ctx context.Context, authorities []tsa.Authority, over tsa.Digests) []tsa.Stamp {
	out := make([]tsa.Stamp, len(authorities))
	var wg sync.WaitGroup
	for i, a := range authorities {
		wg.Go(func() { out[i] = tsa.Ask(ctx, a, over) })
	}
	wg.Wait()
	return out
}

// log appends the event, or says in the entry why it could not.
func (p Press) log(ctx context.Context, leaf []byte, since uint64) tlog.Entry {
	timeout := p.LogTimeout
	if timeout <= 0 {
		timeout = DefaultLogTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	e, err := p.Log.Append(ctx, leaf, since)
	if err != nil {
		return tlog.Entry{Index: -1, Leaf: leaf, Error: strings.ToValidUTF8(err.Error(), "?")}
	}
	return e
}

// digest reads the package and returns its digest. When this process made
// the event, its SM3 value was computed here a moment ago: then SHA-256 alone
// tells whether the file holds the same bytes.
func (e Event) digest(pkg string) (capture.Digest, error) {
	f, err := os.Open(pkg)
	if err != nil {
		return capture.Digest{}, fmt.Errorf("reading package: %w", err)
	}
	defer f.Close()
	if e.about == (capture.Digest{}) {
		return capture.DigestOf(f)
	}
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return capture.Digest{}, fmt.Errorf("reading package: %w", err)
	}
	// Should SHA-256 be another, the caller notices by that.
	return capture.Digest{Bytes: n, SHA256: hex.EncodeToString(h.Sum(nil)), SM3: e.about.SM3}, nil
}
