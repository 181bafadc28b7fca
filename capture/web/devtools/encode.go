package devtools

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/target"
)

// encode makes the message of a command. params is what cdproto's types
// marshal to, or empty.
func encode(id int64, session target.SessionID, method string, params jsonv2.Value) (Value, error) {
	b := append(make(Value, 0, 128+len(params)+len(params)/4), byteTag, byteEncoded, byteLength32, 0, 0, 0, 0, byteMap)
	b = appendText(b, "id")
	b = appendInt(b, id)
	b = appendText(b, "method")
	b = appendText(b, method)
	if session != "" {
		b = appendText(b, "sessionId")
		b = appendText(b, string(session))
	}
	if len(params) > 0 {
		var err error
		if b, err = appendValue(appendText(b, "params"), params); err != nil {
			return nil, err
		}
	}
	b = append(b, byteStop)
	return b, closeEnvelope(b, 0)
}

// appendValue appends JSON as CBOR, each map and array in its envelope, as
// Chromium itself translates what clients send that speak JSON.
func appendValue(b Value, text jsonv2.Value) (Value, error) {
	var d jsonv2.Decoder
	d.Reset(bytes.NewReader(text), options())
	var open []int // where the envelopes begin
	for {
		token, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		switch token.Kind() {
		case '{':
			open = append(open, len(b))
			b = append(b, byteTag, byteEncoded, byteLength32, 0, 0, 0, 0, byteMap)
		case '[':
			open = append(open, len(b))
			b = append(b, byteTag, byteEncoded, byteLength32, 0, 0, 0, 0, byteArray)
		case '}', ']':
			b = append(b, byteStop)
			last := len(open) - 1
			if err := closeEnvelope(b, open[last]); err != nil {
				return nil, err
			}
			open = open[:last]
		case '"':
			b = appendText(b, token.String())
		case '0':
			if n, err := strconv.ParseInt(token.String(), 10, 32); err == nil {
				b = appendInt(b, n)
			} else {
				b = append(b, byteDouble)
				b = binary.BigEndian.AppendUint64(b, math.Float64bits(token.Float()))
			}
		case 't':
			b = append(b, byteTrue)
		case 'f':
			b = append(b, byteFalse)
		default:
			b = append(b, byteNull)
		}
		if len(open) == 0 {
			return b, nil
		}
	}
}

// closeEnvelope writes how long the envelope at start is that ends with b.
func closeEnvelope(b Value, start int) error {
	n := len(b) - start - envelopeHead
	if n > math.MaxUint32 {
		return errLong
	}
	binary.BigEndian.PutUint32(b[start+3:], uint32(n))
	return nil
}

func appendText(b Value, s string) Value {
	return append(appendHead(b, majorText, uint64(len(s))), s...)
}

func appendInt(b Value, n int64) Value {
	if n < 0 {
		return appendHead(b, majorNegative, uint64(-1-n))
	}
	return appendHead(b, majorUint, uint64(n))
}

// appendHead writes a major type with its argument in as few bytes as hold
// it, which is what Chromium wants.
func appendHead(b Value, major byte, n uint64) Value {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}
