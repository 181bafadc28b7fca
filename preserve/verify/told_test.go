package verify_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"guzheng/preserve/key"
	"guzheng/preserve/seal"
	"guzheng/preserve/tsa"
	"guzheng/preserve/verify"
	"guzheng/preserve/wacz/wacztest"
)

// telling is an authority with whose stamps an answer about its certificate
// is kept.
type telling struct {
	*authority
	t      *testing.T
	answer ocsp.Response
}

func (a telling) Stamp(ctx context.Context, sum [32]byte) tsa.Stamp {
	s := a.authority.Stamp(ctx, sum)
	r, root := a.answer, newRoot(a.t)
	r.SerialNumber, r.ThisUpdate, r.NextUpdate = a.leaf.SerialNumber, wacztest.Time, wacztest.Time.Add(time.Hour)
	b, err := ocsp.CreateResponse(root, root, r, p256(a.t, 11))
	if err != nil {
		a.t.Fatal(err)
	}
	sum = sha256.Sum256(a.leaf.Raw)
	s.Chain = [][]byte{a.leaf.Raw, root.Raw}
	s.Revocation = []tsa.Material{{Kind: tsa.KindOCSP, URL: "http://ocsp.example/", At: wacztest.Time, Certificate: hex.EncodeToString(sum[:]), Data: b}}
	return s
}

// noted returns the codes of stamp checks, whatever their outcome.
func noted(v verify.Verdict) string {
	var out []string
	for _, c := range v.Checks {
		if strings.HasPrefix(c.Name, "stamp.") && (c.Code != "" || c.Name == "stamp.revocation") {
			out = append(out, strings.TrimSpace(c.Name+" "+string(c.Outcome)+" "+c.Code))
		}
	}
	return strings.Join(out, "; ")
}

func TestRevocation(t *testing.T) {
	h := newHouse(t)
	before, after := wacztest.Time.Add(-time.Hour), wacztest.Time.Add(time.Minute)
	for name, c := range map[string]struct {
		authority tsa.Authority
		require   bool
		outcome   verify.Outcome
		noted     string
	}{
		"nothing kept":    {h.third, false, verify.Passed, "stamp.chain passed revocation.absent"},
		"wanted, nothing": {h.third, true, verify.Unknown, "stamp.revocation cannot tell revocation.absent"},
		"good":            {telling{h.third, t, ocsp.Response{Status: ocsp.Good}}, true, verify.Passed, "stamp.revocation passed"},
		"revoked before":  {telling{h.third, t, ocsp.Response{Status: ocsp.Revoked, RevokedAt: before}}, false, verify.Failed, "stamp.revocation failed revocation.before"},
		"revoked later":   {telling{h.third, t, ocsp.Response{Status: ocsp.Revoked, RevokedAt: after, RevocationReason: ocsp.Superseded}}, true, verify.Passed, "stamp.revocation passed revocation.later"},
		"stolen later":    {telling{h.third, t, ocsp.Response{Status: ocsp.Revoked, RevokedAt: after, RevocationReason: ocsp.KeyCompromise}}, false, verify.Unknown, "stamp.revocation cannot tell revocation.compromised"},
	} {
		trust := h.trust
		trust.TSA.Revocation = c.require
		v := verdict(t, h.build(t, wacztest.WARC(t), c.authority), verify.Options{Trust: trust})
		if v.Outcome() != c.outcome || noted(v) != c.noted {
			t.Errorf("%s: %s, %s\n%s", name, v.Outcome(), noted(v), told(v))
		}
	}
}

// A seal with an SM2 signature: known, unknown and of another package.
func TestSM2(t *testing.T) {
	h := newHouse(t)
	k, err := key.OpenSM2(filepath.Join(t.TempDir(), "sm2.pem"), nil)
	if err != nil {
		t.Fatal(err)
	}
	pkg := h.build(t, wacztest.WARC(t))
	press := seal.Press{Key: h.key, SM2: k, Authorities: []tsa.Authority{h.third}, Log: h.log, Now: wacztest.Now}
	event, err := press.Event(t.Context(), digestOf(t, pkg))
	if err != nil {
		t.Fatal(err)
	}
	s, err := press.Seal(t.Context(), wacztest.ID, pkg, event)
	if err != nil {
		t.Fatal(err)
	}
	both := h.trust
	both.Signers = append([]string{k.ID}, h.trust.Signers...)
	for name, c := range map[string]struct {
		trust   verify.Trust
		message string
		told    string
	}{
		"both keys known": {both, "", ""},
		"one key known":   {h.trust, "", "seal.sm2-signer cannot tell: signer.unpinned\n"},
		"another package": {both, "sm3:" + strings.Repeat("0", 64), "seal.sm2 failed: signature.invalid\nseal.sm2-signer cannot tell: signature.invalid\n"},
	} {
		again := s
		if c.message != "" {
			sig := *s.SM2
			if sig.Value, err = k.SignMessage([]byte(c.message)); err != nil {
				t.Fatal(err)
			}
			again.SM2 = &sig
			if again, err = seal.Enclose(again, h.key); err != nil {
				t.Fatal(err)
			}
		}
		b, err := seal.Encode(again)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(sealOf(pkg), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if v := verdict(t, pkg, verify.Options{Trust: c.trust}); told(v) != c.told {
			t.Errorf("%s:\n%s", name, told(v))
		}
	}
}
