package preserve

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digitorus/timestamp"

	"guzheng/preserve/seal"
	"guzheng/preserve/tsa"
)

// bureau is a time-stamping authority on loopback whose answers a test can
// spoil.
type bureau struct {
	key        *ecdsa.PrivateKey
	leaf, root *x509.Certificate
	spoil      atomic.Pointer[fault]
}

// A fault is one way in which an authority does not do its work.
type fault struct {
	says  string                     // in the reason that is recorded
	token func(*timestamp.Timestamp) // changes the token
	serve http.HandlerFunc           // answers in place of the authority
}

func newBureau(t *testing.T, name string) *bureau {
	t.Helper()
	b := &bureau{}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if b.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	eku, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		t.Fatal(err)
	}
	make := func(c *x509.Certificate, pub any) *x509.Certificate {
		parent := b.root
		if parent == nil {
			parent = c
		}
		c.NotBefore, c.NotAfter, c.BasicConstraintsValid = time.Now().Add(-2*time.Hour), time.Now().Add(2*time.Hour), true
		der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, rootKey)
		if err != nil {
			t.Fatal(err)
		}
		out, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	b.root = make(&x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name + " Root"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign}, rootKey.Public())
	b.leaf = make(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: eku}}}, b.key.Public())
	return b
}

func (b *bureau) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(query))
	f := b.spoil.Load()
	if f != nil && f.serve != nil {
		f.serve(w, r)
		return
	}
	req, err := timestamp.ParseRequest(query)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ts := timestamp.Timestamp{HashAlgorithm: crypto.SHA256, HashedMessage: req.HashedMessage, Time: time.Now(), Policy: asn1.ObjectIdentifier{1, 2, 3},
		Nonce: req.Nonce, AddTSACertificate: true, Certificates: []*x509.Certificate{b.root}}
	if f != nil && f.token != nil {
		f.token(&ts)
	}
	out, err := ts.CreateResponseWithOpts(b.leaf, b.key, crypto.SHA256)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/timestamp-reply")
	_, _ = w.Write(out)
}

// remote is the bureau as settings name it.
func (b *bureau) remote(url string) tsa.Remote {
	return tsa.Remote{URL: url, Now: time.Now, Timeout: 400 * time.Millisecond, Policy: "1.2.3", Trust: b.trust(),
		Revocation: &tsa.Fetcher{Now: time.Now}}
}

func (b *bureau) trust() tsa.Trust {
	return tsa.Trust{Roots: []*x509.Certificate{b.root}, Pins: []tsa.Pin{{Issuer: b.root.Subject.CommonName, Name: b.leaf.Subject.CommonName}}, MaxSkew: 5 * time.Minute}
}

