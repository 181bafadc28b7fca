package web

import (
	"crypto/tls"
	"slices"
	"strings"
	"time"

	"guzheng/capture"
)

// endTLS has the guard end TLS where the order wants it, and returns the
// switch that makes the browser believe it. A browser that was started with
// it serves no other capture.
func (v *visit) endTLS(b Browser) []string {
	m, c := v.guard.mutual, v.order.ClientCertificate
	if m == nil {
		return nil
	}
	m.roots, m.wire = b.roots, v.order.Wire
	v.journal.Step("client-certificate.ordered", "host", c.Host, "subject", short(c.Subject, 500), "sha256", c.SHA256)
	if now, x := v.now(), m.identity.Leaf; now.Before(x.NotBefore) || now.After(x.NotAfter) {
		v.journal.Anomaly("client-certificate.expired", "from", x.NotBefore.UTC().Format(time.RFC3339), "to", x.NotAfter.UTC().Format(time.RFC3339))
	}
	if names := rootVariables(); len(names) > 0 {
		v.journal.Anomaly("roots.environment", "names", strings.Join(names, ", "))
	}
	return []string{"ignore-certificate-errors-spki-list=" + m.browserKey()}
}

// refusedByGuard returns why the guard refused the certificate of the document
// that was asked for last, when it was the guard that did. What the browser
// says of that is of the certificate that the guard showed it instead.
func (v *visit) refusedByGuard() (reason string, ok bool) {
	u, err := parseAddress(v.lastDocument())
	if err != nil || !v.guard.mutual.endsFor(u) {
		return "", false
	}
	for _, h := range slices.Backward(v.guard.mutual.results()) {
		if h.refused != "" {
			v.noteRefused(h)
			return h.refused, true
		}
	}
	return "", false
}

// noteRefused tells once that the guard refused the server's chain: also where
// it was not for the page itself, whose browser tells of the guard's key only.
func (v *visit) noteRefused(h handshake) {
	if h.refused != "" && v.once("certificate.refused") {
		v.journal.Anomaly("certificate.refused", "host", v.guard.mutual.key, "detail", h.refused, "certificates", len(h.chain))
	}
}

// wantsCertificate reports whether the server of the document that was asked
// for last wants a client certificate, where the browser's error may come of
// that: it has none to give, and its word for that is of sockets.
func (v *visit) wantsCertificate(reason string) bool {
	last := v.lastDocument()
	u, err := parseAddress(last)
	if err != nil || u.Scheme != "https" || v.guard.mutual.endsFor(u) ||
		!strings.Contains(reason, "ERR_SOCKET_NOT_CONNECTED") && !strings.Contains(reason, "CLIENT_AUTH") {
		return false
	}
	_, asked, _ := v.shakeHands(last) // an end after the question is an answer too
	if asked {
		v.journal.Anomaly("client-certificate.asked", "host", u.Host)
	}
	return asked
}

// gatherMutual tells of the host whose TLS the guard ended.
func (v *visit) gatherMutual() {
	m := v.guard.mutual
	if m == nil {
		return
	}
	connections, asked, presented := 0, 0, 0
	for _, h := range m.results() {
		t := capture.TLSHost{Host: v.order.ClientCertificate.Host, Protocol: tls.VersionName(h.version), Cipher: tls.CipherSuiteName(h.cipher),
			Error: h.refused, OwnConnection: h.refused != "", Guard: &h.tls}
		v.noteRefused(h)
		t.Guard.Certificate = v.order.ClientCertificate.SHA256
		var err error
		if t.Chain, err = v.saveChain(t.Host, h.chain); err != nil {
			t.Error = strings.TrimPrefix(t.Error+"; "+err.Error(), "; ")
		}
		connections, asked, presented = connections+h.tls.Connections, asked+h.tls.Asked, presented+h.tls.Presented
		v.facts.TLS = append(v.facts.TLS, t)
	}
	if connections > 0 {
		v.journal.Anomaly("tls.ended", "host", m.key, "connections", connections, "asked", asked, "presented", presented, "unlisted", m.more)
	}
	if presented == 0 {
		v.journal.Anomaly("client-certificate.unused", "host", m.key)
	}
}
