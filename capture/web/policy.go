package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"syscall"

	"code.dny.dev/ssrf"

	"guzheng/capture"
)

// ErrRefused is wrapped when policy forbids to visit an address.
var ErrRefused = errors.New("address refused by policy")

// Permitted reports whether an order's address may be visited at all: with
// ErrRefused when every address of its host is private, link-local or
// reserved and the order does not allow that. A name that does not resolve
// is permitted; the visit will say that it does not.
func Permitted(ctx context.Context, order capture.Order, allow []string) error {
	u, err := url.Parse(order.URL)
	if err != nil {
		return fmt.Errorf("address %q: %w", order.URL, capture.ErrOrder)
	}
	host, port := hostKey(u.Hostname()), portOf(u)
	private := order.AllowPrivate || slices.Contains(allow, dialKey(u))
	var addrs []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{a}
	} else if addrs, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host); err != nil {
		return nil
	}
	n, _ := strconv.ParseUint(port, 10, 16)
	var last error
	for _, a := range addrs {
		if last = judge(a.Unmap(), uint16(n), private); last == nil {
			return nil
		}
	}
	if last != nil {
		return fmt.Errorf("visiting %s: %w: %w", host, ErrRefused, last)
	}
	return nil
}

var errPrivate = errors.New("address is private, link-local or reserved")

// judge says whether an address may be dialled. Link-local addresses, among
// them the metadata services of clouds, are refused in every case: no shop
// is served from there.
func judge(a netip.Addr, port uint16, private bool) error {
	a = a.Unmap()
	if to := inner(a); private && !metadata(to) && !to.IsLinkLocalUnicast() && !to.IsMulticast() && !to.IsUnspecified() {
		return nil
	}
	network := "tcp4"
	if a.Is6() {
		network = "tcp6"
	}
	if err := publicOnly(network, netip.AddrPortFrom(a, port).String(), nil); err != nil {
		return fmt.Errorf("%s: %w", a, errPrivate)
	}
	return nil
}

// inner returns the IPv4 address that an address of NAT64 (RFC 6052 section
// 2.1) or 6to4 (RFC 3056 section 2) leads to, or the address itself.
func inner(a netip.Addr) netip.Addr {
	b := a.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a):
		return netip.AddrFrom4([4]byte(b[12:]))
	case netip.MustParsePrefix("2002::/16").Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return a
}

// metadata reports whether a cloud hands out credentials at this address.
// Those that are link-local are refused as such.
func metadata(a netip.Addr) bool {
	switch a.String() {
	case "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254":
		return true
	}
	return false
}

// publicOnly refuses every special-purpose address of the IANA registries.
func publicOnly(network, address string, c syscall.RawConn) error {
	return ssrf.New(ssrf.WithAnyPort()).Safe(network, address, c)
}

// ownHost reports whether Chromium calls this host of its own accord. Such
// a call is no part of the visit unless the page asks for it.
func ownHost(host string) bool {
	for _, h := range []string{"update.googleapis.com", "accounts.google.com", "clients1.google.com",
		"clients2.google.com", "clients4.google.com", "clientservices.googleapis.com",
		"optimizationguide-pa.googleapis.com", "content-autofill.googleapis.com",
		"safebrowsing.googleapis.com", "safebrowsingohttpgateway.googleapis.com", "redirector.gvt1.com",
		"edgedl.me.gvt1.com", "android.clients.google.com", "mtalk.google.com", "www.google.com", "dl.google.com"} {
		if host == h {
			return true
		}
	}
	return false
}
