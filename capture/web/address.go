package web

import (
	"net"
	"net/url"
	"strings"
)

// parseAddress reads an address that the browser asked for. Browsers send
// percent signs that are no escapes as they are (URL Standard, percent-decode);
// they are escaped here so that host and port can be read.
func parseAddress(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err == nil {
		return u, nil
	}
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return nil, err
	}
	authority, _, _ := strings.Cut(rest, "/")
	if i := strings.IndexAny(authority, "?#"); i >= 0 {
		authority = authority[:i]
	}
	return url.Parse(scheme + "://" + authority + "/")
}

// hostKey is the one spelling of a host in every table.
func hostKey(host string) string {
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// dialKey is the one spelling of the host and port that an address leads to.
func dialKey(u *url.URL) string { return net.JoinHostPort(hostKey(u.Hostname()), portOf(u)) }

// keyOf is the dialKey of an address; of what is no address, all of it.
func keyOf(address string) string {
	u, err := parseAddress(address)
	if err != nil {
		return address
	}
	return dialKey(u)
}

// portOf returns the port of an address, also where it is understood.
func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" || u.Scheme == "wss" {
		return "443"
	}
	return "80"
}

// hostOf returns host and, where it is written, port of an address as they
// stand there; of what is no address, all of it.
func hostOf(address string) string {
	u, err := parseAddress(address)
	if err != nil {
		return address
	}
	return u.Host
}

// withoutPort returns the host of host:port, or of a host alone.
func withoutPort(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}
