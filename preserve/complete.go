package preserve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"guzheng/preserve/seal"
	"guzheng/storage"
)

// completeTries bounds how often Complete begins again because another
// process stored a newer seal meanwhile.
const completeTries = 3

// Complete asks again for what the newest seal of an entry lacks, and stores
// a fuller seal beside it under the next number. The former seal stays. The
// returned entry points to the newest seal, and changed says whether it
// differs from the given one. The package itself is not read.
func (k Keeper) Complete(ctx context.Context, entry storage.Entry) (out storage.Entry, changed bool, err error) {
	if k.Store == nil || k.Now == nil {
		return entry, false, errors.New("completing: keeper lacks a store or a clock")
	}
	for range completeTries {
		out, err = k.complete(ctx, entry)
		if !errors.Is(err, storage.ErrConflict) {
			break
		}
	}
	if err != nil {
		return entry, false, fmt.Errorf("completing the seal of %s: %w", entry.ID, err)
	}
	return out, out.Seal != entry.Seal || out.Pending != entry.Pending, nil
}

func (k Keeper) complete(ctx context.Context, entry storage.Entry) (storage.Entry, error) {
	stem, ok := strings.CutSuffix(entry.Package, packageSuffix)
	if !ok {
		return entry, fmt.Errorf("%q is not the key of a package", entry.Package)
	}
	obj, s, n, err := newestSeal(ctx, k.Store, stem)
	if err != nil {
		return entry, err
	}
	if s.ID != entry.ID || s.Package.SHA256 != entry.SHA256 {
		return entry, fmt.Errorf("seal is of %s, package %s: %w", s.ID, s.Package.SHA256, seal.ErrOther)
	}
	sum, err := sumOf(s.Package.SHA256)
	if err != nil {
		return entry, err
	}
	if err := seal.CheckSignature(s, sum); err != nil {
		return entry, err
	}
	full, more, err := k.Press.Complete(ctx, s)
	if err != nil {
		return entry, err
	}
	entry.Seal, entry.Pending = obj.Key, s.Pending()
	if !more {
		return entry, nil
	}
	b, err := seal.Encode(full)
	if err != nil {
		return entry, err
	}
	h := sha256.Sum256(b)
	// As long as the package, however far that was extended since.
	pkg, err := k.Store.Stat(ctx, entry.Package)
	if err != nil {
		return entry, err
	}
	want := storage.Want{Bytes: int64(len(b)), SHA256: hex.EncodeToString(h[:]), Until: pkg.Until}
	if obj, err = k.Store.Put(ctx, sealKey(stem, n+1), bytes.NewReader(b), want); err != nil {
		return entry, err
	}
	entry.Seal, entry.Pending = obj.Key, full.Pending()
	return entry, nil
}
