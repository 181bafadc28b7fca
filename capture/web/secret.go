package web

import (
	"bufio"
	"fmt"
	"net/url"
	"os"
	"strings"

	"guzheng/capture"
)

// readSecret reads the credentials that the order names. They are held in
// memory only: neither order, journal, facts nor records have them.
func readSecret(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("reading credentials: %w: %w", capture.ErrOrder, err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Scan()
	if err := sc.Err(); err != nil {
		return "", fmt.Errorf("reading credentials %s: %w", name, err)
	}
	secret := strings.TrimRight(sc.Text(), "\r")
	if !strings.Contains(secret, ":") {
		return "", fmt.Errorf("reading credentials %s: first line is not user:password: %w", name, capture.ErrOrder)
	}
	return secret, nil
}

// secretFor returns the credentials when the origin that asks is the one of
// the order.
func (v *visit) secretFor(origin string) string {
	asks, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	ours, err := url.Parse(v.order.URL)
	if err != nil || asks.Scheme != ours.Scheme || hostKey(asks.Hostname()) != hostKey(ours.Hostname()) || portOf(asks) != portOf(ours) {
		return ""
	}
	return v.secret
}
