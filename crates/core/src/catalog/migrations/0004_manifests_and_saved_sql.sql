-- What each stored batch put into each partition. A batch and a partition have at most one published manifest.
CREATE TABLE manifests (
    batch_id TEXT NOT NULL,
    partition_day INTEGER NOT NULL,
    version INTEGER NOT NULL,
    table_name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('draft', 'published', 'superseded')),
    batch_first INTEGER NOT NULL,
    batch_last INTEGER NOT NULL,
    first_seq INTEGER,
    last_seq INTEGER,
    row_count INTEGER NOT NULL,
    byte_count INTEGER NOT NULL,
    first_time INTEGER,
    last_time INTEGER,
    checksum INTEGER,
    columns_id INTEGER NOT NULL,
    schema_version INTEGER,
    tier TEXT NOT NULL,
    drafted_at INTEGER NOT NULL,
    published_at INTEGER,
    superseded_at INTEGER,
    PRIMARY KEY (batch_id, partition_day, version)
) WITHOUT ROWID;
CREATE UNIQUE INDEX manifests_published ON manifests (batch_id, partition_day) WHERE state = 'published';
CREATE INDEX manifests_by_range ON manifests (table_name, batch_first, partition_day, version);

-- The columns that checksums cover, as JSON; few sets, many manifests.
CREATE TABLE manifest_columns (
    id INTEGER PRIMARY KEY,
    columns TEXT NOT NULL
);

-- The published manifests of each partition, added up: a read asks for them, and there are many manifests.
CREATE TABLE shards (
    table_name TEXT NOT NULL,
    partition_day INTEGER NOT NULL,
    manifest_count INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    byte_count INTEGER NOT NULL,
    first_time INTEGER,
    last_time INTEGER,
    PRIMARY KEY (table_name, partition_day)
) WITHOUT ROWID;

-- Statements that users save; `stats` is theirs, as JSON.
CREATE TABLE saved_sql (
    id TEXT PRIMARY KEY,
    statement TEXT NOT NULL,
    label TEXT,
    stats TEXT,
    created_by TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;
