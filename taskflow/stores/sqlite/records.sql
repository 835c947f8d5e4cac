-- What is kept beside messages: runs, steps, schedules, by kind and key. number orders them as they
-- were made; version changes with every write but that of count.
CREATE TABLE IF NOT EXISTS record (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT NOT NULL,
    key        TEXT NOT NULL,
    version    INTEGER NOT NULL,
    value      TEXT NOT NULL,
    parent     TEXT,
    label      TEXT,
    state      TEXT,
    due_at     REAL,
    expires_at REAL,
    count      INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    changed_at REAL NOT NULL
) STRICT;

CREATE UNIQUE INDEX IF NOT EXISTS record_key ON record (kind, key);
CREATE INDEX IF NOT EXISTS record_parent ON record (kind, parent, number)
    WHERE parent IS NOT NULL;
CREATE INDEX IF NOT EXISTS record_state ON record (kind, state, number)
    WHERE state IS NOT NULL;
CREATE INDEX IF NOT EXISTS record_label ON record (kind, label, number)
    WHERE label IS NOT NULL;
CREATE INDEX IF NOT EXISTS record_newest ON record (kind, number);
CREATE INDEX IF NOT EXISTS record_due ON record (kind, due_at, number) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS record_expiry ON record (expires_at) WHERE expires_at IS NOT NULL;

-- Keys of which each has one holder: unique runs, one of many workers. until is NULL for good.
CREATE TABLE IF NOT EXISTS holding (
    key    TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until  REAL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS holding_until ON holding (until) WHERE until IS NOT NULL;

-- Changes that are not to be made twice, and what was answered.
CREATE TABLE IF NOT EXISTS applied (
    id         TEXT PRIMARY KEY,
    answer     TEXT NOT NULL,
    expires_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS applied_expiry ON applied (expires_at);
