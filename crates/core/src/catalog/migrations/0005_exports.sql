-- Exports of tables to files; a row stays when its files are removed.
CREATE TABLE exports (
    id TEXT PRIMARY KEY,
    slug TEXT NOT NULL,
    label TEXT NOT NULL,
    table_name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'failed', 'removed')),
    is_scheduled INTEGER NOT NULL,
    time_from INTEGER,
    time_to INTEGER,
    folder TEXT NOT NULL,
    actor TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    error TEXT,
    manifest TEXT
) WITHOUT ROWID;
CREATE INDEX exports_by_dataset ON exports (slug, created_at, id);
CREATE INDEX exports_open ON exports (created_at, id) WHERE state IN ('queued', 'running');

-- What the webhook has not taken yet, in this order. Numbers are never used twice: the receiver knows an event by its own.
CREATE TABLE export_events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL
);
