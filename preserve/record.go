package preserve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"guzheng/capture"
	"guzheng/preserve/seal"
	"guzheng/preserve/wacz"
	"guzheng/storage"
)

// A Record is one piece of evidence that is kept: what was ordered, what was
// taken, and where package and seal lie.
type Record struct {
	Order     capture.Order
	Take      capture.Take
	Package   storage.Object
	Seal      storage.Object // the newest
	SealValue seal.Seal
	Entry     storage.Entry // for the catalogue
}

// Names of objects.
const (
	keyRoot       = "v1"
	packageSuffix = ".wacz"
	sealSuffix    = ".seal"
	jsonSuffix    = ".json"
)

// maxJSON bounds the JSON files that are read out of a package, in bytes.
const maxJSON = 64 << 20

// folder returns the prefix of all keys of an order: version, Beijing date
// of its creation, number.
func folder(o capture.Order) string {
	return keyRoot + "/" + o.Created.In(capture.Beijing).Format("2006/01/02") + "/" + o.ID + "/"
}

// PackageKey returns the key of an order's package.
func PackageKey(o capture.Order) string { return folder(o) + o.ID + packageSuffix }

// SealKey returns the key of an order's n-th seal, from 1. Later seals have
// what was pending in the earlier ones.
func SealKey(o capture.Order, n int) string { return sealKey(folder(o)+o.ID, n) }

func sealKey(stem string, n int) string {
	if n <= 1 {
		return stem + sealSuffix + jsonSuffix
	}
	return stem + sealSuffix + "-" + strconv.Itoa(n) + jsonSuffix
}

// sealNumber is the inverse of sealKey; 0 is not a seal's key.
func sealNumber(stem, key string) int {
	rest, ok := strings.CutPrefix(key, stem+sealSuffix)
	if !ok {
		return 0
	}
	if rest, ok = strings.CutSuffix(rest, jsonSuffix); !ok {
		return 0
	}
	if rest == "" {
		return 1
	}
	n, err := strconv.Atoi(strings.TrimPrefix(rest, "-"))
	if err != nil || n < 2 || sealKey(stem, n) != key {
		return 0
	}
	return n
}

// NewEntry makes the catalogue's row for a record. It depends on nothing but
// what lies in the store, so that the catalogue can be made again.
func NewEntry(r Record, title string) storage.Entry {
	e := storage.Entry{ID: r.Order.ID, Kind: r.Order.Kind, URL: r.Order.URL, Title: title,
		Case: r.Order.Case, Cause: r.Order.Cause, Party: r.Order.Party, State: string(r.Take.State),
		Captured: r.Take.Started, Kept: keptTime(r), Package: r.Package.Key, Seal: r.Seal.Key,
		Bytes: r.SealValue.Package.Bytes, SHA256: r.SealValue.Package.SHA256, SM3: r.SealValue.Package.SM3,
		Pending: r.SealValue.Pending(), Until: r.Package.Until}
	return e
}

// keptTime is the time in the log event, or else when the store took the
// package.
func keptTime(r Record) time.Time {
	if k, err := seal.ParseKept(r.SealValue.Log.Leaf); err == nil {
		return k.Time
	}
	return r.Package.Stored
}

// Read reads a record back out of a store, by the key of its package. It
// checks that package and seal belong together and that the seal's signature
// holds; the full verdict is package verify's. It makes the catalogue's rows
// when that has to be made again.
func Read(ctx context.Context, store storage.Store, key string) (Record, error) {
	r, err := read(ctx, store, key)
	if err != nil {
		return Record{}, fmt.Errorf("reading record %s: %w", key, err)
	}
	return r, nil
}

