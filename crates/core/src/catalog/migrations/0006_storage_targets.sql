-- Places that exports may go to, besides those of the settings.
CREATE TABLE storage_targets (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('local', 's3')),
    folder TEXT NOT NULL,
    bucket TEXT NOT NULL,
    prefix TEXT NOT NULL,
    description TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;
ALTER TABLE exports ADD COLUMN target TEXT NOT NULL DEFAULT 'local';

-- What became of restoring backups on trial.
CREATE TABLE backup_drills (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    backup TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    restore_ms INTEGER NOT NULL,
    verify_ms INTEGER NOT NULL,
    error TEXT
);
