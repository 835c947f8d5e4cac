-- The embedded broker's file. Times are epoch seconds; who writes them passes `now` in.

CREATE TABLE topic (
    name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE queue (
    id                 INTEGER PRIMARY KEY,
    name               TEXT NOT NULL UNIQUE,
    visibility_timeout REAL NOT NULL,
    delay              REAL NOT NULL,
    retention          REAL NOT NULL,
    dead_letter_queue  TEXT REFERENCES queue (name),
    max_receives       INTEGER,
    handled            INTEGER NOT NULL DEFAULT 0,
    dead_lettered      INTEGER NOT NULL DEFAULT 0,
    paused             INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE subscription (
    topic TEXT NOT NULL REFERENCES topic (name),
    queue INTEGER NOT NULL REFERENCES queue (id),
    PRIMARY KEY (topic, queue)
) STRICT, WITHOUT ROWID;

-- What changes while a message lives: small rows, since every receive rewrites one.
-- seq is the microsecond in which the message was stored, or the next free number: it orders
-- messages as they came.
-- receipt is NULL until the first receive; source is the queue a dead letter came from.
CREATE TABLE message (
    queue             INTEGER NOT NULL REFERENCES queue (id),
    seq               INTEGER NOT NULL,
    visible_at        REAL NOT NULL,
    receive_count     INTEGER NOT NULL DEFAULT 0,
    receipt           INTEGER,
    first_received_at REAL,
    sent_at           REAL NOT NULL,
    id                TEXT NOT NULL,
    topic             TEXT NOT NULL,
    source            INTEGER REFERENCES queue (id),
    PRIMARY KEY (queue, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX message_due ON message (queue, visible_at, seq);
CREATE UNIQUE INDEX message_id ON message (queue, id, topic);

-- What does not change: written once, however often the message is received.
CREATE TABLE payload (
    seq        INTEGER PRIMARY KEY,
    body       TEXT NOT NULL,
    attributes TEXT NOT NULL
) STRICT;

-- Events that a queue has finished and still remembers (idempotency).
CREATE TABLE finished (
    queue      INTEGER NOT NULL REFERENCES queue (id),
    id         TEXT NOT NULL,
    topic      TEXT NOT NULL,
    expires_at REAL NOT NULL,
    PRIMARY KEY (queue, id, topic)
) STRICT, WITHOUT ROWID;

CREATE INDEX finished_expiry ON finished (expires_at);

-- Token buckets of rate-limited handlers, shared by all workers of the file.
CREATE TABLE bucket (
    name   TEXT PRIMARY KEY,
    tokens REAL NOT NULL,
    at     REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- What each running worker last said of itself, as JSON.
CREATE TABLE worker (
    id      TEXT PRIMARY KEY,
    seen_at REAL NOT NULL,
    report  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
