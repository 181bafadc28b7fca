package devtools

import (
	"encoding"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"sync"

	"github.com/chromedp/cdproto/cdp/jsonv2"
)

// aliased is the size from which a byte string stays in the memory of its
// message instead of being copied: there it is nearly all of it.
const aliased = 4 << 10

// A filler reads the next value into v.
type filler func(r *reader, v reflect.Value) error

// fillers keeps what is known of the types of the protocol. The zero value is
// ready. A Go type is filled as the JSON of the same message would fill it,
// with jsonv2 and the options below; a type that reads its JSON itself, or
// is none of the kinds of which cdproto's are made, is given that JSON.
type fillers struct {
	mu    sync.Mutex
	known map[reflect.Type]*filler
}

// decode reads a value into what the pointer points to.
func (f *fillers) decode(b Value, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("decoding into %T, which is no pointer", into)
	}
	f.mu.Lock()
	fill := f.of(v.Type().Elem())
	f.mu.Unlock()
	r := reader{rest: b}
	if err := (*fill)(&r, v.Elem()); err != nil {
		return err
	}
	if len(r.rest) > 0 {
		return fmt.Errorf("%d bytes after the value", len(r.rest))
	}
	return nil
}

// options of the JSON reader and writer: the browser's texts are not always
// UTF-8.
func options() jsonv2.Options {
	return jsonv2.JoinOptions(jsonv2.DefaultOptionsV2(), jsonv2.AllowInvalidUTF8(true))
}

// of returns the filler of a type, which may not be there yet when the type
// is a part of itself: it is when the lock, which is held, is let go.
func (f *fillers) of(t reflect.Type) *filler {
	if known := f.known[t]; known != nil {
		return known
	}
	if f.known == nil {
		f.known = map[reflect.Type]*filler{}
	}
	fill := new(filler)
	f.known[t] = fill
	*fill = f.make(t)
	return fill
}

func (f *fillers) make(t reflect.Type) filler {
	if t == reflect.TypeFor[jsonv2.Value]() {
		return fillRaw
	}
	if t == reflect.TypeFor[Value]() {
		return fillValue
	}
	if p := reflect.PointerTo(t); p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return fillByJSON
	}
	switch t.Kind() {
	case reflect.Pointer:
		return f.pointer(t)
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 {
			return f.slice(t)
		}
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			return f.dictionary(t)
		}
	case reflect.Struct:
		if fields, ok := f.fields(t); ok {
			return structure(fields)
		}
	}
	return simple(t)
}

// simple returns the filler of a type that has no others in it.
func simple(t reflect.Type) filler {
	switch t.Kind() {
	case reflect.String:
		return fillString
	case reflect.Bool:
		return fillBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return fillInt
	case reflect.Float64:
		return fillFloat
	case reflect.Slice:
		return fillBytes
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return fillAny
		}
	}
	return fillByJSON
}

// fillByJSON leaves a value to the JSON reader.
func fillByJSON(r *reader, v reflect.Value) error {
	b, err := r.appendJSON(nil)
	if err != nil {
		return err
	}
	return jsonv2.Unmarshal(b, v.Addr().Interface(), options())
}

func fillRaw(r *reader, v reflect.Value) error {
	b, err := r.appendJSON(nil)
	v.SetBytes(b)
	return err
}

// fillValue leaves a value for later.
func fillValue(r *reader, v reflect.Value) error {
	b, err := r.value()
	v.SetBytes(b)
	return err
}

func mismatch(it item, v reflect.Value) error {
	return fmt.Errorf("%s does not go into %s", it, v.Type())
}

func fillString(r *reader, v reflect.Value) error {
	it, err := r.next()
	switch {
	case err != nil:
		return err
	case it.kind == isText, it.kind == isText16, it.kind == isBinary:
		v.SetString(it.text())
	case it.kind == isNull:
		v.SetZero()
	default:
		return mismatch(it, v)
	}
	return nil
}

