package tsa

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"
)

// authority serves own over HTTP and stamps whatever it is asked for, with
// change applied to each token.
func (o own) authority(change func(*timestamp.Timestamp)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		out, err := o.answer(b, change)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", mediaReply)
		_, _ = w.Write(out)
	}
}

// Every way in which an authority may not be what was configured, each
// refused at once and recorded with what came back.
func TestArrivalRefusals(t *testing.T) {
	sum := sha256.Sum256([]byte("x"))
	other := sha256.Sum256([]byte("y"))
	expired := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	}
	loose := func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: oidExtKeyUsage, Critical: false, Value: ekuOf(&x509.Certificate{Extensions: c.ExtraExtensions})}}
	}
	stranger := newOwn(t, nil)
	for name, c := range map[string]struct {
		leaf  func(*x509.Certificate)
		token func(*timestamp.Timestamp)
		trust func(*Trust)
		says  string // "" is accepted
	}{
		"good":               {nil, nil, nil, ""},
		"nonce of another":   {nil, func(x *timestamp.Timestamp) { x.Nonce = big.NewInt(7) }, nil, "nonce.other"},
		"no nonce":           {nil, func(x *timestamp.Timestamp) { x.Nonce = nil }, nil, "nonce.missing"},
		"other imprint":      {nil, func(x *timestamp.Timestamp) { x.HashedMessage = other[:] }, nil, "imprint.other"},
		"other policy":       {nil, func(x *timestamp.Timestamp) { x.Policy = asn1.ObjectIdentifier{1, 2, 4} }, nil, "policy.other"},
		"other name":         {nil, nil, func(t *Trust) { t.Pins = []Pin{{Issuer: "Root", Name: "Leaf of others"}} }, "identity.other"},
		"other certificate":  {nil, nil, func(t *Trust) { t.Pins[0].CertificateSHA256 = strings.Repeat("0", 64) }, "identity.other"},
		"other root":         {nil, nil, func(t *Trust) { t.Roots = []*x509.Certificate{stranger.root} }, "chain.invalid"},
		"expired":            {expired, nil, nil, "outside of certificate validity"},
		"expired at genTime": {nil, func(x *timestamp.Timestamp) { x.Time = time.Now().Add(48 * time.Hour) }, nil, "chain.expired"},
		"purpose loose":      {loose, nil, nil, "signature.purpose"},
		"nothing configured": {nil, nil, func(t *Trust) { *t = Trust{} }, ""},
		"an hour ahead":      {nil, func(x *timestamp.Timestamp) { x.Time = time.Now().Add(30 * time.Minute) }, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOwn(t, c.leaf)
			srv := httptest.NewServer(o.authority(c.token))
			defer srv.Close()
			trust := Trust{Roots: []*x509.Certificate{o.root}, Pins: []Pin{{Issuer: "Root", Name: "Leaf"}}, MaxSkew: time.Minute}
			if c.trust != nil {
				c.trust(&trust)
			}
			s := Remote{URL: srv.URL, Now: time.Now, Policy: "1.2.3", Trust: trust}.Stamp(t.Context(), sum)
			switch {
			case c.says == "" && s.Pending():
				t.Errorf("refused: %s", s.Error)
			case c.says != "" && (!s.Pending() || !strings.Contains(s.Error, c.says)):
				t.Errorf("error %q, want %s", s.Error, c.says)
			}
			if len(s.Response) == 0 || len(s.Request) == 0 || s.At.IsZero() || s.Imprint == "" {
				t.Errorf("the attempt is not recorded: %+v", s)
			}
			if got := state(Check(s, sum, trust), LayerClock); name == "an hour ahead" && got != "cannot tell clock.skew" {
				t.Errorf("clocks apart: %s", got)
			}
		})
	}
}

// What a server may do that is no time stamp at all.
func TestNoAnswer(t *testing.T) {
	sum := sha256.Sum256([]byte("x"))
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := "http://" + closed.Addr().String()
	closed.Close()
	served := func(h http.HandlerFunc) string {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then the end of the client is noticed
			h(w, r)
		}))
		t.Cleanup(srv.Close)
		return srv.URL
	}
	for name, c := range map[string]struct{ url, says string }{
		"down": {down, "refused"},
		"slow": {served(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), "deadline"},
		"slow body": {served(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", mediaReply)
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}), "deadline"},
		"page of a portal": {served(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaReply)
			fmt.Fprint(w, "<!DOCTYPE html><title>sign in</title>")
		}), "token.unreadable"},
		"page": {served(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!DOCTYPE html>") }), "content type"},
		"without end": {served(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", mediaReply)
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}), "more than"},
		"huge header": {served(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 2*maxHeader))
		}), "header"},
		"other protocol": {"gopher://127.0.0.1", "unsupported protocol scheme"},
	} {
		t.Run(name, func(t *testing.T) {
			s := Remote{URL: c.url, Now: time.Now, Timeout: 300 * time.Millisecond}.Stamp(t.Context(), sum)
			if !s.Pending() || !strings.Contains(s.Error, c.says) {
				t.Errorf("error %q, want %q", s.Error, c.says)
			}
			if len(s.Request) == 0 || s.At.IsZero() {
				t.Errorf("the attempt is not recorded: %+v", s)
			}
		})
	}
}

// A proxy variable must not lead the request, or an internal address, to
// somebody else.
func TestNoProxy(t *testing.T) {
	proxied := false
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied = true }))
	defer proxy.Close()
	for _, v := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(v, proxy.URL)
	}
	s := Remote{URL: "http://tsa.invalid/", Now: time.Now, Timeout: 300 * time.Millisecond}.Stamp(t.Context(), sha256.Sum256(nil))
	if proxied || !s.Pending() {
		t.Errorf("asked through the proxy of the environment; %q", s.Error)
	}
	// Go reads the variables once for a process; what counts is the client.
	if tr, ok := direct(&net.Dialer{}).Transport.(*http.Transport); !ok || tr.Proxy != nil {
		t.Error("the client follows proxy variables")
	}
}

