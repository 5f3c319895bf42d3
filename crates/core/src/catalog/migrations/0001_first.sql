-- Row numbers and 64-bit hashes are unsigned; SQLite's integers are signed: the same 64 bits are stored.

CREATE TABLE batches (
    id TEXT PRIMARY KEY,
    table_name TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    sealed_at INTEGER NOT NULL,
    stored_at INTEGER,
    bytes INTEGER NOT NULL,
    partitions INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX batches_by_range ON batches (table_name, first_seq);
CREATE INDEX batches_open ON batches (table_name, first_seq) WHERE stored_at IS NULL;

CREATE TABLE watermarks (
    table_name TEXT PRIMARY KEY,
    stored INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE unique_keys (
    table_name TEXT NOT NULL,
    key INTEGER NOT NULL,
    PRIMARY KEY (table_name, key)
) WITHOUT ROWID;

CREATE TABLE retries (
    key BLOB PRIMARY KEY,
    content BLOB NOT NULL,
    at INTEGER NOT NULL,
    answer BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX retries_by_time ON retries (at);

CREATE TABLE counts (
    table_name TEXT PRIMARY KEY,
    rejected INTEGER NOT NULL,
    duplicate INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE datasets (
    slug TEXT NOT NULL,
    version INTEGER NOT NULL,
    table_name TEXT NOT NULL,
    columns TEXT NOT NULL,
    time_column TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (slug, version)
) WITHOUT ROWID;
