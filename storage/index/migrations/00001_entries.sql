-- Times are milliseconds since 1970-01-01 UTC. Runs on SQLite and PostgreSQL.
-- +goose Up
CREATE TABLE entries (
    id       TEXT   NOT NULL PRIMARY KEY,
    kind     TEXT   NOT NULL,
    url      TEXT   NOT NULL,
    title    TEXT   NOT NULL,
    case_no  TEXT   NOT NULL,
    cause    TEXT   NOT NULL,
    party    TEXT   NOT NULL,
    state    TEXT   NOT NULL,
    captured BIGINT NOT NULL,
    kept     BIGINT NOT NULL,
    package  TEXT   NOT NULL,
    seal     TEXT   NOT NULL,
    seal_no  BIGINT NOT NULL,
    bytes    BIGINT NOT NULL,
    sha256   TEXT   NOT NULL,
    sm3      TEXT   NOT NULL,
    pending  BIGINT NOT NULL,
    retained BIGINT NOT NULL
);
CREATE INDEX entries_captured ON entries (captured, id);
CREATE INDEX entries_case ON entries (case_no, captured, id);
CREATE INDEX entries_pending ON entries (pending, captured, id);

-- +goose Down
DROP TABLE entries;
