package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// connectThrough reaches a host by the proxy of the order. The proxy resolves
// the name; a name or literal address that is private as seen from here is
// refused all the same. What a name means at the proxy alone cannot be
// judged: keeping private addresses away is then the proxy's part.
func (g *guard) connectThrough(host string, port uint16) (*tunnel, int) {
	key := net.JoinHostPort(host, strconv.Itoa(int(port)))
	addrs, _ := g.resolve(host) // a name that is unknown here may be known there
	for _, a := range addrs {
		if err := judge(a, port, g.allowPrivate || g.allowed[key]); err != nil {
			g.refuse(key, err)
			return nil, socksNotAllowed
		}
	}
	t, err := g.askProxy(host, port, key)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.failed[host] = err.Error()
		return nil, socksFailure
	}
	delete(g.failed, host)
	return t, socksOK
}

// askProxy opens a tunnel by CONNECT (RFC 9110 section 9.3.6).
func (g *guard) askProxy(host string, port uint16, key string) (*tunnel, error) {
	d := net.Dialer{Timeout: g.dialTimeout}
	conn, err := d.DialContext(g.ctx, "tcp", g.proxy)
	if err != nil {
		return nil, fmt.Errorf("connecting to the proxy %s: %w", g.proxy, err)
	}
	stop := context.AfterFunc(g.ctx, func() { conn.Close() })
	defer stop()
	t := g.open(host, port, conn)
	_ = conn.SetDeadline(g.now().Add(g.dialTimeout))
	request := "CONNECT " + key + " HTTP/1.1\r\nHost: " + key + "\r\n\r\n"
	t.stream.Sent([]byte(request), g.now())
	var said bytes.Buffer
	status := 0
	if _, err = io.WriteString(conn, request); err == nil {
		status, err = connectReply(io.TeeReader(conn, &said))
	}
	t.stream.Received(said.Bytes(), g.now())
	if err == nil && status/100 == 2 {
		t.stream.Tunnelled()
		_ = conn.SetDeadline(time.Time{})
		return t, nil
	}
	conn.Close()
	t.end()
	if err != nil {
		return nil, fmt.Errorf("asking the proxy %s for %s: %w", g.proxy, key, err)
	}
	// The proxy's own words are foreign text and stay out of the message.
	return nil, fmt.Errorf("the proxy %s does not connect to %s: it answered %d %s", g.proxy, key, status, http.StatusText(status))
}

// maxConnectHead bounds the head of an answer to CONNECT in bytes.
const maxConnectHead = 16 << 10

var errConnectReply = errors.New("its answer is not HTTP")

// connectReply reads an answer to CONNECT up to the end of its head, not a
// byte further: what follows is the server's. Interim answers (RFC 9110
// section 15.2) are passed over.
func connectReply(r io.Reader) (status int, err error) {
	left := maxConnectHead
	for {
		var head []byte
		for !bytes.HasSuffix(head, []byte("\r\n\r\n")) && !bytes.HasSuffix(head, []byte("\n\n")) {
			var b [1]byte
			if left--; left < 0 {
				return 0, fmt.Errorf("its answer has no end within %d bytes: %w", maxConnectHead, errConnectReply)
			}
			if _, err := io.ReadFull(r, b[:]); err != nil {
				return 0, err
			}
			head = append(head, b[0])
		}
		res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), &http.Request{Method: http.MethodConnect})
		if err != nil {
			return 0, errConnectReply
		}
		_ = res.Body.Close() // a head has none
		if res.StatusCode >= 200 {
			return res.StatusCode, nil
		}
	}
}
