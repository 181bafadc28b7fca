package storage_test

import (
	"errors"
	"path"
	"strings"
	"testing"

	"guzheng/storage"
)

func TestCheckKey(t *testing.T) {
	long := strings.Repeat("a", storage.MaxElement)
	for key, good := range map[string]bool{
		"a": true, "v1/2026/11/x.wacz": true, ".a": true, "a..b": true, "A-_.9": true, long: true,
		"": false, "/": false, "/a": false, "a/": false, "a//b": false, ".": false, "..": false, "../a": false, "a/../b": false,
		"a/.": false, `a\b`: false, "a\x00": false, "a b": false, "a~b": false, "a:b": false, "a%2f": false, "é": false, "a\n": false,
		long + "a": false, strings.Repeat(long+"/", 6) + "a": false,
	} {
		err := storage.CheckKey(key)
		if good != (err == nil) {
			t.Errorf("CheckKey(%.40q) = %v", key, err)
		}
		if err != nil && !errors.Is(err, storage.ErrKey) {
			t.Errorf("CheckKey(%.40q) = %v, want ErrKey", key, err)
		}
	}
}

func FuzzCheckKey(f *testing.F) {
	for _, s := range []string{"a/b", "../a", "a//b", "a/./b", "\x00", `\\x\y`, "a/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if storage.CheckKey(key) != nil {
			return
		}
		if path.Clean("/"+key) != "/"+key {
			t.Errorf("accepted key %q changes when cleaned", key)
		}
	})
}
