package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"guzheng/storage"
)

// Filter says which entries List returns. The zero value means all.
type Filter struct {
	Pending bool   // only those whose stamp is still missing
	Case    string // only those of this case
	Limit   int    // at most so many, 0 for all
}

const columns = `id, kind, url, title, case_no, cause, party, state, captured, kept,
	package, seal, seal_no, bytes, sha256, sm3, pending, retained`

// The comparison makes the result independent of the order in which seals
// are read.
const upsert = `INSERT INTO entries (` + columns + `)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
ON CONFLICT (id) DO UPDATE SET
	kind = excluded.kind, url = excluded.url, title = excluded.title,
	case_no = excluded.case_no, cause = excluded.cause, party = excluded.party,
	state = excluded.state, captured = excluded.captured, kept = excluded.kept,
	package = excluded.package, seal = excluded.seal, seal_no = excluded.seal_no,
	bytes = excluded.bytes, sha256 = excluded.sha256, sm3 = excluded.sm3,
	pending = excluded.pending, retained = excluded.retained
WHERE excluded.seal_no >= entries.seal_no`

// Put writes the row of e.ID. A row that already names a later seal stays as
// it is, which is no error. Times are kept in whole milliseconds. e.Seal
// MUST end in ".seal.json" or ".seal-N.json" with N from 2.
func (d *DB) Put(ctx context.Context, e storage.Entry) error {
	err := d.put(ctx, e)
	if err != nil {
		return fmt.Errorf("indexing %s: %w", e.ID, named(err))
	}
	return nil
}

func (d *DB) put(ctx context.Context, e storage.Entry) error {
	if e.ID == "" {
		return errors.New("entry has no ID")
	}
	no, err := sealNumber(e.Seal)
	if err != nil {
		return err
	}
	pending := 0
	if e.Pending {
		pending = 1
	}
	_, err = d.db.ExecContext(ctx, upsert,
		e.ID, e.Kind, e.URL, e.Title, e.Case, e.Cause, e.Party, e.State, e.Captured.UnixMilli(), e.Kept.UnixMilli(),
		e.Package, e.Seal, no, e.Bytes, e.SHA256, e.SM3, pending, e.Until.UnixMilli())
	return err
}

// Get returns the row of id, or storage.ErrNotExist.
func (d *DB) Get(ctx context.Context, id string) (storage.Entry, error) {
	e, err := scan(d.db.QueryRowContext(ctx, `SELECT `+columns+` FROM entries WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		err = storage.ErrNotExist
	}
	if err != nil {
		return storage.Entry{}, fmt.Errorf("looking up %s in the index: %w", id, named(err))
	}
	return e, nil
}

// List returns the entries that pass the filter, the last captured first,
// and of one moment the greater ID first.
func (d *DB) List(ctx context.Context, f Filter) ([]storage.Entry, error) {
	entries, err := d.list(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("listing the index: %w", named(err))
	}
	return entries, nil
}

func (d *DB) list(ctx context.Context, f Filter) ([]storage.Entry, error) {
	query, args := f.query()
	rows, err := d.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var entries []storage.Entry
	for rows.Next() {
		e, err := scan(rows)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

func (f Filter) query() (string, []any) {
	var where []string
	var args []any
	if f.Pending {
		where = append(where, `pending = 1`)
	}
	if f.Case != "" {
		args = append(args, f.Case)
		where = append(where, fmt.Sprintf(`case_no = $%d`, len(args)))
	}
	q := `SELECT ` + columns + ` FROM entries`
	if len(where) > 0 {
		q += ` WHERE ` + strings.Join(where, ` AND `)
	}
	q += ` ORDER BY captured DESC, id DESC`
	if f.Limit > 0 {
		args = append(args, f.Limit)
		q += fmt.Sprintf(` LIMIT $%d`, len(args))
	}
	return q, args
}

// Reset removes all rows, before they are made again from the store.
func (d *DB) Reset(ctx context.Context) error {
	if _, err := d.db.ExecContext(ctx, `DELETE FROM entries`); err != nil {
		return fmt.Errorf("emptying the index: %w", named(err))
	}
	return nil
}

// scan reads one row of columns.
func scan(row interface{ Scan(...any) error }) (storage.Entry, error) {
	var e storage.Entry
	var captured, kept, sealNo, pending, retained int64
	err := row.Scan(&e.ID, &e.Kind, &e.URL, &e.Title, &e.Case, &e.Cause, &e.Party, &e.State, &captured, &kept,
		&e.Package, &e.Seal, &sealNo, &e.Bytes, &e.SHA256, &e.SM3, &pending, &retained)
	e.Captured, e.Kept, e.Until = moment(captured), moment(kept), moment(retained)
	e.Pending = pending != 0
	return e, err
}

func moment(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

var sealKey = regexp.MustCompile(`\.seal(?:-([1-9][0-9]{0,8}))?\.json$`)

// sealNumber returns which seal of its package a key names: 1 for
// ID.seal.json, N for ID.seal-N.json.
func sealNumber(key string) (int64, error) {
	m := sealKey.FindStringSubmatch(key)
	switch {
	case m == nil, m[1] == "1":
		return 0, fmt.Errorf("%q is not the key of a seal", key)
	case m[1] == "":
		return 1, nil
	}
	return strconv.ParseInt(m[1], 10, 64)
}