// Both attributes that name the signer's certificate, and each alone.
func TestSigningCertificateAttributes(t *testing.T) {
	o := newOwn(t, nil)
	sum := sha256.Sum256([]byte("x"))
	s := o.stamp(t, sum, nil)
	good, err := readToken(s.Response, nil)
	if err != nil {
		t.Fatal(err)
	}
	type names struct{ Certs []struct{ Hash []byte } }
	ess := func(oid asn1.ObjectIdentifier, hash []byte) pkcs7.Attribute {
		return pkcs7.Attribute{Type: oid, Value: names{[]struct{ Hash []byte }{{hash}}}}
	}
	one, two := sha1.Sum(o.leaf.Raw), sha256.Sum256(o.leaf.Raw)
	for name, c := range map[string]struct {
		attributes []pkcs7.Attribute
		says       string
	}{
		"new":            {[]pkcs7.Attribute{ess(oidSigningCertificateV2, two[:])}, "passed"},
		"old":            {[]pkcs7.Attribute{ess(oidSigningCertificate, one[:])}, "passed signature.old-ess"},
		"both":           {[]pkcs7.Attribute{ess(oidSigningCertificate, one[:]), ess(oidSigningCertificateV2, two[:])}, "passed"},
		"neither":        {nil, "failed signature.invalid"},
		"new is another": {[]pkcs7.Attribute{ess(oidSigningCertificate, one[:]), ess(oidSigningCertificateV2, sum[:])}, "failed signature.invalid"},
		"old is another": {[]pkcs7.Attribute{ess(oidSigningCertificate, sum[:20]), ess(oidSigningCertificateV2, two[:])}, "failed signature.invalid"},
		"new malformed":  {[]pkcs7.Attribute{ess(oidSigningCertificate, one[:]), {Type: oidSigningCertificateV2, Value: 7}}, "failed signature.invalid"},
		"old as SHA-256": {[]pkcs7.Attribute{ess(oidSigningCertificate, two[:])}, "failed signature.invalid"},
	} {
		sd, err := pkcs7.NewSignedData(good.content)
		if err != nil {
			t.Fatal(err)
		}
		sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
		sd.SetContentType(oidTSTInfo)
		sd.GetSignedData().ContentInfo.ContentType = oidTSTInfo
		if err := sd.AddSigner(o.leaf, o.key, pkcs7.SignerInfoConfig{ExtraSignedAttributes: c.attributes}); err != nil {
			t.Fatal(err)
		}
		raw, err := sd.Finish()
		if err != nil {
			t.Fatal(err)
		}
		again := s
		again.Response = granted(t, raw)
		if got := state(Check(again, sum, Trust{}), LayerSignature); got != c.says {
			t.Errorf("%s: %s, want %s; %+v", name, got, c.says, Check(again, sum, Trust{}).Findings)
		}
	}
}

// granted puts a token into a TimeStampResp.
func granted(t *testing.T, token []byte) []byte {
	t.Helper()
	b, err := asn1.Marshal(struct {
		Status struct{ Code int }
		Token  asn1.RawValue
	}{Token: asn1.RawValue{FullBytes: token}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Old authorities, as openssl plays them: the certificate named by SHA-1, and
// a signature over SHA-1.
func TestOldAuthorities(t *testing.T) {
	o := newOpenSSL(t, "20")
	conf, err := os.ReadFile(o.conf)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("x"))
	for name, c := range map[string]struct{ from, to, says string }{
		"named by SHA-1":  {"ess_cert_id_alg = sha256", "ess_cert_id_alg = sha1", "passed signature.old-ess"},
		"signed by SHA-1": {"signer_digest = sha256", "signer_digest = sha1", "failed signature.invalid"},
	} {
		write(t, o.dir, filepath.Base(o.conf), bytes.Replace(conf, []byte(c.from), []byte(c.to), 1))
		s, err := begin("test", SHA256, Digests{SHA256: sum}, "")
		if err != nil {
			t.Fatal(err)
		}
		if s.Response, err = o.reply(s.Request); err != nil {
			t.Fatal(err)
		}
		if got := state(Check(s, sum, Trust{Roots: []*x509.Certificate{o.root}}), LayerSignature); got != c.says {
			t.Errorf("%s: %s, want %s", name, got, c.says)
		}
	}
}

// Our own encoding of a request is the library's, and openssl's reading of it.
func TestRequestJudged(t *testing.T) {
	sum := sha256.Sum256([]byte("x"))
	s, err := begin("test", SHA256, Digests{SHA256: sum}, "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	req, err := timestamp.ParseRequest(s.Request)
	if err != nil {
		t.Fatal(err)
	}
	again, err := req.Marshal()
	if err != nil || !bytes.Equal(again, s.Request) {
		t.Errorf("the library writes\n%x\n%v, ours is\n%x", again, err, s.Request)
	}
	text := run(t, "ts", "-query", "-text", "-in", write(t, t.TempDir(), "q", s.Request))
	for _, want := range []string{"Hash Algorithm: sha256", "Policy OID: 1.2.3", "Certificate required: yes"} {
		if !strings.Contains(text, want) {
			t.Errorf("openssl does not read %q:\n%s", want, text)
		}
	}
}

func TestAskPractice(t *testing.T) {
	p, _ := practice(t)
	sum := sha256.Sum256([]byte("x"))
	if s := Ask(context.Background(), p, Digests{SHA256: sum}); s.Pending() || s.Imprint != fmt.Sprintf("%x", sum) {
		t.Errorf("%+v", s)
	}
}
