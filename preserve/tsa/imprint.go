package tsa

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"guzheng/preserve/internal/issue"
)

// An Imprint is a hash value and the function that it was made with.
type Imprint struct {
	Hash  Hash
	Value []byte
}

// An Imprinter is an authority that stamps imprints of any Hash; evidence
// records outlive SHA-256 by it. Remote and Practice are the two there are.
type Imprinter interface {
	Authority
	// StampImprint is Stamp over an imprint of any hash function.
	StampImprint(ctx context.Context, want Imprint) Stamp
}

var (
	_ Imprinter = Remote{}
	_ Imprinter = (*Practice)(nil)
)

// beginImprint starts a Stamp and its request.
func beginImprint(name string, want Imprint, policy string) (Stamp, error) {
	s := Stamp{TSA: name, Imprint: hex.EncodeToString(want.Value)}
	if !want.Hash.Known() || len(want.Value) != want.Hash.Size() {
		return s, fmt.Errorf("%d bytes are no value of hash function %q", len(want.Value), want.Hash)
	}
	der, err := newRequest(messageImprint{Hash: want.Value, Algorithm: pkix.AlgorithmIdentifier{Algorithm: want.Hash.OID()}}, policy)
	if err != nil {
		return s, err
	}
	s.Request = der
	return s, nil
}

// arrivedImprint is arrived for any hash function.
func (s Stamp) arrivedImprint(now time.Time, want Imprint) Stamp {
	s.At = now.UTC()
	token, err := Token(s)
	if err != nil {
		return s.fail(now, fmt.Errorf("answer refused: %w", err))
	}
	t, err := openToken(token)
	if err != nil {
		return s.fail(now, fmt.Errorf("answer refused: %w", err))
	}
	req, err := readImprintRequest(s.Request)
	if err != nil {
		return s.fail(now, err)
	}
	if t.info.Nonce == nil || t.info.Nonce.Cmp(req.Nonce) != 0 {
		return s.fail(now, errors.New("answer refused: request and token have different nonces"))
	}
	if len(req.Policy) > 0 && !req.Policy.Equal(t.info.Policy) {
		return s.fail(now, fmt.Errorf("answer refused: token was made under %s, asked for %s", t.info.Policy, req.Policy))
	}
	for _, f := range CheckToken(token, want, Trust{}, time.Time{}).Findings {
		if f.State == Failed {
			return s.fail(now, fmt.Errorf("answer refused: %s: %s", f.Code, f.Detail))
		}
	}
	return s
}

// readImprintRequest is readRequest for one that beginImprint made: any of
// the four hash functions, no extensions, and DER to the byte.
func readImprintRequest(der []byte) (request, error) {
	req, err := readRequest(der)
	if err != nil {
		return req, err
	}
	if again, err := asn1.Marshal(req); err != nil || !bytes.Equal(again, der) || len(req.Extensions) > 0 {
		return req, errors.New("reading time-stamp request: not DER, or with extensions")
	}
	m := req.Imprint
	if h := HashOf(m.Algorithm.Algorithm); h == "" || h.Size() != len(m.Hash) {
		return req, fmt.Errorf("reading time-stamp request: hash function %s with %d bytes", m.Algorithm.Algorithm, len(m.Hash))
	}
	return req, nil
}

// StampImprint implements Imprinter. SHA-256 goes the way of Stamp.
func (r Remote) StampImprint(ctx context.Context, want Imprint) Stamp {
	if want.Hash == SHA256 && len(want.Value) == want.Hash.Size() {
		return r.Stamp(ctx, [32]byte(want.Value))
	}
	s, err := beginImprint(r.Name(), want, r.Policy)
	if r.Now == nil {
		return s.fail(time.Time{}, errNoClock)
	}
	if err != nil {
		return s.fail(r.Now(), err)
	}
	if s.Response, err = r.exchange(ctx, s.Request); err != nil {
		return s.fail(r.Now(), err)
	}
	return s.arrivedImprint(r.Now(), want)
}

// StampImprint implements Imprinter. SHA-256 goes the way of Stamp.
func (p *Practice) StampImprint(ctx context.Context, want Imprint) Stamp {
	if want.Hash == SHA256 && len(want.Value) == want.Hash.Size() {
		return p.Stamp(ctx, [32]byte(want.Value))
	}
	s, err := beginImprint(PracticeName, want, PracticePolicy)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return s.fail(p.now(), err)
	}
	if s.Response, err = p.answerImprint(s.Request); err != nil {
		return s.fail(p.now(), err)
	}
	return s.arrivedImprint(p.now(), want)
}

func (p *Practice) answerImprint(query []byte) ([]byte, error) {
	req, err := readImprintRequest(query)
	if err != nil {
		return nil, err
	}
	now := p.now().UTC()
	if err := p.mayStamp(now); err != nil {
		return nil, err
	}
	policy, err := ParsePolicy(PracticePolicy)
	if err != nil {
		return nil, err
	}
	return issue.Response(issue.Token{Hash: req.Imprint.Algorithm.Algorithm, Imprint: req.Imprint.Hash, Policy: policy, Nonce: req.Nonce,
		Time: now, Certificates: []*x509.Certificate{p.leaf, p.root}, Key: p.key})
}
