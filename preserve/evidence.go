package preserve

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"guzheng/storage"
)

// Evidence records (RFC 4998) lie beside package and seals, numbered like
// seals. None is ever written again.
const (
	evidenceSuffix = ".evidence"
	ersSuffix      = ".ers"
)

// EvidenceKey returns the key of the n-th evidence record, from 1, of the
// package with the key pkg.
func EvidenceKey(pkg string, n int) string {
	stem := strings.TrimSuffix(pkg, packageSuffix) + evidenceSuffix
	if n <= 1 {
		return stem + ersSuffix
	}
	return stem + "-" + strconv.Itoa(n) + ersSuffix
}

// evidenceNumber is the inverse of EvidenceKey; 0 is not a record's key.
func evidenceNumber(pkg, key string) int {
	rest, ok := strings.CutPrefix(key, strings.TrimSuffix(pkg, packageSuffix)+evidenceSuffix)
	if !ok {
		return 0
	}
	if rest, ok = strings.CutSuffix(rest, ersSuffix); !ok {
		return 0
	}
	if rest == "" {
		return 1
	}
	n, err := strconv.Atoi(strings.TrimPrefix(rest, "-"))
	if err != nil || n < 2 || EvidenceKey(pkg, n) != key {
		return 0
	}
	return n
}

// A Numbered is an object beside a package, with the number in its key.
type Numbered struct {
	Number int
	storage.Object
}

// A Folder is a package in a store and what lies beside it, in the order of
// numbers.
type Folder struct {
	Package  storage.Object
	Seals    []Numbered
	Evidence []Numbered
}

// OpenFolder lists what lies beside the package with the key pkg. Nothing is
// read. An altered object there is an error.
func OpenFolder(ctx context.Context, store storage.Store, pkg string) (Folder, error) {
	stem, ok := strings.CutSuffix(pkg, packageSuffix)
	if !ok {
		return Folder{}, fmt.Errorf("looking beside %s: not the key of a package", pkg)
	}
	var f Folder
	for obj, err := range store.List(ctx, stem+".") {
		if err != nil {
			return Folder{}, fmt.Errorf("looking beside %s: %w", pkg, err)
		}
		if obj.Key == pkg {
			f.Package = obj
		} else if n := sealNumber(stem, obj.Key); n > 0 {
			f.Seals = append(f.Seals, Numbered{n, obj})
		} else if n := evidenceNumber(pkg, obj.Key); n > 0 {
			f.Evidence = append(f.Evidence, Numbered{n, obj})
		}
	}
	if f.Package.Key == "" || len(f.Seals) == 0 {
		return Folder{}, fmt.Errorf("looking beside %s: package or seal: %w", pkg, storage.ErrNotExist)
	}
	byNumber := func(a, b Numbered) int { return a.Number - b.Number }
	slices.SortFunc(f.Seals, byNumber)
	slices.SortFunc(f.Evidence, byNumber)
	return f, nil
}
