package tsa

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sm "github.com/emmansun/gmsm/pkcs7"
	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/smx509"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// national is a practice authority of the national algorithms: SM2 keys, SM3
// everywhere. Debian's openssl refuses to be one.
type national struct {
	key, rootKey *sm2.PrivateKey
	leaf, root   *x509.Certificate
}

func newNational(t *testing.T, change func(*x509.Certificate)) national {
	t.Helper()
	n := national{}
	var err error
	if n.rootKey, err = sm2.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	if n.key, err = sm2.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	eku, _ := asn1.Marshal([]asn1.ObjectIdentifier{oidTimeStamping})
	root := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: "SM Root"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SignatureAlgorithm: smx509.SM2WithSM3}
	leaf := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: "SM TSA"}, NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, SignatureAlgorithm: smx509.SM2WithSM3,
		ExtraExtensions: []pkix.Extension{{Id: oidExtKeyUsage, Critical: true, Value: eku}}}
	if change != nil {
		change(leaf)
	}
	sign := func(c, parent *x509.Certificate, pub any) *x509.Certificate {
		der, err := smx509.CreateCertificate(rand.Reader, c, parent, pub, n.rootKey)
		if err != nil {
			t.Fatal(err)
		}
		out, err := ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	n.root = sign(root, root, n.rootKey.Public())
	n.leaf = sign(leaf, n.root, n.key.Public())
	return n
}

// answer makes a TimeStampResp with an SM2 signature.
func (n national) answer(query []byte, change func(*info)) ([]byte, error) {
	req, err := readRequest(query)
	if err != nil {
		return nil, err
	}
	i := info{Version: 1, Policy: asn1.ObjectIdentifier{1, 2, 3}, Imprint: req.Imprint, Serial: serial(), Time: time.Now().UTC().Truncate(time.Second), Nonce: req.Nonce}
	if change != nil {
		change(&i)
	}
	content, err := asn1.Marshal(i)
	if err != nil {
		return nil, err
	}
	sd, err := sm.NewSignedData(content)
	if err != nil {
		return nil, err
	}
	sd.SetDigestAlgorithm(sm.OIDDigestAlgorithmSM3)
	sd.GetSignedData().ContentInfo.ContentType = oidTSTInfo
	h := sm3.Sum(n.leaf.Raw)
	ess := struct{ Certs []essCertID }{[]essCertID{{Algorithm: essAlgorithm{Algorithm: oidSM3}, Hash: h[:]}}}
	chain := []*smx509.Certificate{(*smx509.Certificate)(n.root)}
	if err := sd.AddSignerChain((*smx509.Certificate)(n.leaf), n.key, chain, sm.SignerInfoConfig{ExtraSignedAttributes: []sm.Attribute{{Type: oidSigningCertificateV2, Value: ess}}}); err != nil {
		return nil, err
	}
	raw, err := sd.Finish()
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(struct {
		Status struct{ Code int }
		Token  asn1.RawValue
	}{Token: asn1.RawValue{FullBytes: raw}})
}

func (n national) serve(t *testing.T, change func(*info)) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		out, err := n.answer(b, change)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", mediaReply)
		_, _ = w.Write(out)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func digests(text string) Digests {
	return Digests{SHA256: [32]byte{1}, SM3: sm3.Sum([]byte(text))}
}

