package verify_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

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
	third *authority
	log   *smallLog
	trust verify.Trust
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{key: wacztest.NewKey(t, 1), third: newAuthority(t, nil), log: newSmallLog(t)}
	id, _ := h.key.Identity()
	h.trust = verify.Trust{Signers: []string{id}, Logs: []string{h.log.verifier},
		TSA: tsa.Trust{Roots: []*x509.Certificate{newRoot(t)}, Pins: []tsa.Pin{{Policy: "1.2.3", Name: "Test TSA"}}}}
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

func hexOf(b []byte) string { return hex.EncodeToString(b) }
