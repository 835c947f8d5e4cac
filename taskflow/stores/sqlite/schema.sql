-- The stored broker's file. Times are epoch seconds; who writes them passes `now` in.

CREATE TABLE topic (
    name        TEXT PRIMARY KEY,
    settings    TEXT NOT NULL,     -- JSON of taskflow.settings.TopicSettings
    created_at  REAL NOT NULL,
    modified_at REAL NOT NULL,
    sequence    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE queue (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT NOT NULL UNIQUE,
    settings      TEXT NOT NULL,   -- JSON of taskflow.settings.QueueSettings
    created_at    REAL NOT NULL,
    modified_at   REAL NOT NULL,
    purged_at     REAL NOT NULL DEFAULT 0,
    handled       INTEGER NOT NULL DEFAULT 0,
    dead_lettered INTEGER NOT NULL DEFAULT 0,
    expired       INTEGER NOT NULL DEFAULT 0,
    paused        INTEGER NOT NULL DEFAULT 0,
    sequence      INTEGER NOT NULL DEFAULT 0   -- the last number given, if it is FIFO
) STRICT;

-- A new random number with every change of a topic, a queue or a subscription: processes may keep
-- what they read of those while it stays the same.
CREATE TABLE topology (
    stamp INTEGER NOT NULL
) STRICT;

INSERT INTO topology VALUES (0);

-- Tags of queues and topics: resource is 'queue:NAME' or 'topic:NAME'.
CREATE TABLE tag (
    resource TEXT NOT NULL,
    key      TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (resource, key)
) STRICT, WITHOUT ROWID;

-- queue is the name of the queue that stores its messages; it may be gone, as on SNS.
CREATE TABLE subscription (
    topic    TEXT NOT NULL REFERENCES topic (name),
    protocol TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    id       TEXT NOT NULL UNIQUE,
    queue    TEXT NOT NULL,
    pending  INTEGER NOT NULL,
    record   TEXT NOT NULL,        -- JSON of taskflow.settings.TopicSubscription
    PRIMARY KEY (topic, protocol, endpoint)
) STRICT, WITHOUT ROWID;

-- What changes while a message lives: small rows, since every receive rewrites one.
-- seq is the microsecond in which the message was stored, or the next free number: it orders
-- messages as they came.
-- receipt is NULL until the first receive; source is the queue a dead letter came from.
-- The message group is lane on a FIFO queue, tenant on a standard one. level is 0 for high, NULL for
-- normal and 2 for low: most rows are in message_due alone. slot is what shares a limit; a row that
-- waits for it has the visible_at 9e15.
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
    source            INTEGER,
    lane              TEXT,
    tenant            TEXT,
    level             INTEGER,
    slot              TEXT,
    PRIMARY KEY (queue, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX message_due ON message (queue, visible_at, seq) WHERE level IS NULL;
CREATE INDEX message_level ON message (queue, level, visible_at, seq) WHERE level IS NOT NULL;
CREATE UNIQUE INDEX message_id ON message (queue, id, topic);
CREATE INDEX message_lane ON message (queue, lane, seq) WHERE lane IS NOT NULL;
CREATE INDEX message_group ON message (queue, tenant, level, visible_at, seq)
    WHERE tenant IS NOT NULL;
CREATE INDEX message_held ON message (queue, slot) WHERE slot IS NOT NULL AND receipt IS NOT NULL;
CREATE INDEX message_parked ON message (queue, slot, level, seq)
    WHERE slot IS NOT NULL AND visible_at = 9e15;

-- What does not change: written once, however often the message is received, and for however many
-- queues: seq is that of the rows in all of them.
-- extra is JSON of what few messages have (group, deduplication id, ...), or NULL.
CREATE TABLE body (
    seq        INTEGER PRIMARY KEY,
    body       TEXT NOT NULL,
    attributes TEXT NOT NULL,
    extra      TEXT
) STRICT;

-- Bodies of several queues (their ids, as JSON). Others go with their message; these go when no queue
-- holds them any more.
CREATE TABLE shared (
    seq    INTEGER PRIMARY KEY,
    queues TEXT NOT NULL
) STRICT;

-- Messages that were just published, as rows of message and of body in one: it costs a page where those
-- cost four. Whoever looks at messages, or changes any, takes all of these over first, by deleting them.
CREATE TABLE arrival (
    seq        INTEGER PRIMARY KEY,
    queue      INTEGER NOT NULL,
    visible_at REAL NOT NULL,
    sent_at    REAL NOT NULL,
    id         TEXT NOT NULL,
    topic      TEXT NOT NULL,
    body       TEXT NOT NULL
) STRICT;

-- An id that the queue has already is no second message, and what is of no queue is none.
CREATE TRIGGER arrival_taken_over AFTER DELETE ON arrival BEGIN
    INSERT OR IGNORE INTO message (queue, seq, visible_at, sent_at, id, topic)
        SELECT id, old.seq, old.visible_at, old.sent_at, old.id, old.topic
        FROM queue WHERE id = old.queue;
    INSERT INTO body SELECT old.seq, old.body, '{}', NULL WHERE changes() = 1;
END;

-- The message groups of FIFO queues that hold something. A group may be received from once its
-- first message is visible: a held one keeps back all that came after it.
CREATE TABLE lane (
    queue    INTEGER NOT NULL,
    name     TEXT NOT NULL,
    ready_at REAL NOT NULL,
    PRIMARY KEY (queue, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX lane_ready ON lane (queue, ready_at);

-- Messages sent to FIFO queues and topics within the deduplication window, deleted ones too.
CREATE TABLE deduplication (
    scope      TEXT NOT NULL,
    key        TEXT NOT NULL,
    id         TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    expires_at REAL NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX deduplication_expiry ON deduplication (expires_at);

-- Receives from FIFO queues that may be asked for again by their attempt id.
CREATE TABLE attempt (
    queue      INTEGER NOT NULL,
    id         TEXT NOT NULL,
    receipt    INTEGER NOT NULL,
    seqs       TEXT NOT NULL,
    until      REAL NOT NULL,
    expires_at REAL NOT NULL,
    PRIMARY KEY (queue, id)
) STRICT, WITHOUT ROWID;

-- Moves of messages out of dead-letter queues.
CREATE TABLE move_task (
    handle      TEXT PRIMARY KEY,
    source      TEXT NOT NULL,
    destination TEXT,
    rate        INTEGER,
    status      TEXT NOT NULL,
    moved       INTEGER NOT NULL,
    total       INTEGER NOT NULL,
    started_at  REAL NOT NULL,
    failure     TEXT
) STRICT, WITHOUT ROWID;

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

CREATE INDEX bucket_at ON bucket (at);

-- What each running worker last said of itself, as JSON.
CREATE TABLE worker (
    id      TEXT PRIMARY KEY,
    seen_at REAL NOT NULL,
    report  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What the wire server is called and signs with, for whoever writes an SNS envelope.
CREATE TABLE identity (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