func TestNational(t *testing.T) {
	d, other := digests("x"), sm3.Sum([]byte("y"))
	for name, c := range map[string]struct {
		leaf  func(*x509.Certificate)
		token func(*info)
		says  string
	}{
		"good":          {nil, nil, ""},
		"other imprint": {nil, func(i *info) { i.Imprint.Hash = other[:] }, "imprint.other"},
		"other nonce":   {nil, func(i *info) { i.Nonce = big.NewInt(7) }, "nonce.other"},
		"other policy":  {nil, func(i *info) { i.Policy = asn1.ObjectIdentifier{1, 2, 4} }, "policy.other"},
		"SHA-256":       {nil, func(i *info) { i.Imprint.Algorithm.Algorithm, i.Imprint.Hash = oidSHA256, d.SHA256[:] }, "imprint.record"},
		"expired":       {nil, func(i *info) { i.Time = time.Now().Add(48 * time.Hour) }, "chain.expired"},
		"other name":    {func(c *x509.Certificate) { c.Subject.CommonName = "Other" }, nil, "identity.other"},
		"purpose": {func(c *x509.Certificate) {
			c.ExtraExtensions = nil
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}
		}, nil, "signature.purpose"},
		"unknown critical extension": {nil, func(i *info) {
			i.Extensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 9}, Critical: true, Value: []byte{5, 0}}}
		}, "token.unreadable"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNational(t, c.leaf)
			trust := Trust{Roots: []*x509.Certificate{n.root}, Pins: []Pin{{Issuer: "SM Root", Name: "SM TSA"}}}
			s := Ask(t.Context(), Remote{URL: n.serve(t, c.token), Hash: SM3, Policy: "1.2.3", Now: time.Now, Trust: trust}, d)
			if (s.Error == "") != (c.says == "") || !strings.Contains(s.Error, c.says) {
				t.Fatalf("error %q, want %q", s.Error, c.says)
			}
			if c.says != "" {
				return
			}
			if r := CheckDigests(s, d, trust); r.State() != Passed || r.Hash != SM3 {
				t.Errorf("%s\n%+v", summary(r), r.Findings)
			}
			if r := CheckDigests(s, Digests{SHA256: d.SHA256, SM3: other}, trust); state(r, LayerImprint) != "failed imprint.other" {
				t.Errorf("about other data: %s", summary(r))
			}
			if r := Check(s, d.SHA256, trust); state(r, LayerImprint) != "cannot tell imprint.unknown" {
				t.Errorf("SM3 not known: %s", summary(r))
			}
			flipped := s
			flipped.Response = bytes.Clone(s.Response)
			flipped.Response[len(flipped.Response)-3] ^= 1 // in the signature
			if r := CheckDigests(flipped, d, trust); state(r, LayerSignature) != "failed signature.invalid" {
				t.Errorf("flipped: %s", summary(r))
			}
			stranger := newNational(t, nil)
			if r := CheckDigests(s, d, Trust{Roots: []*x509.Certificate{stranger.root}}); state(r, LayerChain) != "failed chain.invalid" {
				t.Errorf("other root: %s", summary(r))
			}
		})
	}
	if s := (Remote{URL: "http://127.0.0.1:1", Hash: SM3, Now: time.Now}).Stamp(context.Background(), d.SHA256); !strings.Contains(s.Error, ErrNoSM3.Error()) {
		t.Errorf("asked without an SM3 value: %q", s.Error)
	}
}

