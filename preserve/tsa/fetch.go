package tsa

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"code.dny.dev/ssrf"
	"golang.org/x/crypto/ocsp"
)

// Limits of what is fetched for one stamp.
const (
	MaxMaterial         = 256 << 10 // bytes of one answer, and of all answers kept with a stamp
	DefaultFetchTimeout = 10 * time.Second
	maxAddresses        = 2               // tried of each kind that a certificate names
	maxIssuers          = 3               // certificates fetched to complete a chain
	freshFor            = 2 * time.Minute // an answer, or that there was none, serves the stamps of one capture, not of a day
	maxRemembered       = 64              // answers
)

// A Fetcher gets what authorities say of the certificates under a stamp: the
// missing ones of the chain, OCSP responses and, where there are none,
// revocation lists. It asks addresses from certificates that lead to the
// roots configured for the authority, and no others. Its methods may be
// called from several goroutines.
type Fetcher struct {
	Now     func() time.Time // this machine's clock, required
	Timeout time.Duration    // of everything for one stamp; 0: DefaultFetchTimeout
	Private bool             // addresses of private networks may be asked

	mu    sync.Mutex
	known map[string]Material // by kind, address and certificate
}

// Complete returns the stamp with the chain and the answers about it. What
// could not be had is in the answers with its reason. A stamp whose chain does
// not lead to a root of trust is returned as it is.
func (f *Fetcher) Complete(ctx context.Context, s Stamp, trust Trust) Stamp {
	if f == nil || f.Now == nil || s.Pending() || len(trust.Roots) == 0 {
		return s
	}
	t, err := readToken(s.Response, nil)
	if err != nil || t.signer == nil || t.sigErr != nil || !trust.expects(t.signer) {
		return s
	}
	timeout := f.Timeout
	if timeout <= 0 {
		timeout = DefaultFetchTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := f.client()
	defer client.CloseIdleConnections()
	chain, err := buildChain(t, trust.Roots)
	if err != nil {
		got := f.issuers(ctx, client, &t, trust)
		s.Revocation = append(s.Revocation, got...)
		if chain, err = buildChain(t, trust.Roots); err != nil {
			return s
		}
	}
	s.Chain = nil
	for _, c := range chain {
		s.Chain = append(s.Chain, c.Raw)
	}
	answers := make([][]Material, len(chain)-1)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = f.answers(ctx, client, chain[i], chain[i+1]) })
	}
	wg.Wait()
	s.Revocation = append(s.Revocation, slices.Concat(answers...)...)
	s.bound(MaxMaterial)
	return s
}

// bound leaves out answers beyond limit bytes together, so that a seal stays
// readable whatever an authority sends.
func (s *Stamp) bound(limit int) {
	for i, m := range s.Revocation {
		if limit -= len(m.Data); limit < 0 {
			limit += len(m.Data)
			s.Revocation[i].Data = nil
			s.Revocation[i].Error = fmt.Sprintf("left out: %d bytes", len(m.Data))
		}
	}
}

// client asks no proxy, follows no redirect and, unless it may, dials public
// addresses alone.
func (f *Fetcher) client() *http.Client {
	d := &net.Dialer{}
	if !f.Private {
		d.Control = ssrf.New(ssrf.WithAnyPort()).Safe
	}
	return direct(d)
}

// issuers completes the chain of a token that does not hold all of it, from
// the addresses in its certificates. Such a certificate is not known to be
// the authority's yet, and what it names would be anybody's address; so the
// signer has to be pinned by its fingerprint.
func (f *Fetcher) issuers(ctx context.Context, client *http.Client, t *token, trust Trust) []Material {
	if !slices.ContainsFunc(trust.Pins, func(p Pin) bool { return p.CertificateSHA256 != "" && p.names(t.signer) }) {
		return nil
	}
	var out []Material
	for c := t.signer; c != nil && len(out) < maxIssuers; {
		m, issuer := f.issuer(ctx, client, c)
		if m.URL == "" {
			break
		}
		out = append(out, m)
		if c = issuer; issuer != nil {
			t.certs = append(t.certs, issuer)
			if _, err := buildChain(*t, trust.Roots); err == nil {
				break
			}
		}
	}
	return out
}

// issuer fetches the certificate of who issued c.
func (f *Fetcher) issuer(ctx context.Context, client *http.Client, c *x509.Certificate) (Material, *x509.Certificate) {
	urls := addresses(c.IssuingCertificateURL)
	if len(urls) == 0 {
		return Material{}, nil
	}
	m := f.get(ctx, client, Material{Kind: KindIssuer, URL: urls[0], Certificate: about(c)}, nil)
	if m.Error != "" {
		return m, nil
	}
	issuer, err := ParseCertificate(m.Data)
	if err == nil {
		err = signed(c, issuer)
	}
	if err != nil {
		m.Data, m.Error = nil, "not the issuer's certificate: "+strings.ToValidUTF8(err.Error(), "?")
		return m, nil
	}
	return m, issuer
}

// answers asks about one certificate until one address gives an answer that
// holds: the responders first, then the lists.
func (f *Fetcher) answers(ctx context.Context, client *http.Client, c, issuer *x509.Certificate) []Material {
	var out []Material
	ask := func(kind string, urls []string, query []byte) bool {
		for _, u := range addresses(urls) {
			m := Material{Kind: kind, URL: u, Certificate: about(c)}
			known, ok := f.recall(m)
			if !ok {
				known = f.get(ctx, client, m, query)
				if known.Error == "" {
					if _, err := readStatus(known, c, issuer); err != nil {
						known.Data, known.Error = nil, strings.ToValidUTF8(err.Error(), "?")
					}
				}
				f.remember(known)
			}
			if out = append(out, known); known.Error == "" {
				return true
			}
		}
		return false
	}
	if !isSM2(issuer) {
		query, err := ocsp.CreateRequest(c, issuer, nil)
		if err == nil && ask(KindOCSP, c.OCSPServer, query) {
			return out
		}
	}
	ask(KindCRL, c.CRLDistributionPoints, nil)
	return out
}

// addresses returns those of a certificate's addresses that are asked.
func addresses(urls []string) []string {
	var out []string
	for _, u := range urls {
		p, err := url.Parse(u)
		if err == nil && (p.Scheme == "http" || p.Scheme == "https") && p.Host != "" && p.User == nil && len(out) < maxAddresses {
			out = append(out, u)
		}
	}
	return out
}

// get makes one exchange; with a query it is one of RFC 6960 appendix A.
func (f *Fetcher) get(ctx context.Context, client *http.Client, m Material, query []byte) Material {
	method := http.MethodGet
	if query != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, m.URL, bytes.NewReader(query))
	if err == nil {
		if query != nil {
			req.Header.Set("Content-Type", "application/ocsp-request")
			req.Header.Set("Accept", "application/ocsp-response")
		}
		m.Data, _, err = fetch(client, req, MaxMaterial)
	}
	m.At = f.Now().UTC()
	if err == nil && len(m.Data) == 0 {
		err = errors.New("the answer is empty")
	}
	if err != nil {
		m.Data, m.Error = nil, strings.ToValidUTF8(err.Error(), "?")
	}
	return m
}

func (m Material) key() string { return m.Kind + " " + m.URL + " " + m.Certificate }

func (f *Fetcher) recall(m Material) (Material, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known, ok := f.known[m.key()]
	return known, ok && f.Now().Sub(known.At).Abs() < freshFor
}

func (f *Fetcher) remember(m Material) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil || len(f.known) >= maxRemembered {
		f.known = map[string]Material{}
	}
	f.known[m.key()] = m
}
