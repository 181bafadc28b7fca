package web

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// Replies of RFC 1928 section 6 that the guard gives.
const (
	socksOK          = 0x00
	socksFailure     = 0x01
	socksNotAllowed  = 0x02
	socksUnreachable = 0x04
	socksBadCommand  = 0x07
)

// socksRequest reads the greeting and the request of RFC 1928 sections 3
// and 4 and answers the greeting.
func socksRequest(c io.ReadWriter) (host string, port uint16, err error) {
	var head [2]byte
	if _, err = io.ReadFull(c, head[:]); err != nil {
		return "", 0, err
	}
	if head[0] != 5 {
		return "", 0, fmt.Errorf("socks version %d", head[0])
	}
	if _, err = io.ReadFull(c, make([]byte, head[1])); err != nil {
		return "", 0, err
	}
	if _, err = c.Write([]byte{5, 0}); err != nil {
		return "", 0, err
	}
	var req [4]byte
	if _, err = io.ReadFull(c, req[:]); err != nil {
		return "", 0, err
	}
	if req[1] != 1 {
		_, _ = c.Write([]byte{5, socksBadCommand, 0, 1, 0, 0, 0, 0, 0, 0})
		return "", 0, fmt.Errorf("socks command %d", req[1])
	}
	size := map[byte]int{1: 4, 4: 16}[req[3]]
	if req[3] == 3 {
		var n [1]byte
		if _, err = io.ReadFull(c, n[:]); err != nil {
			return "", 0, err
		}
		size = int(n[0])
	}
	if size == 0 {
		return "", 0, fmt.Errorf("socks address type %d", req[3])
	}
	buf := make([]byte, size+2)
	if _, err = io.ReadFull(c, buf); err != nil {
		return "", 0, err
	}
	host = string(buf[:size])
	if req[3] != 3 {
		a, _ := netip.AddrFromSlice(buf[:size])
		host = a.String()
	} else if !plainHost(host) {
		_, _ = c.Write([]byte{5, socksFailure, 0, 1, 0, 0, 0, 0, 0, 0})
		return "", 0, fmt.Errorf("socks host %q", host)
	}
	return hostKey(host), binary.BigEndian.Uint16(buf[size:]), nil
}

// plainHost reports whether a name may go into a message to a proxy and into
// a record: nothing that ends a line or begins another part of an address.
func plainHost(host string) bool {
	for i := range len(host) {
		if host[i] <= ' ' || host[i] >= 0x7f || strings.IndexByte(`/\@?#%<>"`, host[i]) >= 0 {
			return false
		}
	}
	return host != ""
}