// openssl, which has no part in making it, checks imprint and SM2 signature.
func TestNationalJudged(t *testing.T) {
	n := newNational(t, nil)
	s := Remote{URL: n.serve(t, nil), Hash: SM3, Now: time.Now}.StampDigests(t.Context(), digests("x"))
	if s.Pending() {
		t.Fatal(s.Error)
	}
	dir := t.TempDir()
	sum := run(t, "dgst", "-sm3", "-r", write(t, dir, "data", []byte("x")))
	if s.Imprint != "sm3:"+sum[:64] {
		t.Errorf("imprint %s, openssl says %s", s.Imprint, sum)
	}
	text := run(t, "ts", "-reply", "-text", "-in", write(t, dir, "reply", s.Response))
	if !strings.Contains(text, "Hash Algorithm: sm3") {
		t.Errorf("openssl reads\n%s", text)
	}
	attributes, signature := signedAttributes(t, s.Response)
	spki, err := smx509.MarshalPKIXPublicKey(n.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	pub := write(t, dir, "pub.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
	a, sig := write(t, dir, "attributes", attributes), write(t, dir, "sig", signature)
	run(t, "dgst", "-sm3", "-verify", pub, "-sigopt", "distid:1234567812345678", "-signature", sig, a)
	refused(t, "dgst", "-sm3", "-verify", pub, "-sigopt", "distid:1234567812345678", "-signature", sig, write(t, dir, "other", append(attributes, 0)))
}

// signedAttributes takes what an answer's one signer signed, in the form of
// RFC 5652 section 5.4, and the signature out of the DER.
func signedAttributes(t *testing.T, response []byte) (attributes, signature []byte) {
	t.Helper()
	raw, err := splitResponse(response)
	if err != nil {
		t.Fatal(err)
	}
	in := cryptobyte.String(raw)
	var info, content, sd, infos, signer, attrs, sig cryptobyte.String
	ctx0 := cbasn1.Tag(0).ContextSpecific().Constructed()
	ok := in.ReadASN1(&info, cbasn1.SEQUENCE) && info.SkipASN1(cbasn1.OBJECT_IDENTIFIER) && info.ReadASN1(&content, ctx0) &&
		content.ReadASN1(&sd, cbasn1.SEQUENCE) && sd.SkipASN1(cbasn1.INTEGER) && sd.SkipASN1(cbasn1.SET) && sd.SkipASN1(cbasn1.SEQUENCE) &&
		sd.SkipOptionalASN1(ctx0) && sd.SkipOptionalASN1(cbasn1.Tag(1).ContextSpecific().Constructed()) && sd.ReadASN1(&infos, cbasn1.SET) &&
		infos.ReadASN1(&signer, cbasn1.SEQUENCE) && signer.SkipASN1(cbasn1.INTEGER) && signer.SkipASN1(cbasn1.SEQUENCE) && signer.SkipASN1(cbasn1.SEQUENCE) &&
		signer.ReadASN1Element(&attrs, ctx0) && signer.SkipASN1(cbasn1.SEQUENCE) && signer.ReadASN1(&sig, cbasn1.OCTET_STRING)
	if !ok {
		t.Fatal("not a SignedData with one signer")
	}
	attributes = bytes.Clone(attrs)
	attributes[0] = 0x31
	return attributes, sig
}

// An authority of openssl's with an SM3 imprint under an RSA signature: our
// request is read by it, its token by us and by its own verifier.
func TestSM3WithOpenSSL(t *testing.T) {
	o := newOpenSSL(t, "20")
	conf, err := os.ReadFile(o.conf)
	if err != nil {
		t.Fatal(err)
	}
	write(t, o.dir, filepath.Base(o.conf), bytes.Replace(conf, []byte("digests = sha1,"), []byte("digests = sm3,"), 1))
	srv := httptest.NewServer(o)
	defer srv.Close()
	d := digests("x")
	trust := Trust{Roots: []*x509.Certificate{o.root}, Pins: []Pin{{Name: "Test TSA"}}}
	s := Ask(t.Context(), Remote{URL: srv.URL, Hash: SM3, Now: time.Now, Trust: trust}, d)
	if s.Pending() {
		t.Fatal(s.Error)
	}
	if r := CheckDigests(s, d, trust); r.State() != Passed {
		t.Errorf("%s\n%+v", summary(r), r.Findings)
	}
	dir := t.TempDir()
	q, r, ca := write(t, dir, "q", s.Request), write(t, dir, "r", s.Response), filepath.Join(o.dir, "root.pem")
	run(t, "ts", "-verify", "-queryfile", q, "-in", r, "-CAfile", ca)
	run(t, "ts", "-verify", "-data", write(t, dir, "data", []byte("x")), "-in", r, "-CAfile", ca)
	refused(t, "ts", "-verify", "-data", write(t, dir, "other", []byte("y")), "-in", r, "-CAfile", ca)
}

// A list signed with SM2 tells of a certificate with an SM2 key.
func TestNationalRevoked(t *testing.T) {
	n := newNational(t, nil)
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour), SignatureAlgorithm: smx509.SM2WithSM3,
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: n.leaf.SerialNumber, RevocationTime: time.Now().Add(-time.Hour), ReasonCode: 4}}}
	der, err := smx509.CreateRevocationList(rand.Reader, list, (*smx509.Certificate)(n.root), n.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := readStatus(Material{Kind: KindCRL, Data: der}, n.leaf, n.root); err != nil || !s.revoked {
		t.Errorf("%+v, %v", s, err)
	}
	other := newNational(t, nil)
	if _, err := readStatus(Material{Kind: KindCRL, Data: der}, n.leaf, other.root); err == nil {
		t.Error("list of another accepted")
	}
}

func FuzzNational(f *testing.F) {
	t := &testing.T{}
	n := newNational(t, nil)
	d := digests("x")
	s, err := begin("test", SM3, d, "")
	if err != nil {
		f.Fatal(err)
	}
	good, err := n.answer(s.Request, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, n.leaf.Raw)
	f.Add(good[:40], good)
	stranger := newNational(t, nil)
	f.Fuzz(func(t *testing.T, response, cert []byte) {
		r := CheckDigests(Stamp{Imprint: s.Imprint, Request: s.Request, Response: response, Chain: [][]byte{cert}}, d, Trust{Roots: []*x509.Certificate{stranger.root}, Pins: []Pin{{Name: "SM TSA"}}})
		if r.State() == Passed {
			t.Error("a stranger passed")
		}
	})
}
