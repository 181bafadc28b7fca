package web

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/security"

	"guzheng/capture"
)

// refusedCertificate keeps the chain of a certificate that did not hold, and
// returns the reason: the browser's, or that of the guard where it shook hands
// itself. The attempt is evidence too.
func (v *visit) refusedCertificate(reason string) string {
	if why, ok := v.refusedByGuard(); ok {
		return why // the chain is the guard's to tell
	}
	last := v.lastDocument()
	t := capture.TLSHost{Host: hostOf(last), Error: reason, OwnConnection: true}
	state, _, err := v.shakeHands(last)
	if err == nil {
		t.Protocol, t.Cipher = tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite)
		chain := make([][]byte, 0, len(state.PeerCertificates))
		for _, c := range state.PeerCertificates {
			chain = append(chain, c.Raw)
		}
		t.Chain, err = v.saveChain(t.Host, chain)
	}
	if err != nil {
		t.Error += "; " + err.Error()
	}
	v.facts.TLS = append(v.facts.TLS, t)
	v.journal.Anomaly("certificate.invalid", "host", t.Host, "detail", reason, "certificates", len(t.Chain))
	return reason
}

// lastDocument is the address of the document asked for last.
func (v *visit) lastDocument() string {
	hops := v.recorder.mainHops()
	if len(hops) == 0 {
		return v.order.URL
	}
	return hops[len(hops)-1].sent.Request.URL
}

// shakeHands asks the server for its certificate on a connection of our own,
// to the address that the browser was led to, and requests nothing on it. The
// browser keeps no certificate that it refused. It also reports whether the
// server asked for a client certificate, and gives none.
func (v *visit) shakeHands(address string) (state tls.ConnectionState, asked bool, err error) {
	u, err := parseAddress(address)
	if err != nil {
		return state, asked, fmt.Errorf("reading address %q: %w", address, err)
	}
	port, err := strconv.ParseUint(portOf(u), 10, 16)
	if err != nil {
		return state, asked, fmt.Errorf("reading port of %q: %w", address, err)
	}
	t, _ := v.guard.connect(hostKey(u.Hostname()), uint16(port))
	if t == nil {
		return state, asked, fmt.Errorf("connecting to %s for its certificate: %s", u.Host, v.guard.trouble(dialKey(u)))
	}
	defer func() { t.server.Close(); t.end() }()
	ctx, cancel := context.WithTimeout(v.work, capture.MS(v.order.Limits.StepMS))
	defer cancel()
	// The certificate is not to be trusted but to be kept.
	c := tls.Client(t.server, &tls.Config{ServerName: u.Hostname(), InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, NextProtos: []string{"h2", "http/1.1"},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			return &tls.Certificate{}, nil
		}})
	if err := c.HandshakeContext(ctx); err != nil {
		return state, asked, fmt.Errorf("asking %s for its certificate: %w", u.Host, err)
	}
	return c.ConnectionState(), asked, nil
}

// navigateAnyway is the second, flagged try that an order may permit: the
// page is shown although nobody vouches for the server.
func (v *visit) navigateAnyway(ctx context.Context) (page.NavigateResult, error) {
	if _, err := cdp.Call(ctx, v.session, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true}); err != nil {
		return page.NavigateResult{}, fmt.Errorf("accepting the certificate: %w", err)
	}
	v.guard.mutual.accept()
	v.journal.Anomaly("certificate.accepted", "host", hostOf(v.lastDocument()))
	v.change(func(p *pageState) { p.loader, p.url, p.moves = "", "", 0 })
	return cdp.Call(ctx, v.session, page.Navigate, page.NavigateParams{URL: v.order.URL})
}

// saveCertificates keeps the chain that each https host sent on the
// connections of this visit.
func (v *visit) saveCertificates(ctx context.Context) {
	origins, details := v.recorder.tlsHosts()
	for _, origin := range origins {
		u, err := parseAddress(origin)
		if err != nil || v.guard.mutual.endsFor(u) {
			continue // the browser has the guard's there
		}
		t := capture.TLSHost{Host: u.Host, Protocol: details[origin].Protocol, Cipher: details[origin].Cipher}
		res, err := cdp.Call(ctx, v.session, network.GetCertificate, network.GetCertificateParams{Origin: origin})
		if err != nil {
			t.Error = err.Error()
		} else if t.Chain, err = v.saveEncoded(u.Host, res.TableNames); err != nil {
			t.Error = err.Error()
		}
		v.facts.TLS = append(v.facts.TLS, t)
	}
	if len(origins) > 0 {
		v.journal.Step("tls.saved", "hosts", len(origins))
	}
}

// saveEncoded keeps certificates that come in base64.
func (v *visit) saveEncoded(host string, chain []string) ([]capture.Certificate, error) {
	var raw [][]byte
	for i, text := range chain {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("decoding certificate %d of %s: %w", i, host, err)
		}
		raw = append(raw, der)
	}
	return v.saveChain(host, raw)
}

// saveChain keeps certificates and describes them. Those that are there
// already are not written twice.
func (v *visit) saveChain(host string, chain [][]byte) ([]capture.Certificate, error) {
	var out []capture.Certificate
	for i, der := range chain {
		sum := sha256.Sum256(der)
		c := capture.Certificate{SHA256: hex.EncodeToString(sum[:])}
		c.File = fmt.Sprintf("evidence/tls/%s-%d-%s.der", strings.Map(fileRune, host), i, c.SHA256[:8])
		if file, ok := v.certificates[c.SHA256]; ok {
			c.File = file
		} else if err := v.dir.Write(capture.FileCertificate, "application/pkix-cert", c.File, der); err != nil {
			return out, err
		}
		v.certificates[c.SHA256] = c.File
		if x, err := x509.ParseCertificate(der); err == nil {
			c.Subject, c.Issuer, c.Serial = x.Subject.String(), x.Issuer.String(), x.SerialNumber.Text(16)
			c.NotBefore, c.NotAfter = x.NotBefore.UTC(), x.NotAfter.UTC()
		}
		out = append(out, c)
	}
	return out, nil
}

// fileRune keeps what may stand in a file name.
func fileRune(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
		return r
	}
	return '_'
}
