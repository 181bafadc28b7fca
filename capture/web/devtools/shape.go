package devtools

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

func (f *fillers) pointer(t reflect.Type) filler {
	fill := f.of(t.Elem())
	return func(r *reader, v reflect.Value) error {
		if b := r.rest; len(b) > 0 && (b[0] == byteNull || b[0] == byteDouble) {
			if it, err := r.next(); err != nil || it.kind == isNull {
				v.SetZero()
				return err
			}
			r.rest = b
		}
		p := reflect.New(t.Elem())
		v.Set(p)
		return (*fill)(r, p.Elem())
	}
}

func (f *fillers) slice(t reflect.Type) filler {
	fill := f.of(t.Elem())
	return func(r *reader, v reflect.Value) error {
		it, err := r.next()
		switch {
		case err != nil:
			return err
		case it.kind == isNull:
			v.SetZero()
			return nil
		case it.kind != isArray:
			return mismatch(it, v)
		}
		n := 0
		err = r.each(it, func() error {
			if n == v.Cap() {
				v.Grow(max(4, n))
			}
			n++
			v.SetLen(n)
			v.Index(n - 1).SetZero()
			return (*fill)(r, v.Index(n-1))
		})
		if n == 0 {
			v.Set(reflect.MakeSlice(t, 0, 0))
		}
		return err
	}
}

func (f *fillers) dictionary(t reflect.Type) filler {
	fill := f.of(t.Elem())
	return func(r *reader, v reflect.Value) error {
		it, err := r.next()
		switch {
		case err != nil:
			return err
		case it.kind == isNull:
			v.SetZero()
			return nil
		case it.kind != isMap:
			return mismatch(it, v)
		}
		v.Set(reflect.MakeMap(t))
		return r.entries(it, func(name string) error {
			x := reflect.New(t.Elem()).Elem()
			if err := (*fill)(r, x); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(name).Convert(t.Key()), x)
			return nil
		})
	}
}

// A field is one member of a struct.
type field struct {
	name  string
	index int
	fill  *filler
}

// fields lists the members of a struct. It reports false when a tag asks for
// more than a name.
func (f *fillers) fields(t reflect.Type) ([]field, bool) {
	var list []field
	for i := range t.NumField() {
		s := t.Field(i)
		name, options, _ := strings.Cut(s.Tag.Get("json"), ",")
		for o := range strings.SplitSeq(options, ",") {
			if s.Anonymous || !slices.Contains([]string{"", "omitempty", "omitzero"}, o) {
				return nil, false
			}
		}
		if name == "" {
			name = s.Name
		}
		if s.IsExported() && name != "-" {
			list = append(list, field{name, i, f.of(s.Type)})
		}
	}
	return list, true
}

// structure fills a struct. The browser sends members in the order in which
// the protocol lists them, and cdproto's fields are in that order too, so
// the field that is looked for mostly is the next one.
func structure(fields []field) filler {
	return func(r *reader, v reflect.Value) error {
		it, err := r.next()
		switch {
		case err != nil:
			return err
		case it.kind == isNull:
			v.SetZero()
			return nil
		case it.kind != isMap:
			return mismatch(it, v)
		}
		at, seen := 0, uint64(0) // a bit for each of the first 64 fields
		return r.each(it, func() error {
			name, err := r.next()
			if err != nil {
				return err
			}
			switch {
			case !name.isText():
				return fmt.Errorf("CBOR map has %s for a name", name)
			case name.kind == isText16 || !utf8.Valid(name.raw):
				name.raw = []byte(name.text())
			}
			found := find(fields, at, name.raw)
			if found < 0 {
				_, err := r.value()
				return err
			}
			bit := uint64(1) << found
			if bit&seen != 0 {
				return fmt.Errorf("%s is there twice", name.raw)
			}
			at, seen = found+1, seen|bit
			if err := (*fields[found].fill)(r, v.Field(fields[found].index)); err != nil {
				return fmt.Errorf("%s: %w", name.raw, err)
			}
			return nil
		})
	}
}

// find looks for a field by name from one on, and then from the first.
func find(fields []field, from int, name []byte) int {
	for k := range fields {
		if i := (from + k) % len(fields); fields[i].name == string(name) {
			return i
		}
	}
	return -1
}
