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
