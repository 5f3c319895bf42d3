-- Moves of a dataset's table from an older engine. At most one is open for each table.
CREATE TABLE data_migrations (
    id TEXT PRIMARY KEY,
    slug TEXT NOT NULL,
    label TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('copying', 'frozen', 'switched', 'finished', 'abandoned')),
    source TEXT NOT NULL,
    ask TEXT NOT NULL,
    frozen_until INTEGER,
    mirror_from INTEGER,
    mirrored INTEGER NOT NULL,
    mirror_end INTEGER,
    is_applied INTEGER NOT NULL,
    applied INTEGER NOT NULL,
    switched_at_row INTEGER,
    validation TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX data_migrations_open ON data_migrations (slug, label)
    WHERE state IN ('copying', 'frozen', 'switched');

-- What is to be taken: a file, by what changes when it is written to.
CREATE TABLE data_migration_files (
    migration TEXT NOT NULL,
    file TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    row_count INTEGER NOT NULL,
    PRIMARY KEY (migration, file)
) WITHOUT ROWID;

-- What was taken: rows of a file that came in one request.
CREATE TABLE data_migration_pieces (
    migration TEXT NOT NULL,
    file TEXT NOT NULL,
    first_row INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    PRIMARY KEY (migration, file, first_row)
) WITHOUT ROWID;
