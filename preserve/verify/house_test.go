package verify_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/digitorus/timestamp"
	"golang.org/x/mod/sumdb/note"
	modtlog "golang.org/x/mod/sumdb/tlog"

	"guzheng/preserve/seal"
	"guzheng/preserve/tlog"
	"guzheng/preserve/tsa"
	"guzheng/preserve/verify"
	"guzheng/preserve/wacz"
	"guzheng/preserve/wacz/wacztest"
)

// A house has everything that makes a sealed package, and the trust of a
// reader who knows it.
type house struct {
	key   wacztest.Key
	third *third
	log   *smallLog
	trust verify.Trust
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{key: wacztest.NewKey(t, 1), third: newThird(t), log: newSmallLog(t)}
	id, _ := h.key.Identity()
	h.trust = verify.Trust{Signers: []string{id}, Logs: []string{h.log.verifier},
		TSA: tsa.Trust{Roots: []*x509.Certificate{h.third.root}, Pins: []tsa.Pin{{Policy: "1.2.3", Name: "Test TSA"}}}}
	return h
}

// build packages and seals the sample; it returns the path of the package.
func (h *house) build(t testing.TB, warc []byte, authorities ...tsa.Authority) string {
	t.Helper()
	if authorities == nil {
		authorities = []tsa.Authority{h.third}
	}
	dir := t.TempDir()
	take := wacztest.Take(t, filepath.Join(dir, "take"), warc)
	in := wacztest.Input(t, filepath.Join(dir, "take"), take, func(root [32]byte) []byte {
		b, err := json.Marshal(seal.Stamps(t.Context(), authorities, root))
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
	out := filepath.Join(dir, wacztest.ID+".wacz")
	if _, err := wacz.Write(t.Context(), out, in); err != nil {
		t.Fatal(err)
	}
	h.seal(t, out, authorities...)
	return out
}

// seal seals the package in the file out, beside it.
func (h *house) seal(t testing.TB, out string, authorities ...tsa.Authority) {
	t.Helper()
	press := seal.Press{Key: h.key, Authorities: authorities, Log: h.log, Now: wacztest.Now}
	event, err := press.Event(t.Context(), digestOf(t, out))
	if err != nil {
		t.Fatal(err)
	}
	s, err := press.Seal(t.Context(), wacztest.ID, out, event)
	if err != nil {
		t.Fatal(err)
	}
	b, err := seal.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sealOf(out), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func sealOf(pkg string) string { return pkg[:len(pkg)-len(".wacz")] + ".seal.json" }

// third is a time-stamp authority that is not this machine's own.
type third struct {
	key        *ecdsa.PrivateKey
	leaf, root *x509.Certificate
}

func newThird(t testing.TB) *third {
	t.Helper()
	rootKey, key := p256(t, 11), p256(t, 12)
	purpose, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Root"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: wacztest.Time.AddDate(-1, 0, 0), NotAfter: wacztest.Time.AddDate(9, 0, 0)}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Test TSA"}, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: purpose}}}
	issue := func(c, parent *x509.Certificate, pub any) *x509.Certificate {
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
	r := issue(root, root, rootKey.Public())
	return &third{key: key, leaf: issue(leaf, r, key.Public()), root: r}
}

func p256(t testing.TB, n byte) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), append(make([]byte, 31), n))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (a *third) Name() string { return "https://tsa.example/" }

func (a *third) Stamp(_ context.Context, sum [32]byte) tsa.Stamp {
	s := tsa.Stamp{TSA: a.Name(), At: wacztest.Time, Imprint: hex.EncodeToString(sum[:])}
	policy := asn1.ObjectIdentifier{1, 2, 3}
	req := timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: sum[:], Certificates: true, TSAPolicyOID: policy, Nonce: big.NewInt(0x4711)}
	var err error
	if s.Request, err = req.Marshal(); err != nil {
		s.Error = err.Error()
		return s
	}
	ts := timestamp.Timestamp{HashAlgorithm: crypto.SHA256, HashedMessage: sum[:], Time: wacztest.Time, Policy: policy, Nonce: req.Nonce,
		AddTSACertificate: true, Certificates: []*x509.Certificate{a.root}}
	if s.Response, err = ts.CreateResponseWithOpts(a.leaf, a.key, crypto.SHA256); err != nil {
		s.Error = err.Error()
	}
	return s
}

// silent is an authority that does not answer.
type silent struct{}

func (silent) Name() string { return "https://silent.example/" }

func (silent) Stamp(_ context.Context, sum [32]byte) tsa.Stamp {
	return tsa.Stamp{TSA: "https://silent.example/", At: wacztest.Time, Imprint: hex.EncodeToString(sum[:]), Error: "status 503"}
}

// smallLog is a log in memory with three other events in it.
type smallLog struct {
	signer   note.Signer
	verifier string
	leaves   [][]byte
	down     bool
}

func newSmallLog(t testing.TB) *smallLog {
	t.Helper()
	// The reader is the key's seed: always the same key.
	secret, verifier, err := note.GenerateKey(zeros{}, "log.example/test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	return &smallLog{signer: signer, verifier: verifier, leaves: [][]byte{[]byte(`{"n":0}`), []byte(`{"n":1}`), []byte(`{"n":2}`)}}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func (l *smallLog) Size(context.Context) (uint64, error) { return uint64(len(l.leaves)), nil }

func (l *smallLog) Append(_ context.Context, leaf []byte, _ uint64) (tlog.Entry, error) {
	e := tlog.Entry{Origin: "log.example/test", Verifier: l.verifier, Index: int64(len(l.leaves)), Leaf: leaf}
	if l.down {
		return e, errors.New("log is down")
	}
	l.leaves = append(l.leaves, leaf)
	var stored []modtlog.Hash
	read := modtlog.HashReaderFunc(func(at []int64) ([]modtlog.Hash, error) {
		out := make([]modtlog.Hash, len(at))
		for i, n := range at {
			out[i] = stored[n]
		}
		return out, nil
	})
	for i, b := range l.leaves {
		hs, err := modtlog.StoredHashes(int64(i), b, read)
		if err != nil {
			return e, err
		}
		stored = append(stored, hs...)
	}
	size := int64(len(l.leaves))
	root, err := modtlog.TreeHash(size, read)
	if err != nil {
		return e, err
	}
	proof, err := modtlog.ProveRecord(size, e.Index, read)
	if err != nil {
		return e, err
	}
	for _, h := range proof {
		e.Proof = append(e.Proof, h[:])
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", e.Origin, size, base64.StdEncoding.EncodeToString(root[:]))
	msg, err := note.Sign(&note.Note{Text: text}, l.signer)
	e.Checkpoint = string(msg)
	return e, err
}

func pemOf(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
