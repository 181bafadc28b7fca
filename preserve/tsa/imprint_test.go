package tsa

import (
	"crypto/x509"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestStampImprint has openssl check practice stamps of every hash function.
func TestStampImprint(t *testing.T) {
	p, dir := practice(t)
	root := filepath.Join(dir, practiceRootFile)
	for _, h := range []Hash{SHA256, SHA384, SHA512, SM3} {
		want := Imprint{Hash: h, Value: h.Sum([]byte("text"))}
		s := p.StampImprint(t.Context(), want)
		if s.Pending() || s.TSA != PracticeName || s.Imprint != hex.EncodeToString(want.Value) {
			t.Fatalf("%s: %+v", h, s)
		}
		reply := write(t, t.TempDir(), "r", s.Response)
		run(t, "ts", "-verify", "-digest", s.Imprint, "-in", reply, "-CAfile", root)
		refused(t, "ts", "-verify", "-digest", hex.EncodeToString(h.Sum([]byte("other"))), "-in", reply, "-CAfile", root)
		query := write(t, t.TempDir(), "q", s.Request)
		run(t, "ts", "-verify", "-queryfile", query, "-in", reply, "-CAfile", root)

		token, err := Token(s)
		if err != nil {
			t.Fatal(err)
		}
		r := CheckToken(token, want, Trust{Roots: []*x509.Certificate{p.root}}, time.Now())
		if !r.Practice || r.State() != Unknown || state(r.Report, LayerChain) != "cannot tell chain.practice" || !r.Until.Equal(p.leaf.NotAfter) {
			t.Errorf("%s: %+v", h, r)
		}
		if r = CheckToken(token, Imprint{Hash: h, Value: h.Sum(nil)}, Trust{}, time.Time{}); state(r.Report, LayerImprint) != "failed imprint.other" {
			t.Errorf("%s, other imprint: %+v", h, r)
		}
		if r = CheckToken(token, Imprint{Hash: "md5", Value: want.Value}, Trust{}, time.Time{}); r.State() != Failed {
			t.Errorf("%s, other function: %+v", h, r)
		}
		r = CheckToken(token, want, Trust{}, p.leaf.NotAfter.Add(time.Hour))
		late := slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Code == "chain.expired_since" })
		if !late || r.State() != Unknown {
			t.Errorf("%s, later: %+v", h, r)
		}
		for i := 0; i < len(token); i += 23 {
			token[i] ^= 1
			if r := CheckToken(token, want, Trust{Roots: []*x509.Certificate{p.root}}, time.Now()); r.State() == Passed {
				t.Errorf("%s: byte %d", h, i)
			}
			token[i] ^= 1
		}
	}
	if s := p.StampImprint(t.Context(), Imprint{Hash: SM3, Value: []byte("short")}); !s.Pending() {
		t.Error("stamped what is no hash value")
	}
}

// TestRemoteImprint asks over HTTP, and is given other answers than those it
// asked for.
func TestRemoteImprint(t *testing.T) {
	p, _ := practice(t)
	var swap []byte
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		answer, err := p.answerImprint(b)
		if err != nil {
			t.Error(err)
		}
		if swap != nil {
			answer = swap
		}
		w.Header().Set("Content-Type", mediaReply)
		_, _ = w.Write(answer)
	}))
	defer srv.Close()
	a := Remote{URL: srv.URL, Now: time.Now}
	want := Imprint{Hash: SM3, Value: SM3.Sum([]byte("text"))}
	s := a.StampImprint(t.Context(), want)
	if s.Pending() {
		t.Fatalf("%+v", s)
	}
	other := p.StampImprint(t.Context(), Imprint{Hash: SM3, Value: SM3.Sum([]byte("other"))})
	for name, answer := range map[string][]byte{"an earlier answer": s.Response, "an answer about something else": other.Response, "no answer": []byte("<html>")} {
		swap = answer
		if s := a.StampImprint(t.Context(), want); !s.Pending() {
			t.Errorf("%s was taken", name)
		}
	}
	a.Policy = "1.2.3"
	swap = nil
	if s := a.StampImprint(t.Context(), want); !s.Pending() {
		t.Error("another policy was taken")
	}
}

// TestOpenSSLToken reads tokens of openssl: fractions of seconds, its own
// fields.
func TestOpenSSLToken(t *testing.T) {
	o := newOpenSSL(t, "30")
	srv := httptest.NewServer(o)
	defer srv.Close()
	s := Remote{URL: srv.URL, Now: time.Now}.StampImprint(t.Context(), Imprint{Hash: SHA512, Value: SHA512.Sum([]byte("text"))})
	if s.Pending() {
		t.Fatalf("%+v", s)
	}
	token, err := Token(s)
	if err != nil {
		t.Fatal(err)
	}
	r := CheckToken(token, Imprint{Hash: SHA512, Value: SHA512.Sum([]byte("text"))}, Trust{Roots: []*x509.Certificate{o.root}, Pins: []Pin{{Name: "Test TSA"}}}, time.Now())
	if r.State() != Passed {
		t.Errorf("%+v", r.Findings)
	}
	if late := CheckToken(token, r.Imprint, Trust{Roots: []*x509.Certificate{o.root}, Pins: []Pin{{Name: "Test TSA"}}}, time.Now().AddDate(1, 0, 0)); late.State() != Unknown || late.Findings[len(late.Findings)-2].Code != "chain.expired_since" {
		t.Errorf("%+v", late.Findings)
	}
}