func fillBool(r *reader, v reflect.Value) error {
	it, err := r.next()
	switch {
	case err != nil:
		return err
	case it.kind == isBool:
		v.SetBool(it.number == 1)
	case it.kind == isNull:
		v.SetZero()
	default:
		return mismatch(it, v)
	}
	return nil
}

func fillInt(r *reader, v reflect.Value) error {
	it, err := r.next()
	if err != nil {
		return err
	}
	n := it.number
	switch {
	case it.kind == isNull:
		v.SetZero()
		return nil
	case it.kind == isDouble && it.double == math.Trunc(it.double) && math.Abs(it.double) < 1<<63:
		n = int64(it.double)
	case it.kind != isInt:
		return mismatch(it, v)
	}
	if v.OverflowInt(n) {
		return mismatch(it, v)
	}
	v.SetInt(n)
	return nil
}

func fillFloat(r *reader, v reflect.Value) error {
	it, err := r.next()
	switch {
	case err != nil:
		return err
	case it.kind == isNull:
		v.SetZero()
	case it.kind == isInt:
		v.SetFloat(float64(it.number))
	case it.kind == isDouble:
		v.SetFloat(it.double)
	default:
		return mismatch(it, v)
	}
	return nil
}

// fillBytes takes data as it is, or the base64 that some of the browser's
// answers hold.
func fillBytes(r *reader, v reflect.Value) error {
	it, err := r.next()
	if err != nil {
		return err
	}
	b := it.raw
	switch {
	case it.kind == isNull:
		v.SetZero()
		return nil
	case it.kind == isBinary && len(b) < aliased:
		b = append([]byte{}, b...)
	case it.kind == isBinary:
	case it.isText():
		if b, err = base64.StdEncoding.DecodeString(it.text()); err != nil {
			return err
		}
	default:
		return mismatch(it, v)
	}
	v.SetBytes(b)
	return nil
}

// fillAny makes of a value what JSON makes of it: nil, bool, float64, string,
// []any or map[string]any.
func fillAny(r *reader, v reflect.Value) error {
	x, err := r.any()
	if err != nil {
		return err
	}
	if x == nil {
		v.SetZero()
		return nil
	}
	v.Set(reflect.ValueOf(x))
	return nil
}

func (r *reader) any() (any, error) {
	it, err := r.next()
	if err != nil {
		return nil, err
	}
	switch it.kind {
	case isBool:
		return it.number == 1, nil
	case isInt:
		return float64(it.number), nil
	case isDouble:
		return it.double, nil
	case isText, isText16, isBinary:
		return it.text(), nil
	case isArray:
		list := []any{}
		return list, r.each(it, func() error {
			x, err := r.any()
			list = append(list, x)
			return err
		})
	case isMap:
		m := map[string]any{}
		return m, r.entries(it, func(name string) error {
			x, err := r.any()
			m[name] = x
			return err
		})
	case isStop:
		return nil, errStop
	default:
		return nil, nil
	}
}

// more reports whether there is another value in the array or map that began
// with it, and takes its end if there is none.
func (r *reader) more(it item) (bool, error) {
	if len(r.rest) == 0 || r.rest[0] != byteStop {
		return true, nil
	}
	r.rest = r.rest[1:]
	r.depth--
	if it.after >= 0 && it.after != len(r.rest) {
		return false, errLength
	}
	return false, nil
}

// each runs take for every value of the array that began with it.
func (r *reader) each(it item, take func() error) error {
	for {
		if more, err := r.more(it); !more {
			return err
		}
		if err := take(); err != nil {
			return err
		}
	}
}

// entries runs take for every name of the map that began with it.
func (r *reader) entries(it item, take func(name string) error) error {
	return r.each(it, func() error {
		name, err := r.next()
		if err != nil {
			return err
		}
		if !name.isText() {
			return fmt.Errorf("CBOR map has %s for a name", name)
		}
		return take(name.text())
	})
}
