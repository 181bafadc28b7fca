package raster

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/adler32"
	"io"

	"github.com/klauspost/compress/flate"
)

// An inflater reads the zlib stream of a PNG's pixels (RFC 1950). It is our
// own because the sum of all that comes out of it takes as long as all else
// together, and who only passes over pixels can do without: the CRCs of the
// chunks are checked beside it.
type inflater struct {
	packed *bufio.Reader
	pixels io.ReadCloser
	sum    hash.Hash32 // nil when it is not wanted any more
	err    error       // of all further calls
}

// newInflater reads the header (RFC 1950 section 2.2).
func newInflater(packed *bufio.Reader) (*inflater, error) {
	var b [2]byte
	if _, err := io.ReadFull(packed, b[:]); err != nil {
		return nil, whole(err)
	}
	const deflate, largest, dictionary = 8, 7, 0x20
	if b[0]&0xf != deflate || b[0]>>4 > largest || b[1]&dictionary != 0 || binary.BigEndian.Uint16(b[:])%31 != 0 {
		return nil, fmt.Errorf("not a zlib stream: %x", b)
	}
	return &inflater{packed: packed, pixels: flate.NewReader(packed), sum: adler32.New()}, nil
}

// Read gives the pixels, and io.EOF only when their sum is right or not wanted.
func (f *inflater) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.pixels.Read(p)
	if f.sum != nil {
		f.sum.Write(p[:n])
	}
	if err == io.EOF {
		err = f.end()
	}
	f.err = err
	return n, err
}

func (f *inflater) end() error {
	var b [4]byte
	if _, err := io.ReadFull(f.packed, b[:]); err != nil {
		return whole(err)
	}
	if f.sum != nil && binary.BigEndian.Uint32(b[:]) != f.sum.Sum32() {
		return errors.New("checksum (Adler-32) does not match")
	}
	return io.EOF
}
