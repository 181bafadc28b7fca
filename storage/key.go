package storage

import (
	"errors"
	"fmt"
	"strings"
)

// ErrKey says that a key cannot name an object, see CheckKey.
var ErrKey = errors.New("key is not valid")

// The limits of keys, in bytes. MaxKey is that of S3; MaxElement leaves room
// for the suffixes that drivers add in file systems with names of 255 bytes.
const (
	MaxKey     = 1024
	MaxElement = 200
)

// CheckKey returns ErrKey, wrapped with the reason, unless the key has the
// form that Store demands: elements of A-Z a-z 0-9 . _ - joined by single
// slashes, none of them empty, "." or "..", within MaxKey and MaxElement.
func CheckKey(key string) error {
	if len(key) > MaxKey {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrKey, len(key), MaxKey)
	}
	for element := range strings.SplitSeq(key, "/") {
		switch {
		case element == "":
			return fmt.Errorf("%w: %q has an empty element", ErrKey, key)
		case element == "." || element == "..":
			return fmt.Errorf("%w: %q has the element %q", ErrKey, key, element)
		case len(element) > MaxElement:
			return fmt.Errorf("%w: an element of %d bytes, at most %d", ErrKey, len(element), MaxElement)
		}
	}
	for i := range len(key) {
		if !keyByte(key[i]) {
			return fmt.Errorf("%w: %q has the byte %q", ErrKey, key, key[i])
		}
	}
	return nil
}

func keyByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '.' || c == '_' || c == '-' || c == '/'
}
