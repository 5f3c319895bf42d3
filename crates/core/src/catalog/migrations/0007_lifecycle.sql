-- Manifests of rows that were past their retention are kept, as `expired`: the recount needs them.
CREATE TABLE manifests_with_expired (
    batch_id TEXT NOT NULL,
    partition_day INTEGER NOT NULL,
    version INTEGER NOT NULL,
    table_name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('draft', 'published', 'superseded', 'expired')),
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
    expired_at INTEGER,
    PRIMARY KEY (batch_id, partition_day, version)
) WITHOUT ROWID;
INSERT INTO manifests_with_expired
SELECT batch_id, partition_day, version, table_name, state, batch_first, batch_last, first_seq, last_seq, row_count,
       byte_count, first_time, last_time, checksum, columns_id, schema_version, tier, drafted_at, published_at,
       superseded_at, NULL
FROM manifests;
DROP TABLE manifests;
ALTER TABLE manifests_with_expired RENAME TO manifests;
CREATE UNIQUE INDEX manifests_published ON manifests (batch_id, partition_day) WHERE state = 'published';
CREATE INDEX manifests_by_range ON manifests (table_name, batch_first, partition_day, version);
CREATE INDEX manifests_by_partition ON manifests (table_name, partition_day) WHERE state = 'published';

-- What was decided for a dataset or a built-in table: `retention` or `quota`, as JSON. Without a label: of all its tables.
CREATE TABLE policies (
    slug TEXT NOT NULL,
    label TEXT NOT NULL,
    kind TEXT NOT NULL,
    policy TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (slug, label, kind)
) WITHOUT ROWID;

-- Removals that began: the manifests say already that the rows are gone, ClickHouse may still have them.
CREATE TABLE removals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    table_name TEXT NOT NULL,
    partition_day INTEGER NOT NULL,
    before INTEGER,
    last_seq INTEGER NOT NULL,
    begun_at INTEGER NOT NULL
);

-- Rows that were stored and removed since, for the ledger.
CREATE TABLE expired_rows (
    table_name TEXT PRIMARY KEY,
    row_count INTEGER NOT NULL,
    byte_count INTEGER NOT NULL
) WITHOUT ROWID;

-- Runs of the lifecycle; `report` is what each did, as JSON.
CREATE TABLE lifecycle_runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    cause TEXT NOT NULL,
    actor TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'completed', 'failed')),
    began_at INTEGER NOT NULL,
    ended_at INTEGER,
    error TEXT,
    report TEXT
);
