-- What a part of the program knows and can do without: it is found again, at a cost.
CREATE TABLE states (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;
