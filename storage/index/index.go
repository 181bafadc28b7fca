// Package index is the catalogue of what is kept: one row per piece of
// evidence, in a SQLite database, for finding and listing.
//
// Life of a row: when evidence is kept, and again whenever a further seal is
// stored beside it, Put writes the row under the evidence's ID; List and Get
// read it. Nothing else depends on the rows: Reset removes all of them, and
// Put writes them again from the seals in the store, in whatever order those
// are read.
//
// Trust: the index is trusted for convenience only. Whoever can write it can
// hide evidence from a list or show a wrong title, until it is rebuilt; the
// evidence itself is checked without it.
package index

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"guzheng/storage/internal/flock"
)

// ErrDamaged says that the database file is not one any more. Nothing is
// lost: put the file away with SetAside and rebuild.
var ErrDamaged = errors.New("index is damaged; `guzheng index rebuild` makes it again from the store")

// ErrNewer says that a later version of the program wrote the index.
var ErrNewer = errors.New("index was written by a later version of guzheng")

//go:embed migrations/*.sql
var migrations embed.FS

// A DB is an open catalogue. Its methods may be called from several
// goroutines, and several processes may have the same file open.
type DB struct {
	db   *sql.DB
	path string
}

// Open opens the database file path, creates it if need be (its directory
// MUST exist) and brings its tables up to date. A file that is no database
// gives ErrDamaged. A writer waits at most 30 s for others.
func Open(ctx context.Context, path string) (*DB, error) {
	db, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("opening index %s: %w", path, named(err))
	}
	return db, nil
}

func open(ctx context.Context, path string) (*DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// SQLite switches to WAL, and goose makes its table, without regard to
	// others who do the same.
	lock, err := os.OpenFile(abs+".lock", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := flock.Take(lock, true); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", source(abs))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if err := migrate(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &DB{db: db, path: abs}, nil
}

// source names the file and how every connection to it behaves: a write is
// on disk when it returns, and transactions queue at their beginning, where
// waiting helps.
func source(abs string) string {
	name := url.URL{Path: filepath.ToSlash(abs)}
	q := url.Values{
		"_pragma": {"busy_timeout(30000)", "journal_mode(WAL)", "synchronous(FULL)"},
		"_txlock": {"immediate"},
	}
	return "file:" + name.EscapedPath() + "?" + q.Encode()
}

func migrate(ctx context.Context, db *sql.DB) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	// goose takes any answer but a version for an empty database, tries to
	// make its table and hides what was wrong.
	var v sql.NullInt64
	err = named(db.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version`).Scan(&v))
	if errors.Is(err, ErrDamaged) || ctx.Err() != nil {
		return err
	}
	is, target, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if is > target {
		return fmt.Errorf("%w: its tables have version %d, known is %d", ErrNewer, is, target)
	}
	_, err = p.Up(ctx)
	return err
}

// Close closes the database. The DB cannot be used afterwards.
func (d *DB) Close() error {
	if err := d.db.Close(); err != nil {
		return fmt.Errorf("closing index %s: %w", d.path, err)
	}
	return nil
}

// SetAside renames a damaged database file, with SQLite's files beside it,
// to the returned name, so that Open makes a new one. No process may have it
// open. Files that are not there are no error.
func SetAside(path string) (string, error) {
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s.damaged-%d", path, n)
		if _, err := os.Lstat(aside); err == nil {
			continue
		}
		for _, suffix := range []string{"-wal", "-shm", ""} {
			if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", fmt.Errorf("setting index %s aside: %w", path, err)
			}
		}
		return aside, nil
	}
}

// named adds ErrDamaged to what SQLite says of a damaged file.
func named(err error) error {
	var e *sqlite.Error
	if errors.Is(err, ErrDamaged) || !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff { // extended codes keep the kind in the low byte
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}
