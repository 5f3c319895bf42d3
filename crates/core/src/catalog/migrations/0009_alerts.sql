-- Alert rules that were made over the API, as JSON; those of the settings are not here.
CREATE TABLE alert_rules (
    name TEXT PRIMARY KEY,
    rule TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL
) WITHOUT ROWID;

-- Where each alert is; `labels` and `state` are JSON. What is idle has no row.
CREATE TABLE alert_states (
    rule TEXT NOT NULL,
    labels TEXT NOT NULL,
    state TEXT NOT NULL,
    told_at INTEGER,
    PRIMARY KEY (rule, labels)
) WITHOUT ROWID;

-- Alerts of which nobody is told for a while.
CREATE TABLE alert_silences (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    silence TEXT NOT NULL,
    until INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
);

-- What a receiver has not taken yet.
CREATE TABLE alert_messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    receiver TEXT NOT NULL,
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER NOT NULL
);
CREATE INDEX alert_messages_by_receiver ON alert_messages (receiver, number);
