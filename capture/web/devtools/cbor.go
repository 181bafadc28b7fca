package devtools

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// maxDepth bounds how deep the values of one message may lie in each other.
// It is what the JSON reader allows, and far above the 300 levels at which
// Chromium stops for clients that speak JSON.
const maxDepth = 10_000

// What CBOR (RFC 8949 §3) calls the major types, and the bytes of it that
// Chromium's dialect uses (third_party/inspector_protocol/crdtp/cbor.cc).
const (
	majorUint, majorNegative, majorBytes, majorText = 0, 1, 2, 3

	byteArray    = 0x9f // start of an array without a length
	byteMap      = 0xbf // start of a map without a length
	byteStop     = 0xff // end of either
	byteFalse    = 0xf4
	byteTrue     = 0xf5
	byteNull     = 0xf6
	byteDouble   = 0xfb
	byteBinary   = 0xd6 // tag 22: the byte string is data, and base64 in JSON
	byteTag      = 0xd8 // with byteEncoded: tag 24, an envelope
	byteEncoded  = 0x18
	byteLength32 = 0x5a // a byte string whose length is the next four bytes

	envelopeHead = 7 // byteTag, byteEncoded, byteLength32, length
)

var (
	errShort  = errors.New("CBOR ends within a value")
	errDeep   = errors.New("CBOR is nested too deep")
	errLength = errors.New("CBOR envelope is not as long as what is in it")
	errStop   = errors.New("CBOR array or map ends where a value was due")
)

// A Value is one value of a message, in Chromium's dialect of CBOR: a map or
// an array has no length and lies in an envelope, which has one; a text that
// is not all ASCII is UTF-8, or the byte string of its UTF-16 units, least
// significant byte first; a byte string of data has tag 22; an integer has
// 32 bits, and any other number is a double.
type Value []byte

// A kind says what value comes next.
type kind byte

const (
	isNull kind = iota // also a number that is not finite
	isBool
	isInt
	isDouble
	isText   // UTF-8, not checked
	isText16 // UTF-16
	isBinary
	isArray
	isMap
	isStop
)

// An item is one value, or the start of an array or map.
type item struct {
	kind   kind
	number int64   // isInt; isBool: 1 is true
	double float64 // isDouble
	raw    []byte  // of text and binary
	after  int     // isArray, isMap: how many bytes come after the envelope; -1 without one
}

// A reader walks through values.
type reader struct {
	rest  []byte
	depth int
}

// next takes one item. After isArray or isMap come its values, up to isStop.
func (r *reader) next() (item, error) {
	b, after, err := inside(r.rest)
	if err != nil {
		return item{}, err
	}
	it := item{after: after}
	switch c := b[0]; c {
	case byteMap, byteArray:
		if r.depth++; r.depth > maxDepth {
			return item{}, errDeep
		}
		it.kind = isArray
		if c == byteMap {
			it.kind = isMap
		}
	case byteStop:
		r.depth--
		it.kind = isStop
	case byteFalse, byteTrue:
		it = item{kind: isBool, number: int64(c - byteFalse)}
	case byteNull:
		it.kind = isNull
	case byteDouble:
		if len(b) < 9 {
			return item{}, errShort
		}
		it = number(math.Float64frombits(binary.BigEndian.Uint64(b[1:])))
		b = b[8:]
	default:
		return r.sized(b)
	}
	r.rest = b[1:]
	return it, nil
}

// number is a double, or the null that Chromium's JSON has for one that is
// not finite.
func number(x float64) item {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return item{kind: isNull}
	}
	return item{kind: isDouble, double: x}
}

// inside passes over the head of an envelope, and returns at least one byte
// and how many come after the envelope.
func inside(b []byte) (rest []byte, after int, err error) {
	if len(b) == 0 {
		return nil, 0, errShort
	}
	if b[0] != byteTag {
		return b, -1, nil
	}
	whole, err := enveloped(b)
	if err != nil {
		return nil, 0, err
	}
	if len(whole) == envelopeHead || b[envelopeHead] != byteMap && b[envelopeHead] != byteArray {
		return nil, 0, errors.New("CBOR envelope holds neither a map nor an array")
	}
	return b[envelopeHead:], len(b) - len(whole), nil
}

// sized takes an integer or a string.
func (r *reader) sized(b []byte) (item, error) {
	data := b[0] == byteBinary
	if data {
		b = b[1:]
	}
	major, n, b, err := head(b)
	if err != nil {
		return item{}, err
	}
	if major == majorBytes || major == majorText {
		return r.str(major, data, n, b)
	}
	if data || major > majorNegative || n > math.MaxInt64 {
		return item{}, fmt.Errorf("CBOR of major type %d, argument %d, is not of the protocol", major, n)
	}
	r.rest = b
	if major == majorNegative {
		return item{kind: isInt, number: -1 - int64(n)}, nil
	}
	return item{kind: isInt, number: int64(n)}, nil
}

// str takes a string of n bytes.
func (r *reader) str(major byte, data bool, n uint64, b []byte) (item, error) {
	if n > uint64(len(b)) {
		return item{}, errShort
	}
	it := item{kind: isText, raw: b[:n:n]}
	switch {
	case data && major == majorText:
		return item{}, errors.New("CBOR tag 22 is on a text")
	case data:
		it.kind = isBinary
	case major == majorBytes && n%2 != 0:
		return item{}, errors.New("CBOR text in UTF-16 has an odd length")
	case major == majorBytes:
		it.kind = isText16
	}
	r.rest = b[n:]
	return it, nil
}

// head takes the major type and the argument of an item.
func head(b []byte) (major byte, n uint64, rest []byte, err error) {
	if len(b) == 0 {
		return 0, 0, nil, errShort
	}
	major, low := b[0]>>5, b[0]&31
	b = b[1:]
	if low < 24 {
		return major, uint64(low), b, nil
	}
	if low > 27 {
		return 0, 0, nil, fmt.Errorf("CBOR begins with %#x, which is not of the protocol", major<<5|low)
	}
	size := 1 << (low - 24)
	if len(b) < size {
		return 0, 0, nil, errShort
	}
	for _, c := range b[:size] {
		n = n<<8 | uint64(c)
	}
	return major, n, b[size:], nil
}

// envelope returns how long the contents of the envelope are at the start of
// b.
func envelope(b []byte) (uint32, error) {
	if len(b) < envelopeHead {
		return 0, errShort
	}
	if b[0] != byteTag || b[1] != byteEncoded || b[2] != byteLength32 {
		return 0, fmt.Errorf("CBOR begins with % x and not as an envelope", b[:3])
	}
	return binary.BigEndian.Uint32(b[3:]), nil
}

// enveloped returns the envelope at the start of b.
func enveloped(b []byte) ([]byte, error) {
	n, err := envelope(b)
	if err != nil {
		return nil, err
	}
	if uint64(len(b)-envelopeHead) < uint64(n) {
		return nil, errShort
	}
	end := envelopeHead + int(n)
	return b[:end:end], nil
}

// value takes one whole value, without a look into an envelope.
func (r *reader) value() (Value, error) {
	b := r.rest
	if len(b) > 0 && b[0] == byteTag {
		whole, err := enveloped(b)
		r.rest = b[len(whole):]
		return whole, err
	}
	depth := r.depth
	for {
		_, err := r.next()
		switch {
		case err != nil:
			return nil, err
		case r.depth < depth:
			return nil, errStop
		case r.depth == depth:
			n := len(b) - len(r.rest)
			return Value(b[:n:n]), nil
		}
	}
}
