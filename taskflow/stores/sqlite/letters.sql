-- Dead letters once more, by what they died of: a row for each message with a source, which goes
-- with it. died_at is when it came; attempts how often it was received before.
CREATE TABLE letter (
    seq      INTEGER PRIMARY KEY,
    queue    INTEGER NOT NULL,
    cause    INTEGER NOT NULL,
    died_at  REAL NOT NULL,
    attempts INTEGER NOT NULL
) STRICT;

CREATE INDEX letter_queue ON letter (queue, seq);
CREATE INDEX letter_cause ON letter (cause, seq);

-- What letters of a queue died of. name is Cause.id; count is kept by the triggers below.
CREATE TABLE cause (
    id      INTEGER PRIMARY KEY,
    queue   INTEGER NOT NULL,
    name    TEXT NOT NULL,
    source  TEXT NOT NULL,
    handler TEXT,
    error   TEXT,
    place   TEXT,
    reason  TEXT NOT NULL,
    count   INTEGER NOT NULL DEFAULT 0,
    UNIQUE (queue, name)
) STRICT;

-- How many died of a cause in an hour (epoch hours); those that are gone, too.
CREATE TABLE cause_hour (
    hour  INTEGER NOT NULL,
    cause INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (hour, cause)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER letter_gone AFTER DELETE ON message WHEN old.source IS NOT NULL BEGIN
    DELETE FROM letter WHERE seq = old.seq;
END;
CREATE TRIGGER letter_counted AFTER INSERT ON letter BEGIN
    UPDATE cause SET count = count + 1 WHERE id = new.cause;
END;
CREATE TRIGGER letter_uncounted AFTER DELETE ON letter BEGIN
    UPDATE cause SET count = count - 1 WHERE id = old.cause;
END;
