-- A dataset has several tables, each with versions of its schema; what is said of the dataset itself is said once.
CREATE TABLE dataset_versions (
    slug TEXT NOT NULL,
    label TEXT NOT NULL,
    version INTEGER NOT NULL,
    table_name TEXT NOT NULL,
    columns TEXT NOT NULL,
    time_column TEXT,
    change TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (slug, label, version)
) WITHOUT ROWID;
INSERT INTO dataset_versions
SELECT slug, 'records', version, table_name, columns, time_column, '{}', created_at FROM datasets;
DROP TABLE datasets;

CREATE TABLE datasets (
    slug TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    status TEXT NOT NULL,
    metadata TEXT NOT NULL,
    storage_target TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO datasets
SELECT slug, slug, '', 'active', '{}', NULL, min(created_at), max(created_at), '' FROM dataset_versions GROUP BY slug;

CREATE TABLE dataset_audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    slug TEXT NOT NULL,
    at INTEGER NOT NULL,
    action TEXT NOT NULL,
    success INTEGER NOT NULL,
    actor TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX dataset_audit_by_slug ON dataset_audit (slug, id);

-- Refused rows, until they are mended or discarded. What became of a row stays for a while without its text, so that
-- the same request, sent again, does not bring it back.
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    slug TEXT NOT NULL,
    label TEXT NOT NULL,
    origin BLOB NOT NULL,
    row_index INTEGER NOT NULL,
    at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    partition TEXT NOT NULL,
    row TEXT,
    bytes INTEGER NOT NULL,
    actor TEXT NOT NULL,
    state TEXT NOT NULL,
    replay BLOB,
    UNIQUE (slug, origin, row_index)
);
CREATE INDEX quarantine_held ON quarantine (slug, id, bytes) WHERE state <> 'gone';
CREATE INDEX quarantine_gone ON quarantine (at) WHERE state = 'gone';
