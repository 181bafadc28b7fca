package preserve

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"guzheng/capture"
	"guzheng/storage"
)

// put stores package and seal, in this order: a seal in the store has its
// package there.
func (j *job) put(ctx context.Context) error {
	if b, ok, err := j.have(keptFile); ok || err != nil {
		if err == nil {
			err = json.Unmarshal(b, &j.kept)
		}
		return err
	}
	until := j.until(j.order, keptTime(Record{SealValue: j.seal}))
	err := j.around(putPackage, func() (err error) {
		want := storage.Want{Bytes: j.seal.Package.Bytes, SHA256: j.seal.Package.SHA256, Until: until}
		j.kept.Package, err = putFile(ctx, j.Store, PackageKey(j.order), j.path(packageFile), want)
		return err
	})
	if err != nil {
		return err
	}
	err = j.around(putSeal, func() (err error) {
		d, err := digestFile(j.path(sealFile))
		if err != nil {
			return err
		}
		want := storage.Want{Bytes: d.Bytes, SHA256: d.SHA256, Until: until}
		j.kept.Seal, err = putFile(ctx, j.Store, SealKey(j.order, 1), j.path(sealFile), want)
		return err
	})
	if err != nil {
		return err
	}
	return j.writeJSON(keptFile, j.kept)
}

func (k Keeper) until(order capture.Order, kept time.Time) time.Time {
	if k.Retain != nil {
		return k.Retain(order, kept)
	}
	return kept.AddDate(DefaultRetention, 0, 0)
}

func putFile(ctx context.Context, store storage.Store, key, name string, want storage.Want) (storage.Object, error) {
	f, err := os.Open(name)
	if err != nil {
		return storage.Object{}, fmt.Errorf("storing %s: %w", key, err)
	}
	defer f.Close()
	obj, err := store.Put(ctx, key, f, want)
	if err != nil {
		return storage.Object{}, fmt.Errorf("storing %s: %w", key, err)
	}
	return obj, nil
}
