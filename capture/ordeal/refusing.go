package ordeal

import (
	"fmt"
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// refusing holds a port of each loopback address without listening on it, so
// that whoever connects is refused and nobody else can get the port. On a
// machine without IPv6 the second is port 1, where connecting fails as well.
func (s *Server) refusing() error {
	port, err := s.hold(unix.AF_INET, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if err != nil {
		return err
	}
	s.at[Closed] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if port, err = s.hold(unix.AF_INET6, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}); err != nil {
		port = 1
	}
	s.at[SixOnly] = net.JoinHostPort("::1", strconv.Itoa(port))
	return nil
}

// hold binds a socket to a free port of the address and returns the port.
func (s *Server) hold(family int, address unix.Sockaddr) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("holding a port: %w", err)
	}
	s.onEnd(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, address); err != nil {
		return 0, fmt.Errorf("holding a port: %w", err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("holding a port: %w", err)
	}
	switch a := bound.(type) {
	case *unix.SockaddrInet4:
		return a.Port, nil
	case *unix.SockaddrInet6:
		return a.Port, nil
	}
	return 0, fmt.Errorf("holding a port: address of an unknown family")
}