// TestAuthorityFaults is the table of what can be wrong with a time-stamping
// authority: nothing is lost, the record says what happened, the other
// authority's stamp is there, and what lacks is completed later.
func TestAuthorityFaults(t *testing.T) {
	t.Parallel()
	text := func(media, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", media)
			fmt.Fprint(w, body)
		}
	}
	for name, f := range map[string]*fault{
		"down": {says: "EOF", serve: func(w http.ResponseWriter, _ *http.Request) {
			if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
				c.Close()
			}
		}},
		"slow":          {says: "deadline", serve: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		"busy":          {says: "status 503", serve: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "SlowDown", http.StatusServiceUnavailable) }},
		"HTML":          {says: "content type", serve: text("text/html", "<!DOCTYPE html><title>Sign in</title>")},
		"HTML as token": {says: "token.unreadable", serve: text("application/timestamp-reply", "<!DOCTYPE html><title>Sign in</title>")},
		"cut": {says: "EOF", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/timestamp-reply")
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "0")
		}},
		"wrong nonce":    {says: "nonce.other", token: func(x *timestamp.Timestamp) { x.Nonce = big.NewInt(7) }},
		"wrong imprint":  {says: "imprint.other", token: func(x *timestamp.Timestamp) { x.HashedMessage = make([]byte, 32) }},
		"expired":        {says: "chain.expired", token: func(x *timestamp.Timestamp) { x.Time = time.Now().Add(72 * time.Hour) }},
		"other policy":   {says: "policy.other", token: func(x *timestamp.Timestamp) { x.Policy = asn1.ObjectIdentifier{1, 2, 4} }},
		"other identity": {says: "identity.other", serve: newBureau(t, "Stranger").ServeHTTP},
	} {
		t.Run(name, func(t *testing.T) {
			bad, good := newBureau(t, "Bad"), newBureau(t, "Good")
			first, second := httptest.NewServer(bad), httptest.NewServer(good)
			defer first.Close()
			defer second.Close()
			home, berth := spool(t)
			k, _ := open(t, home)
			k.Press.Authorities = []tsa.Authority{bad.remote(first.URL), good.remote(second.URL)}
			bad.spoil.Store(f)
			r, err := k.Keep(t.Context(), berth)
			if err != nil || !r.Entry.Pending {
				t.Fatalf("pending %v, %v", r.Entry.Pending, err)
			}
			d, err := tsa.DigestsOf(r.SealValue.Package)
			if err != nil {
				t.Fatal(err)
			}
			st := r.SealValue.Stamps
			if len(st) != 2 || !st[0].Pending() || !strings.Contains(st[0].Error, f.says) || len(st[0].Request) == 0 || st[0].At.IsZero() {
				t.Fatalf("recorded: %q", st[0].Error)
			}
			if rep := tsa.CheckDigests(st[1], d, good.trust()); rep.State() != tsa.Passed {
				t.Errorf("the other authority: %+v", rep.Findings)
			}
			bad.spoil.Store(nil)
			e, changed, err := k.Complete(t.Context(), r.Entry)
			if err != nil || !changed || e.Pending {
				t.Fatalf("completing: pending %v, changed %v, %v", e.Pending, changed, err)
			}
			back, err := Read(t.Context(), k.Store, r.Package.Key)
			if err != nil {
				t.Fatal(err)
			}
			if rep := tsa.CheckDigests(back.SealValue.Stamps[0], d, bad.trust()); rep.State() != tsa.Passed {
				t.Errorf("completed: %+v", rep.Findings)
			}
			if err := errors.Join(seal.CheckSignature(back.SealValue, d.SHA256), seal.CheckEnvelope(back.SealValue)); err != nil {
				t.Error(err)
			}
			if got := objects(t, k.Store); len(got) != 3 {
				t.Errorf("store holds %v", got)
			}
		})
	}
}

// This machine's clock stands an hour back: the stamp is there and good, and
// whoever verifies it is told.
func TestClockAnHourBack(t *testing.T) {
	t.Parallel()
	b := newBureau(t, "Good")
	srv := httptest.NewServer(b)
	defer srv.Close()
	home, berth := spool(t)
	k, _ := open(t, home)
	late := func() time.Time { return time.Now().Add(-time.Hour) }
	remote := b.remote(srv.URL)
	remote.Now = late
	k.Press.Authorities, k.Press.Now, k.Now = []tsa.Authority{remote}, late, late
	r, err := k.Keep(t.Context(), berth)
	if err != nil || r.Entry.Pending {
		t.Fatalf("pending %v, %v", r.Entry.Pending, err)
	}
	d, err := tsa.DigestsOf(r.SealValue.Package)
	if err != nil {
		t.Fatal(err)
	}
	rep := tsa.CheckDigests(r.SealValue.Stamps[0], d, b.trust())
	told := ""
	for _, f := range rep.Findings {
		if f.State != tsa.Passed {
			told += f.Layer + " " + f.Code + ";"
		}
	}
	if told != "clock clock.skew;" {
		t.Errorf("told: %s", told)
	}
	if rep.Time.Sub(late()) < 50*time.Minute {
		t.Errorf("the token took this machine's time: %s", rep.Time)
	}
}

// Nobody listens, on an address that refuses: as every other failure.
func TestAuthorityAbsent(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + ln.Addr().String()
	ln.Close()
	home, berth := spool(t)
	k, _ := open(t, home)
	k.Press.Authorities = []tsa.Authority{newBureau(t, "Gone").remote(address)}
	r, err := k.Keep(t.Context(), berth)
	if err != nil || !r.Entry.Pending || !strings.Contains(r.SealValue.Stamps[0].Error, "refused") {
		t.Errorf("pending %v, %v: %+v", r.Entry.Pending, err, r.SealValue.Stamps)
	}
}