func read(ctx context.Context, store storage.Store, key string) (Record, error) {
	stem, ok := strings.CutSuffix(key, packageSuffix)
	if !ok {
		return Record{}, errors.New("not the key of a package")
	}
	c, obj, err := store.Open(ctx, key)
	if err != nil {
		return Record{}, err
	}
	defer c.Close()
	p, err := wacz.Open(c, obj.Bytes)
	if err != nil {
		return Record{}, err
	}
	r := Record{Package: obj}
	take, err := p.ReadFile(wacz.TakePath, maxJSON)
	if err != nil {
		return Record{}, err
	}
	if r.Take, err = capture.DecodeTake(take); err != nil {
		return Record{}, err
	}
	order, err := p.ReadFile("evidence/order.json", maxJSON)
	if err != nil {
		return Record{}, err
	}
	if r.Order, err = decodeOrder(order); err != nil {
		return Record{}, err
	}
	dp, err := p.Datapackage()
	if err != nil {
		return Record{}, err
	}
	if r.Seal, r.SealValue, _, err = newestSeal(ctx, store, stem); err != nil {
		return Record{}, err
	}
	if err := r.consistent(); err != nil {
		return Record{}, err
	}
	r.Entry = NewEntry(r, dp.Title)
	return r, nil
}

// consistent wants everything to be about one order and one package.
func (r Record) consistent() error {
	if r.Order.ID != r.Take.Order || r.Order.ID != r.SealValue.ID {
		return fmt.Errorf("order %s, take of %s, seal of %s", r.Order.ID, r.Take.Order, r.SealValue.ID)
	}
	if r.Package.SHA256 != r.SealValue.Package.SHA256 {
		return fmt.Errorf("package is %s, seal is about %s: %w", r.Package.SHA256, r.SealValue.Package.SHA256, seal.ErrOther)
	}
	sum, err := sumOf(r.Package.SHA256)
	if err != nil {
		return err
	}
	return seal.CheckSignature(r.SealValue, sum)
}

// NewestSeal reads the newest seal of a package, by the package's key. It
// checks its form alone. The package itself need not be there any more.
func NewestSeal(ctx context.Context, store storage.Store, key string) (storage.Object, seal.Seal, error) {
	stem, ok := strings.CutSuffix(key, packageSuffix)
	if !ok {
		return storage.Object{}, seal.Seal{}, fmt.Errorf("reading the seal of %q: not the key of a package", key)
	}
	obj, s, _, err := newestSeal(ctx, store, stem)
	if err != nil {
		return storage.Object{}, seal.Seal{}, fmt.Errorf("reading the seal of %s: %w", key, err)
	}
	return obj, s, nil
}

// newestSeal returns the seal with the highest number.
func newestSeal(ctx context.Context, store storage.Store, stem string) (storage.Object, seal.Seal, int, error) {
	n := 0
	for obj, err := range store.List(ctx, stem+sealSuffix) {
		if err != nil {
			return storage.Object{}, seal.Seal{}, 0, fmt.Errorf("listing seals: %w", err)
		}
		n = max(n, sealNumber(stem, obj.Key))
	}
	if n == 0 {
		return storage.Object{}, seal.Seal{}, 0, fmt.Errorf("looking for %s: %w", sealKey(stem, 1), storage.ErrNotExist)
	}
	c, obj, err := store.Open(ctx, sealKey(stem, n))
	if err != nil {
		return storage.Object{}, seal.Seal{}, 0, err
	}
	defer c.Close()
	b, err := io.ReadAll(io.LimitReader(c, seal.MaxSize+1))
	if err != nil {
		return storage.Object{}, seal.Seal{}, 0, fmt.Errorf("reading %s: %w", obj.Key, err)
	}
	s, err := seal.Decode(b)
	if err != nil {
		return storage.Object{}, seal.Seal{}, 0, fmt.Errorf("reading %s: %w", obj.Key, err)
	}
	return obj, s, n, nil
}

func decodeOrder(b []byte) (capture.Order, error) {
	var o capture.Order
	if err := json.Unmarshal(b, &o); err != nil {
		return capture.Order{}, fmt.Errorf("reading order: %w", err)
	}
	if o.Format != capture.OrderFormat || !capture.ValidID(o.ID) {
		return capture.Order{}, fmt.Errorf("reading order: format %q, number %q", o.Format, o.ID)
	}
	return o, nil
}
